//! What the scripts in jobs/ do, against stand-ins for the programs that they call.
//!
//! Goal: the judgements in them are right (when to refuse, when to wait), words with spaces stay one word, and running
//! one twice does no harm. Method: each script runs in `sh` with a PATH on which `nodetool`, `aws` and so on are small
//! scripts that print what the test says and note how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use toml::Table;

/// A machine of stand-ins, and the job whose scripts run on it.
struct Machine {
    folder: TempDir,
    job: Table,
}

impl Machine {
    fn for_job(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("jobs")
            .join(name);
        let text = fs::read_to_string(path).expect("the job file is there");
        let machine = Self {
            folder: tempfile::tempdir().expect("a directory"),
            job: text.parse().expect("it is TOML"),
        };
        fs::create_dir(machine.path("bin")).expect("a directory for programs");
        machine.program("sleep", "");
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Puts a program on the PATH that notes its arguments, one call a line, and then does what `body` says.
    fn program(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        let log = self.path("calls");
        let text = format!(
            "#!/bin/sh\nprintf '%s' {name} >>'{0}'\nfor each in \"$@\"; do printf ' [%s]' \"$each\" >>'{0}'; done\necho >>'{0}'\n{body}\n",
            log.display()
        );
        fs::write(&path, text).expect("the program can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("and made to run");
    }

    /// How the programs were called, without the sleeping.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines()
            .filter(|line| !line.starts_with("sleep"))
            .map(str::to_owned)
            .collect()
    }

    /// Runs the script of a step or clean-up step with the job's environment, some of it replaced.
    fn run(&self, step: &str, env: &[(&str, &str)]) -> Output {
        let steps = ["step", "cleanup"]
            .into_iter()
            .filter_map(|key| self.job.get(key)?.as_array());
        let script = steps
            .flatten()
            .find(|each| each["name"].as_str() == Some(step));
        let script = script
            .and_then(|each| each["run"].as_str())
            .expect("the step has a script");
        let own = self
            .job
            .get("env")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten();
        let own = own.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("bin").display()),
            )
            .env("ROUNDSMAN_NODE", "i-0abc")
            .env("ROUNDSMAN_RUN", "01RUN")
            .envs(own)
            .envs(env.iter().copied())
            .output()
            .expect("sh can be started")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const QUIET_POOLS: &str = "\
Pool Name                         Active   Pending      Completed   Blocked  All time blocked
ReadStage                              1         0         104923         0                 0
AntiEntropyStage                       0         0           2331         0                 0
ValidationExecutor                     0         0             12         0                 0
Repair-Task                            0         0              1         0                 0

Message type           Dropped
READ_REPAIR                  7
REPAIR_RSP                   7
";

const QUIET_NET: &str = "\
Mode: NORMAL
Not sending any streams.
Read Repair Statistics:
Attempted: 3
Repair of nothing
";

fn repairs(pools: &str, net: &str) -> Output {
    let machine = Machine::for_job("cassandra-repair.toml");
    fs::write(machine.path("pools"), pools).expect("written");
    fs::write(machine.path("net"), net).expect("written");
    let at = machine.folder.path().display();
    machine.program(
        "nodetool",
        &format!(
            "case $1 in tpstats) cat '{at}/pools' ;; netstats) cat '{at}/net' ;; *) exit 9 ;; esac"
        ),
    );
    machine.run("nothing-repairs-yet", &[])
}

#[test]
fn a_repair_begins_on_a_quiet_node() {
    let output = repairs(QUIET_POOLS, QUIET_NET);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_repair_is_refused_while_the_server_still_repairs() {
    let coordinating = format!(
        "{QUIET_POOLS}Repair#4                               0         0              2         0                 0\n"
    );
    let validating = QUIET_POOLS.replace(
        "ValidationExecutor                     0",
        "ValidationExecutor                     1",
    );
    let taking_part = QUIET_POOLS.replace(
        "AntiEntropyStage                       0         0",
        "AntiEntropyStage                       0         3",
    );
    let streaming =
        format!("{QUIET_NET}Repair 7d2c0a50-a1f0-11ee-b7a5-0242ac110002\n    /10.0.0.12\n");
    for (pools, net, shown) in [
        (coordinating.as_str(), QUIET_NET, "Repair#4"),
        (&validating, QUIET_NET, "ValidationExecutor"),
        (&taking_part, QUIET_NET, "AntiEntropyStage"),
        (QUIET_POOLS, &streaming, "Repair 7d2c0a50"),
        (
            QUIET_POOLS,
            &QUIET_NET.replace("NORMAL", "JOINING"),
            "mode JOINING",
        ),
        (QUIET_POOLS, "", "mode unknown"),
    ] {
        let output = repairs(pools, net);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(
            said(&output).contains("refused") && said(&output).contains(shown),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn a_repair_is_refused_when_the_server_does_not_answer() {
    let machine = Machine::for_job("cassandra-repair.toml");
    machine.program("nodetool", "echo 'Connection refused' >&2; exit 1");
    assert!(!machine.run("nothing-repairs-yet", &[]).status.success());
}

#[test]
fn a_keyspace_with_odd_letters_stays_one_word() {
    let machine = Machine::for_job("cassandra-repair.toml");
    machine.program("nodetool", "");
    let output = machine.run("repair", &[("KEYSPACE", "odd $(touch x) 'name")]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        machine.calls(),
        ["nodetool [repair] [--full] [--partitioner-range] [--] [odd $(touch x) 'name]"]
    );
}

#[test]
fn compaction_asks_for_room_for_a_copy() {
    for (free, fits) in [("1000", true), ("999", false)] {
        let machine = Machine::for_job("cassandra-compaction.toml");
        machine.program("du", "printf '1000\\t/data/orders\\n'");
        machine.program("df", &format!("echo 'Filesystem 1024-blocks Used Available Capacity Mounted'; echo '/dev/x 9000 8000 {free} 89% /data'"));
        let output = machine.run("room-for-a-copy", &[]);
        assert_eq!(output.status.success(), fits, "{free}: {}", said(&output));
        assert_eq!(said(&output).contains("refused"), !fits);
    }
}

/// A node with snapshots of two tables, one older snapshot, and an S3 that fails where `fails` says.
fn backup(fails: &str) -> (Machine, String) {
    let machine = Machine::for_job("cassandra-backup.toml");
    let data = machine.path("da ta");
    for below in [
        "t1-aa/snapshots/roundsman-backup",
        "t2-bb/snapshots/roundsman-backup",
        "t2-bb/snapshots/older",
        "t3-cc/backups",
    ] {
        fs::create_dir_all(data.join("orders").join(below)).expect("a directory");
    }
    machine.program(
        "aws",
        &format!("cat >/dev/null </dev/null; case \"$*\" in {fails}) exit 1 ;; esac"),
    );
    (machine, data.to_string_lossy().into_owned())
}

#[test]
fn a_backup_is_complete_only_when_every_table_is_there() {
    let (machine, data) = backup("nothing");
    let env = [("DATA", data.as_str())];
    let target = "s3://example-cassandra-backups/orders/i-0abc/01RUN";
    let sync = |table: &str| {
        format!(
            "aws [s3] [sync] [--only-show-errors] [--no-follow-symlinks] [{data}/orders/{table}/snapshots/roundsman-backup] [{target}/{table}]"
        )
    };
    let complete = format!("aws [s3] [cp] [--only-show-errors] [-] [{target}/COMPLETE]");
    let once = [sync("t1-aa"), sync("t2-bb"), complete];
    let output = machine.run("upload", &env);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.calls(), once);
    assert!(
        machine.run("upload", &env).status.success(),
        "the second time too"
    );
    assert_eq!(machine.calls(), [once.clone(), once].concat());
}

#[test]
fn a_backup_that_is_not_whole_is_not_called_complete() {
    let (machine, data) = backup("*t2-bb*");
    assert!(!machine.run("upload", &[("DATA", &data)]).status.success());
    assert!(!machine.calls().iter().any(|call| call.contains("COMPLETE")));
    let (machine, data) = backup("nothing");
    let output = machine.run("upload", &[("DATA", &data), ("SNAPSHOT", "none")]);
    assert!(
        !output.status.success() && said(&output).contains("no snapshot none"),
        "{}",
        said(&output)
    );
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn a_snapshot_replaces_what_an_earlier_run_has_left() {
    let machine = Machine::for_job("cassandra-backup.toml");
    machine.program("nodetool", "");
    assert!(machine.run("snapshot", &[]).status.success());
    let clear = "nodetool [clearsnapshot] [-t] [roundsman-backup] [--] [orders]";
    assert_eq!(
        machine.calls(),
        [
            clear,
            "nodetool [snapshot] [-t] [roundsman-backup] [--] [orders]"
        ]
    );
    assert!(machine.run("clear-snapshot", &[]).status.success());
    assert_eq!(machine.calls().last().map(String::as_str), Some(clear));
}

/// A `nodetool` that gives the answers of `rounds` in turn, one for each look at the ring, and then the last for ever.
fn ring(machine: &Machine, rounds: &[&str]) {
    let at = machine.folder.path().display();
    for (round, text) in rounds.iter().enumerate() {
        fs::write(machine.path(&format!("ring-{round}")), text).expect("written");
    }
    let last = rounds.len() - 1;
    machine.program(
        "nodetool",
        &format!(
            "case $1 in statusbinary) echo running ;; status)\n\
             n=$(cat '{at}/n' 2>/dev/null || echo 0); [ \"$n\" -ge {last} ] || echo $((n + 1)) >'{at}/n'\n\
             cat \"{at}/ring-$n\" ;; esac"
        ),
    );
}

#[test]
fn green_waits_until_every_node_of_the_ring_is_up_and_normal() {
    let head = "Datacenter: eu-west\n===================\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n--  Address    Load\n";
    let ring_of = |states: [&str; 2]| {
        format!(
            "{head}{}  10.0.0.1  1 GiB\n{}  10.0.0.2  1 GiB\n",
            states[0], states[1]
        )
    };
    let machine = Machine::for_job("os-patching.toml");
    let rounds = [
        String::new(),
        head.to_owned(),
        ring_of(["UN", "DN"]),
        ring_of(["UJ", "UN"]),
        ring_of(["UN", "UN"]),
    ];
    ring(&machine, &rounds.each_ref().map(String::as_str));
    let output = machine.run("green", &[]);
    assert!(output.status.success(), "{}", said(&output));
    let looks = machine
        .calls()
        .iter()
        .filter(|call| *call == "nodetool [status]")
        .count();
    assert_eq!(
        looks,
        rounds.len() + 1,
        "one for each answer, and one to show the last"
    );
}

/// Runs `undrain` on a node in that mode; what was asked of systemd.
fn undrained(mode: &str) -> Vec<String> {
    let machine = Machine::for_job("os-patching.toml");
    fs::write(machine.path("mode"), mode).expect("written");
    let at = machine.folder.path().display();
    machine.program(
        "nodetool",
        &format!("[ -s '{at}/mode' ] || exit 1; case $1 in netstats) echo \"Mode: $(cat '{at}/mode')\" ;; statusbinary) echo running ;; esac"),
    );
    machine.program("systemctl", &format!("echo NORMAL >'{at}/mode'"));
    let output = machine.run("undrain", &[]);
    assert!(output.status.success(), "{mode}: {}", said(&output));
    machine
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("systemctl"))
        .collect()
}

#[test]
fn undrain_touches_only_a_node_that_does_not_serve() {
    assert_eq!(undrained("NORMAL"), [""; 0]);
    assert_eq!(undrained("DRAINED"), ["systemctl [restart] [cassandra]"]);
    assert_eq!(undrained(""), ["systemctl [start] [cassandra]"]);
}
