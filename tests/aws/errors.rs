//! Every way in which AWS says no, or nothing.

use std::net::TcpListener;
use std::time::Duration;

use roundsman::model::id::NodeId;
use roundsman::port::{ErrorKind, PortError, Put, Store, WriteError};
use serde_json::json;

use crate::support::Aws;
use crate::{CALM, clients_of, groups, id, key, store, tagged};
use roundsman::io::aws::AwsStore;

fn put() -> Put {
    Put::one(key("lock"), "v1".to_owned())
}

fn node(aws: &Aws) -> NodeId {
    id(&aws.fleet(None, 1, &[])[0])
}

fn refused(result: Result<(), WriteError>) -> PortError {
    match result {
        Err(WriteError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn unknown(result: Result<(), WriteError>) -> PortError {
    match result {
        Err(WriteError::Unknown(error)) => error,
        other => panic!("not unknown: {other:?}"),
    }
}

#[tokio::test]
async fn a_write_that_aws_refuses_is_refused_after_one_attempt() {
    let aws = Aws::start();
    let (store, node) = (store(&aws).await, node(&aws));
    let table = [
        (
            "deny",
            ErrorKind::Denied,
            "not allowed to ec2:CreateTags on i-",
        ),
        (
            "throttle",
            ErrorKind::Throttled,
            "AWS throttles ec2:CreateTags in eu-west-1 (RequestLimitExceeded)",
        ),
        ("expired", ErrorKind::Credentials, "RequestExpired"),
        (
            "conflict",
            ErrorKind::Conflict,
            "being changed by somebody else",
        ),
    ];
    for (mode, kind, says) in table {
        aws.reset();
        aws.fault(&json!({"action": "CreateTags", "mode": mode}));
        let error = refused(store.write(&node, &put(), None).await);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(says), "{error}");
        assert!(error.message.contains("; request id "), "{error}");
        assert_eq!(aws.calls().get("CreateTags"), Some(&1), "{mode}");
        assert!(!aws.tags(node.as_str()).contains_key("lock"));
    }
}

#[tokio::test]
async fn a_denied_call_names_the_action_the_node_and_the_policy() {
    let node = node(&CALM);
    CALM.fault(&json!({"action": "DeleteTags", "mode": "deny", "node": node.as_str()}));
    let error = refused(store(&CALM).await.delete(&node, &put()).await);
    let start = format!(
        "not allowed to ec2:DeleteTags on {node}: You are not authorized to perform this operation; request id "
    );
    assert!(error.message.starts_with(&start), "{error}");
    let help = "allow `ec2:DeleteTags` in the policy of the role or user that runs roundsman";
    assert_eq!(error.help.as_deref(), Some(help));
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown_after_one_attempt() {
    let aws = Aws::start();
    let store = AwsStore::new(clients_of(aws.endpoint(), Duration::from_secs(1)).await);
    for (mode, written) in [
        ("500", false),
        ("500-after", true),
        ("drop", false),
        ("hang", false),
        ("hang-after", true),
    ] {
        let node = node(&aws);
        aws.reset();
        aws.fault(&json!({"action": "CreateTags", "mode": mode, "count": -1, "seconds": 3}));
        let error = unknown(store.write(&node, &put(), None).await);
        assert_eq!(error.kind, ErrorKind::Unreachable, "{mode}: {error}");
        assert_eq!(aws.calls().get("CreateTags"), Some(&1), "{mode}");
        let there = || aws.tags(node.as_str()).contains_key("lock");
        if written {
            crate::until(&crate::Fast::new(1), there).await;
        } else {
            assert!(!there(), "{mode}");
        }
        if mode == "hang" {
            assert!(
                error.message.contains("no answer from http://127.0.0.1:"),
                "{error}"
            );
            assert!(error.message.ends_with("within 1s"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_write_may_land_after_its_answer() {
    let node = node(&CALM);
    CALM.fault(
        &json!({"action": "CreateTags", "mode": "late", "seconds": 2, "node": node.as_str()}),
    );
    store(&CALM)
        .await
        .write(&node, &put(), None)
        .await
        .expect("answered");
    assert!(!CALM.tags(node.as_str()).contains_key("lock"), "not yet");
    let clock = crate::Fast::new(1);
    crate::until(&clock, || CALM.tags(node.as_str()).contains_key("lock")).await;
}

#[tokio::test]
async fn a_write_that_found_no_connection_is_refused() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let store =
        AwsStore::new(clients_of(format!("http://127.0.0.1:{port}"), Duration::from_secs(2)).await);
    let error = refused(store.write(&id("i-1"), &put(), None).await);
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let start = format!("ec2:CreateTags on i-1: no connection to http://127.0.0.1:{port}: ");
    assert!(
        error.message.starts_with(&start) && error.message.contains("refused"),
        "{error}"
    );
}

#[tokio::test]
async fn reads_are_tried_three_times() {
    let aws = Aws::start();
    let (store, node) = (store(&aws).await, node(&aws));
    for mode in ["throttle", "500"] {
        aws.reset();
        aws.fault(&json!({"action": "DescribeTags", "mode": mode, "count": 2}));
        let tags = store.read_tags(&node).await.expect("the third answer");
        assert_eq!(tags.get("Name").map(String::as_str), Some("node-1"));
        assert_eq!(aws.calls().get("DescribeTags"), Some(&3));
    }
    aws.reset();
    aws.fault(&json!({"action": "DescribeTags", "mode": "throttle", "count": -1}));
    let error = store.read_tags(&node).await.expect_err("throttled");
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert_eq!(aws.calls().get("DescribeTags"), Some(&3));
}

#[tokio::test]
async fn reads_that_aws_refuses_say_which_call_it_was() {
    let aws = Aws::start();
    let store = store(&aws).await.with_agents(true);
    aws.fleet(Some("g"), 1, &[("role", "x")]);
    let table = [
        (
            "DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingGroups on Auto Scaling group `g`",
        ),
        ("DescribeInstances", "ec2:DescribeInstances on the fleet"),
        (
            "DescribeInstanceInformation",
            "ssm:DescribeInstanceInformation on the fleet",
        ),
    ];
    for (action, says) in table {
        aws.reset();
        aws.fault(&json!({"action": action, "mode": "deny"}));
        let error = store.read_fleet(&groups(&["g"])).await.expect_err("denied");
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(
            error
                .message
                .starts_with(&format!("not allowed to {says}: ")),
            "{error}"
        );
    }
    aws.reset();
    aws.fault(&json!({"action": "DescribeAutoScalingGroups", "mode": "expired"}));
    let error = store
        .read_fleet(&tagged(&[("role", &["x"])]))
        .await
        .expect_err("expired");
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    assert!(
        error
            .help
            .is_some_and(|help| help.contains("aws sso login"))
    );
}

#[tokio::test]
async fn a_node_that_is_gone_is_not_found() {
    let error = refused(
        store(&CALM)
            .await
            .write(&id("i-0123456789abcdef0"), &put(), None)
            .await,
    );
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.message.contains("i-0123456789abcdef0"), "{error}");
}

#[tokio::test]
async fn the_offset_of_the_providers_clock_is_learnt_from_its_answers() {
    let aws = Aws::start();
    let (store, node) = (store(&aws).await, node(&aws));
    assert_eq!(
        store.offset(),
        roundsman::port::Offset::default(),
        "before any answer"
    );
    for ahead in [30, -3_600] {
        aws.clock(ahead);
        for _ in 0..3 {
            store.read_tags(&node).await.expect("tags");
        }
        let offset = store.offset();
        let truth = ahead * 1_000;
        assert!(
            offset.least_ms <= truth && truth <= offset.most_ms,
            "{truth} in {offset:?}"
        );
        assert!(offset.most_ms - offset.least_ms < 3_000, "{offset:?}");
    }
}

#[tokio::test]
async fn what_the_policy_allows_is_asked_without_doing_it() {
    let (store, node) = (store(&CALM).await, node(&CALM));
    store.may_tag(&node, &put()).await.expect("allowed");
    assert!(!CALM.tags(node.as_str()).contains_key("lock"));
    CALM.fault(&json!({"action": "DeleteTags", "mode": "deny", "node": node.as_str()}));
    let error = store.may_tag(&node, &put()).await.expect_err("denied");
    assert!(
        error
            .message
            .starts_with("not allowed to ec2:DeleteTags on i-"),
        "{error}"
    );
}
