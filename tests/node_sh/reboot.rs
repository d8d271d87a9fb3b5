//! Steps that reboot the node. What reboots here is the test's own: a boot id in a file, and a command that changes it.

use std::process::Output;
use std::time::Duration;

use roundsman::model::id::ClaimId;
use roundsman::model::journal::State;
use roundsman::model::outcome::Outcome;
use roundsman::port::{Deed, Order};
use rustix::process::{Signal, kill_process, kill_process_group};

use crate::gaps::{Victim, each_gap, shims};
use crate::support::{Node, alive, each_shell, order, pid_in, poll};

/// Reboots like this machine would: all that runs there is gone, and there is another boot id.
const GOES_DOWN: &str = "echo x >>reboots; wc -l <reboots >boot; kill -KILL \"$PPID\"";

/// The same, when it is let.
const WAITS: &str = "while [ -e boot ] && ! [ -e go ]; do sleep 0.1; done; echo x >>reboots; wc -l <reboots >boot; kill -KILL \"$PPID\"";

fn reboot(ready: &str) -> Order {
    Order {
        deed: Deed::Reboot { begun: false },
        ..order(ready)
    }
}

fn again(order: &Order) -> Order {
    Order {
        deed: Deed::Reboot { begun: true },
        ..order.clone()
    }
}

/// How often the node has rebooted.
fn reboots(node: &Node) -> usize {
    let text = std::fs::read_to_string(node.dir.path().join("reboots")).unwrap_or_default();
    text.lines().count()
}

/// A send to a node that reboots by this command, after so many seconds.
fn text(node: &Node, order: &Order, by: &str, delay: u32) -> String {
    let dir = node.dir.path().display().to_string();
    format!(
        "rs_delay={delay}; export rs_delay\n{}{}",
        own(&dir, by),
        node.text(order)
    )
}

fn own(dir: &str, by: &str) -> String {
    format!(
        "rs_boot_file='{dir}/boot' rs_reboot_by='cd \"{dir}\" || exit; {by}'\nexport rs_boot_file rs_reboot_by\n\
         [ -e '{dir}/boot' ] || echo 0 >'{dir}/boot'\n"
    )
}

fn send(node: &Node, order: &Order, by: &str) -> (Option<i32>, Outcome, String) {
    said(node, order, &node.run_text(&text(node, order, by, 0)))
}

fn said(node: &Node, order: &Order, output: &Output) -> (Option<i32>, Outcome, String) {
    let (code, judged) = node.judged(order, output);
    (code, judged.outcome, judged.output)
}

/// Waits until the node has gone down so often.
fn down(node: &Node, times: usize) {
    poll("the reboot", || (reboots(node) == times).then_some(()));
    let boot = node.dir.path().join("boot");
    poll("the boot", || {
        let text = std::fs::read_to_string(&boot).ok()?;
        (text.trim() == times.to_string()).then_some(())
    });
}

const REBOOTING: (Option<i32>, Outcome, &str) = (Some(0), Outcome::Rebooting, "");

fn is(said: &(Option<i32>, Outcome, String), expected: (Option<i32>, Outcome, &str)) {
    assert_eq!((said.0, said.1, said.2.as_str()), expected);
}

#[test]
fn a_node_answers_reboots_once_and_says_when_it_is_ready() {
    each_shell(|node| {
        let step = reboot("echo ready; test \"$(cat \"$B\")\" = 1");
        let boot = node.dir.path().join("boot").display().to_string();
        let step = Order {
            env: [("B".to_owned(), boot)].into(),
            ..step
        };
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        let (code, outcome, output) = send(node, &again(&step), GOES_DOWN);
        assert_eq!((code, outcome), (Some(0), Outcome::Ok), "{output}");
        assert_eq!(output, "ready\n");
        // Sent once more, whoever does it, and as if for the first time.
        for order in [step.clone(), again(&step)] {
            is(
                &send(node, &order, GOES_DOWN),
                (Some(0), Outcome::Ok, "ready\n"),
            );
        }
        assert_eq!(reboots(node), 1, "{:?}", node.shell);
    });
}

#[test]
fn a_reboot_without_ready_is_done_when_the_boot_id_is_another() {
    each_shell(|node| {
        let step = reboot("");
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        is(&send(node, &step, GOES_DOWN), (Some(0), Outcome::Ok, ""));
        assert_eq!(reboots(node), 1);
    });
}

#[test]
fn until_it_is_down_every_send_is_told_that_it_reboots_and_the_journal_that_it_runs() {
    each_shell(|node| {
        let step = reboot("true");
        is(&send(node, &step, WAITS), REBOOTING);
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        let dir = node.dir.path().display().to_string();
        assert_eq!(
            state_under(node, &own(&dir, GOES_DOWN), &step),
            Some(State::Running)
        );
        // Nothing else begins on a node that is about to go down.
        let other = Order {
            step: 4,
            ..order("true")
        };
        let refused = send(node, &other, GOES_DOWN);
        assert_eq!((refused.0, refused.1), (Some(75), Outcome::Busy));
        assert_eq!(reboots(node), 0, "the answers came before the reboot");
        std::fs::write(node.dir.path().join("go"), "").expect("written");
        down(node, 1);
        let state = state_under(node, &own(&dir, GOES_DOWN), &step);
        assert_eq!(
            state,
            Some(State::Ended {
                outcome: Outcome::Rebooting,
                status: None
            })
        );
        is(&send(node, &step, GOES_DOWN), (Some(0), Outcome::Ok, ""));
        assert_eq!(reboots(node), 1);
    });
}

/// What the journal has of an attempt, on the test's own boot.
fn state_under(node: &Node, own: &str, step: &Order) -> Option<State> {
    let key = (step.run, step.step, step.attempt);
    let journal = node.journal_under(own);
    let entry = journal
        .attempts
        .iter()
        .find(|each| (each.run, each.step, each.attempt) == key)?;
    Some(entry.state)
}

#[test]
fn ready_is_tried_until_it_succeeds() {
    each_shell(|node| {
        let tries = node.dir.path().join("tries");
        let step = reboot(&format!(
            "echo x >>'{0}'; echo try; test \"$(wc -l <'{0}')\" -ge 2",
            tries.display()
        ));
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        is(
            &send(node, &step, GOES_DOWN),
            (Some(0), Outcome::Ok, "try\n"),
        );
        let tried = std::fs::read_to_string(&tries).expect("tried");
        assert_eq!(tried.lines().count(), 2);
    });
}

#[test]
fn a_node_that_is_not_ready_in_time_is_not_back() {
    each_shell(|node| {
        let step = Order {
            timeout: Duration::from_secs(2),
            ..reboot("echo not yet; sleep 300")
        };
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        let not_back = (Some(1), Outcome::NotBack, "not yet\n");
        is(&send(node, &step, GOES_DOWN), not_back);
        is(&send(node, &step, GOES_DOWN), not_back);
        let group = pid_in(&node.attempt_dir(&step).join("group")).expect("a pid");
        assert!(!alive(group), "what says that it is ready is ended");
    });
}

#[test]
fn a_reboot_that_the_node_refuses_has_failed_and_one_that_does_not_come_is_not_back() {
    each_shell(|node| {
        let step = reboot("true");
        // It may be refused before the first send has told that it begins.
        send(node, &step, "echo no >&2; exit 4");
        let result = node.attempt_dir(&step).join("result");
        poll("the result", || result.exists().then_some(()));
        let (code, outcome, output) = send(node, &step, GOES_DOWN);
        assert_eq!((code, outcome), (Some(1), Outcome::Failed));
        assert_eq!(output, "no\n");

        let step = Order {
            attempt: 2,
            timeout: Duration::from_secs(1),
            ..reboot("true")
        };
        is(&send(node, &step, "true"), REBOOTING);
        let result = node.attempt_dir(&step).join("result");
        poll("the result", || result.exists().then_some(()));
        let (_, outcome, output) = send(node, &step, GOES_DOWN);
        assert_eq!(outcome, Outcome::NotBack);
        assert!(output.contains("has not"), "{output}");
        assert_eq!(reboots(node), 0);
    });
}

#[test]
fn whatever_is_killed_there_is_one_reboot_and_ready_is_asked_again() {
    each_shell(|node| {
        let step = reboot("echo begun; sleep \"$(cat \"$FOR\")\"");
        let seconds = node.dir.path().join("for");
        std::fs::write(&seconds, "300\n").expect("written");
        let step = Order {
            env: [("FOR".to_owned(), seconds.display().to_string())].into(),
            ..step
        };
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        // The supervisor of `ready` is killed, and then what it has started.
        let attached = node.start(&text(node, &again(&step), GOES_DOWN, 0));
        let dir = node.attempt_dir(&step);
        let group = poll("ready", || pid_in(&dir.join("group")));
        let supervisor = pid_in(&dir.join("supervisor")).expect("a pid");
        kill_process(supervisor, Signal::KILL).expect("it lives");
        kill_process_group(group, Signal::KILL).expect("it lives");
        let output = attached.wait_with_output().expect("ends");
        assert_eq!(said(node, &step, &output).1, Outcome::Rebooting);
        // And the node goes down once more, by itself, while it is asked.
        let attached = node.start(&text(node, &again(&step), GOES_DOWN, 0));
        let second = poll("ready again", || {
            pid_in(&dir.join("group")).filter(|pid| *pid != group)
        });
        std::fs::write(node.dir.path().join("boot"), "77\n").expect("written");
        let supervisor = pid_in(&dir.join("supervisor")).expect("a pid");
        kill_process(supervisor, Signal::KILL).expect("it lives");
        kill_process_group(second, Signal::KILL).expect("it lives");
        drop(attached.wait_with_output());
        std::fs::write(&seconds, "0\n").expect("written");
        is(
            &send(node, &again(&step), GOES_DOWN),
            (Some(0), Outcome::Ok, "begun\n"),
        );
        assert_eq!(reboots(node), 1, "{:?}", node.shell);
    });
}

#[test]
fn a_node_that_has_lost_its_journal_is_not_rebooted_again() {
    each_shell(|node| {
        let step = reboot("true");
        is(&send(node, &step, GOES_DOWN), REBOOTING);
        down(node, 1);
        std::fs::remove_dir_all(node.state()).expect("there");
        let (code, outcome, output) = send(node, &again(&step), GOES_DOWN);
        assert_eq!((code, outcome), (Some(1), Outcome::NotBack));
        assert!(output.contains("does not have that any more"), "{output}");
        assert_eq!(reboots(node), 1);
    });
}

#[test]
fn a_stop_or_a_later_claim_before_the_reboot_keeps_the_node_up() {
    each_shell(|node| {
        let step = reboot("true");
        let first = node.run_text(&text(node, &step, GOES_DOWN, 60));
        is(&said(node, &step, &first), REBOOTING);
        let dir = node.dir.path().display().to_string();
        let stop = format!("{}{}", own(&dir, GOES_DOWN), node.stop_text(&step));
        assert_eq!(node.stop(&stop), (1, 0, Some(0)));
        assert_eq!(send(node, &step, GOES_DOWN).1, Outcome::Interrupted);

        let step = Order {
            attempt: 2,
            ..reboot("true")
        };
        let second = node.run_text(&text(node, &step, GOES_DOWN, 60));
        is(&said(node, &step, &second), REBOOTING);
        let later = Order {
            claim: ClaimId::new(3_000, 3),
            step: 4,
            ..order("true")
        };
        let first = send(node, &later, GOES_DOWN).1;
        assert!(matches!(first, Outcome::Busy | Outcome::Ok), "{first}");
        let result = node.attempt_dir(&step).join("result");
        poll("the result", || result.exists().then_some(()));
        assert_eq!(send(node, &later, GOES_DOWN).1, Outcome::Ok);
        assert_eq!(reboots(node), 0);
    });
}

/// One send with a kill at command `at`, and more without one; how many commands the first had.
fn gap(node: &Node, victim: Victim, at: usize) -> usize {
    let dir = node.dir.path();
    let what = format!("{:?}, {victim:?} at command {at}", node.shell);
    let step = Order {
        timeout: Duration::from_secs(8),
        ..reboot("true")
    };
    let path = format!(
        "PATH='{}':/usr/bin:/bin\n{}",
        shims(dir, victim, at).display(),
        text(node, &step, GOES_DOWN, 0)
    );
    drop(node.run_text(&path));
    let end = poll(&what, || {
        let outcome = send(node, &step, GOES_DOWN).1;
        // Killed between saying that it reboots and doing so, the node is left to the time of the step.
        let stuck = node.attempt_dir(&step).join("going").exists() && reboots(node) == 0;
        (outcome != Outcome::Rebooting || stuck).then_some(outcome)
    });
    match end {
        Outcome::Ok => assert_eq!(reboots(node), 1, "{what}"),
        Outcome::Interrupted => assert_eq!(reboots(node), 0, "{what}"),
        Outcome::Rebooting | Outcome::Failed | Outcome::NotBack => {
            assert!(reboots(node) <= 1, "{what}: {end}");
        }
        other => panic!("{what}: {other}"),
    }
    let counted = std::fs::read_dir(dir.join("counted")).expect("there");
    counted.count()
}

#[test]
fn killed_at_any_command_a_node_reboots_at_most_once() {
    let shell: &'static [&'static str] = &["sh"];
    let node = || Node {
        shell,
        dir: tempfile::TempDir::new().expect("a directory"),
    };
    let all = gap(&node(), Victim::Command, 0);
    assert!((20..200).contains(&all), "{all} commands");
    each_gap(all, |victim, at| gap(&node(), victim, at));
}
