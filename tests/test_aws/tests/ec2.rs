//! Instances and tags: pages, limits, errors, staleness, token buckets.

use std::time::Duration;

use serde_json::json;

use crate::ask::{Told, ec2, until};
use crate::test_aws::{Aws, Settings};

fn tag(aws: &Aws, node: &str, key: &str, value: &str) -> Told {
    let asked = [
        ("ResourceId.1", node),
        ("Tag.1.Key", key),
        ("Tag.1.Value", value),
    ];
    ec2(aws, "CreateTags", &asked)
}

fn value(aws: &Aws, node: &str, key: &str) -> Option<String> {
    let asked = [
        ("Filter.1.Name", "resource-id"),
        ("Filter.1.Value.1", node),
        ("Filter.2.Name", "key"),
        ("Filter.2.Value.1", key),
    ];
    ec2(aws, "DescribeTags", &asked).one("value")
}

/// All pages of a question: how many entries each had, and the texts of an element.
fn pages(aws: &Aws, action: &str, size: &str, element: &str) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut all, mut token) = (Vec::new(), Vec::new(), None);
    loop {
        let mut asked = vec![("MaxResults", size)];
        asked.extend(token.as_deref().map(|token| ("NextToken", token)));
        let told = ec2(aws, action, &asked);
        let found = told.all(element);
        sizes.push(found.len());
        all.extend(found);
        token = told.one("nextToken");
        if token.is_none() {
            return (sizes, all);
        }
    }
}

#[test]
fn answers_come_in_pages_of_the_size_that_was_asked_for() {
    let aws = Aws::start();
    let nodes = aws.fleet(Some("g"), 12, &[]);
    let (sizes, ids) = pages(&aws, "DescribeInstances", "5", "instanceId");
    assert_eq!((sizes, ids), (vec![5, 5, 2], nodes));
    // Name and aws:autoscaling:groupName of each.
    let (sizes, _) = pages(&aws, "DescribeTags", "10", "key");
    assert_eq!(sizes, [10, 10, 4]);
    aws.pages(&json!({"DescribeInstances": 2}));
    let (sizes, _) = pages(&aws, "DescribeInstances", "5", "instanceId");
    assert_eq!(sizes, [2; 6]);
}

#[test]
fn a_node_has_fifty_tags_beside_those_of_aws() {
    let aws = Aws::start();
    let node = aws.fleet(Some("g"), 1, &[]).remove(0);
    // Name is one of the fifty.
    for n in 1..50 {
        assert_eq!(tag(&aws, &node, &format!("k{n}"), "v").code(), "ok", "{n}");
    }
    assert_eq!(tag(&aws, &node, "k50", "v").code(), "TagLimitExceeded");
    assert_eq!(
        tag(&aws, &node, "k1", "w").code(),
        "ok",
        "it is there already"
    );
    assert_eq!(aws.tags(&node).len(), 51);
}

#[test]
fn tags_are_deleted_by_value_by_key_by_emptiness_or_all() {
    let aws = Aws::start();
    let node = aws
        .fleet(
            Some("g"),
            1,
            &[("a", "1"), ("b", "2"), ("c", ""), ("d", "4"), ("e", "5")],
        )
        .remove(0);
    let delete = |asked: &[(&str, &str)]| {
        let mut all = vec![("ResourceId.1", node.as_str())];
        all.extend(asked);
        assert_eq!(ec2(&aws, "DeleteTags", &all).code(), "ok");
        let own = aws.tags(&node).into_keys().filter(|key| key.len() == 1);
        own.collect::<String>()
    };
    assert_eq!(
        delete(&[("Tag.1.Key", "a"), ("Tag.1.Value", "other")]),
        "abcde"
    );
    assert_eq!(delete(&[("Tag.1.Key", "a"), ("Tag.1.Value", "1")]), "bcde");
    assert_eq!(delete(&[("Tag.1.Key", "b"), ("Tag.1.Value", "")]), "bcde");
    assert_eq!(delete(&[("Tag.1.Key", "c"), ("Tag.1.Value", "")]), "bde");
    assert_eq!(delete(&[("Tag.1.Key", "b")]), "de");
    assert_eq!(delete(&[]), "");
    assert_eq!(
        aws.tags(&node).into_keys().collect::<Vec<_>>(),
        ["aws:autoscaling:groupName"]
    );
}

#[test]
fn reads_lag_behind_go_back_and_agree_in_the_end() {
    let aws = Aws::with(&Settings {
        staleness: Duration::from_secs(1),
        ..Settings::default()
    })
    .expect("a port");
    let node = aws.fleet(None, 1, &[]).remove(0);
    aws.set_tags(&node, &[("k", "old")]);
    until("the old value is seen by all", 10, || {
        (0..20).all(|_| value(&aws, &node, "k").is_some())
    });
    tag(&aws, &node, "k", "new");
    let mut seen = Vec::new();
    until("the new value is seen by all", 10, || {
        let news: Vec<bool> = (0..20)
            .map(|_| value(&aws, &node, "k").as_deref() == Some("new"))
            .collect();
        seen.extend(&news);
        news.iter().all(|new| *new)
    });
    assert!(seen.contains(&false), "some reads were stale");
    assert!(
        seen.windows(2).any(|two| two == [true, false]),
        "and some went back"
    );
}

#[test]
fn whoever_calls_too_often_is_throttled_until_tokens_come_back() {
    let aws = Aws::with(&Settings {
        buckets: true,
        ..Settings::default()
    })
    .expect("a port");
    let node = aws.fleet(None, 1, &[]).remove(0);
    let passed = |action: &str, asked: &[(&str, &str)], at_most: usize| {
        let codes = (0..at_most).map(|_| ec2(&aws, action, asked));
        let throttled =
            |told: &Told| (told.status, told.code()) == (503, "RequestLimitExceeded".to_owned());
        codes.take_while(|told| !throttled(told)).count()
    };
    // Published capacities; on a slow machine some tokens come back meanwhile.
    assert!((50..100).contains(&passed("DescribeInstances", &[], 400)));
    assert!((100..200).contains(&passed("DescribeInstances", &[("MaxResults", "5")], 400)));
    let write = [
        ("ResourceId.1", node.as_str()),
        ("Tag.1.Key", "k"),
        ("Tag.1.Value", "v"),
    ];
    assert!((100..200).contains(&passed("CreateTags", &write, 400)));
    until("a token comes back", 5, || {
        ec2(&aws, "CreateTags", &write).status == 200
    });
    aws.weather(&json!({"buckets": false}));
    assert_eq!(passed("CreateTags", &write, 200), 200);
}

#[test]
fn the_same_seed_makes_the_same_fleet() {
    let fleet = |seed| {
        let aws = Aws::with(&Settings {
            seed,
            ..Settings::default()
        })
        .expect("a port");
        aws.fleet(None, 3, &[])
    };
    assert_eq!(fleet(7), fleet(7));
    assert_ne!(fleet(7), fleet(8));
}

#[test]
fn every_answer_bears_the_clouds_time() {
    let aws = Aws::start();
    let date = |aws: &Aws| {
        let told = ec2(aws, "DescribeTags", &[]);
        let line = told
            .head
            .lines()
            .find_map(|line| line.strip_prefix("Date: "));
        let date = line.expect("a date").to_owned();
        let time = jiff::fmt::rfc2822::parse(&date).expect("an HTTP date");
        time.timestamp().as_second()
    };
    let before = date(&aws);
    aws.clock(-3_600);
    let after = date(&aws);
    assert!(
        (3_590..=3_600).contains(&(before - after)),
        "{before} {after}"
    );
}
