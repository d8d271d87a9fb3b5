//! The templates in jobs/ and the files in examples/ are what they say they are.
//!
//! Goal: what an operator copies works. Here is what can be seen without the program: files parse, scripts are shell,
//! units are units, and the clauses on which safety rests stand where they must. What the scripts do: `job_scripts.rs`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use toml::Table;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` with that extension, from the top of the tree.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let below = path.strip_prefix(root()).expect("it is below the root");
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every job file that is shipped, parsed.
fn jobs() -> Vec<(String, Table)> {
    let examples = files("examples", "toml").into_iter();
    let paths = files("jobs", "toml")
        .into_iter()
        .chain(examples.filter(|path| path.contains("/jobs/")));
    paths
        .map(|path| {
            let table = read(&path).parse::<Table>();
            let table = table.unwrap_or_else(|error| panic!("{path}: {error}"));
            (path, table)
        })
        .collect()
}

/// Every script of a job: the step's name and the text.
fn scripts(job: &Table) -> Vec<(String, String)> {
    let steps = ["step", "cleanup"]
        .into_iter()
        .filter_map(|key| job.get(key)?.as_array());
    let scripts = steps.flatten().flat_map(|step| {
        let text = |key: &str| {
            step.get(key)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let name = text("name").unwrap_or_default();
        ["run", "ready"]
            .into_iter()
            .filter_map(text)
            .map(move |script| (name.clone(), script))
            .collect::<Vec<_>>()
    });
    scripts.collect()
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// Feeds `input` to a command; what it said when it did not succeed.
fn refused(command: &mut Command, input: &str) -> Option<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be started");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin
        .write_all(input.as_bytes())
        .expect("the command reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_jobs_that_people_look_for_are_shipped() {
    let names: Vec<String> = jobs().into_iter().map(|(path, _)| path).collect();
    for name in [
        "jobs/cassandra-backup.toml",
        "jobs/cassandra-compaction.toml",
        "jobs/cassandra-repair.toml",
        "jobs/log-rotation.toml",
        "jobs/os-patching.toml",
        "examples/quickstart/jobs/hello.toml",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is missing: {names:?}"
        );
    }
}

#[test]
fn every_file_of_settings_and_jobs_is_toml() {
    for path in files("jobs", "toml")
        .into_iter()
        .chain(files("examples", "toml"))
    {
        assert!(
            read(&path)
                .parse::<Table>()
                .is_ok_and(|table| !table.is_empty()),
            "{path}"
        );
    }
}

#[test]
fn every_database_job_counts_on_purpose() {
    for (path, job) in jobs()
        .into_iter()
        .filter(|(path, _)| path.contains("cassandra"))
    {
        let count = job.get("limits").and_then(|limits| limits.get("count"));
        assert!(
            count.is_some_and(toml::Value::is_array),
            "{path}: has no count"
        );
        let text = read(&path);
        let before = text.split("\ncount").next().unwrap_or_default();
        let comment: Vec<&str> = before
            .lines()
            .rev()
            .take_while(|line| line.starts_with('#'))
            .collect();
        assert!(
            comment.iter().any(|line| line.contains("on purpose")),
            "{path}: does not say why"
        );
    }
}

/// What a step finds in its environment besides the job's own `[env]`.
const STEP_VARIABLES: [&str; 11] = [
    "NODE", "NAME", "ADDRESS", "ZONE", "JOB", "TASK", "RUN", "CLAIM", "STEP", "ATTEMPT", "LAST",
];

#[test]
fn every_script_is_posix_shell_that_stops_at_errors_and_uses_only_what_is_set() {
    let shellcheck = is_there("shellcheck");
    let mut seen = 0;
    for (path, job) in jobs() {
        let own = job
            .get("env")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten();
        let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        names.extend(STEP_VARIABLES.map(|name| format!("ROUNDSMAN_{name}")));
        let set: Vec<String> = names
            .iter()
            .map(|name| format!("{name}=$0; export {name}"))
            .collect();
        for (name, script) in scripts(&job) {
            seen += 1;
            let whole = format!("#!/bin/sh\n{}\n{script}", set.join("\n"));
            assert_eq!(
                refused(Command::new("sh").arg("-n"), &whole),
                None,
                "{path}, {name}"
            );
            let lines = script.trim().lines().count();
            assert!(
                lines == 1 || script.trim_start().starts_with("set -eu\n"),
                "{path}, {name}: does not begin with `set -eu`"
            );
            if shellcheck {
                let mut command = Command::new("shellcheck");
                command.args(["--shell=sh", "--severity=style", "--exclude=SC2153", "-"]);
                assert_eq!(refused(&mut command, &whole), None, "{path}, {name}");
            }
        }
    }
    assert!(seen >= 12, "only {seen} scripts were seen");
}

/// Whether a statement allows an action.
fn allows(statement: &Value, action: &str) -> bool {
    match &statement["Action"] {
        Value::String(one) => one == action,
        Value::Array(all) => all.iter().any(|each| each == action),
        _ => false,
    }
}

/// What is wrong with the statements of a policy that let tags be written.
fn unguarded(policy: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    for action in ["ec2:CreateTags", "ec2:DeleteTags"] {
        let with: Vec<&Value> = statements
            .iter()
            .filter(|each| allows(each, action))
            .collect();
        if with.is_empty() {
            problems.push(format!("nothing allows {action}"));
        }
        for statement in with {
            let condition = &statement["Condition"];
            if condition["Null"]["aws:TagKeys"] != "false" {
                problems.push(format!(
                    "{action}: without Null, a call with no tags passes, and deletes all"
                ));
            }
            let keys = condition["ForAllValues:StringLike"]["aws:TagKeys"].as_array();
            if keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key == "*")) {
                problems.push(format!("{action}: for any key"));
            }
        }
    }
    for statement in &statements {
        let text = statement["Action"].to_string();
        if text.contains('*') {
            problems.push(format!("{text}: a wildcard action"));
        }
        if allows(statement, "ssm:SendCommand") && statement["Resource"] == "*" {
            problems.push("ssm:SendCommand: for any document and machine".to_owned());
        }
    }
    problems
}

#[test]
fn the_policy_cannot_delete_all_tags_nor_write_those_of_others() {
    let policy: Value =
        serde_json::from_str(&read("examples/iam/policy.json")).expect("it is JSON");
    assert_eq!(unguarded(&policy), [""; 0]);
    for (from, to) in [
        ("\"Null\": { \"aws:TagKeys\": \"false\" }", "\"Bool\": {}"),
        ("\"lock\", \"hold\", \"fail-*\"", "\"*\""),
        ("\"ec2:DeleteTags\"", "\"ec2:DescribeTags\""),
        ("\"ssm:CancelCommand\"", "\"ssm:*\""),
        (
            "\"arn:aws:ssm:*:111122223333:document/Roundsman-RunShellScript\"",
            "\"*\"",
        ),
    ] {
        let weaker = read("examples/iam/policy.json").replace(from, to);
        let weaker: Value = serde_json::from_str(&weaker).expect("it is JSON still");
        assert!(!unguarded(&weaker).is_empty(), "{from} makes no difference");
    }
}

#[test]
fn terraform_is_told_of_every_key_that_the_policy_lets_write() {
    let policy: Value =
        serde_json::from_str(&read("examples/iam/policy.json")).expect("it is JSON");
    let terraform = read("examples/terraform/ignore_tags.tf");
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let writing = statements
        .iter()
        .find(|each| allows(each, "ec2:CreateTags"));
    let keys = writing
        .and_then(|each| each["Condition"]["ForAllValues:StringLike"]["aws:TagKeys"].as_array());
    let keys = keys.expect("the policy names keys");
    assert_eq!(keys.len(), 6);
    for key in keys.iter().filter_map(Value::as_str) {
        let quoted = format!("\"{}\"", key.trim_end_matches('*'));
        assert!(terraform.contains(&quoted), "{quoted} is not ignored");
    }
}

#[test]
fn the_document_takes_the_two_parameters_that_are_sent() {
    let document = read("examples/iam/document.yaml");
    for line in [
        "schemaVersion: \"2.2\"",
        "  commands:",
        "    type: StringList",
        "  executionTimeout:",
        "  - action: aws:runShellScript",
        "      timeoutSeconds: \"{{ executionTimeout }}\"",
        "      runCommand: \"{{ commands }}\"",
    ] {
        assert!(
            document.lines().any(|found| found == line),
            "{line:?} is missing"
        );
    }
}

/// The units as systemd sees them, with something in the program's place that is surely there.
fn verified_units(folder: &Path, change: impl Fn(&str) -> String) -> Option<String> {
    let mut units = Vec::new();
    for path in files("examples/systemd", "service")
        .into_iter()
        .chain(files("examples/systemd", "timer"))
    {
        let text = read(&path)
            .replace("/usr/local/bin/roundsman", "/bin/true")
            .replace("/usr/bin/logger", "/bin/true");
        let unit = folder.join(Path::new(&path).file_name().expect("it has a name"));
        fs::write(&unit, change(&text)).expect("the unit can be written");
        units.push(unit);
    }
    assert_eq!(units.len(), 3);
    refused(
        Command::new("systemd-analyze").arg("verify").args(units),
        "",
    )
}

#[test]
fn the_units_say_what_their_safety_rests_on() {
    let service = read("examples/systemd/roundsman@.service");
    for line in [
        "Type=oneshot",
        "KillMode=process",
        "StateDirectory=roundsman",
        "OnFailure=roundsman-failed@%i.service",
        "SuccessExitStatus=10 11 12",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=5min",
    ] {
        assert!(service.lines().any(|found| found == line), "{line}");
    }
    // Its directory goes when the unit stops, under the feet of whatever a step left running.
    assert!(!service.lines().any(|line| line.starts_with("PrivateTmp=")));
    let timer = read("examples/systemd/roundsman@.timer");
    assert!(
        timer
            .lines()
            .any(|line| line.starts_with("RandomizedDelaySec="))
    );
}

#[test]
fn no_example_uses_or_promises_what_this_version_does_not_do() {
    let mut paths = vec!["examples/jenkins/Jenkinsfile".to_owned()];
    for extension in ["md", "yml", "service", "timer"] {
        paths.extend(files("examples", extension));
    }
    assert!(paths.len() >= 8, "only {paths:?} were seen");
    for path in paths {
        let text = read(&path);
        for word in ["--for ", "parks", "parked", "--ignore"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn systemd_takes_the_units() {
    if !is_there("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    assert_eq!(verified_units(folder.path(), str::to_owned), None);
    let broken = verified_units(folder.path(), |text| {
        text.replace("OnCalendar=*:0/15", "OnCalendar=often")
    });
    assert!(
        broken.is_some(),
        "systemd-analyze finds nothing wrong in a broken timer"
    );
}

#[test]
fn every_example_says_what_it_is() {
    let folders = fs::read_dir(root().join("examples")).expect("examples can be read");
    let mut seen = 0;
    for folder in folders
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
    {
        seen += 1;
        let text = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        assert!(
            text.starts_with("# "),
            "{} has no README.md",
            folder.display()
        );
    }
    assert!(seen >= 6, "only {seen} examples were seen");
}

#[test]
fn the_quickstart_has_three_nodes_and_keeps_its_store_beside_its_file() {
    let settings: Table = read("examples/quickstart/roundsman.toml")
        .parse()
        .expect("it is TOML");
    let local = &settings["provider"]["local"];
    assert_eq!(local["node"].as_array().map(Vec::len), Some(3));
    assert_eq!(local["store"].as_str(), Some("roundsman.db"));
    assert!(
        read("examples/quickstart/.gitignore")
            .lines()
            .any(|line| line == "/roundsman.db*")
    );
}
