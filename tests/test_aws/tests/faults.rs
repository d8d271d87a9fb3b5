//! Faults: what becomes of a call, and what its caller learns.

use serde_json::{Value, json};

use crate::ask::{ended, send, try_ec2, until};
use crate::test_aws::Aws;

/// Writes `k=v` over a fault: the answer's code or `lost`, and the value right after it.
fn written(aws: &Aws, node: &str, fault: &Value) -> (String, Option<String>) {
    aws.set_tags(node, &[("k", "")]);
    aws.fault(fault);
    let asked = [
        ("ResourceId.1", node),
        ("Tag.1.Key", "k"),
        ("Tag.1.Value", "v"),
    ];
    let told = try_ec2(aws, "CreateTags", &asked);
    let code = told.map_or_else(|| "lost".to_owned(), |told| told.code());
    (
        code,
        aws.tags(node).remove("k").filter(|value| !value.is_empty()),
    )
}

#[test]
fn each_fault_does_what_it_is_called() {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    for (mode, code, done) in [
        ("lost-before", "lost", false),
        ("lost-after", "lost", true),
        ("deny", "UnauthorizedOperation", false),
        ("throttle", "RequestLimitExceeded", false),
        ("expired", "RequestExpired", false),
        ("conflict", "ConcurrentTagAccess", false),
        ("500", "InternalError", false),
        ("503", "Unavailable", false),
        ("500-after", "InternalError", true),
        ("hang", "InternalError", false),
        ("hang-after", "InternalError", true),
        ("slow", "ok", true),
        ("delayed", "ok", true),
        ("twice", "ok", true),
    ] {
        let fault = json!({"action": "CreateTags", "mode": mode, "seconds": 0.2});
        let expected = (code.to_owned(), done.then(|| "v".to_owned()));
        assert_eq!(written(&aws, &node, &fault), expected, "{mode}");
        assert_eq!(
            written(&aws, &node, &json!({"mode": "deny", "count": 0})).0,
            "ok",
            "once only"
        );
    }
    let log = aws.log();
    assert_eq!(
        (log.len(), log[0].number, log[0].caller.as_str()),
        (28, 1, "tester")
    );
    assert_eq!(log[0].nodes, [node]);
    assert_eq!(
        (log[0].fault.as_deref(), log[0].answer.as_deref()),
        (Some("LostBefore"), Some("lost"))
    );
    assert_eq!(aws.calls()["CreateTags"], 28);
    aws.reset();
    assert!(aws.log().is_empty());
}

#[test]
fn a_write_can_land_late_and_over_a_later_one() {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    for (mode, code) in [("late", "ok"), ("lost-then-done", "lost")] {
        let fault = json!({"mode": mode, "seconds": 0.3});
        assert_eq!(
            written(&aws, &node, &fault),
            (code.to_owned(), None),
            "{mode}"
        );
        aws.set_tags(&node, &[("k", "later")]);
        until("it lands", 10, || aws.tags(&node)["k"] == "v");
    }
    let (code, value) = written(&aws, &node, &json!({"mode": "again", "seconds": 0.3}));
    assert_eq!((code.as_str(), value.as_deref()), ("ok", Some("v")));
    aws.set_tags(&node, &[("k", "later")]);
    until("it lands again", 10, || aws.tags(&node)["k"] == "v");
}

#[test]
fn a_fault_strikes_the_nth_call_it_is_about() {
    let aws = Aws::start();
    let nodes = aws.fleet(None, 2, &[]);
    let codes = |fault: Value| -> Vec<bool> {
        aws.reset();
        aws.fault(&fault);
        let calls = (0..8).map(|n| {
            let asked = [
                ("Filter.1.Name", "resource-id"),
                ("Filter.1.Value.1", nodes[n % 2].as_str()),
            ];
            try_ec2(&aws, "DescribeTags", &asked)
                .expect("an answer")
                .status
                == 200
        });
        calls.map(|passed| !passed).collect()
    };
    let (o, x) = (false, true);
    assert_eq!(
        codes(json!({"mode": "deny", "skip": 2})),
        [o, o, x, o, o, o, o, o]
    );
    assert_eq!(
        codes(json!({"mode": "deny", "skip": 1, "every": 3, "count": -1})),
        [o, x, o, o, x, o, o, x]
    );
    assert_eq!(
        codes(json!({"mode": "deny", "node": nodes[1], "count": 2})),
        [o, x, o, x, o, o, o, o]
    );
    assert_eq!(
        codes(json!({"mode": "deny", "action": "CreateTags", "count": -1})),
        [o; 8]
    );
    assert_eq!(
        codes(json!({"mode": "deny", "caller": "another", "count": -1})),
        [o; 8]
    );
    let by_chance = codes(json!({"mode": "deny", "share": 0.5, "count": -1}));
    assert!(
        by_chance.contains(&o) && by_chance.contains(&x),
        "{by_chance:?}"
    );
}

#[test]
fn commands_can_be_lost_repeated_and_misreported() {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    let runs = |name: &str| {
        let text = std::fs::read_to_string(aws.root().join(&node).join(name));
        text.unwrap_or_default().lines().count()
    };
    let sent = |mode: &str| {
        aws.fault(&json!({"action": "SendCommand", "mode": mode, "seconds": 0.1}));
        send(
            &aws,
            &node,
            &format!("echo x >> \"$HOME/{mode}\"; sleep 0.3"),
        )
    };
    let details = |command: &str| {
        let told = ended(&aws, &node, command);
        told["StatusDetails"]
            .as_str()
            .expect("text")
            .replace(' ', "")
    };
    let undeliverable = sent("undeliverable");
    assert_eq!(details(&undeliverable), "Undeliverable");
    let lost = sent("lost");
    assert_eq!(details(&lost), "DeliveryTimedOut");
    until("it ran all the same", 10, || runs("lost") == 1);
    assert_eq!(details(&sent("times-out")), "ExecutionTimedOut");
    assert_eq!(details(&sent("delivered-twice")), "Success");
    until("it ran twice", 10, || runs("delivered-twice") == 2);
    assert_eq!(details(&sent("late")), "Success");
    assert_eq!(runs("undeliverable"), 0);
}
