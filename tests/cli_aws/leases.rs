//! Locks that others left: with other settings, past their end, or over something that still runs.

use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::time::{later, parse_stamp};

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, end, set, signal, step, waiting};

/// Rewrites the lock of the n-th node past the API.
fn relock(site: &Site<'_>, n: usize, change: impl FnOnce(&mut Lock)) {
    let mut lock = site.lock(n).expect("a lock");
    change(&mut lock);
    site.aws
        .set_tags(&site.nodes[n], &[("lock", &lock.format())]);
}

/// A lock of this site's own settings, as a run leaves it that died while its step ran, an hour ago.
fn abandoned(site: &Site<'_>, n: usize) {
    let now = site.plan_time();
    let ago = |seconds| now - std::time::Duration::from_secs(seconds);
    let began = u64::try_from(ago(7_200).as_millisecond()).expect("after 1970");
    let lock = Lock {
        run: RunId::new(began, 1),
        claim: ClaimId::new(began, 2),
        seq: 2,
        state: LockState::Held,
        set: set(),
        job: Name::new("hello").expect("a name"),
        task: Name::new("hello").expect("a name"),
        file: "00000000".parse().expect("a digest"),
        step: 1,
        was: None,
        owner: "gone".to_owned(),
        until: ago(3_600),
    };
    site.aws
        .set_tags(&site.nodes[n], &[("lock", &lock.format())]);
}

#[test]
fn a_lock_with_other_settings_blocks_the_whole_fleet_for_an_hour() {
    let site = Site::serving(&CALM, "other-set", 2, "true");
    abandoned(&site, 0);
    let now = site.plan_time();
    relock(&site, 0, |lock| {
        lock.set = "0000".parse().expect("a digest");
        lock.owner = "stranger".to_owned();
        lock.until = now - std::time::Duration::from_secs(3_000);
    });
    assert_eq!([site.reason(0), site.reason(1)], ["locked", "conflict"]);
    let told = format!(
        "stranger works on {} with other lease settings (0000, ours are {})",
        site.nodes[0],
        set()
    );
    site.run(&[
        "run",
        "hello",
        "--node",
        &site.nodes[1],
        "--detailed-exitcode",
    ])
    .status(11)
    .says(&told);
    let until = site.plan()[&site.nodes[1]]["until"].clone();
    let lock = site.lock(0).expect("untouched");
    let hour = std::time::Duration::from_secs(3_600);
    assert_eq!(
        until.as_str().and_then(parse_stamp),
        Some(later(lock.until, hour))
    );
    assert!(site.left(1).is_empty() && site.sent(0).is_empty());
    // An hour after its end it is a suspect like any other.
    relock(&site, 0, |lock| lock.until = now - hour);
    site.run(&["run", "hello", "--max", "all"]).status(0);
    for n in 0..2 {
        assert_eq!(site.keys(n), ["last-hello", "took-hello"]);
    }
}

#[test]
fn a_suspect_is_left_alone_for_the_margin_and_then_taken_over() {
    let site = Site::serving(&CALM, "suspect", 1, "true");
    abandoned(&site, 0);
    let now = site.plan_time();
    // The margin of these settings is 5 s; what is read a moment later has to lie well within it.
    relock(&site, 0, |lock| lock.until = now);
    let row = site.plan()[&site.nodes[0]].clone();
    assert_eq!(
        (&row["reason"], &row["verdict"]),
        (&"suspect".into(), &"blocked".into())
    );
    let before = site.lock(0).expect("untouched");
    relock(&site, 0, |lock| {
        lock.until = now - std::time::Duration::from_secs(60);
    });
    let row = site.plan()[&site.nodes[0]].clone();
    assert_eq!(
        (&row["reason"], &row["verdict"]),
        (&"suspect".into(), &"due".into())
    );
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
    let comment = site.sent(0)[0]["Comment"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(comment.starts_with("roundsman hello "), "{comment}");
    assert!(before.owner == "gone", "{before:?}");
}

#[test]
fn a_suspect_whose_step_still_runs_is_busy_until_it_has_ended() {
    let site = Site::new(&CALM, "busy", 1, Pace::Quick);
    site.job(&waiting(&site));
    let mut child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("begun").exists()
    });
    signal("KILL", &child);
    child.wait().expect("it has ended");
    let now = site.plan_time();
    relock(&site, 0, |lock| {
        lock.until = now - std::time::Duration::from_secs(60);
    });
    let dead = site.lock(0).expect("left behind");
    assert_eq!(site.reason(0), "busy");
    site.run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says(&format!(
            "step 1 of hello (run {}) is running there",
            dead.run
        ));
    site.folder
        .write("other.toml", site.folder.read("jobs/hello.toml"));
    site.run(&["run", "./other.toml", "--detailed-exitcode"])
        .status(11)
        .says("is running there");
    assert_eq!(site.lock(0).as_ref(), Some(&dead), "untouched");
    assert_eq!(site.sent(0).len(), 1);

    site.folder.write("go", "");
    until("the step has ended", 20, || {
        site.sent(0)[0]["Status"] == "Success"
    });
    // Another job leaves it to its own for a day: a step has finished, and may be committed yet.
    site.run(&["run", "./other.toml", "--detailed-exitcode"])
        .status(11)
        .says("may still commit it");
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_dead_run_of_another_job_is_recorded_as_abandoned() {
    let site = Site::serving(&CALM, "abandoned", 1, "true");
    abandoned(&site, 0);
    let dead = site.lock(0).expect("a lock");
    site.folder
        .write("jobs/other.toml", site.folder.read("jobs/hello.toml"));
    site.run(&["run", "other"]).status(0);
    assert_eq!(site.keys(0), ["fail-hello", "last-other", "took-other"]);
    let fail = site.left(0)["fail-hello"].clone();
    let end = format!(" run={} step=1 reason=abandoned", dead.run);
    assert!(
        fail.starts_with("v1 count=1 ") && fail.ends_with(&end),
        "{fail}"
    );
}

#[test]
fn an_unreadable_lock_is_broken_by_its_exact_value_alone() {
    let site = Site::serving(&CALM, "unreadable", 1, "true");
    site.aws
        .set_tags(&site.nodes[0], &[("lock", "do not touch")]);
    site.run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says("do not touch");
    let id = &site.nodes[0];
    site.run(&["release", id]).status(2).says("--value");
    site.run(&["release", id, "--value", "do not"]).status(2);
    assert_eq!(site.left(0)["lock"], "do not touch");
    site.run(&["release", id, "--value", "do not touch"])
        .status(0);
    assert!(site.left(0).is_empty());
}

#[test]
fn a_holder_that_finds_another_claim_on_its_node_touches_nothing_more() {
    let site = Site::new(&CALM, "displaced", 1, Pace::Brief);
    site.job(&(waiting(&site) + &step("touch never").replace("\"work\"", "\"more\"")));
    let child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("begun").exists()
    });
    relock(&site, 0, |lock| {
        lock.claim = ClaimId::new(lock.claim.epoch_ms() + 1, 7);
        lock.owner = "another".to_owned();
    });
    let theirs = site.lock(0).expect("a lock");
    // It finds that out at its next look, within a third of the lease.
    end(child).status(4).says("another");
    site.folder.write("go", "");
    until("the step has ended", 20, || {
        site.sent(0)[0]["Status"] == "Success"
    });
    assert_eq!(site.lock(0), Some(theirs));
    assert_eq!(
        (site.keys(0), site.sent(0).len()),
        (vec!["lock".to_owned()], 1)
    );
}
