use std::time::Duration;

use super::*;
use crate::model::decide::{Wish, decide};
use crate::model::id::{Name, RunId};
use crate::model::lock::tests::sample;
use crate::model::node::Service;
use crate::model::reason::Reason;
use crate::model::record::Fail;
use crate::model::view::tests::{node, now, rules, view};

fn look(width: usize) -> Look {
    Look {
        colour: false,
        width,
        terminal: false,
        journald: false,
        quiet: false,
        verbose: false,
        now_stamp: false,
    }
}

fn cassandra() -> Rules {
    let mut rules = rules();
    rules.job.name = Name::new("cassandra-repair").expect("a name");
    rules.job.limits.nodes = 5;
    rules
}

fn named(id: &str, name: &str, zone: &str, tags: &[(&str, &str)]) -> Node {
    Node {
        name: Some(name.to_owned()),
        zone: Some(zone.to_owned()),
        ..node(id, tags)
    }
}

fn fleet() -> View {
    let locked = crate::model::lock::Lock {
        set: cassandra().lease.set(),
        ..sample()
    }
    .format();
    let last = |text: &'static str| [("last-repair", text)];
    let out = Service::Out {
        why: "lifecycle state is Standby".to_owned(),
        stopped: false,
    };
    view(vec![
        named("i-0a1b2c3d4e5f60001", "db-1", "eu-west-1a", &[]),
        named(
            "i-0a1b2c3d4e5f60002",
            "db-2",
            "eu-west-1b",
            &last("2026-11-12T00:10:00Z"),
        ),
        named(
            "i-0a1b2c3d4e5f60003",
            "db-3",
            "eu-west-1c",
            &last("2026-11-20T01:15:00Z"),
        ),
        named(
            "i-0a1b2c3d4e5f60004",
            "db-4",
            "eu-west-1a",
            &[("lock", &locked)],
        ),
        Node {
            service: out,
            ..named("i-0a1b2c3d4e5f60005", "db-5", "eu-west-1a", &[])
        },
        named(
            "i-0a1b2c3d4e5f60006",
            "数据库节点\u{1b}[31m\nroot",
            "eu-west-1a\u{202e}",
            &[
                ("last-repair", "2026-11-15T00:10:00Z"),
                ("hold", "\u{1b}[2J maintenance\nuntil monday"),
            ],
        ),
    ])
}

fn planned(look: Look) -> String {
    let (rules, view) = (cassandra(), fleet());
    plan(
        &rules,
        &view,
        &decide(&rules, &view, &Wish::default()),
        look,
    )
}

fn shown_job() -> StatusJob {
    let fail = Fail {
        count: 3,
        at: "2026-11-22T00:10:00Z".parse().expect("a time"),
        run: RunId::new(1, 1),
        step: 2,
        reason: "timed-out".to_owned(),
    };
    let node = |id: &str, name: &str, last: Option<&str>| {
        let last = last.map(|last| last.parse().expect("a time"));
        StatusNode {
            node: id.to_owned(),
            name: Some(name.to_owned()),
            verdict: Verdict::Due,
            reason: Reason::Age,
            detail: "due".to_owned(),
            last: last.map_or(Last::Never, Last::At),
            took: last.map(|_| "3h 12m 5s".to_owned()),
            due: last.map(|last| crate::model::time::later(last, Duration::from_secs(7 * 86_400))),
            overdue: Duration::ZERO,
            lock: None,
            failures: None,
            hold: None,
        }
    };
    StatusJob {
        every: Duration::from_secs(604_800),
        job: "cassandra-repair".to_owned(),
        task: "repair".to_owned(),
        now: now(),
        nodes: vec![
            node("i-0a1b2c3d4e5f60001", "db-1", None),
            StatusNode {
                overdue: Duration::from_secs(187_200),
                failures: Some(fail),
                ..node("i-0a1b2c3d4e5f60002", "db-2", Some("2026-11-12T00:10:00Z"))
            },
            StatusNode {
                lock: Some("held by ci@bastion-1 for repair until 00:30:00Z".to_owned()),
                ..node("i-0a1b2c3d4e5f60003", "db-3", Some("2026-11-20T01:15:00Z"))
            },
            StatusNode {
                hold: Some("by ops until monday\n\u{1b}[2J".to_owned()),
                ..node(
                    "i-0a1b2c3d4e5f60004",
                    "数据库节点",
                    Some("2026-11-15T20:00:00Z"),
                )
            },
        ],
        served: 2,
        held: Some("the fleet is on hold by ops".to_owned()),
    }
}

fn fits(text: &str, width: usize) {
    for line in text.lines() {
        // Wide characters take two columns.
        let columns: usize = line
            .chars()
            .map(|c| {
                if c > '\u{2e80}' && c < '\u{e000}' {
                    2
                } else {
                    1
                }
            })
            .sum();
        assert!(columns <= width, "{columns} > {width}: {line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn a_plan_fits_every_width() {
    for width in [60, 80, 120, 200] {
        let text = planned(look(width));
        fits(&text, width);
        insta::assert_snapshot!(format!("plan_{width}"), text);
    }
}

#[test]
fn a_status_fits_every_width() {
    for width in [60, 80, 120, 200] {
        let text = status(&shown_job(), look(width));
        fits(&text, width);
        insta::assert_snapshot!(format!("status_{width}"), text);
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let colour = Look {
        colour: true,
        ..look(80)
    };
    let coloured = planned(colour);
    assert!(
        coloured.contains("\u{1b}[1m\u{1b}[31moverdue\u{1b}[0m"),
        "{coloured:?}"
    );
    let mut stripped = String::new();
    for (number, part) in coloured.split("\u{1b}[").enumerate() {
        let text = part.split_once('m').map_or(part, |(_, text)| text);
        stripped.push_str(if number == 0 { part } else { text });
    }
    assert_eq!(stripped, planned(look(80)));
}

#[test]
fn a_terminal_gets_a_bar_beside_the_numbers() {
    let terminal = Look {
        terminal: true,
        ..look(80)
    };
    let text = status(&shown_job(), terminal);
    assert!(
        text.ends_with("\n[##########..........] round: 2 of 4 served within 7d\n"),
        "{text}"
    );
}

#[test]
fn an_empty_fleet_is_told_in_a_sentence() {
    let mut rules = cassandra();
    let empty = view(Vec::new());
    assert_eq!(
        plan(&rules, &empty, &[], look(80)),
        "cassandra-repair (task repair): the fleet is empty: the provider has no nodes\n"
    );
    let role = vec!["db\u{1b}".to_owned(), "cassandra".to_owned()];
    rules.job.fleet.tags.insert("role".to_owned(), role);
    rules.job.fleet.groups.push("db-group".to_owned());
    assert_eq!(
        plan(&rules, &empty, &[], look(80)),
        "cassandra-repair (task repair): the fleet is empty: no node matches groups db-group and role = db\u{fffd} or cassandra\n"
    );
    let mut job = shown_job();
    job.nodes.clear();
    assert_eq!(
        status(&job, look(80)),
        "cassandra-repair (task repair): the fleet is empty\nthe fleet is on hold by ops\n"
    );
}

#[test]
fn status_as_json_bears_every_field() {
    let orphan = crate::cli::report::status::Orphan {
        node: "i-9".to_owned(),
        job: "gone".to_owned(),
        until: Some(now()),
    };
    insta::assert_json_snapshot!(crate::cli::report::json::status(&[shown_job()], &[orphan]));
    let none = crate::cli::report::json::status(&[], &[]);
    assert_eq!(
        serde_json::to_string(&none).expect("it is JSON"),
        r#"{"v":1,"at":null,"jobs":[],"orphans":[]}"#
    );
}

#[test]
fn a_node_that_is_due_but_blocked_says_so_in_the_status() {
    let mut job = shown_job();
    let node = &mut job.nodes[0];
    node.due = None;
    node.overdue = Duration::ZERO;
    node.verdict = Verdict::Blocked;
    node.reason = Reason::Limit;
    let text = status(&job, look(200));
    assert!(text.contains("now (limit)"), "{text}");
    job.nodes[0].overdue = Duration::from_secs(120);
    let text = status(&job, look(200));
    assert!(text.contains("overdue by 2m (limit)"), "{text}");
    assert!(text.contains("served within 7d"), "{text}");
}
