//! The real binary is signalled at its n-th call: the fault point of the kill matrix, with no hook in the product.

use serde_json::json;

use crate::cli::until;
use crate::site::{Pace, Site, end, step};
use crate::test_aws::Aws;

/// A run that is killed at one of its calls, and what it leaves: the answer's place, and the keys.
fn killed(aws: &Aws, group: &'static str, action: &str, skip: u64, when: &str) -> Vec<String> {
    let site = Site::new(aws, group, 1, Pace::Quick);
    site.job(&step(&format!("echo x >> '{}'", site.path("ran"))));
    aws.fault(&json!({
        "mode": "signal", "when": when, "action": action, "skip": skip, "caller": group,
    }));
    let mut command = site.command(&["run", "hello"]);
    command.env("AWS_ACCESS_KEY_ID", group);
    let ran = end(command.spawn().expect("it starts"));
    assert_eq!(ran.status, None, "it was killed: {ran:?}");
    // Its end is seen here before the test AWS has written the call's end down.
    until("its last call is lost", 10, || {
        let log = aws.log();
        let last = log.iter().rfind(|call| call.caller == group);
        let last = last.expect("calls");
        assert_eq!(last.action, action);
        last.answer.as_deref() == Some("lost")
    });
    let keys = site.keys(0);
    // Whoever comes when the lease is over goes on, and the step's effect is there once.
    until("it is served", 120, || {
        site.run(&["run", "hello"]).status(0);
        site.keys(0) == ["last-hello", "took-hello"]
    });
    assert_eq!(site.lines("ran"), ["x"], "{group}");
    keys
}

#[test]
fn a_runner_that_is_killed_at_any_call_leaves_what_the_next_one_needs() {
    let aws = Aws::start();
    let table: [(&'static str, &str, u64, &str, &[&str]); 5] = [
        ("before-claim", "CreateTags", 0, "before", &[]),
        ("after-claim", "CreateTags", 0, "after", &["lock"]),
        ("before-send", "SendCommand", 0, "before", &["lock"]),
        ("after-send", "SendCommand", 0, "after", &["lock"]),
        (
            "before-release",
            "DeleteTags",
            0,
            "before",
            &["last-hello", "lock", "took-hello"],
        ),
    ];
    std::thread::scope(|scope| {
        for (group, action, skip, when, left) in table {
            let aws = &aws;
            scope.spawn(move || {
                assert_eq!(killed(aws, group, action, skip, when), left, "{group}");
            });
        }
    });
}

#[test]
fn a_runner_that_was_stopped_and_goes_on_hears_its_answer() {
    let aws = Aws::start();
    let site = Site::new(&aws, "stopped", 1, Pace::Quick);
    site.job(&step("true"));
    aws.fault(
        &json!({"mode": "signal", "signal": "STOP", "when": "after", "action": "SendCommand"}),
    );
    let child = site.start(&["run", "hello"]);
    let state = || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit_once(") ").map(|(_, rest)| rest[..1].to_owned())
    };
    until("it is stopped", 60, || state().as_deref() == Some("T"));
    crate::site::signal("CONT", &child);
    end(child).status(0);
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}
