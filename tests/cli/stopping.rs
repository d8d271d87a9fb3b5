//! `stop`: a run of another process is ended on purpose, and that process notices and touches nothing more.

use std::process::Child;

use crate::folder::{Folder, Ran, job, until};

/// A folder whose leases are looked at every other second.
fn brief() -> Folder {
    let folder = Folder::new(&["a", "b"]);
    let settings = folder.read("roundsman.toml").replacen(
        "[lease]\n",
        "[lease]\nclaim-within = \"100ms\"\nstaleness = \"100ms\"\nskew = \"100ms\"\nmargin = \"500ms\"\nttl = \"6s\"\nrequest-life = \"1s\"\n",
        1,
    );
    folder.write("roundsman.toml", settings);
    folder
}

/// A job with a step that goes on until it is ended, one after it, and a clean-up. What its steps do is told.
fn endless(folder: &Folder, on: &str) -> String {
    let path = |name: &str| folder.file(name).display().to_string();
    let script = format!(
        "trap 'echo x >> \"{}\"; exit 1' TERM; echo x >> '{}'; while test -d '{}'; do sleep 0.05; done",
        path("ended"),
        path("begun"),
        folder.path().display()
    );
    let first = job(&script).replace(
        "name = \"work\"",
        &format!("name = \"work\"\non = \"{on}\""),
    );
    let second = format!(
        "[[step]]\nname = \"more\"\nrun = \"echo x >> '{}'\"\n",
        path("more")
    );
    let cleanup = format!(
        "[[cleanup]]\nname = \"tidy\"\nrun = \"echo x >> '{}'\"\n",
        path("cleaned")
    );
    first + &second + &cleanup
}

fn begins(folder: &Folder) -> Child {
    let child = folder.start(&["run", "hello"]);
    until("the step has begun", 20, || folder.file("begun").exists());
    child
}

fn end(child: Child) -> Ran {
    Ran::from(child.wait_with_output().expect("its output"))
}

#[test]
fn a_step_of_a_living_runner_is_ended_and_the_runner_exits_with_4() {
    for on in ["node", "runner"] {
        let folder = brief();
        folder.write("jobs/hello.toml", endless(&folder, on));
        let child = begins(&folder);
        folder
            .run(&["stop", "a"])
            .status(0)
            .says("is stopped (tester had it); clean-up is done; fail-hello says reason=stopped");
        end(child).status(4).says("lease lost");
        let tags = folder.tags("a");
        assert_eq!(tags.keys().collect::<Vec<_>>(), ["fail-hello"], "{on}");
        assert!(
            tags["fail-hello"].ends_with("step=1 reason=stopped"),
            "{on}: {tags:?}"
        );
        let read = |name| folder.read(name);
        assert_eq!(
            (read("begun"), read("ended"), read("cleaned"), read("more")),
            (
                "x\n".to_owned(),
                "x\n".to_owned(),
                "x\n".to_owned(),
                String::new()
            ),
            "{on}"
        );
    }
}

#[test]
fn what_a_dead_runner_left_running_is_ended_too() {
    let folder = brief();
    folder.write("jobs/hello.toml", endless(&folder, "node"));
    let mut child = begins(&folder);
    child.kill().expect("it was running");
    child.wait().expect("it has ended");
    let ran = folder.run(&["stop", "a", "--format", "json"]).status(0);
    for event in ["stopping", "step-started", "failed", "released", "finished"] {
        let named = format!("\"event\":\"{event}\"");
        assert!(ran.stdout.contains(&named), "{event}: {}", ran.stdout);
    }
    let found = ran.stdout.lines().next().unwrap_or_default();
    for field in ["\"was\":\"held\"", "\"owner\":\"tester\"", "\"step\":1"] {
        assert!(found.contains(field), "{found}");
    }
    until("the step has ended", 20, || folder.file("ended").exists());
    assert_eq!(folder.read("cleaned"), "x\n");
    assert_eq!(folder.tags("a").keys().collect::<Vec<_>>(), ["fail-hello"]);
}

#[test]
fn without_its_job_file_a_run_is_ended_and_nothing_is_cleaned_up() {
    let folder = brief();
    folder.write("jobs/hello.toml", endless(&folder, "node"));
    let child = begins(&folder);
    std::fs::remove_file(folder.file("jobs/hello.toml")).expect("it was there");
    folder
        .run(&["stop", "a"])
        .status(0)
        .says("there is no job `hello`")
        .says("no clean-up was done");
    end(child).status(4);
    let tags = folder.tags("a");
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["fail-hello"]);
    assert!(tags["fail-hello"].ends_with("reason=stopped"), "{tags:?}");
    assert!(folder.file("ended").exists() && !folder.file("cleaned").exists());
}

#[test]
fn a_clean_up_that_fails_is_told_and_is_no_success() {
    let folder = brief();
    let text = endless(&folder, "node").replace("echo x >> '", "exit 3; echo x >> '");
    // Only what comes after the first step's own lines.
    let (first, rest) = text
        .split_once("[[step]]\nname = \"more\"")
        .expect("two steps");
    let first = first.replace("exit 3; ", "");
    folder.write(
        "jobs/hello.toml",
        format!("{first}[[step]]\nname = \"more\"{rest}"),
    );
    let child = begins(&folder);
    folder
        .run(&["stop", "a"])
        .status(1)
        .says("clean-up did not succeed (tidy)");
    end(child).status(4);
    assert!(!folder.tags("a").contains_key("lock"));
}

#[test]
fn what_is_not_to_be_stopped_is_told_with_what_to_do() {
    let folder = brief();
    folder.write("jobs/hello.toml", endless(&folder, "node"));
    folder.run(&["stop", "a"]).status(2).says("a has no lock");
    folder
        .run(&["stop", "nobody"])
        .status(2)
        .says("there are a, b");
    folder
        .run(&["stop", "a", "--run", "x"])
        .status(2)
        .says("`x` is no run id");
    let child = begins(&folder);
    folder
        .run(&["stop", "a", "--run", "01KAPYZ6D00000000000000001"])
        .status(2)
        .says("is that of run");
    assert!(folder.tags("a")["lock"].contains(" state=held "));
    folder.write("jobs/hello.toml", "this is no job");
    folder.run(&["stop", "a"]).status(2).says("hello.toml");
    assert!(folder.tags("a")["lock"].contains(" state=held "));
    folder.write("jobs/hello.toml", endless(&folder, "node"));
    folder.run(&["stop", "a"]).status(0);
    end(child).status(4);
}
