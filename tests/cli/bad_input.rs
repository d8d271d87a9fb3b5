//! Every bad input: a clear sentence, the right status, no panic, nothing written.

use crate::folder::{Folder, job};

/// A folder whose job `hello` would write the file `served`.
fn folder() -> Folder {
    let folder = Folder::new(&["a"]);
    folder.write(
        "jobs/hello.toml",
        job(&format!("touch '{}'", folder.file("served").display())),
    );
    folder
}

/// Runs a job file that is wrong: every sentence is said, the place is shown, and nothing is written.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, sentences: &[&str]) {
    let folder = folder();
    folder.write("jobs/bad.toml", text);
    for command in ["run", "plan", "check"] {
        let ran = folder.run(&[command, "bad"]).calm().status(2);
        for sentence in sentences {
            assert!(
                ran.stderr.contains(sentence),
                "{command}: expected {sentence:?}\n{}",
                ran.stderr
            );
        }
        assert!(ran.stderr.contains("bad"), "{}", ran.stderr);
    }
    assert!(
        !folder.file("served").exists() && !folder.file("state/roundsman.db").exists(),
        "nothing was touched"
    );
}

const GOOD: &str =
    "every = \"1h\"\n[fleet]\nall = true\n[[step]]\nname = \"work\"\nrun = \"true\"\n";

#[test]
fn every_mistake_of_a_job_file_is_told_at_once_with_its_line() {
    let text = "evry = \"1h\"\nevery = \"soon\"\ndeadline = 5\n[fleet]\nall = \"yes\"\n[limits]\nnodes = -1\n[[step]]\nname = \"a b/c\"\nrun = \"\"\ntimeout = \"0s\"\nretries = 99999999999999999999\n";
    let folder = folder();
    folder.write("jobs/bad.toml", text);
    let said = folder.run(&["check", "bad"]).status(2).stderr;
    for sentence in [
        "evry",
        "did you mean `every`",
        "soon",
        "deadline",
        "bad.toml:1:",
        "bad.toml:12:",
    ] {
        assert!(said.contains(sentence), "expected {sentence:?}\n{said}");
    }
    for line in [
        "deadline = 5",
        "all = \"yes\"",
        "nodes = -1",
        "run = \"\"",
        "timeout = \"0s\"",
    ] {
        assert!(said.contains(line), "expected to be shown {line:?}\n{said}");
    }
}

#[test]
fn a_job_file_that_is_no_job_file_is_refused() {
    refused("", &["every", "step"]);
    refused("every = ", &["every"]);
    refused([0xff, 0xfe, 0x00], &["UTF-8"]);
    refused("[[step", &["["]);
    refused(GOOD.replace("all = true", ""), &["fleet"]);
    refused(
        GOOD.replace("all = true", "auto-scaling-groups = [\"g\"]"),
        &["local"],
    );
    refused(
        format!("{GOOD}[[step]]\nname = \"work\"\nrun = \"true\"\n"),
        &["work"],
    );
    refused(format!("deadline = \"1m\"\n{GOOD}"), &["deadline"]);
    refused(format!("task = \"{}\"\n{GOOD}", "t".repeat(41)), &["40"]);
    refused(
        format!("last-tag = \"last repaired\"\n{GOOD}"),
        &["last repaired"],
    );
    refused(format!("{GOOD}[lease]\nttl = \"1m\"\n"), &["ttl"]);
    refused(format!("{GOOD}[limits]\nnodes = 0\n"), &["nodes"]);
    refused(format!("{GOOD}[env]\n\"A B\" = \"x\"\n"), &["A B"]);
    refused(
        GOOD.replace(
            "run = \"true\"",
            &format!("run = '''{}'''", "x".repeat(41_000)),
        ),
        &["40"],
    );
}

#[test]
fn an_unknown_job_says_what_there_is() {
    let folder = folder();
    folder
        .run(&["run", "helo"])
        .calm()
        .status(2)
        .says("did you mean `hello`");
    folder
        .run(&["run", "jobs/nothing.toml"])
        .calm()
        .status(2)
        .says("no such job file");
    folder.run(&["run", "jobs"]).calm().status(2);
    std::fs::create_dir(folder.file("jobs/dir.toml")).expect("a folder");
    folder
        .run(&["run", "dir"])
        .calm()
        .status(2)
        .says("directory");
    folder
        .run(&["run", "hello", "--jobs", "nowhere"])
        .calm()
        .status(2)
        .says("nowhere");
    folder.run(&["run", ""]).calm().status(2);
    let ran = folder.run(&["run", "zzz"]).status(2);
    assert!(
        ran.stderr
            .starts_with("error: zzz: there is no job of this name"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("\n  help: ") && !ran.stderr.contains("1 error"));
}

#[test]
fn an_empty_fleet_is_no_error_and_is_said() {
    let folder = folder();
    folder.write(
        "jobs/none.toml",
        GOOD.replace("all = true", "tags = { role = \"nothing\" }"),
    );
    folder
        .run(&["run", "none"])
        .calm()
        .status(0)
        .says("no node");
    folder
        .run(&["plan", "none"])
        .calm()
        .status(0)
        .says("no node");
    folder
        .run(&["run", "none", "--detailed-exitcode"])
        .status(10);
}

#[test]
fn a_wrong_setting_names_its_file_or_variable() {
    let settings = |text: &str, sentence: &str| {
        let folder = folder();
        folder.write(
            "roundsman.toml",
            format!("{}\n{text}", folder.read("roundsman.toml")),
        );
        folder
            .run(&["run", "hello"])
            .calm()
            .status(2)
            .says("roundsman.toml")
            .says(sentence);
        assert!(!folder.file("served").exists());
    };
    settings("[leese]\nttl = \"1h\"\n", "lease");
    settings("[tags]\nprefix = \"a b\"\n", "a b");
    settings("[[provider.local.node]]\nid = \"a\"\n", "a");
    let variable = |name: &str, value: &str, sentence: &str| {
        let folder = folder();
        let output = folder
            .command(&["run", "hello"])
            .env(name, value)
            .output()
            .expect("it starts");
        crate::folder::Ran::from(output)
            .calm()
            .status(2)
            .says(name)
            .says(sentence);
        assert!(!folder.file("served").exists());
    };
    variable("ROUNDSMAN_LEASE__MARGIN", "1s", "margin");
    variable("ROUNDSMAN_LEASE__TTL", "soon", "soon");
    variable(
        "ROUNDSMAN_LEASE__TTTL",
        "1h",
        "did you mean `ROUNDSMAN_LEASE__TTL`",
    );
    variable("ROUNDSMAN_PROVIDER__KIND", "gcp", "gcp");
    let folder = folder();
    folder
        .run(&["run", "hello", "--config", "missing.toml"])
        .calm()
        .status(2)
        .says("missing.toml");
    folder
        .run(&["run", "hello", "--provider", "gcp"])
        .calm()
        .status(2)
        .says("gcp");
    folder
        .run(&["-C", "nowhere", "run", "hello"])
        .calm()
        .status(2)
        .says("nowhere")
        .says("No such file or directory\n");
    folder.write("raw.toml", [0xff, 0xfe]);
    folder
        .run(&["run", "hello", "--config", "raw.toml"])
        .calm()
        .status(2)
        .says("UTF-8");
}

#[test]
fn a_wrong_command_line_is_usage() {
    let folder = folder();
    for args in [
        vec![],
        vec!["rn", "hello"],
        vec!["run"],
        vec!["run", "hello", "--max", "-1"],
        vec!["run", "hello", "--max", "many"],
        vec!["run", "hello", "--parallel", "0"],
        vec!["run", "hello", "--format", "xml"],
        vec!["hold"],
        vec!["hold", "a", "--for", "soon"],
        vec!["mark", "hello", "a", "--at", "2026-01-01"],
        vec!["mark", "hello", "a", "--at", "2026-01-01", "--reason", " "],
        vec!["release", "a", "--run", "nonsense"],
        vec!["status", "--fail-on", "tired"],
    ] {
        folder.run(&args).calm().status(2);
    }
    folder
        .run(&["run", "hello", "--node", "zzz"])
        .calm()
        .status(2)
        .says("there is no node `zzz`");
    assert!(!folder.file("served").exists());
}
