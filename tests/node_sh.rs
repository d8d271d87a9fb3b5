//! The node's wrapper in real shells: every test runs in each of sh, dash, bash and busybox that is there.

#[path = "node_sh/disk.rs"]
mod disk;
#[path = "node_sh/fence.rs"]
mod fence;
#[path = "node_sh/gaps.rs"]
mod gaps;
#[path = "node_sh/payload.rs"]
mod payload;
#[path = "node_sh/reboot.rs"]
mod reboot;
#[path = "node_sh/refusal.rs"]
mod refusal;
#[path = "node_sh/stop.rs"]
mod stop;
#[path = "node_sh/support.rs"]
mod support;

use std::process::Child;
use std::time::Duration;

use roundsman::model::job::On;
use roundsman::model::journal::State;
use roundsman::model::outcome::{Delivery, Outcome, judge};
use roundsman::port::Order;
use rustix::process::{Pid, Signal, kill_process};
use support::{Node, alive, attempt, each_shell, order, pid_in, poll};

#[test]
fn a_step_that_succeeds_is_ok_and_its_output_follows() {
    each_shell(|node| {
        let output = node.expect(
            &order("echo out; echo err >&2; echo last"),
            0,
            Outcome::Ok,
            Some(0),
        );
        assert_eq!(output, "out\nerr\nlast\n");
    });
}

#[test]
fn the_wrapper_never_exits_with_the_steps_status() {
    each_shell(|node| {
        for (attempt, status) in [
            3, 73, 75, 76, 77, 124, 125, 126, 127, 130, 137, 143, 194, 255,
        ]
        .into_iter()
        .enumerate()
        {
            let order = Order {
                attempt: u32::try_from(attempt).expect("small") + 1,
                ..order(&format!("exit {status}"))
            };
            node.expect(&order, 1, Outcome::Failed, Some(status));
        }
    });
}

#[test]
fn a_step_that_takes_too_long_is_timed_out_with_all_that_it_started() {
    each_shell(|node| {
        let pid = node.dir.path().join("pid");
        let script = format!(
            "sleep 300 & echo \"$!\" >'{}'; echo begun; wait",
            pid.display()
        );
        let order = Order {
            timeout: Duration::from_secs(1),
            ..order(&script)
        };
        assert_eq!(node.expect(&order, 1, Outcome::TimedOut, None), "begun\n");
        assert!(!alive(pid_in(&pid).expect("a pid")));
    });
}

#[test]
fn what_does_not_heed_term_is_killed() {
    each_shell(|node| {
        let order = Order {
            timeout: Duration::from_secs(1),
            ..order("trap '' TERM; echo begun; sleep 300; sleep 300")
        };
        let text = node.text(&order);
        assert!(text.contains("rs_grace=30"));
        let output = node.run_text(&text.replace("rs_grace=30", "rs_grace=1"));
        assert_eq!(node.judged(&order, &output).1.outcome, Outcome::TimedOut);
        assert!(!alive(
            pid_in(&node.attempt_dir(&order).join("group")).expect("a pid")
        ));
    });
}

#[test]
fn a_step_that_is_killed_is_interrupted() {
    each_shell(|node| {
        for (number, signal) in [(1, Signal::KILL), (2, Signal::TERM), (3, Signal::SEGV)] {
            let order = Order {
                attempt: number,
                ..order("exec sleep 300")
            };
            let child = node.start(&node.text(&order));
            let group = node.attempt_dir(&order).join("group");
            let pid = poll("the step", || pid_in(&group));
            poll("exec", || {
                let name =
                    std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid())).ok()?;
                (name == "sleep\n").then_some(())
            });
            kill_process(pid, signal).expect("it lives");
            let output = child.wait_with_output().expect("ends");
            assert_eq!(
                node.judged(&order, &output).1.outcome,
                Outcome::Interrupted,
                "{:?} {signal:?}",
                node.shell
            );
        }
    });
}

#[test]
fn without_the_wrapper_there_is_no_result_line_but_a_record() {
    each_shell(|node| {
        let go = node.dir.path().join("go");
        let order = order(&format!(
            "until [ -e '{}' ]; do sleep 0.05; done; exit 5",
            go.display()
        ));
        let child = node.start(&node.text(&order));
        poll("the step", || {
            pid_in(&node.attempt_dir(&order).join("group"))
        });
        kill_process(Pid::from_child(&child), Signal::KILL).expect("it lives");
        let output = child.wait_with_output().expect("ends");
        let delivery = Delivery::Ended {
            status: None,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::new(),
        };
        assert_eq!(
            judge(&delivery, On::Node, attempt(&order)).outcome,
            Outcome::Unknown
        );
        // It still runs: nobody starts it again beside it, and who sends it again is told how it ended.
        let mut again = attached(node, &order);
        assert!(again.try_wait().expect("a child").is_none());
        std::fs::write(&go, "").expect("written");
        let output = again.wait_with_output().expect("ends");
        let (code, judged) = node.judged(&order, &output);
        assert_eq!(
            (code, judged.outcome, judged.status),
            (Some(1), Outcome::Failed, Some(5))
        );
        poll("the record", || {
            node.attempt_dir(&order)
                .join("result")
                .exists()
                .then_some(())
        });
        node.expect(&order, 1, Outcome::Failed, Some(5));
    });
}

#[test]
fn a_finished_attempt_is_answered_from_its_record() {
    each_shell(|node| {
        let count = node.dir.path().join("count");
        let order = order(&format!("echo x >>'{}'; echo hello", count.display()));
        assert_eq!(node.expect(&order, 0, Outcome::Ok, Some(0)), "hello\n");
        assert_eq!(node.expect(&order, 0, Outcome::Ok, Some(0)), "hello\n");
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\n");
        let next = Order {
            attempt: 2,
            ..order
        };
        node.expect(&next, 0, Outcome::Ok, Some(0));
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\nx\n");
    });
}

/// Sends an attempt again that is under way, and comes back when that has found the first.
fn attached(node: &Node, order: &Order) -> Child {
    let mark = node.dir.path().join("attached");
    let text = node.text(order);
    let marked = text.replace(
        "rs_attach() {\n",
        &format!("rs_attach() {{\n: >'{}'\n", mark.display()),
    );
    assert_ne!(text, marked);
    let child = node.start(&marked);
    poll("the second send waits", || mark.exists().then_some(()));
    child
}

#[test]
fn a_send_that_is_delivered_twice_runs_once_and_both_are_told_how_it_ended() {
    each_shell(|node| {
        let count = node.dir.path().join("count");
        let mut order = order(&format!("echo x >>'{}'; sleep 1; exit 3", count.display()));
        let both = [(); 2].map(|()| node.start(&node.text(&order)));
        for child in both {
            let output = child.wait_with_output().expect("ends");
            let (code, judged) = node.judged(&order, &output);
            assert_eq!(
                (code, judged.outcome, judged.status),
                (Some(1), Outcome::Failed, Some(3)),
                "{:?}",
                node.shell
            );
        }
        // So is one that comes when nothing may be started any more.
        order.not_after = jiff::Timestamp::UNIX_EPOCH;
        node.expect(&order, 1, Outcome::Failed, Some(3));
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\n");
    });
}

#[test]
fn an_attempt_that_another_boot_began_is_interrupted_and_not_executed_again() {
    each_shell(|node| {
        let count = node.dir.path().join("count");
        let order = order(&format!("echo x >>'{}'", count.display()));
        node.expect(&order, 0, Outcome::Ok, Some(0));
        // As a node is found that went down under the step.
        let dir = node.attempt_dir(&order);
        std::fs::rename(dir.join("result"), dir.join("room")).expect("it was there");
        let record = std::fs::read_to_string(dir.join("record")).expect("a record");
        let boot = &node.journal().boot;
        std::fs::write(dir.join("record"), record.replace(boot, "another-boot")).expect("written");
        node.expect(&order, 1, Outcome::Interrupted, None);
        let interrupted = State::Ended {
            outcome: Outcome::Interrupted,
            status: None,
        };
        assert_eq!(node.state_of(&order), Some(interrupted));
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\n");
    });
}
