//! The real binary over a local fleet: what it does, prints, leaves and returns.

use crate::folder::{Folder, Ran, job, until};

fn served(folder: &Folder) -> Vec<String> {
    folder.read("served").lines().map(str::to_owned).collect()
}

/// A job whose step appends its node to the file `served`.
fn serving(folder: &Folder) -> String {
    job(&format!(
        "echo \"$ROUNDSMAN_NODE\" >> '{}'",
        folder.file("served").display()
    ))
}

#[test]
fn three_runs_serve_three_nodes_and_a_fourth_says_when_the_next_is_due() {
    let folder = Folder::new(&["a", "b", "c"]);
    folder.write("jobs/hello.toml", serving(&folder));
    let first = folder.run(&["run", "hello"]).status(0);
    let store = folder.file("state/roundsman.db");
    let created = first
        .stderr
        .lines()
        .filter(|line| line.contains(store.to_str().expect("a path")))
        .count();
    assert_eq!(created, 1, "{}", first.stderr);
    assert!(
        !folder
            .run(&["run", "hello"])
            .status(0)
            .stderr
            .contains("created")
    );
    folder.run(&["run", "hello"]).status(0);
    assert_eq!(served(&folder), ["a", "b", "c"]);
    folder
        .run(&["run", "hello"])
        .status(0)
        .says("nothing is due");
    folder
        .run(&["run", "hello", "--detailed-exitcode"])
        .status(10);
    assert_eq!(served(&folder).len(), 3);
    assert_eq!(
        folder.tags("a").keys().collect::<Vec<_>>(),
        ["last-hello", "took-hello"]
    );
}

#[test]
fn eight_processes_at_once_serve_one_node_once_and_seven_say_why_not() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job(&folder.waiting("served", "go")));
    let children: Vec<_> = (0..8).map(|_| folder.start(&["run", "hello"])).collect();
    let mut children: Vec<_> = children.into_iter().map(Some).collect();
    let mut ended: Vec<Ran> = Vec::new();
    until("seven give way", 60, || {
        for slot in &mut children {
            if slot
                .as_mut()
                .is_some_and(|child| child.try_wait().expect("it can be asked").is_some())
            {
                let child = slot.take().expect("it is there");
                ended.push(child.wait_with_output().expect("its output").into());
            }
        }
        ended.len() == 7
    });
    for ran in ended {
        ran.status(0).says("locked").says("tester");
    }
    folder.write("go", "");
    let last = children.into_iter().flatten().next().expect("one is left");
    Ran::from(last.wait_with_output().expect("its output")).status(0);
    assert_eq!(served(&folder).len(), 1);
    assert!(!folder.tags("a").contains_key("lock"));
}

#[test]
fn with_room_for_two_never_more_than_two_are_at_work_and_each_is_served_once() {
    let folder = Folder::new(&["a", "b", "c", "d", "e", "f"]);
    let work = folder.file("work");
    std::fs::create_dir(&work).expect("a folder");
    let script = format!(
        "cd '{}'\ntouch \"$ROUNDSMAN_NODE\"\nls | wc -l >> ../counts\nsleep 0.2\nrm \"$ROUNDSMAN_NODE\"\necho \"$ROUNDSMAN_NODE\" >> ../served",
        work.display()
    );
    folder.write(
        "jobs/hello.toml",
        format!("{}[limits]\nnodes = 2\n", job(&script)),
    );
    let children: Vec<_> = (0..8)
        .map(|_| folder.start(&["run", "hello", "--max", "all", "--parallel", "2"]))
        .collect();
    for child in children {
        Ran::from(child.wait_with_output().expect("its output")).status(0);
    }
    // Whoever found the limit full has left; what is left over is served by one more.
    folder.run(&["run", "hello", "--max", "all"]).status(0);
    let mut all = served(&folder);
    all.sort();
    assert_eq!(all, ["a", "b", "c", "d", "e", "f"]);
    let most = folder
        .read("counts")
        .lines()
        .filter_map(|line| line.trim().parse::<u32>().ok())
        .max();
    assert!(most <= Some(2), "{most:?} at work at once");
}

#[test]
fn every_way_in_which_a_step_ends_is_told_recorded_and_let_go() {
    let table = [
        ("exit 3", "failed", "status 3"),
        ("exit 194", "failed", "status 194"),
        ("exit 75", "failed", "status 75"),
        ("kill -9 $$", "interrupted", "interrupted"),
        ("sleep 60", "timed-out", "timed"),
    ];
    for (script, reason, told) in table {
        let folder = Folder::new(&["a", "b"]);
        let cleaned = folder.file("cleaned");
        let steps = job(script).replace("name = \"work\"", "name = \"work\"\ntimeout = \"1s\"");
        folder.write(
            "jobs/hello.toml",
            format!(
                "{steps}[[cleanup]]\nname = \"tidy\"\nrun = \"touch '{}'\"\n",
                cleaned.display()
            ),
        );
        folder.run(&["run", "hello"]).status(1).says(told);
        let tags = folder.tags("a");
        assert_eq!(tags.keys().collect::<Vec<_>>(), ["fail-hello"], "{script}");
        assert!(
            tags["fail-hello"].contains("count=1")
                && tags["fail-hello"].ends_with(&format!("step=1 reason={reason}")),
            "{script}: {tags:?}"
        );
        assert!(cleaned.exists(), "{script}: the clean-up ran");
        // The default counts a failed node: the other one is blocked, and this one may be tried again.
        folder.run(&["plan", "hello"]).status(0).says("limit");
        folder
            .run(&["run", "hello", "--node", "b", "--detailed-exitcode"])
            .status(11)
            .says("limit");
    }
}

#[test]
fn a_failed_node_steps_aside_where_only_claims_count() {
    let folder = Folder::new(&["a", "b"]);
    let script = format!(
        "echo \"$ROUNDSMAN_NODE\" >> '{}'; test \"$ROUNDSMAN_NODE\" != a",
        folder.file("served").display()
    );
    folder.write(
        "jobs/hello.toml",
        format!("{}[limits]\ncount = [\"in-work\"]\n", job(&script)),
    );
    folder.run(&["run", "hello", "--max", "all"]).status(1);
    assert_eq!(served(&folder), ["a", "b"]);
}

#[test]
fn a_node_behind_a_transport_that_is_not_there_is_unreachable_not_failed() {
    let folder = Folder::new(&["a"]);
    let settings = folder.read("roundsman.toml").replace(
        "[provider.local]\n",
        "[provider.local]\nvia = [\"sh\", \"-c\", \"echo no route >&2; exit 255\"]\n",
    );
    folder.write("roundsman.toml", settings);
    folder.write("jobs/hello.toml", job("true"));
    folder.run(&["run", "hello"]).status(1).says("unreachable");
    assert!(folder.tags("a")["fail-hello"].ends_with("reason=unreachable"));
}

#[test]
fn plan_is_json_of_the_contract_and_writes_nothing() {
    let folder = Folder::new(&["b", "a"]);
    folder.write("jobs/hello.toml", job("true"));
    let ran = folder.run(&["plan", "hello", "--format", "json"]).status(0);
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(
        (&plan["v"], &plan["job"], &plan["task"]),
        (&1.into(), &"hello".into(), &"hello".into())
    );
    let expected = serde_json::json!({"node": "a", "name": null, "address": null, "zone": null, "verdict": "due", "reason": "never-served",
        "until": null, "last": null, "due": null, "overdue_s": 0, "lock": null});
    assert_eq!(plan["nodes"][0], expected);
    let keys: Vec<&str> = ran
        .stdout
        .match_indices("\":")
        .take(4)
        .map(|(at, _)| ran.stdout[..at].rsplit('"').next().expect("a key"))
        .collect();
    assert_eq!(keys, ["v", "job", "task", "at"]);
    assert!(!folder.file("state").exists(), "not even the store is made");
}

#[test]
fn run_writes_one_event_a_line_and_finished_comes_last() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("echo working; exit 4"));
    let ran = folder.run(&["run", "hello", "--format", "json"]).status(1);
    let events: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let words: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().expect("a word"))
        .collect();
    assert_eq!(
        words,
        [
            "claimed",
            "step-started",
            "step-finished",
            "failed",
            "released",
            "finished"
        ]
    );
    for event in &events {
        assert_eq!((&event["v"], &event["job"]), (&1.into(), &"hello".into()));
    }
    let step = &events[2];
    assert_eq!(
        (&step["step"], &step["outcome"], &step["status"]),
        (&1.into(), &"failed".into(), &4.into())
    );
    assert_eq!(step["output_tail"], "working");
    assert!(step["took_s"].is_u64());
    let last = &events[5];
    assert!(last["node"].is_null() && last["run"].is_null());
    assert_eq!((&last["claimed"], &last["failed"]), (&1.into(), &1.into()));
}

#[test]
fn an_old_fleets_tag_is_adopted_in_every_date_form() {
    let folder = Folder::new(&["a"]);
    let nodes = [
        ("n1", "2026-01-05T00:00:00Z"),
        ("n2", "2026-01-02 00:00:00.5"),
        ("n3", "2026-01-03"),
        ("n4", "1767484800"),
        ("n5", "2026-01-01T02:00:00+01:00"),
    ];
    let entry = |(id, last): &(&str, &str)| {
        format!("[[provider.local.node]]\nid = \"{id}\"\ntags = {{ last-repaired = \"{last}\" }}\n")
    };
    let inventory = nodes.iter().map(entry).collect::<Vec<_>>().concat();
    let settings = folder
        .read("roundsman.toml")
        .replace("[[provider.local.node]]\nid = \"a\"\n", &inventory);
    folder.write("roundsman.toml", settings);
    folder.write(
        "jobs/repair.toml",
        format!("last-tag = \"last-repaired\"\n{}", serving(&folder)),
    );
    folder.run(&["run", "repair", "--max", "all"]).status(0);
    assert_eq!(served(&folder), ["n5", "n2", "n3", "n4", "n1"]);
    assert_eq!(
        folder.tags("n1").keys().collect::<Vec<_>>(),
        ["last-repaired", "took-repair"]
    );
}

#[test]
fn an_unreadable_or_future_date_makes_the_node_due_and_is_shown() {
    let folder = Folder::new(&["a"]);
    let settings = folder.read("roundsman.toml").replace("id = \"a\"\n", "id = \"a\"\ntags = { last-hello = \"soon\" }\n[[provider.local.node]]\nid = \"b\"\ntags = { last-hello = \"2199-01-01\" }\n");
    folder.write("roundsman.toml", settings);
    folder.write("jobs/hello.toml", serving(&folder));
    folder
        .run(&["plan", "hello"])
        .status(0)
        .says("unreadable-last");
    folder
        .run(&["run", "hello", "--max", "all"])
        .status(0)
        .says("soon")
        .says("2199-01-01");
    assert_eq!(served(&folder), ["a", "b"]);
}

#[test]
fn what_a_node_prints_cannot_move_the_cursor() {
    let folder = Folder::new(&["a"]);
    folder.write(
        "jobs/hello.toml",
        job("printf 'one\\033[2Jtwo\\007'; exit 1"),
    );
    let ran = folder.run(&["run", "hello"]).status(1).says("two");
    assert!(
        !ran.stderr.contains('\u{1b}')
            && !ran.stderr.contains('\u{7}')
            && !ran.stdout.contains('\u{1b}')
    );
}

#[test]
fn a_step_on_the_runner_runs_here_with_its_variables() {
    let folder = Folder::new(&["a"]);
    folder.write(
        "jobs/hello.toml",
        job("pwd > here; env > seen")
            .replace("name = \"work\"", "name = \"work\"\non = \"runner\""),
    );
    folder.run(&["run", "hello"]).status(0);
    assert_eq!(
        std::fs::canonicalize(folder.read("here").trim()).ok(),
        std::fs::canonicalize(folder.path()).ok()
    );
    assert!(
        folder.read("seen").contains("ROUNDSMAN_NODE=a\n")
            && folder.read("seen").contains("ROUNDSMAN_JOB=hello\n")
    );
}

#[test]
fn dry_run_shows_the_plan_and_does_nothing() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", serving(&folder));
    folder
        .run(&["run", "hello", "--dry-run"])
        .status(0)
        .says("never-served");
    assert!(served(&folder).is_empty() && !folder.file("state").exists());
}

#[test]
fn values_of_version_1_are_read_as_they_were_written() {
    let samples = include_str!("../data/v1-tags.txt");
    for sample in samples
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (key, value) = sample.split_once(" | ").expect("a key and a value");
        match key {
            "lock" => {
                let lock = roundsman::model::lock::Lock::parse(value)
                    .unwrap_or_else(|| panic!("unreadable: {value}"));
                assert_eq!(lock.format(), value);
            }
            "fail-repair" => {
                let fail = roundsman::model::record::Fail::parse(value)
                    .unwrap_or_else(|| panic!("unreadable: {value}"));
                assert_eq!(fail.format(), value);
            }
            "hold" => assert_eq!(roundsman::model::record::Hold::read(value).format(), value),
            "last-repair" => assert_eq!(
                roundsman::model::time::parse_stamp(value)
                    .map(roundsman::model::time::format_stamp)
                    .as_deref(),
                Some(value)
            ),
            "took-repair" => {
                let span = roundsman::model::span::parse_span(value).expect("a duration");
                assert_eq!(roundsman::model::span::format_span(span), value);
            }
            other => panic!("a sample of {other}"),
        }
    }
}
