//! Bad weather: every way in which AWS says no or nothing, as the person at the terminal meets it.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::CALM;
use crate::cli::Ran;
use crate::site::{Pace, Site, step};
use crate::support::Aws;

/// A new site of one node, and a run in this weather.
fn in_weather(group: &'static str, fault: &Value) -> (Site<'static>, Ran) {
    let site = Site::serving(&CALM, group, 1, "true");
    let mut fault = fault.clone();
    let by_group = fault["action"] == "DescribeAutoScalingGroups";
    fault["node"] = if by_group {
        group.into()
    } else {
        site.nodes[0].clone().into()
    };
    CALM.fault(&fault);
    let ran = site.run(&["run", "hello"]).calm();
    (site, ran)
}

/// Runs every row of a table at once: each waits for seconds.
fn at_once<T: Sync>(table: &[T], row: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for each in table {
            scope.spawn(|| row(each));
        }
    });
}

fn untouched(site: &Site<'_>) {
    assert!(site.left(0).is_empty(), "{:?}", site.left(0));
    assert!(site.sent(0).is_empty());
}

#[test]
fn what_aws_refuses_is_told_with_the_action_and_what_it_was_about() {
    let table = [
        (
            "deny-write",
            "CreateTags",
            "deny",
            "not allowed to ec2:CreateTags on i-",
        ),
        ("expired-write", "CreateTags", "expired", "RequestExpired"),
        (
            "deny-groups",
            "DescribeAutoScalingGroups",
            "deny",
            "not allowed to autoscaling:DescribeAutoScalingGroups on Auto Scaling group `deny-groups`",
        ),
        (
            "deny-nodes",
            "DescribeInstances",
            "deny",
            "not allowed to ec2:DescribeInstances on the fleet",
        ),
        (
            "deny-agents",
            "DescribeInstanceInformation",
            "deny",
            "not allowed to ssm:DescribeInstanceInformation on the fleet",
        ),
        (
            "deny-tags",
            "DescribeTags",
            "deny",
            "not allowed to ec2:DescribeTags on i-",
        ),
        (
            "session",
            "DescribeAutoScalingGroups",
            "expired",
            "ExpiredToken",
        ),
    ];
    at_once(&table, |&(group, action, mode, says)| {
        let (site, ran) = in_weather(group, &json!({"action": action, "mode": mode, "count": -1}));
        let ran = ran.status(5).says(says).says("request id ");
        let help = if mode == "deny" {
            "in the policy of the role or user"
        } else {
            "aws sso login"
        };
        ran.says(help).says("nothing was done");
        untouched(&site);
    });
}

#[test]
fn weather_that_passes_is_waited_for() {
    let (writes, reads) = ("CreateTags", "DescribeTags");
    let table = [
        // Reads are tried three times; writes once, and then again after a while, on a fresh read.
        (
            "throttle-groups",
            "DescribeAutoScalingGroups",
            "throttle",
            2,
            0,
        ),
        ("throttle-reads", reads, "throttle", 2, 1),
        ("500-reads", "DescribeInstances", "500", 2, 0),
        ("throttle-claim", writes, "throttle", 2, 0),
        ("conflict-claim", writes, "conflict", 2, 0),
        ("conflict-step", writes, "conflict", 2, 1),
        ("throttle-step", writes, "throttle", 2, 1),
        ("conflict-record", writes, "conflict", 2, 2),
        ("500-record", writes, "500-after", 1, 2),
        ("conflict-release", "DeleteTags", "conflict", 2, 0),
        ("500-release", "DeleteTags", "500", 1, 0),
        ("throttle-send", "SendCommand", "throttle", 2, 0),
        ("throttle-poll", "ListCommandInvocations", "throttle", 2, 0),
    ];
    at_once(&table, |&(group, action, mode, count, skip)| {
        let fault = json!({"action": action, "mode": mode, "count": count, "skip": skip});
        let (site, ran) = in_weather(group, &fault);
        ran.status(0).says("served 1 node");
        assert_eq!(site.keys(0), ["last-hello", "took-hello"], "{group}");
        assert_eq!(site.sent(0).len(), 1, "{group}: the step ran once");
    });
}

#[test]
fn weather_that_stays_ends_the_invocation() {
    let table = [
        (
            "throttled",
            "CreateTags",
            "throttle",
            "AWS throttles ec2:CreateTags",
        ),
        (
            "500-groups",
            "DescribeAutoScalingGroups",
            "500",
            "InternalError",
        ),
        ("dropped", "CreateTags", "drop", "ec2:CreateTags on i-"),
    ];
    at_once(&table, |&(group, action, mode, says)| {
        let (site, ran) = in_weather(group, &json!({"action": action, "mode": mode, "count": -1}));
        ran.status(5).says(says).says("nothing was done");
        untouched(&site);
    });
}

#[test]
fn aws_that_never_answers_is_given_up_within_a_minute() {
    let began = crate::site::clock();
    let fault =
        json!({"action": "DescribeAutoScalingGroups", "mode": "hang", "count": -1, "seconds": 120});
    let (site, ran) = in_weather("hanging", &fault);
    ran.status(5)
        .says("no answer from http://127.0.0.1:")
        .says("within 10s");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    untouched(&site);
}

#[test]
fn a_claim_that_is_not_answered_in_time_executes_nothing_and_is_left_to_its_own_end() {
    let table = [
        ("late", "slow", "was not answered within `claim-within`"),
        ("unanswered", "hang-after", "InternalError"),
    ];
    at_once(&table, |&(group, mode, says)| {
        let site = Site::new(&CALM, group, 1, Pace::Quick);
        site.job(&format!("{}on = \"runner\"\n", step("touch ran")));
        let node = &site.nodes[0];
        CALM.fault(&json!({"action": "CreateTags", "mode": mode, "seconds": 3, "node": node}));
        site.run(&["run", "hello"]).status(5).says(says);
        assert!(!site.folder.file("ran").exists());
        // It may have displaced a living holder's value, so nobody takes it away.
        let lock = site.lock(0).expect("it still stands");
        assert_eq!(
            (lock.state.label(), lock.step, lock.seq),
            ("settling", 0, 1)
        );
        assert_eq!(site.keys(0), ["lock"]);
        assert_eq!(site.reason(0), "locked");
    });
}

#[test]
fn a_group_that_there_is_not_is_named() {
    let site = Site::serving(&CALM, "there", 1, "true");
    let job = site
        .folder
        .read("jobs/hello.toml")
        .replace("\"there\"", "\"there\", \"gone\"");
    site.folder.write("jobs/hello.toml", job);
    for command in ["run", "plan"] {
        site.run(&[command, "hello"])
            .status(5)
            .says("no Auto Scaling group `gone` in eu-west-1");
    }
    untouched(&site);
}

#[test]
fn without_credentials_region_or_network_it_says_what_is_missing() {
    let site = Site::serving(&CALM, "lacking", 1, "true");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let table = [
        (
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"][..],
            "",
            "no AWS credentials",
        ),
        (&["AWS_REGION"], "", "no AWS region is configured"),
        (&[], "closed", "no connection to http://127.0.0.1:"),
    ];
    for (without, endpoint, says) in table {
        let mut command = site.command(&["run", "hello"]);
        for name in without {
            command.env_remove(name);
        }
        if !endpoint.is_empty() {
            command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        }
        let ran = Ran::from(command.output().expect("it starts"));
        ran.calm().status(5).says(says).says("help: ");
    }
    let mut command = site.command(&["plan", "hello", "--region", "eu-west-1"]);
    let ran = command.env_remove("AWS_REGION").output();
    Ran::from(ran.expect("it starts"))
        .status(0)
        .says("never-served");
    untouched(&site);
}

#[test]
fn a_step_that_may_not_be_sent_says_so() {
    let fault = json!({"action": "SendCommand", "mode": "deny", "count": -1});
    let (site, ran) = in_weather("deny-send", &fault);
    ran.status(1).says("not allowed to ssm:SendCommand on i-");
    assert!(site.left(0)["fail-hello"].ends_with(" step=1 reason=undelivered"));
    assert_eq!(site.keys(0), ["fail-hello"]);
}

#[test]
fn a_lock_that_may_not_be_deleted_is_told_after_the_work_is_recorded() {
    let fault = json!({"action": "DeleteTags", "mode": "deny", "count": -1});
    let (site, ran) = in_weather("deny-release", &fault);
    ran.status(5).says("not allowed to ec2:DeleteTags on i-");
    assert_eq!(site.keys(0), ["last-hello", "lock", "took-hello"]);
}

#[test]
fn a_clock_that_is_off_by_more_than_the_skew_claims_nothing() {
    let aws = Aws::start();
    let site = Site::serving(&aws, "clock", 1, "true");
    for ahead in [30, -30] {
        aws.clock(ahead);
        site.run(&["run", "hello"])
            .status(5)
            .says("this machine's clock differs from the provider's by ")
            .says("`skew`");
        untouched(&site);
    }
    aws.clock(0);
    site.run(&["run", "hello"]).status(0);
}
