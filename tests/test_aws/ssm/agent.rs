//! The agents: each command is run by `sh` on this machine, in its node's folder, as the agent does it.
//!
//! Like the real one it starts the script as the leader of a process group, and kills that group on cancel and
//! time-out; what has left the group lives on. A script that exits 194 reboots its node and runs again, up to 15 times
//! (SSM user guide, "Rebooting a managed node from scripts").

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::Stage;
use crate::test_aws::fault::Mode;
use crate::test_aws::signal;
use crate::test_aws::state::{Shared, now};

/// Commands that run on a node at once (the agent's `CommandWorkersLimit`).
const WORKERS: usize = 5;
/// How often a script may ask for a reboot by its exit status, and that status.
const REBOOTS: usize = 15;
const REBOOT: i32 = 194;
/// Between two looks at a process, and between two attempts at a delivery.
const LOOK: Duration = Duration::from_millis(10);
/// What stands for the node's own in a script, under the node's folder.
const PLACES: [(&str, &str); 2] = [
    ("/var/lib/roundsman", "state"),
    ("/proc/sys/kernel/random/boot_id", "boot_id"),
];
/// What reboots a node, in a script; and the file by which it does so here.
const REBOOTS_BY: &str = "systemctl reboot || reboot || shutdown -r now";
const REBOOT_FILE: &str = "reboot";

/// A command on its way to a node.
pub(super) struct Delivery {
    pub(super) command: String,
    pub(super) node: String,
    pub(super) late: Duration,
    pub(super) mode: Option<Mode>,
    pub(super) seconds: Duration,
}

/// What is to be run.
struct Work {
    text: String,
    limit: Duration,
    delivery: Duration,
    patience: Duration,
}

impl Delivery {
    pub(super) fn run(&self, shared: &Shared) {
        let begun = now();
        if self.mode == Some(Mode::Undeliverable) {
            self.end(shared, Stage::Undeliverable, -1);
            return;
        }
        if !shared.pause(self.late) {
            return;
        }
        let Some(work) = self.work(shared) else {
            return;
        };
        if !self.arrives(shared, &work, begun) {
            return;
        }
        if self.mode == Some(Mode::DeliveredTwice) {
            let (shared, text, node) = (shared.clone(), work.text.clone(), self.node.clone());
            let folder = self.folder(&shared, "again");
            shared.clone().later(self.seconds, move |_| {
                // Nobody listens to it, as nobody listens to the second answer of the real one.
                if let Ok(mut child) = start(&shared, &node, &folder, &text) {
                    let _ = child.wait();
                }
            });
        }
        for run in 0..=REBOOTS {
            let folder = self.folder(shared, &run.to_string());
            let child = match start(shared, &self.node, &folder, &work.text) {
                Ok(child) => child,
                Err(error) => {
                    self.told(shared, String::new(), error.to_string());
                    self.end(shared, Stage::Failed, 1);
                    return;
                }
            };
            if self.mode == Some(Mode::Lost) {
                self.end(shared, Stage::DeliveryTimedOut, -1);
            }
            let Some(code) = self.watch(shared, &work, child, begun) else {
                return;
            };
            if code == REBOOT && run < REBOOTS {
                reboot(shared, &self.node);
                continue;
            }
            self.told(shared, read(&folder, "stdout"), read(&folder, "stderr"));
            let stage = if code == 0 {
                Stage::Success
            } else {
                Stage::Failed
            };
            self.report(shared, &work, begun, stage, code);
            return;
        }
    }

    fn work(&self, shared: &Shared) -> Option<Work> {
        let state = shared.state();
        let command = state.commands.get(&self.command, state.time())?;
        let mut text = command.text.clone();
        for (place, name) in PLACES {
            let own = shared.home(&self.node).join(name);
            text = text.replace(place, &own.display().to_string());
        }
        let file = shared.home(&self.node).join(REBOOT_FILE);
        text = text.replace(REBOOTS_BY, &format!("echo x >{}", file.display()));
        let limit = Duration::from_secs(command.execution);
        Some(Work {
            text,
            limit: if self.mode == Some(Mode::TimesOut) {
                self.seconds
            } else {
                limit
            },
            delivery: Duration::from_secs(command.delivery),
            patience: command.patience(),
        })
    }

    /// Waits until the agent takes the command; `false`: it will not.
    fn arrives(&self, shared: &Shared, work: &Work, begun: Instant) -> bool {
        loop {
            {
                let mut state = shared.state();
                let at = state.time();
                let online = self.mode != Some(Mode::Vanished) && self.is_online(&state);
                let free = state.commands.running(&self.node) < WORKERS;
                let Some(it) = state.commands.invocation(&self.command, &self.node) else {
                    return false;
                };
                if it.stage.is_over() {
                    return false;
                }
                if online && free {
                    it.stage = Stage::InProgress;
                    it.started = Some(at);
                    return true;
                }
                if now().duration_since(begun) > work.delivery {
                    it.end(Stage::DeliveryTimedOut, -1, at);
                    return false;
                }
            }
            if !shared.pause(LOOK) {
                return false;
            }
        }
    }

    fn is_online(&self, state: &crate::test_aws::state::State) -> bool {
        let instance = state.fleet.get(&self.node);
        instance.is_some_and(|it| it.agent.as_deref() == Some("Online") && it.state == "running")
    }

    /// Waits for a process to end; `None`: it was killed, because of a cancel, a time-out, or the end of all.
    fn watch(&self, shared: &Shared, work: &Work, mut child: Child, begun: Instant) -> Option<i32> {
        let started = now();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                // What a signal ended has no status of its own: the agent says -1.
                return Some(status.code().unwrap_or(-1));
            }
            let over = now().duration_since(started) > work.limit;
            let stage = {
                let mut state = shared.state();
                let it = state.commands.invocation(&self.command, &self.node);
                it.map(|it| it.stage)
            };
            let cancelled = stage == Some(Stage::Cancelled);
            if over || cancelled || !shared.pause(LOOK) {
                signal::kill_group(child.id());
                let _ = child.wait();
                if over {
                    self.report(shared, work, begun, Stage::ExecutionTimedOut, 137);
                }
                return None;
            }
        }
    }

    /// Tells how it ended, once the agent can; at the sum of both time-outs SSM stops waiting for that.
    fn report(&self, shared: &Shared, work: &Work, begun: Instant, stage: Stage, code: i32) {
        loop {
            let online = self.is_online(&shared.state());
            if online {
                self.end(shared, stage, code);
                return;
            }
            if now().duration_since(begun) > work.patience {
                self.end(shared, Stage::DeliveryTimedOut, -1);
                return;
            }
            if !shared.pause(LOOK) {
                return;
            }
        }
    }

    fn told(&self, shared: &Shared, stdout: String, stderr: String) {
        if let Some(it) = shared
            .state()
            .commands
            .invocation(&self.command, &self.node)
        {
            (it.stdout, it.stderr) = (stdout, stderr);
        }
    }

    fn end(&self, shared: &Shared, stage: Stage, code: i32) {
        let mut state = shared.state();
        let at = state.time();
        if let Some(it) = state.commands.invocation(&self.command, &self.node) {
            it.end(stage, code, at);
        }
    }

    fn folder(&self, shared: &Shared, run: &str) -> PathBuf {
        let home = shared.home(&self.node);
        home.join("commands").join(&self.command).join(run)
    }
}

/// Starts a script in a folder of its own, as the leader of a process group.
fn start(shared: &Shared, node: &str, folder: &Path, text: &str) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let home = shared.home(node);
    fs::create_dir_all(folder)?;
    if !home.join("boot_id").exists() {
        new_boot(shared, node)?;
    }
    fs::write(folder.join("_script.sh"), format!("{text}\n"))?;
    let asks = home.join(REBOOT_FILE);
    if text.contains(&asks.display().to_string()) {
        reboots_when(shared, node.to_owned(), asks);
    }
    let (name, mark) = shared.mark(node);
    Command::new("sh")
        .arg(folder.join("_script.sh"))
        .current_dir(folder)
        .env_clear()
        .env("PATH", path())
        .env("HOME", &home)
        // The answer has a shorter way here.
        .env("rs_delay", "1")
        .env(name, mark)
        .stdin(Stdio::null())
        .stdout(File::create(folder.join("stdout"))?)
        .stderr(File::create(folder.join("stderr"))?)
        .process_group(0)
        .spawn()
}

#[expect(clippy::disallowed_methods, reason = "nodes have this machine's tools")]
fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn new_boot(shared: &Shared, node: &str) -> std::io::Result<()> {
    let boot = shared.state().names.uuid();
    fs::write(shared.home(node).join("boot_id"), format!("{boot}\n"))
}

/// Reboots a node: all that runs there is killed, and it has another boot id.
pub(crate) fn reboot(shared: &Shared, node: &str) {
    let (name, mark) = shared.mark(node);
    signal::kill_marked(&format!("{name}={mark}"));
    // A node on which nothing has run yet has no folder, and no boot id that could change.
    let _ = new_boot(shared, node);
}

/// Reboots a node as soon as that file is there.
fn reboots_when(shared: &Shared, node: String, asks: PathBuf) {
    shared.later(LOOK, move |shared| {
        // Of several who look, the one that takes it away.
        if fs::remove_file(&asks).is_ok() {
            reboot(shared, &node);
        } else {
            reboots_when(shared, node, asks);
        }
    });
}

fn read(folder: &Path, name: &str) -> String {
    let bytes = fs::read(folder.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
