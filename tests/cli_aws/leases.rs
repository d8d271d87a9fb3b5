//! Locks that others left: with other settings, past their end, or over something that still runs.

use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::job::file::{Context, parse};
use roundsman::model::lock::{FileDigest, Lock, LockState};
use roundsman::model::settings::{LeaseSettings, ProviderKind};
use roundsman::model::time::{later, parse_stamp};

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, cleanup, end, set, signal, step, waiting};

/// Rewrites the lock of the n-th node past the API.
fn relock(site: &Site<'_>, n: usize, change: impl FnOnce(&mut Lock)) {
    let mut lock = site.lock(n).expect("a lock");
    change(&mut lock);
    site.aws
        .set_tags(&site.nodes[n], &[("lock", &lock.format())]);
}

/// What the nodes execute for the job `hello`, as a lock says it.
fn digest(site: &Site<'_>) -> FileDigest {
    let context = Context {
        provider: ProviderKind::Aws,
        lease: LeaseSettings::default(),
        prefix: String::new(),
    };
    let job = parse(&site.folder.read("jobs/hello.toml"), "hello", &context).job;
    job.expect("a job").file_digest()
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
        file: digest(site),
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
fn a_suspect_is_left_alone_for_the_margin_and_then_adopted() {
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
    relock(&site, 0, |lock| {
        lock.until = now - std::time::Duration::from_secs(60);
    });
    let dead = site.lock(0).expect("untouched");
    let row = site.plan()[&site.nodes[0]].clone();
    assert_eq!(
        (&row["reason"], &row["verdict"]),
        (&"suspect".into(), &"due".into())
    );
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
    // SSM has never heard of its step: it is sent, in the same run.
    assert_eq!(
        comments(&site),
        [format!("roundsman hello {} 1.1", dead.run)]
    );
}

/// The comments of what was sent to the first node.
fn comments(site: &Site<'_>) -> Vec<String> {
    let sent = site.sent(0);
    let comment = |sent: &serde_json::Value| sent["Comment"].as_str().expect("text").to_owned();
    sent.iter().map(comment).collect()
}

/// A runner that was killed while its step ran, and whose lease ended a minute ago; the lock that it left.
fn killed(site: &Site<'_>) -> Lock {
    let mut child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("begun").exists()
    });
    signal("KILL", &child);
    child.wait().expect("it has ended");
    let now = site.plan_time();
    relock(site, 0, |lock| {
        lock.until = now - std::time::Duration::from_secs(60);
    });
    site.lock(0).expect("left behind")
}

#[test]
fn a_step_that_outlived_its_runner_is_watched_by_its_own_job_and_in_the_way_of_every_other() {
    let site = Site::new(&CALM, "watched", 1, Pace::Quick);
    site.job(
        &(waiting(&site)
            + &step(&format!("echo second >> '{}'", site.path("second")))
                .replace("\"work\"", "\"more\"")),
    );
    let dead = killed(&site);
    site.folder
        .write("other.toml", site.folder.read("jobs/hello.toml"));
    site.run(&["run", "./other.toml", "--detailed-exitcode"])
        .status(11)
        .says(&format!(
            "step 1 of hello (run {}) is running there",
            dead.run
        ));
    assert_eq!(site.lock(0).as_ref(), Some(&dead), "untouched");

    let child = site.start(&["run", "hello", "--format", "json"]);
    until("it is adopted", 60, || {
        site.lock(0)
            .is_some_and(|lock| lock.claim != dead.claim && lock.state == LockState::Held)
    });
    let lock = site.lock(0).expect("held");
    assert_eq!((lock.run, lock.step, lock.file), (dead.run, 1, dead.file));
    assert_eq!(site.sent(0).len(), 1, "nothing is sent while it runs");
    site.folder.write("go", "");
    let ran = end(child).status(0);
    let events: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    let rest: Vec<&str> = told
        .into_iter()
        .filter(|event| *event != "renewed")
        .collect();
    assert_eq!(
        rest,
        [
            "adopted",
            "step-finished",
            "step-started",
            "step-finished",
            "committed",
            "released",
            "finished"
        ]
    );
    assert_eq!(
        (&events[0]["was"], &events[0]["step"]),
        (&"held".into(), &1.into())
    );
    assert!(
        events[..events.len() - 1]
            .iter()
            .all(|event| event["run"] == dead.run.to_string())
    );
    assert_eq!(
        (site.lines("begun").len(), site.lines("second").len()),
        (1, 1)
    );
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
    let each = |n: u32| format!("roundsman hello {} {n}.1", dead.run);
    assert_eq!(comments(&site), [each(1), each(2)]);
}

#[test]
fn a_step_that_ssm_has_lost_sight_of_is_found_in_the_nodes_journal() {
    let site = Site::new(&CALM, "lost-sight", 1, Pace::Quick);
    site.job(&waiting(&site));
    CALM.fault(
        &serde_json::json!({"action": "SendCommand", "mode": "lost", "node": site.nodes[0]}),
    );
    let dead = killed(&site);
    until("SSM has given it up", 20, || {
        site.sent(0)[0]["Status"] == "TimedOut"
    });
    let child = site.start(&["run", "hello"]);
    until("it is adopted", 60, || {
        site.lock(0)
            .is_some_and(|lock| lock.claim != dead.claim && lock.state == LockState::Held)
    });
    site.folder.write("go", "");
    end(child).status(0).says("served 1 node");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
    assert_eq!(site.lines("begun").len(), 1);
    assert_eq!(
        comments(&site),
        [format!("roundsman hello {} 1.1", dead.run)],
        "nothing was sent but questions"
    );
    assert!(site.commands(0).len() > 1);
}

#[test]
fn work_that_was_done_when_its_runner_died_is_recorded_and_not_done_again() {
    let site = Site::new(&CALM, "recorded", 1, Pace::Quick);
    site.job(&waiting(&site));
    let dead = killed(&site);
    site.folder.write("go", "");
    until("the step has ended", 20, || {
        site.sent(0)[0]["Status"] == "Success"
    });
    // Another job leaves it to its own for a day: a step has finished, and may be committed yet.
    site.folder
        .write("other.toml", site.folder.read("jobs/hello.toml"));
    site.run(&["run", "./other.toml", "--detailed-exitcode"])
        .status(11)
        .says("may still commit it");
    site.run(&["run", "hello"])
        .status(0)
        .says("adopted until")
        .says("step 1 work ok, found ended")
        .says("served 1 node");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
    assert_eq!(
        comments(&site),
        [format!("roundsman hello {} 1.1", dead.run)]
    );
    assert_eq!(site.lines("begun").len(), 1);
}

#[test]
fn a_run_whose_job_file_has_changed_is_watched_to_its_end_and_cleaned_up() {
    let site = Site::new(&CALM, "changed", 1, Pace::Quick);
    let tidy = |name: &str| cleanup(&format!("touch '{}'", site.path(name)));
    site.job(&(waiting(&site) + &tidy("old")));
    let dead = killed(&site);
    site.job(&(step("echo never") + &step("true").replace("\"work\"", "\"more\"") + &tidy("new")));
    let child = site.start(&["run", "hello"]);
    until("it is adopted", 60, || {
        site.lock(0)
            .is_some_and(|lock| lock.claim != dead.claim && lock.state == LockState::Held)
    });
    site.folder.write("go", "");
    end(child).status(1).says("job-changed");
    assert_eq!(site.keys(0), ["fail-hello"]);
    assert!(
        site.left(0)["fail-hello"]
            .ends_with(&format!("run={} step=1 reason=job-changed", dead.run))
    );
    let each = |attempt: &str| format!("roundsman hello {} {attempt}", dead.run);
    assert_eq!(comments(&site), [each("1.1"), each("3.1001")]);
    assert!(site.folder.file("new").exists() && !site.folder.file("old").exists());
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
