//! What operators do by hand, and what is generated.

use crate::folder::{Folder, Ran, job, until};

/// A job whose step appends its node to the file `served`.
fn serving(folder: &Folder) -> String {
    job(&format!(
        "echo \"$ROUNDSMAN_NODE\" >> '{}'",
        folder.file("served").display()
    ))
}

fn served(folder: &Folder) -> Vec<String> {
    folder.read("served").lines().map(str::to_owned).collect()
}

#[test]
fn an_unreadable_lock_blocks_until_it_is_broken_by_its_exact_value() {
    let folder = Folder::new(&["a"]);
    let settings = folder.read("roundsman.toml").replace(
        "id = \"a\"\n",
        "id = \"a\"\ntags = { lock = \"do not touch\" }\n",
    );
    folder.write("roundsman.toml", settings);
    folder.write("jobs/hello.toml", job("true"));
    folder
        .run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says("do not touch");
    folder.run(&["release", "a"]).status(2).says("--value");
    folder.run(&["release", "a", "--value", "do not"]).status(2);
}

#[test]
fn a_hold_stops_claims_until_it_is_lifted() {
    let folder = Folder::new(&["a", "b"]);
    folder.write("jobs/hello.toml", serving(&folder));
    folder
        .run(&["hold", "a", "--for", "1h", "--reason", "disk swap; see #12"])
        .status(0)
        .says("a is on hold until");
    assert!(folder.tags("a")["hold"].starts_with("v1 scope=node by=tester at="));
    folder.run(&["run", "hello", "--max", "all"]).status(0);
    assert_eq!(served(&folder), ["b"]);
    folder
        .run(&["run", "hello", "--node", "a", "--detailed-exitcode"])
        .status(11)
        .says("disk swap- see -12");
    folder
        .run(&["unhold", "a"])
        .status(0)
        .says("no longer on hold");
    folder
        .run(&["unhold", "a"])
        .status(0)
        .says("was not on hold");
    folder.run(&["hold", "--fleet", "hello"]).status(0);
    folder
        .run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says("fleet is on hold");
    folder.run(&["unhold", "--fleet", "hello"]).status(0);
    folder.run(&["run", "hello"]).status(0);
    assert_eq!(served(&folder), ["b", "a"]);
    folder
        .run(&["hold", "nobody"])
        .status(2)
        .says("there are a, b");
}

#[test]
fn work_done_elsewhere_is_marked_and_never_dated_back_or_ahead() {
    let folder = Folder::new(&["a", "b"]);
    folder.write("jobs/hello.toml", job("true"));
    let mark = |at: &str| folder.run(&["mark", "hello", "a", "--at", at, "--reason", "by hand"]);
    mark("2026-11-20").status(0).says("2026-11-20T00:00:00Z");
    assert_eq!(folder.tags("a")["last-hello"], "2026-11-20T00:00:00Z");
    mark("2026-11-19").status(2).says("later");
    mark("2199-01-01").status(2).says("future");
    mark("soon").status(2).says("no time");
    assert_eq!(folder.tags("a")["last-hello"], "2026-11-20T00:00:00Z");
}

#[test]
fn a_locked_node_is_neither_marked_nor_released_under_another_run() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job(&folder.waiting("begun", "go")));
    let child = folder.start(&["run", "hello"]);
    until("the step has begun", 20, || folder.file("begun").exists());
    folder
        .run(&["mark", "hello", "a", "--at", "2026-01-01", "--reason", "x"])
        .status(2)
        .says("locked");
    folder
        .run(&["release", "a", "--run", "01ARZ3NDEKTSV4RRFFQ69G5FAV"])
        .status(2)
        .says("not of");
    folder.run(&["status"]).status(0).says("held by tester");
    folder
        .run(&["release", "a"])
        .status(0)
        .says("is released")
        .says("step 1 of hello")
        .says("may still run on a");
    folder.write("go", "");
    // Its holder finds the lease broken, and touches nothing more.
    Ran::from(child.wait_with_output().expect("its output"))
        .status(4)
        .says("lease");
    assert!(folder.tags("a").is_empty());
}

#[test]
fn status_finds_what_it_is_asked_for_and_leases_without_a_job() {
    let folder = Folder::new(&["a"]);
    folder.write(
        "jobs/hello.toml",
        format!("deadline = \"2h\"\n{}", job("false")),
    );
    folder
        .run(&["status", "--fail-on", "failed,overdue"])
        .status(0);
    folder.run(&["run", "hello"]).status(1);
    folder.run(&["status", "--fail-on", "failed"]).status(3);
    folder
        .run(&["mark", "hello", "a", "--at", "2026-01-01", "--reason", "x"])
        .status(0);
    folder
        .run(&["status", "--fail-on", "overdue"])
        .status(3)
        .says("overdue");
    let json = folder.run(&["status", "--format", "json"]).status(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(status["v"], 1);
    assert_eq!(status["jobs"][0]["nodes"][0]["failures"]["count"], 1);
    let lock = "v1 run=01ARZ3NDEKTSV4RRFFQ69G5FAV claim=01ARZ3NDEKTSV4RRFFQ69G5FAW seq=1 state=held set=0000 job=gone file=00000000 step=1 owner=x until=2026-01-01T00:00:00Z";
    folder.write(
        "roundsman.toml",
        folder.read("roundsman.toml").replace(
            "id = \"a\"\n",
            &format!("id = \"a\"\ntags = {{ lock = \"{lock}\" }}\n"),
        ),
    );
    folder
        .run(&["status", "--fail-on", "suspect"])
        .status(3)
        .says("gone, which has no file here");
}

#[test]
fn what_is_generated_is_complete() {
    let folder = Folder::new(&["a"]);
    folder
        .run(&["completions", "bash"])
        .status(0)
        .says("roundsman");
    folder.run(&["man"]).status(0).says(".TH roundsman");
    folder
        .run(&["config", "--default"])
        .status(0)
        .says("claim-within");
    let config = folder
        .command(&["config"])
        .env("ROUNDSMAN_LEASE__TTL", "30m")
        .output()
        .expect("it starts");
    let config = Ran::from(config)
        .status(0)
        .says("$ROUNDSMAN_LEASE__TTL")
        .says("roundsman.toml:2")
        .says("default");
    assert!(config.stdout.contains("lease.ttl"));
    let schema = folder.run(&["schema"]).status(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    folder
        .run(&["--version"])
        .status(0)
        .says(env!("CARGO_PKG_VERSION"));
    folder
        .run(&["run", "--help"])
        .status(0)
        .says("--detailed-exitcode");
}

#[test]
fn a_hold_over_another_says_what_it_replaces() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("true"));
    let first = folder
        .run(&["hold", "a", "--reason", "disk swap"])
        .status(0);
    assert!(!first.stdout.contains("replaces"), "{}", first.stdout);
    folder
        .run(&["hold", "a"])
        .status(0)
        .says("this replaces: v1 scope=node")
        .says("disk swap");
}

#[test]
fn json_lines_begin_with_their_version() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("true"));
    let ran = folder.run(&["run", "hello", "--format", "json"]).status(0);
    for line in ran.stdout.lines() {
        assert!(line.starts_with("{\"v\":1,\"at\":"), "{line}");
    }
    let ran = folder.run(&["status", "--format", "json"]).status(0);
    assert!(ran.stdout.starts_with("{\"v\":1,\"at\":"), "{}", ran.stdout);
}

#[test]
fn the_manual_page_has_a_page_for_every_command() {
    let folder = Folder::new(&["a"]);
    let man = folder.run(&["man"]).status(0).stdout;
    for option in ["detailed\\-exitcode", "fail\\-on", "dry\\-run"] {
        assert!(man.contains(option), "{option}");
    }
}

#[test]
fn check_tells_programs_the_file_the_line_and_what_would_be_right() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/good.toml", job("true"));
    folder.write("jobs/bad.toml", format!("evry = \"1h\"\n{}", job("true")));
    let ran = folder.run(&["check", "--format", "json"]).status(2);
    let checked: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(checked["v"], 1);
    let files = checked["files"].as_array().expect("files");
    let of = |name: &str| {
        files
            .iter()
            .find(|file| {
                file["file"]
                    .as_str()
                    .is_some_and(|file| file.ends_with(name))
            })
            .expect("it is told")
    };
    assert_eq!(
        (&of("good.toml")["ok"], &of("good.toml")["job"]),
        (&true.into(), &"good".into())
    );
    let error = &of("bad.toml")["errors"][0];
    assert_eq!(
        (&of("bad.toml")["ok"], &error["line"], &error["column"]),
        (&false.into(), &1.into(), &1.into())
    );
    assert!(
        error["help"]
            .as_str()
            .is_some_and(|help| help.contains("every")),
        "{error}"
    );
    folder.run(&["hold"]).status(2).says("--fleet <JOB>");
}

#[test]
fn a_local_store_needs_no_probe() {
    let folder = Folder::new(&["a"]);
    folder
        .run(&["probe", "a"])
        .status(0)
        .says("a local store is one SQLite file");
    let ran = folder.run(&["probe", "a", "--format", "json"]).status(0);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(
        (&told["v"], &told["ended"]),
        (&1.into(), &"not-needed".into())
    );
    assert!(
        !folder.file("state/roundsman.db").exists(),
        "nothing is made"
    );
}
