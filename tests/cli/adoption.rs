//! Runners of a local fleet that are killed: the node goes on without them, and its journal says what became of each attempt.

use crate::folder::{Folder, job, until};

/// A folder whose leases end a second after their last renewal is due, and are left alone for half a second.
fn brief() -> Folder {
    let folder = Folder::new(&["a"]);
    let settings = folder.read("roundsman.toml").replacen(
        "[lease]\n",
        "[lease]\nclaim-within = \"100ms\"\nstaleness = \"100ms\"\nskew = \"100ms\"\nmargin = \"500ms\"\nttl = \"5s\"\nrequest-life = \"1s\"\n",
        1,
    );
    folder.write("roundsman.toml", settings);
    folder
}

/// Two steps: one that waits for the file `go` after it has said that it began, and one more.
fn two_steps(folder: &Folder) -> String {
    let path = |name: &str| folder.file(name).display().to_string();
    let first = folder.waiting("begun", "go");
    let second = format!(
        "[[step]]\nname = \"more\"\nrun = \"echo x >> '{}'\"\n",
        path("second")
    );
    job(&first) + &second
}

/// Kills a runner while its first step runs; gives the ids of its run and its claim.
fn killed(folder: &Folder) -> (String, String) {
    let mut child = folder.start(&["run", "hello"]);
    until("the step has begun", 20, || folder.file("begun").exists());
    child.kill().expect("it was running");
    child.wait().expect("it has ended");
    let lock = folder.tags("a")["lock"].clone();
    let field = |key| {
        let value = lock.split(' ').find_map(|field| field.strip_prefix(key));
        value.expect("a lock").to_owned()
    };
    (field("run="), field("claim="))
}

fn adopts(folder: &Folder) -> crate::folder::Ran {
    until("its lease has ended", 30, || {
        let plan = folder.run(&["plan", "hello", "--format", "json"]).status(0);
        plan.stdout.contains("\"verdict\":\"due\"")
    });
    folder.run(&["run", "hello", "--format", "json"])
}

#[test]
fn a_step_that_had_ended_is_answered_by_the_nodes_record() {
    let folder = brief();
    folder.write("jobs/hello.toml", two_steps(&folder));
    let (run, _) = killed(&folder);
    folder.write("go", "");
    let ran = adopts(&folder).status(0);
    assert!(ran.stdout.contains("\"event\":\"adopted\"") && ran.stdout.contains(&run));
    assert_eq!(
        (folder.read("begun"), folder.read("second")),
        ("x\n".to_owned(), "x\n".to_owned())
    );
    assert_eq!(
        folder.tags("a").keys().collect::<Vec<_>>(),
        ["last-hello", "took-hello"]
    );
}

#[test]
fn a_step_that_still_runs_is_waited_for_on_its_node() {
    let folder = brief();
    folder.write("jobs/hello.toml", two_steps(&folder));
    let (run, claim) = killed(&folder);
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(|| adopts(&folder));
        // Granted, and renewed while the step is watched: three writes of the adopting claim at least.
        until("the step is watched", 60, || {
            let lock = folder.tags("a").get("lock").cloned().unwrap_or_default();
            let seq = lock.split(' ').find_map(|field| field.strip_prefix("seq="));
            let writes = seq.and_then(|seq| seq.parse().ok()).unwrap_or(0);
            lock.contains(&run) && !lock.contains(&claim) && writes >= 3
        });
        folder.write("go", "");
        ran.join().expect("it ends")
    });
    let ran = ran.status(0);
    // The first step is watched, not sent again; the one after it is begun.
    let count = |event: &str| {
        ran.stdout
            .matches(&format!("\"event\":\"{event}\""))
            .count()
    };
    assert_eq!(
        (count("step-started"), count("step-finished")),
        (1, 2),
        "{}",
        ran.stdout
    );
    assert_eq!(
        (folder.read("begun"), folder.read("second")),
        ("x\n".to_owned(), "x\n".to_owned())
    );
    assert_eq!(
        folder.tags("a").keys().collect::<Vec<_>>(),
        ["last-hello", "took-hello"]
    );
}

#[test]
fn another_job_waits_for_a_step_that_has_outlived_its_runner() {
    let folder = brief();
    folder.write("jobs/hello.toml", two_steps(&folder));
    folder.write("jobs/other.toml", job("true"));
    let (run, _) = killed(&folder);
    let why = || {
        let plan = folder.run(&["plan", "other", "--format", "json"]).status(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
        plan["nodes"][0]["reason"]
            .as_str()
            .expect("a reason")
            .to_owned()
    };
    until("the lease has ended", 30, || why() != "locked");
    assert_eq!(why(), "busy");
    folder.run(&["run", "other"]).status(0);
    folder
        .run(&["plan", "other"])
        .status(0)
        .says(&format!("step 1 of hello (run {run}) is running there"));
    folder.write("go", "");
    until("the step has ended", 20, || why() != "busy");
    // Its own job may still commit it.
    assert_eq!(why(), "suspect");
    adopts(&folder).status(0);
    assert_eq!(folder.read("begun"), "x\n");
}

#[test]
fn a_mark_that_a_clock_ahead_has_left_is_forgotten_on_request() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("true"));
    folder
        .run(&["release", "a", "--fence"])
        .status(0)
        .says("a has no mark");
    folder.run(&["run", "hello"]).status(0);
    let mark = folder.file("state/roundsman.db.d/a/mark");
    let raised = std::fs::read_to_string(&mark).expect("a mark");
    let ahead = raised.replacen("01", "7Z", 1);
    std::fs::write(&mark, &ahead).expect("written");
    folder.write("jobs/again.toml", job("true"));
    folder.run(&["run", "again"]).status(4);
    // The lease was lost, and its lock stands: whoever holds it is protected by the mark.
    folder
        .run(&["release", "a", "--fence"])
        .status(2)
        .says("a has a lock");
    folder.run(&["release", "a"]).status(0);
    folder
        .run(&["release", "a", "--fence"])
        .status(0)
        .says(&format!("it was {}", ahead.trim()));
    assert!(!mark.exists());
    folder
        .run(&["run", "again"])
        .status(0)
        .says("served 1 node");
}
