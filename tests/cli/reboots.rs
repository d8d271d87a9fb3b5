//! Reboot steps of a local fleet. The node's boot id is a file here, and what reboots it a script, by the variables that
//! only a test sets.

use std::process::Command;

use crate::folder::{Folder, Ran, until};

/// A folder with a job that writes, reboots, and writes again.
fn folder(ready: &str, timeout: &str) -> Folder {
    let folder = Folder::new(&["a"]);
    let settings = folder.read("roundsman.toml").replacen(
        "[lease]\n",
        "[lease]\nclaim-within = \"100ms\"\nstaleness = \"100ms\"\nskew = \"100ms\"\nmargin = \"500ms\"\nttl = \"5s\"\nrequest-life = \"1s\"\n",
        1,
    );
    folder.write("roundsman.toml", settings);
    let effects = folder.file("effects").display().to_string();
    folder.write(
        "jobs/patch.toml",
        format!(
            "every = \"1h\"\n[fleet]\nall = true\n\
             [[step]]\nname = \"before\"\nrun = \"echo before >>'{effects}'\"\n\
             [[step]]\nname = \"restart\"\nreboot = true\ntimeout = \"{timeout}\"\nready = '''\n{ready}\n'''\n\
             [[step]]\nname = \"after\"\nrun = \"echo after >>'{effects}'\"\n"
        ),
    );
    folder.write("boot", "0\n");
    // All that the node has under way is gone, and there is another boot id.
    folder.write(
        "go-down",
        "echo reboot >>effects\ngrep -c reboot effects >boot\nkill -KILL \"$1\"\n",
    );
    folder
}

/// The binary, whose node is the test's own.
fn command(folder: &Folder, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    let dir = folder.path().display();
    command
        .env("rs_boot_file", folder.file("boot"))
        .env("rs_reboot_by", format!("cd '{dir}'; sh go-down \"$PPID\""))
        .env("rs_delay", "0");
    command
}

fn run(folder: &Folder, args: &[&str]) -> Ran {
    command(folder, args).output().expect("it starts").into()
}

const WHOLE: &str = "before\nreboot\nafter\n";

#[test]
fn a_job_that_reboots_is_run_to_its_end() {
    let folder = folder("true", "1m");
    let ran = run(&folder, &["run", "patch", "--format", "json"]).status(0);
    assert_eq!(folder.read("effects"), WHOLE);
    assert_eq!(ran.stdout.matches("\"event\":\"step-started\"").count(), 3);
    assert_eq!(ran.stdout.matches("\"outcome\":\"ok\"").count(), 3);
    assert_eq!(
        folder.tags("a").keys().collect::<Vec<_>>(),
        ["last-patch", "took-patch"]
    );
}

#[test]
fn a_runner_that_goes_down_with_its_node_leaves_the_run_to_the_next_invocation() {
    let folder = folder("true", "10m");
    // The machine that roundsman runs on takes its time to go down, and takes roundsman with it.
    folder.write(
        "go-down",
        "echo reboot >>effects; while test -e effects && ! test -e down; do sleep 0.05; done\n\
         grep -c reboot effects >boot; kill -KILL \"$1\"\n",
    );
    let mut child = command(&folder, &["run", "patch"])
        .spawn()
        .expect("it starts");
    until("the reboot has begun", 60, || {
        folder.read("effects").contains("reboot")
    });
    child.kill().expect("it was running");
    child.wait().expect("it has ended");
    folder.write("down", "");
    until("the node is back", 60, || folder.read("boot") == "1\n");
    until("its lease has ended", 60, || {
        let plan = run(&folder, &["plan", "patch", "--format", "json"]).status(0);
        plan.stdout.contains("\"verdict\":\"due\"")
    });
    let ran = run(&folder, &["run", "patch", "--format", "json"]).status(0);
    assert!(
        ran.stdout.contains("\"event\":\"adopted\""),
        "{}",
        ran.stdout
    );
    assert_eq!(folder.read("effects"), WHOLE);
    assert!(folder.tags("a").contains_key("last-patch"));
}

#[test]
fn invocations_that_wait_for_nothing_bring_it_to_its_end() {
    let folder = folder("true", "10m");
    until("the run is committed", 120, || {
        run(&folder, &["run", "patch", "--for", "0s"]).status(0);
        folder.tags("a").contains_key("last-patch")
    });
    assert_eq!(folder.read("effects"), WHOLE);
}

#[test]
fn a_node_that_is_not_ready_in_time_fails_as_not_back() {
    let folder = folder("echo not yet; false", "2s");
    let ran = run(&folder, &["run", "patch"]).status(1).says("not-back");
    assert!(ran.stderr.contains("not yet"), "{}", ran.stderr);
    assert_eq!(folder.read("effects"), "before\nreboot\n");
    assert!(folder.tags("a")["fail-patch"].contains("step=2 reason=not-back"));
}

#[test]
fn check_warns_of_a_reboot_of_the_machine_that_it_runs_on() {
    let folder = folder("true", "1m");
    folder
        .run(&["check", "patch"])
        .status(0)
        .says("step `restart` reboots this machine");
    let settings = folder.read("roundsman.toml");
    let via = "[provider.local]\nvia = [\"sh\", \"-c\", \"exec sh -s\"]\n";
    folder.write(
        "roundsman.toml",
        settings.replace("[provider.local]\n", via),
    );
    let ran = folder.run(&["check", "patch"]).status(0);
    assert!(!ran.stderr.contains("this machine"), "{}", ran.stderr);
}
