//! KILL in every gap: the wrapper's commands are counted, and at the n-th one something is killed, for every n.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roundsman::model::id::ClaimId;
use roundsman::model::journal::State;
use roundsman::model::outcome::Outcome;
use roundsman::port::Order;
use tempfile::TempDir;

use crate::support::{Node, order, poll, tools};

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The shell that called the command; the command goes on.
    Caller,
    /// The whole process group, as SSM does it on cancel and time-out: the sender's, or the supervisor's, or the step's.
    Group,
    /// The command alone: before it does anything.
    Command,
}

const VICTIMS: [Victim; 3] = [Victim::Caller, Victim::Group, Victim::Command];

/// A folder of commands that count themselves, and kill at the n-th.
pub(crate) fn shims(dir: &Path, victim: Victim, at: usize) -> PathBuf {
    let (bin, counted) = (dir.join("bin"), dir.join("counted"));
    std::fs::create_dir_all(&counted).expect("made");
    std::fs::create_dir_all(&bin).expect("made");
    let kill = match victim {
        Victim::Caller => "kill -KILL \"$PPID\"",
        Victim::Group => "kill -KILL 0",
        Victim::Command => "kill -KILL \"$$\"",
    };
    for (tool, target) in tools() {
        let text = format!(
            "#!/bin/sh\nn=0\nread -r n 2>/dev/null <'{counted}.hint'\n\
             until n=$((n + 1)) && /bin/mkdir '{counted}/'\"$n\" 2>/dev/null; do\n\
             [ -d '{counted}' ] || exit 1\ndone\n\
             echo \"$n\" >'{counted}.hint'\n[ \"$n\" != {at} ] || {kill}\nexec {target} \"$@\"\n",
            counted = counted.display(),
            target = target.display()
        );
        let file = bin.join(tool);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    bin
}

/// A step that counts its executions, and sees another beside it.
fn step(dir: &Path, attempt: u32) -> Order {
    let dir = dir.display();
    Order {
        attempt,
        claim: ClaimId::new(2_000 + u64::from(attempt), 0),
        timeout: Duration::from_secs(8),
        ..order(&format!(
            "/bin/mkdir '{dir}/in' || echo x >>'{dir}/overlap'\necho x >>'{dir}/effects{attempt}'\n\
             /bin/sleep 0.05\n/bin/rmdir '{dir}/in'\n"
        ))
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// One send with a kill at command `at`; how many commands there were, and whether the kill came to pass.
fn case(shell: &'static [&'static str], victim: Victim, at: usize) -> usize {
    let node = Node {
        shell,
        dir: TempDir::new().expect("a directory"),
    };
    let dir = node.dir.path();
    let what = format!("{shell:?}, {victim:?} at command {at}");
    let first = step(dir, 1);
    let path = format!(
        "PATH='{}':/usr/bin:/bin\n{}",
        shims(dir, victim, at).display(),
        node.text(&first)
    );
    let mut child = node.start(&path);
    poll(&what, || child.try_wait().expect("a child"));
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // As the SSM agent does it by itself: once more. What runs is attached to, what has ended is answered for.
    let (code, judged) = node.run(&first);
    let effects = lines(&dir.join("effects1"));
    match judged.outcome {
        Outcome::Ok => assert_eq!((effects, code), (1, Some(0)), "{what}"),
        Outcome::Interrupted => assert!(effects <= 1 && code == Some(1), "{what}: {effects}"),
        other => panic!("{what}: {other} {judged:?}, first {said}"),
    }
    // What the first one was told holds, unless it was told nothing, or that nothing had begun.
    for state in ["ok", "interrupted", "failed", "timed-out"] {
        let told = said.contains(&format!(" state={state} "));
        assert!(
            !told || state == judged.outcome.label(),
            "{what}: {said}, then {judged:?}"
        );
    }
    let recorded = State::Ended {
        outcome: judged.outcome,
        status: judged.status,
    };
    assert_eq!(node.state_of(&first), Some(recorded), "{what}");
    // Nothing is left that would keep the next attempt out; and nothing of the first begins beside it.
    let (_, judged) = node.run(&step(dir, 2));
    assert_eq!(judged.outcome, Outcome::Ok, "{what}: {judged:?}");
    assert_eq!(lines(&dir.join("effects1")), effects, "{what}");
    assert_eq!(lines(&dir.join("effects2")), 1, "{what}");
    assert!(!dir.join("overlap").exists(), "{what}");
    let counted = std::fs::read_dir(dir.join("counted")).expect("there");
    counted.count()
}

/// Every command of a send, for every victim.
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever asks with --nocapture"
)]
fn every_gap(shell: &'static [&'static str]) {
    let all = case(shell, Victim::Command, 0);
    assert!((20..200).contains(&all), "{shell:?}: {all} commands");
    let kills = each_gap(all, |victim, at| case(shell, victim, at));
    println!("{shell:?}: {all} commands, {kills} kills");
}

/// Every victim at every one of so many commands, four at once; how many there were.
pub(crate) fn each_gap(commands: usize, case: impl Fn(Victim, usize) -> usize + Sync) -> usize {
    // A few more: a send that is killed somewhere may call others.
    let cases: Vec<(Victim, usize)> = VICTIMS
        .into_iter()
        .flat_map(|victim| (1..=commands + 2).map(move |at| (victim, at)))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((victim, at)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    case(*victim, *at);
                }
            });
        }
    });
    cases.len()
}

#[test]
fn killed_at_any_command_a_step_has_run_at_most_once_in_dash() {
    every_gap(&["sh"]);
}

#[test]
fn killed_at_any_command_a_step_has_run_at_most_once_in_bash() {
    every_gap(&["bash"]);
}
