//! How steps end that go through SSM, and what a signal makes of one.

use serde_json::{Value, json};

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, cleanup, end, signal, step, waiting};
use crate::support::Aws;

/// One row of the table: the group, the script, the fault of its send, what `fail-` says, what is told.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

fn fails_as_said(&(group, script, fault, reason, told): &Row) {
    let site = Site::new(&CALM, group, 2, Pace::Quick);
    let work = step(script).replace("\"work\"\n", "\"work\"\ntimeout = \"1s\"\n");
    site.job(&(work + &cleanup(&format!("touch '{}'", site.path("cleaned")))));
    if !fault.is_empty() {
        CALM.fault(&json!({"action": "SendCommand", "mode": fault, "node": site.nodes[0]}));
    }
    site.run(&["run", "hello"]).status(1).says(told);
    let left = site.left(0);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["fail-hello"], "{group}");
    let fail = &left["fail-hello"];
    assert!(fail.starts_with("v1 count=1 at="), "{fail}");
    assert!(
        fail.ends_with(&format!(" step=1 reason={reason}")),
        "{group}: {fail}"
    );
    assert!(
        site.folder.file("cleaned").exists(),
        "{group}: the clean-up ran"
    );
    // The default counts a failed node, so the other one is left alone; this one may be tried again.
    assert!(site.left(1).is_empty());
    assert_eq!(site.reason(1), "limit", "{group}");
}

#[test]
fn every_way_in_which_a_step_fails_is_recorded_and_cleaned_up_after() {
    let table: [Row; 6] = [
        ("exit-3", "exit 3", "", "failed", "status 3"),
        // SSM would reboot the node on this one, if it saw it.
        ("exit-194", "exit 194", "", "failed", "status 194"),
        ("exit-75", "exit 75", "", "failed", "status 75"),
        ("timeout", "sleep 60", "", "timed-out", "timed"),
        ("killed", "kill -9 $$", "", "interrupted", "interrupted"),
        (
            "undelivered",
            "true",
            "undeliverable",
            "undelivered",
            "Undeliverable",
        ),
    ];
    std::thread::scope(|scope| {
        for row in &table {
            scope.spawn(|| fails_as_said(row));
        }
    });
}

#[test]
fn a_failed_run_is_forgotten_by_the_next_success() {
    let site = Site::new(&CALM, "again", 1, Pace::Quick);
    site.job(&step(&format!("test -e '{}'", site.path("go"))));
    site.run(&["run", "hello"]).status(1);
    assert_eq!(site.keys(0), ["fail-hello"]);
    site.folder.write("go", "");
    site.run(&["run", "hello", "--node", &site.nodes[0]])
        .status(0);
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_failed_clean_up_does_not_undo_the_work() {
    let site = Site::new(&CALM, "unclean", 1, Pace::Quick);
    site.job(&(step("true") + &cleanup("exit 9")));
    site.run(&["run", "hello"]).status(1).says("clean-up");
    assert_eq!(site.keys(0), ["fail-hello", "last-hello", "took-hello"]);
    assert!(site.left(0)["fail-hello"].ends_with(" step=2 reason=cleanup"));
}

#[test]
fn of_a_step_that_ssm_lost_sight_of_the_node_is_asked() {
    let site = Site::new(&CALM, "told", 1, Pace::Quick);
    site.job(&step(&format!(
        "sleep 1\necho once >> '{}'",
        site.path("ran")
    )));
    CALM.fault(&json!({"action": "SendCommand", "mode": "lost", "node": site.nodes[0]}));
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!(site.sent(0)[0]["Status"], "TimedOut");
    assert_eq!((site.sent(0).len(), site.lines("ran").len()), (1, 1));
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_step_that_ssm_lost_sight_of_keeps_its_lease() {
    let site = Site::new(&CALM, "lost", 1, Pace::Quick);
    site.cancelling_job(
        &(step("sleep 60") + &cleanup(&format!("touch '{}'", site.path("cleaned")))),
    );
    CALM.fault(&json!({"action": "SendCommand", "mode": "lost", "node": site.nodes[0]}));
    let mut child = site.start(&["run", "hello"]);
    until("SSM has lost sight of it", 60, || {
        let sent = site.sent(0);
        sent.first()
            .is_some_and(|command| command["Status"] == "TimedOut")
    });
    // More than enough for two polls: were it taken for an end, clean-up would be sent.
    let mut since = Vec::new();
    until("the lock is renewed after that", 60, || {
        let seq = site.lock(0).expect("it is kept").seq;
        since.push(seq);
        seq > since[0]
    });
    assert_eq!(site.sent(0).len(), 1, "nothing was sent after it");
    assert!(!site.folder.file("cleaned").exists());
    signal("TERM", &child);
    until("the lock says stopping", 5, || {
        site.lock(0)
            .is_some_and(|lock| lock.state.label() == "stopping")
    });
    // At the same moment it would be the first one's echo.
    until("it leaves", 10, || {
        signal("TERM", &child);
        child.try_wait().expect("it can be asked").is_some()
    });
    end(child).status(143).says("its lease runs out");
    assert_eq!(site.keys(0), ["lock"]);
}

fn comments(site: &Site<'_>) -> Vec<String> {
    let comment = |command: &Value| command["Comment"].as_str().expect("text").to_owned();
    site.sent(0).iter().map(comment).collect()
}

/// A signal during a step on a node. SSM's own cancelling kills the wrapper and not the step, which has a session of its
/// own, so that would prove nothing; the wrapper's `stop` is sent instead, as a command of its own. It ends the step's
/// whole process group, the wrapper reports `interrupted` as the result of the command that runs the step, and only then
/// the run goes on: to its clean-up, and to a record that says `stopped`, because that is why it was interrupted.
#[test]
fn a_signal_ends_the_step_on_the_node_and_then_the_run() {
    let site = Site::new(&CALM, "signal", 1, Pace::Quick);
    let script = format!(
        "echo x > '{0}/begun'\n(while :; do sleep 1; done) &\necho $! > '{0}/pid'\nwait",
        site.folder.path().display()
    );
    let after = format!(
        "if grep -qs '^State:.[DRST]' \"/proc/$(cat '{0}/pid')/status\"; then touch '{0}/alive'; fi; \
         touch '{0}/cleaned'",
        site.folder.path().display()
    );
    site.cancelling_job(&(step(&script) + &cleanup(&after)));
    let child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("pid").exists()
    });
    signal("TERM", &child);
    until("the lock says stopping", 5, || {
        site.lock(0)
            .is_some_and(|lock| lock.state.label() == "stopping" && lock.step == 1)
    });
    end(child).status(143).says("stopped");
    assert!(site.folder.file("cleaned").exists(), "the clean-up ran");
    assert!(
        !site.folder.file("alive").exists(),
        "after the step had ended"
    );
    assert_eq!(site.keys(0), ["fail-hello"]);
    assert!(site.left(0)["fail-hello"].ends_with(" step=1 reason=stopped"));
    let comments = comments(&site);
    let words: Vec<(&str, &str)> = comments
        .iter()
        .map(|comment| (comment.split(' ').next(), comment.rsplit(' ').next()))
        .map(|(first, last)| (first.expect("a word"), last.expect("a word")))
        .collect();
    assert_eq!(
        words,
        [
            ("roundsman", "1.1"),
            ("roundsman-stop", "1.1"),
            ("roundsman", "2.1")
        ]
    );
    assert_eq!(
        CALM.calls().get("CancelCommand"),
        None,
        "which would prove nothing"
    );
}

#[test]
fn a_signal_before_the_delivery_withdraws_the_step() {
    let aws = Aws::start();
    let site = Site::new(&aws, "undelivered-yet", 1, Pace::Quick);
    site.cancelling_job(&(waiting(&site) + &cleanup(&format!("touch '{}'", site.path("cleaned")))));
    aws.fault(&json!({"action": "SendCommand", "mode": "late", "seconds": 600}));
    let child = site.start(&["run", "hello"]);
    until("the step was sent", 60, || !site.sent(0).is_empty());
    signal("INT", &child);
    end(child).status(130).says("stopped");
    assert!(!site.folder.file("begun").exists(), "it never ran");
    assert!(site.folder.file("cleaned").exists(), "the clean-up ran");
    assert!(site.left(0)["fail-hello"].ends_with(" step=1 reason=stopped"));
    assert_eq!(aws.calls().get("CancelCommand"), Some(&1));
}

#[test]
fn a_signal_while_the_claim_settles_takes_it_back() {
    let site = Site::serving(&CALM, "settling", 1, "true");
    let child = site.start(&["run", "hello"]);
    until("the claim is written", 60, || site.lock(0).is_some());
    signal("TERM", &child);
    end(child).status(0);
    assert!(site.left(0).is_empty() && site.sent(0).is_empty());
}
