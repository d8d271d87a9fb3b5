//! Signals, closed pipes and full disks: the real binary, ended from outside at every stage.

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::folder::{Folder, Ran, job, until};

fn send(signal: &str, child: &Child) {
    let status = std::process::Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(status.expect("kill is there").success());
}

fn end(child: Child) -> Ran {
    Ran::from(child.wait_with_output().expect("its output"))
}

/// A job whose step waits for a file after it has said that it began, and is ended by a signal; with a clean-up.
fn waiting(folder: &Folder, on: &str) -> String {
    let cleaned = folder.file("cleaned");
    let script = folder.waiting("begun", "go");
    let step = job(&script).replace(
        "name = \"work\"",
        &format!("name = \"work\"\non = \"{on}\""),
    );
    format!(
        "on-stop = \"cancel\"\n{step}[[cleanup]]\nname = \"tidy\"\nrun = \"touch '{}'\"\n",
        cleaned.display()
    )
}

fn begun(folder: &Folder) {
    until("the step has begun", 20, || folder.file("begun").exists());
}

#[test]
fn a_signal_ends_the_step_cleans_up_says_stopped_and_lets_go() {
    for (signal, status, on) in [
        ("TERM", 143, "node"),
        ("INT", 130, "node"),
        ("TERM", 143, "runner"),
        ("INT", 130, "runner"),
    ] {
        let folder = Folder::new(&["a"]);
        folder.write("jobs/hello.toml", waiting(&folder, on));
        let child = folder.start(&["run", "hello"]);
        begun(&folder);
        send(signal, &child);
        end(child).status(status).says("stopped");
        let tags = folder.tags("a");
        assert_eq!(
            tags.keys().collect::<Vec<_>>(),
            ["fail-hello"],
            "{signal} {on}"
        );
        assert!(
            tags["fail-hello"].ends_with("step=1 reason=stopped"),
            "{tags:?}"
        );
        assert!(
            folder.file("cleaned").exists(),
            "{signal} {on}: the clean-up ran"
        );
    }
}

#[test]
fn a_second_signal_leaves_at_once_and_says_when_the_lease_runs_out() {
    let folder = Folder::new(&["a"]);
    // A step that does not heed TERM.
    let script = format!("trap '' TERM; {}", folder.waiting("begun", "go"));
    let job = "on-stop = \"cancel\"\n".to_owned() + &job(&script);
    folder.write("jobs/hello.toml", job);
    let mut child = folder.start(&["run", "hello"]);
    begun(&folder);
    send("TERM", &child);
    until("the lock says stopping", 5, || {
        folder
            .tags("a")
            .get("lock")
            .is_some_and(|lock| lock.contains(" state=stopping "))
    });
    // At the same moment it would be the first one's echo, as `timeout` sends it.
    until("it leaves", 10, || {
        send("TERM", &child);
        child.try_wait().expect("it can be asked").is_some()
    });
    end(child).status(143).says("its lease runs out");
    assert!(folder.tags("a").contains_key("lock"));
    folder.write("go", "");
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", waiting(&folder, "node"));
    let child = folder.start(&["run", "hello"]);
    begun(&folder);
    send("TERM", &child);
    send("TERM", &child);
    end(child).status(143).says("stopped");
    assert!(!folder.tags("a").contains_key("lock"));
}

#[test]
fn a_closed_pipe_on_stdout_does_not_end_the_run() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", waiting(&folder, "node"));
    let mut child = folder.start(&["run", "hello", "--format", "json"]);
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut first)
        .expect("a line");
    assert!(first.contains("\"claimed\""));
    // The reader is gone by now.
    folder.write("go", "");
    end(child).status(0).calm();
    assert!(folder.tags("a").contains_key("last-hello") && !folder.tags("a").contains_key("lock"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("true"));
    for args in [
        vec!["plan", "hello"],
        vec!["status"],
        vec!["schema"],
        vec!["config"],
    ] {
        let mut child = folder.start(&args);
        drop(child.stdout.take());
        end(child).status(0).calm();
    }
}

/// The binary where no file may grow beyond this many KiB: what a full disk looks like to it.
fn on_a_full_disk(folder: &Folder, kib: u32, args: &[&str]) -> Ran {
    let ours = folder.command(&[]);
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"",
            kib * 2
        ))
        .arg(ours.get_program())
        .args(args);
    command
        .current_dir(folder.path())
        .env("HOME", folder.path());
    command.output().expect("it starts").into()
}

#[test]
fn a_full_disk_claims_nothing_and_says_so() {
    let folder = Folder::new(&["a"]);
    let file = folder.file("served");
    folder.write(
        "jobs/hello.toml",
        job(&format!("echo x >> '{}'", file.display())),
    );
    let ran = on_a_full_disk(&folder, 1, &["run", "hello"])
        .calm()
        .status(5);
    assert!(ran.stderr.contains("roundsman.db"), "{}", ran.stderr);
    assert!(!file.exists(), "nothing was begun");
    // With room again all is well.
    folder.run(&["run", "hello"]).status(0);
    assert!(file.exists());
}

#[test]
fn a_read_only_store_is_told_with_its_path() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", job("true"));
    folder.write(
        "state/roundsman.db",
        "this is no database, and it is long enough to be looked at as one by anybody",
    );
    folder
        .run(&["run", "hello"])
        .calm()
        .status(5)
        .says("roundsman.db");
}

#[test]
fn a_run_killed_with_its_lock_is_suspect_and_not_begun_again_before_its_time() {
    let folder = Folder::new(&["a"]);
    folder.write("jobs/hello.toml", waiting(&folder, "node"));
    let mut child = folder.start(&["run", "hello"]);
    begun(&folder);
    child.kill().expect("it was running");
    child.wait().expect("it has ended");
    folder
        .run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says("locked");
    assert!(folder.tags("a").contains_key("lock"));
    folder.write("go", "");
}
