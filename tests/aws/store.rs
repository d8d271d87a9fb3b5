//! Fleets and tags.

use roundsman::model::id::ClaimId;
use roundsman::model::job::Selector;
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::tag::TAGS_MAX;
use roundsman::port::{Consistency, ErrorKind, Put, Store, WriteError};
use serde_json::json;

use crate::support::Aws;
use crate::{CALM, groups, id, key, store, tagged};

fn ids(nodes: &[Node]) -> Vec<String> {
    let mut ids: Vec<String> = nodes.iter().map(|node| node.id.0.clone()).collect();
    ids.sort();
    ids
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_group_is_read_with_everything_that_a_node_has() {
    let made = CALM.fleet(Some("whole"), 2, &[("role", "db")]);
    let store = store(&CALM).await;
    let fleet = store
        .read_fleet(&groups(&["whole"]))
        .await
        .expect("a fleet");
    assert_eq!(ids(&fleet), sorted(&made));
    let first = fleet
        .iter()
        .find(|node| node.id.0 == made[0])
        .expect("the first");
    assert_eq!(first.name.as_deref(), Some("whole-1"));
    assert_eq!(first.zone.as_deref(), Some("eu-west-1a"));
    assert_eq!(first.group.as_deref(), Some("whole"));
    assert_eq!(first.service, Service::In);
    assert_eq!(first.agent, Agent::NotAsked);
    assert!(
        first
            .address
            .as_deref()
            .is_some_and(|address| address.starts_with("10."))
    );
    let age = crate::wall().duration_since(first.launched.expect("a launch time"));
    assert!(age.as_secs().abs() < 600, "launched {age} ago");
    assert_eq!(first.tags.get("role").map(String::as_str), Some("db"));
    assert_eq!(store.consistency(), Consistency::Eventual);
}

#[tokio::test]
async fn all_tags_must_match_and_a_list_means_any_of_them() {
    let prod = CALM.fleet(None, 1, &[("fleet", "t1"), ("env", "prod")]);
    let canary = CALM.fleet(None, 1, &[("fleet", "t1"), ("env", "canary")]);
    CALM.fleet(None, 1, &[("fleet", "t1"), ("env", "test")]);
    CALM.fleet(None, 1, &[("env", "prod")]);
    let selector = tagged(&[("fleet", &["t1"]), ("env", &["prod", "canary"])]);
    let fleet = store(&CALM)
        .await
        .read_fleet(&selector)
        .await
        .expect("a fleet");
    assert_eq!(ids(&fleet), sorted(&[prod, canary].concat()));
}

#[tokio::test]
async fn a_star_in_a_tag_value_is_a_star() {
    let star = CALM.fleet(None, 1, &[("rack", "r*")]);
    let other = CALM.fleet(None, 1, &[]);
    CALM.set_tags(&other[0], &[("rack", "r1")]);
    let fleet = store(&CALM)
        .await
        .read_fleet(&tagged(&[("rack", &["r*"])]))
        .await;
    assert_eq!(ids(&fleet.expect("a fleet")), star);
}

#[tokio::test]
async fn groups_and_tags_must_both_match() {
    let both = CALM.fleet(Some("both"), 2, &[("role", "both")]);
    CALM.fleet(Some("both"), 1, &[("role", "other")]);
    CALM.fleet(None, 1, &[("role", "both")]);
    let selector = Selector {
        groups: vec!["both".to_owned()],
        ..tagged(&[("role", &["both"])])
    };
    let fleet = store(&CALM)
        .await
        .read_fleet(&selector)
        .await
        .expect("a fleet");
    assert_eq!(ids(&fleet), sorted(&both));
}

#[tokio::test]
async fn every_page_is_read() {
    let aws = Aws::start();
    let mut made = aws.fleet(Some("a"), 9, &[("lock", "v1")]);
    made.extend(aws.fleet(Some("b"), 5, &[("lock", "v1")]));
    let store = store(&aws).await.with_agents(true);
    aws.reset();
    aws.pages(&json!({
        "DescribeInstances": 1, "DescribeAutoScalingGroups": 1, "DescribeTags": 5, "DescribeInstanceInformation": 6,
    }));
    let fleet = store
        .read_fleet(&groups(&["a", "b"]))
        .await
        .expect("a fleet");
    assert_eq!(ids(&fleet), sorted(&made));
    let nodes: Vec<_> = made.iter().map(|each| id(each)).collect();
    let locks = store.read_key(&nodes, &key("lock")).await.expect("locks");
    assert_eq!(locks.len(), made.len());
    // 9 and 5 nodes in reservations of four.
    let pages = [
        ("DescribeAutoScalingGroups", 2),
        ("DescribeInstanceInformation", 3),
        ("DescribeInstances", 5),
        ("DescribeTags", 3),
    ];
    let pages = pages
        .map(|(action, count)| (action.to_owned(), count))
        .into();
    assert_eq!(aws.calls(), pages);
    assert_eq!(store.clients().calls(), pages, "the program's own count");
}

#[tokio::test]
async fn more_nodes_than_a_filter_takes_are_read_in_chunks() {
    let aws = Aws::start();
    let made = aws.fleet(Some("many"), 205, &[("lock", "v1")]);
    let store = store(&aws).await;
    let fleet = store.read_fleet(&groups(&["many"])).await.expect("a fleet");
    assert_eq!(ids(&fleet), sorted(&made));
    let nodes: Vec<_> = made.iter().map(|each| id(each)).collect();
    let locks = store.read_key(&nodes, &key("lock")).await.expect("locks");
    assert_eq!(locks.len(), made.len());
    assert_eq!(aws.calls().get("DescribeTags"), Some(&2));
}

#[tokio::test]
async fn nodes_that_are_not_well_are_out_of_service_with_the_reason() {
    let made = CALM.fleet(Some("states"), 9, &[]);
    let out = |why: &str, stopped| {
        Some(Service::Out {
            why: why.to_owned(),
            stopped,
        })
    };
    let table = [
        (json!({"state": "running"}), Some(Service::In)),
        (
            json!({"state": "pending"}),
            out("instance is pending", false),
        ),
        (
            json!({"state": "stopping"}),
            out("instance is stopping", false),
        ),
        (
            json!({"state": "stopped"}),
            out("instance is stopped", true),
        ),
        (
            json!({"state": "stopped", "reason": "Client.UserInitiatedHibernate"}),
            out("instance is stopped (hibernated)", false),
        ),
        (json!({"state": "shutting-down"}), None),
        (json!({"state": "terminated"}), None),
        (
            json!({"lifecycle": "Standby"}),
            out("lifecycle state is Standby", false),
        ),
        (
            json!({"health": "Unhealthy"}),
            out("health status is Unhealthy", false),
        ),
    ];
    for (node, (is, _)) in made.iter().zip(&table) {
        CALM.instance(node, is);
    }
    let fleet = store(&CALM)
        .await
        .read_fleet(&groups(&["states"]))
        .await
        .expect("a fleet");
    for (node, (is, service)) in made.iter().zip(table) {
        let found = fleet
            .iter()
            .find(|each| each.id.0 == *node)
            .map(|each| each.service.clone());
        assert_eq!(found, service, "{is}");
    }
}

#[tokio::test]
async fn a_group_has_its_say_also_over_nodes_that_were_picked_by_tags() {
    let made = CALM.fleet(Some("say"), 1, &[("fleet", "say")]);
    CALM.instance(&made[0], &json!({"lifecycle": "Terminating:Wait"}));
    let fleet = store(&CALM)
        .await
        .read_fleet(&tagged(&[("fleet", &["say"])]))
        .await
        .expect("a fleet");
    assert_eq!(fleet[0].group.as_deref(), Some("say"));
    let why = "lifecycle state is Terminating:Wait".to_owned();
    assert_eq!(
        fleet[0].service,
        Service::Out {
            why,
            stopped: false
        }
    );
}

#[tokio::test]
async fn an_agent_that_does_not_answer_or_is_not_known_is_offline() {
    let made = CALM.fleet(Some("agents"), 3, &[]);
    CALM.instance(&made[1], &json!({"agent": "ConnectionLost"}));
    CALM.instance(&made[2], &json!({"agent": null}));
    let store = store(&CALM).await.with_agents(true);
    let fleet = store
        .read_fleet(&groups(&["agents"]))
        .await
        .expect("a fleet");
    let agents: Vec<Agent> = made
        .iter()
        .map(|node| {
            fleet
                .iter()
                .find(|each| each.id.0 == *node)
                .expect("there")
                .agent
        })
        .collect();
    assert_eq!(agents, [Agent::Online, Agent::Offline, Agent::Offline]);
}

#[tokio::test]
async fn every_group_that_is_not_there_is_named() {
    CALM.fleet(Some("there"), 1, &[]);
    let error = store(&CALM)
        .await
        .read_fleet(&groups(&["gone", "there", "lost"]))
        .await
        .expect_err("not there");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(
        error.message,
        "no Auto Scaling groups `gone`, `lost` in eu-west-1"
    );
}

#[tokio::test]
async fn a_whole_account_is_never_a_fleet() {
    let store = store(&CALM).await;
    let all = Selector {
        all: true,
        ..Selector::default()
    };
    for selector in [Selector::default(), all] {
        let error = store.read_fleet(&selector).await.expect_err("no fleet");
        assert!(
            error
                .message
                .contains("neither Auto Scaling groups nor tags"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn tags_are_written_read_and_deleted_by_value() {
    let made = CALM.fleet(None, 2, &[]);
    let (node, other) = (id(&made[0]), id(&made[1]));
    let store = store(&CALM).await;
    let put =
        Put::one(key("lock"), "v1 run=A until=x".to_owned()).and(key("lock-2"), "b".to_owned());
    store.write(&node, &put, None).await.expect("written");
    assert_eq!(CALM.tags(node.as_str())["lock"], "v1 run=A until=x");
    let tags = store.read_tags(&node).await.expect("tags");
    assert_eq!(tags, CALM.tags(node.as_str()));
    // `lock-2` begins like `lock`, and the other node has none.
    let both = [node.clone(), other];
    let locks = store.read_key(&both, &key("lock")).await.expect("locks");
    assert_eq!(
        locks,
        [(node.clone(), "v1 run=A until=x".to_owned())].into()
    );

    let stale = Put::one(key("lock"), "v1 run=B".to_owned());
    store.delete(&node, &stale).await.expect("answered");
    assert_eq!(
        CALM.tags(node.as_str())["lock"],
        "v1 run=A until=x",
        "another value stays"
    );
    let seen = Put::one(key("lock"), "v1 run=A until=x".to_owned());
    store.delete(&node, &seen).await.expect("deleted");
    let left = CALM.tags(node.as_str());
    assert!(
        !left.contains_key("lock") && left.contains_key("lock-2"),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_node_takes_50_tags_and_those_of_aws_do_not_count() {
    let made = CALM.fleet(None, 1, &[("aws:autoscaling:groupName", "")]);
    let node = id(&made[0]);
    let store = store(&CALM).await;
    let mut put = Put::one(key("k2"), String::new());
    for n in 3..=TAGS_MAX {
        put = put.and(key(&format!("k{n}")), String::new());
    }
    // With its name, 50 of its own.
    store.write(&node, &put, None).await.expect("room");
    let more = Put::one(key("lock"), "v1".to_owned());
    match store.write(&node, &more, None).await {
        Err(WriteError::Refused(error)) => {
            assert!(error.message.contains("TagLimitExceeded"), "{error}");
            assert_eq!(
                error.help.as_deref(),
                Some("a node has at most 50 tags: remove some")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ec2_has_no_transactions() {
    let error = store(&CALM)
        .await
        .transact(&groups(&["x"]), ClaimId::new(1, 1), |_, _| (None, ()))
        .await
        .expect_err("none");
    assert!(error.message.contains("no transactions"), "{error}");
}
