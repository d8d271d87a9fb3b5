//! One shell, a state directory of its own, and the ways to send it an order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use roundsman::io::wrapper::{compose, compose_look, compose_stop, compose_stop_run};
use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::job::{Fence, On};
use roundsman::model::journal::{self, Journal, State};
use roundsman::model::node::Activity;
use roundsman::model::outcome::{Attempt, Delivery, Judged, Outcome, judge};
use roundsman::port::{Deed, Halt, Order};
use rustix::process::Pid;
use tempfile::TempDir;

const SHELLS: [&[&str]; 4] = [&["sh"], &["dash"], &["bash"], &["busybox", "sh"]];

/// One shell and a state directory of its own.
pub(crate) struct Node {
    pub(crate) shell: &'static [&'static str],
    pub(crate) dir: TempDir,
}

/// Runs `test` in every shell that is there; `sh` and `bash` have to be.
pub(crate) fn each_shell(test: impl Fn(&Node)) {
    for shell in SHELLS {
        let found = std::process::Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", "exit 0"])
            .status()
            .is_ok();
        assert!(
            found || !["sh", "bash"].contains(&shell[0]),
            "{shell:?} is missing"
        );
        if found {
            let dir = TempDir::new().expect("a directory");
            test(&Node { shell, dir });
        }
    }
}

pub(crate) fn order(script: &str) -> Order {
    Order {
        job: Name::new("repair").expect("a name"),
        run: RunId::new(1_000, 1),
        claim: ClaimId::new(2_000, 2),
        step: 3,
        attempt: 1,
        on: On::Node,
        deed: Deed::Run,
        script: script.to_owned(),
        env: BTreeMap::new(),
        timeout: Duration::from_secs(60),
        not_after: jiff::Timestamp::MAX,
        fence: Fence::On,
    }
}

pub(crate) fn attempt(order: &Order) -> Attempt {
    Attempt {
        run: order.run,
        claim: order.claim,
        step: order.step,
        number: order.attempt,
    }
}

impl Node {
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state dir's")
    }

    pub(crate) fn attempt_dir(&self, order: &Order) -> PathBuf {
        self.state().join(format!(
            "attempts/{}.{}.{}",
            order.run, order.step, order.attempt
        ))
    }

    pub(crate) fn text(&self, order: &Order) -> String {
        compose(order, self.state().to_str().expect("UTF-8")).expect("small enough")
    }

    pub(crate) fn stop_text(&self, order: &Order) -> String {
        let state = self.state();
        compose_stop(
            &order.command(Activity::InProgress),
            state.to_str().expect("UTF-8"),
        )
    }

    /// Ends what the orders of these tests have under way.
    pub(crate) fn stop_run_text(&self, claim: ClaimId) -> String {
        let Order { job, run, .. } = order("");
        let halt = Halt {
            job,
            run,
            claim,
            steps: u32::MAX,
        };
        compose_stop_run(&halt, self.state().to_str().expect("UTF-8"))
    }

    /// The node's journal, by `look`.
    pub(crate) fn journal(&self) -> Journal {
        self.journal_under("")
    }

    /// The same on a node of which `own` says what is different there.
    pub(crate) fn journal_under(&self, own: &str) -> Journal {
        let text = compose_look(Timestamp::UNIX_EPOCH, self.state().to_str().expect("UTF-8"));
        let output = self.run_text(&format!("{own}{text}"));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        journal::read(&text).unwrap_or_else(|| panic!("{:?}: no journal: {text}", self.shell))
    }

    /// What the journal has of an attempt.
    pub(crate) fn state_of(&self, order: &Order) -> Option<State> {
        let key = (order.run, order.step, order.attempt);
        let journal = self.journal();
        let entry = journal
            .attempts
            .iter()
            .find(|each| (each.run, each.step, each.attempt) == key)?;
        Some(entry.state)
    }

    /// Starts an order, and comes back when its step has begun.
    pub(crate) fn begin(&self, order: &Order) -> (Child, Pid) {
        let child = self.start(&self.text(order));
        let group = self.attempt_dir(order).join("group");
        (child, poll("the step", || pid_in(&group)))
    }

    /// Tells the node to end an attempt, or all; `(ended, lives, exit status)`.
    pub(crate) fn stop(&self, text: &str) -> (u32, u32, Option<i32>) {
        let output = self.run_text(text);
        let line = String::from_utf8(output.stdout).expect("UTF-8");
        let field = |key: &str| {
            let at = line.split(key).nth(1).unwrap_or_else(|| panic!("{line}"));
            let number = at.split_whitespace().next().expect("a number");
            number.parse().expect("a number")
        };
        (field("ended="), field("lives="), output.status.code())
    }

    /// Starts a text as a transport would, in a process group of its own.
    pub(crate) fn start(&self, text: &str) -> Child {
        let mut child = std::process::Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("starts");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(text.as_bytes())
            .expect("written");
        child
    }

    pub(crate) fn run_text(&self, text: &str) -> Output {
        self.start(text).wait_with_output().expect("ends")
    }

    pub(crate) fn run(&self, order: &Order) -> (Option<i32>, Judged) {
        self.judged(order, &self.run_text(&self.text(order)))
    }

    pub(crate) fn judged(&self, order: &Order, output: &Output) -> (Option<i32>, Judged) {
        let delivery = Delivery::Ended {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let judged = judge(&delivery, On::Node, attempt(order));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).is_empty(),
            judged.outcome != Outcome::Unknown,
            "{:?}: only without a result line is there a complaint: {delivery:?}",
            self.shell
        );
        (output.status.code(), judged)
    }

    pub(crate) fn expect(
        &self,
        order: &Order,
        exit: i32,
        outcome: Outcome,
        status: Option<i32>,
    ) -> String {
        let (code, judged) = self.run(order);
        assert_eq!(
            (code, judged.outcome, judged.status),
            (Some(exit), outcome, status),
            "{:?}: {judged:?}",
            self.shell
        );
        judged.output
    }
}

/// Polls until `found` finds something, for ten seconds.
pub(crate) fn poll<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(it) = found() {
            return it;
        }
        std::process::Command::new("sleep")
            .arg("0.01")
            .status()
            .expect("sleep");
    }
    panic!("waited in vain for {what}");
}

pub(crate) fn pid_in(path: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(path).ok()?;
    Pid::from_raw(text.split_whitespace().next()?.parse().ok()?)
}

pub(crate) fn alive(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// All that the wrapper calls, and where it is here.
pub(crate) fn tools() -> Vec<(&'static str, PathBuf)> {
    let names = [
        "base64",
        "cat",
        "chmod",
        "date",
        "env",
        "find",
        "flock",
        "mkdir",
        "mv",
        "rm",
        "sed",
        "setsid",
        "sh",
        "sha256sum",
        "sleep",
        "sync",
        "tail",
    ];
    let place = |name: &'static str| {
        let found = std::process::Command::new("sh")
            .args(["-c", &format!("command -v {name}")])
            .output();
        let path = String::from_utf8(found.expect("sh").stdout).expect("UTF-8");
        assert!(!path.trim().is_empty(), "this machine has no {name}");
        (name, PathBuf::from(path.trim_end()))
    };
    names.map(place).into()
}
