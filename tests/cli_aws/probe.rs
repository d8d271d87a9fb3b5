//! `probe` over the test AWS: it finds the staleness that was put in, leaves no tag whatever happens, and `config` knows.

use std::sync::LazyLock;

use roundsman::model::probe::tag::ProbeTag;
use serde_json::{Value, json};

use crate::cli::{Ran, until};
use crate::site::{Pace, Site, clock, end, signal};
use crate::support::Aws;

/// One for the probes: they count calls and connections of all that use it.
static PROBED: LazyLock<Aws> = LazyLock::new(Aws::start);
/// One with reads that are stale.
static STALE: LazyLock<Aws> = LazyLock::new(Aws::start);

const KEY: &str = "roundsman-probe";
/// A probe that reads and writes often.
const BRIEF: [&str; 6] = [
    "--write-every",
    "1s",
    "--read-every",
    "200ms",
    "--connections",
    "3",
];

fn probe<'a>(node: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    for_("6s", node, more)
}

fn for_<'a>(span: &'a str, node: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["probe", node, "--for", span], &BRIEF[..], more].concat()
}

fn site(aws: &'static Aws, group: &'static str) -> Site<'static> {
    Site::new(aws, group, 1, Pace::Quick)
}

fn object(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn kept(site: &Site<'_>) -> Value {
    let text = site.folder.read(".local/state/roundsman/probe.json");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[test]
fn a_probe_measures_over_several_connections_and_removes_its_tag() {
    let aws = Aws::start();
    let folder = Site::new(&aws, "measured", 1, Pace::Quick);
    let node = &folder.nodes[0];
    aws.set_tags(node, &[("lock", "do not touch"), ("hold", "yes")]);
    let before = aws.tags(node);
    let ran = folder
        .run(&probe("measured-1", &["--format", "json"]))
        .status(0);
    let ran = ran
        .says("is locked")
        .says(&format!("the tag {KEY} is removed from {node}"));
    assert_eq!(aws.tags(node), before, "everything else is as it was");
    let told = object(&ran);
    assert_eq!(told["ended"], "whole");
    assert_eq!(
        (&told["account"], &told["region"]),
        (&json!("123456789012"), &json!("eu-west-1"))
    );
    assert_eq!(
        told["tag"],
        json!({"key": KEY, "removed": true, "value": null})
    );
    for read in told["reads"].as_array().expect("reads") {
        assert_eq!(
            (&read["stale"], &read["backwards"]),
            (&json!(0), &json!(0)),
            "{read}"
        );
        assert!(read["reads"].as_u64() > Some(30), "{read}");
    }
    assert!(told["writes"]["done"].as_u64() >= Some(3), "{told}");
    assert!(told["claim"]["max_ms"].as_u64() >= told["write"]["max_ms"].as_u64());
    assert!(
        told["settings"][1]["verdict"] == "thin",
        "200ms is below the default: {told}"
    );
    let calls = aws.calls();
    assert_eq!(
        calls["CreateTags"],
        told["writes"]["done"].as_u64().expect("a count")
    );
    assert!(!calls.contains_key("SendCommand"));
}

#[test]
fn injected_staleness_is_found_and_config_warns_of_it() {
    let site = site(&STALE, "old");
    let node = site.nodes[0].clone();
    site.run(&["config"]).status(0);
    STALE.fault(&json!({"action": "DescribeInstances", "mode": "stale", "count": -1, "seconds": 2, "node": node}));
    STALE.fault(&json!({"action": "DescribeTags", "mode": "stale", "count": -1, "seconds": 0.8, "every": 2, "node": node}));
    let ran = site
        .run(&for_("10s", &node, &["--format", "json"]))
        .status(0);
    let told = object(&ran);
    let worst = |way: usize| {
        told["reads"][way]["worst"]["at_least_ms"]
            .as_u64()
            .expect("a figure")
    };
    // The answer of two seconds ago, found to within the time between two questions on a busy machine.
    assert!((1_500..=3_000).contains(&worst(2)), "{told}");
    assert!((400..=1_500).contains(&worst(0).max(worst(1))), "{told}");
    assert!(told["reads"][0]["backwards"].as_u64() > Some(0), "{told}");
    assert_eq!(told["settings"][1]["verdict"], "below");
    assert!(site.left(0).is_empty());
    let found = told["settings"][1]["found_ms"].clone();
    assert_eq!(kept(&site)["probes"][0]["found"][1]["found_ms"], found);

    let warning = "warning: `lease.staleness` is 200ms, but the probe of";
    let ran = site
        .run(&["config"])
        .status(0)
        .says(warning)
        .says(&format!("on {node} in eu-west-1, account 123456789012"));
    assert!(
        !ran.stdout.contains("warning"),
        "stdout is the settings: {ran:?}"
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let ran = site.run(&["config", "--format", "json"]).status(0);
    assert_eq!(object(&ran)["warnings"].as_array().map(Vec::len), Some(1));
    // Raised as it was told, or asked of another region, there is nothing to warn of.
    let mut raised = site.command(&["config"]);
    raised.envs([
        ("ROUNDSMAN_LEASE__STALENESS", "5s"),
        ("ROUNDSMAN_LEASE__MARGIN", "20s"),
        ("ROUNDSMAN_LEASE__TTL", "1m"),
    ]);
    let ran = end(raised.spawn().expect("it starts")).status(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(
        site.run(&["config", "--region", "us-east-1"])
            .status(0)
            .stderr,
        ""
    );
    site.folder
        .write(".local/state/roundsman/probe.json", "{ broken");
    let ran = site
        .run(&["config"])
        .status(0)
        .says("what the last probe found cannot be read");
    assert!(ran.stdout.contains("lease.staleness"));
}

#[test]
fn a_signal_ends_it_early_with_the_tag_removed() {
    for (name, status, group) in [("INT", 130, "interrupted"), ("TERM", 143, "terminated")] {
        let site = site(&PROBED, group);
        let child = site.start(&[
            "probe",
            &site.nodes[0],
            "--for",
            "10m",
            "--write-every",
            "1s",
        ]);
        until("the tag is there", 30, || site.left(0).contains_key(KEY));
        let began = clock();
        signal(name, &child);
        let ran = end(child)
            .status(status)
            .says("is removed from")
            .says("it was cut short");
        assert!(began.elapsed().as_secs() < 20, "{ran:?}");
        assert!(site.left(0).is_empty(), "{:?}", site.left(0));
        assert_eq!(kept(&site), Value::Null, "what was cut short is not kept");
    }
}

#[test]
fn a_probe_that_was_killed_is_cleaned_up_by_the_next_one() {
    let site = site(&PROBED, "killed");
    let node = site.nodes[0].clone();
    let mut child = site.start(&["probe", &node, "--for", "10m", "--write-every", "1s"]);
    until("the tag is there", 30, || site.left(0).contains_key(KEY));
    // While it lives nobody else probes this node.
    site.run(&probe(&node, &[]))
        .status(2)
        .says("a probe of tester is at work on");
    assert!(site.left(0).contains_key(KEY));
    child.kill().expect("killed");
    child.wait().expect("ended");
    // Its tag, as it will be in three minutes.
    let text = site.left(0)[KEY].clone();
    let mut tag = ProbeTag::parse(&text).expect("a probe's");
    tag.at = tag
        .at
        .saturating_sub(jiff::SignedDuration::from_secs(180))
        .expect("a time");
    PROBED.set_tags(&node, &[(KEY, &tag.format())]);
    site.run(&probe(&node, &[]))
        .status(0)
        .says("a probe of tester has left its tag on");
    assert!(site.left(0).is_empty());
}

#[test]
fn what_cannot_be_probed_is_refused_untouched() {
    let site = site(&PROBED, "refused");
    let node = site.nodes[0].clone();
    PROBED.set_tags(&node, &[(KEY, "somebody's own")]);
    site.run(&probe(&node, &[]))
        .status(2)
        .says("is no tag of a probe: \"somebody's own\"");
    assert_eq!(site.left(0)[KEY], "somebody's own");
    let full = Site::new(&PROBED, "full", 1, Pace::Quick);
    let keys: Vec<String> = (0..49).map(|n| format!("k{n}")).collect();
    let tags: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
    PROBED.set_tags(&full.nodes[0], &tags);
    full.run(&probe(&full.nodes[0], &[]))
        .status(2)
        .says("has 50 tags of at most 50");
    site.run(&probe("nobody", &[]))
        .status(2)
        .says("there is no node `nobody`");
    site.run(&["probe", &node, "--for", "1s"])
        .status(2)
        .says("from 5s to 1day");
    site.run(&["probe", &node, "--for", "1d", "--read-every", "100ms"])
        .status(2)
        .says("a probe makes at most 1000000");
}

/// What goes wrong how often after how many calls, how the probe ends, and what it says.
type Weather = (
    &'static str,
    &'static str,
    &'static str,
    i64,
    u64,
    i32,
    &'static str,
);

const BAD: [Weather; 7] = [
    (
        "p-deny",
        "CreateTags",
        "deny",
        -1,
        0,
        5,
        "not allowed to ec2:CreateTags on i-",
    ),
    (
        "p-deny-read",
        "DescribeTags",
        "deny",
        -1,
        20,
        5,
        "not allowed to ec2:DescribeTags on i-",
    ),
    (
        "p-deny-delete",
        "DeleteTags",
        "deny",
        -1,
        0,
        5,
        "aws ec2 delete-tags --resources i-",
    ),
    (
        "p-throttle",
        "DescribeTags",
        "throttle",
        9,
        5,
        0,
        "throttled",
    ),
    (
        "p-conflict",
        "CreateTags",
        "conflict",
        2,
        1,
        0,
        "2 writes refused",
    ),
    (
        "p-500-delete",
        "DeleteTags",
        "500",
        1,
        0,
        0,
        "is removed from",
    ),
    (
        "p-lost-answer",
        "CreateTags",
        "500-after",
        1,
        1,
        0,
        "may bring it back until",
    ),
];

#[test]
fn bad_weather_is_told_and_leaves_no_tag_but_one_that_may_not_be_deleted() {
    std::thread::scope(|scope| {
        for (group, action, mode, count, skip, status, says) in BAD {
            scope.spawn(move || {
                let site = site(&PROBED, group);
                let node = site.nodes[0].clone();
                PROBED.fault(&json!({"action": action, "mode": mode, "count": count, "skip": skip, "node": node}));
                site.run(&for_("12s", &node, &[])).calm().status(status).says(says);
                let tags = site.left(0);
                assert_eq!(tags.contains_key(KEY), group == "p-deny-delete", "{group}: {tags:?}");
            });
        }
    });
}

#[test]
fn a_node_that_is_terminated_midway_ends_it_without_a_conclusion() {
    let site = site(&PROBED, "midway");
    let node = site.nodes[0].clone();
    let child = site.start(&["probe", &node, "--for", "10m", "--write-every", "1s"]);
    until("the tag is there", 30, || site.left(0).contains_key(KEY));
    PROBED.instance(&node, &json!({"state": "terminated"}));
    let ran = end(child)
        .status(5)
        .says(&format!("{node} is gone"))
        .says("nothing is concluded");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(kept(&site), Value::Null);
}

#[test]
fn a_clock_that_is_off_is_found() {
    let aws = Aws::start();
    aws.clock(30);
    let site = Site::new(&aws, "ahead", 1, Pace::Quick);
    let ran = site
        .run(&probe("ahead-1", &[]))
        .status(0)
        .says("a setting is below what was found");
    let row = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("skew "))
        .expect("a row");
    assert!(
        row.contains("below") && (row.contains("29.") || row.contains("30.")),
        "{row}"
    );
    assert!(ran.stdout.contains("[lease]\n"), "{ran:?}");
    site.run(&["config"])
        .status(0)
        .says("`lease.skew` is 500ms");
}
