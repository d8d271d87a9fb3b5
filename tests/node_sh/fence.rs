//! What keeps two runs apart on a node, whatever the tags say.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::job::Fence;
use roundsman::model::journal::State;
use roundsman::model::outcome::Outcome;
use roundsman::port::Order;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Node, alive, each_shell, order, pid_in, poll, tools};

/// An order of another run, with a later claim.
fn other(script: &str) -> Order {
    Order {
        run: RunId::new(7_000, 7),
        claim: ClaimId::new(8_000, 8),
        ..order(script)
    }
}

/// A step that waits for the file `go`, and its path.
fn waiting(node: &Node) -> (Order, std::path::PathBuf) {
    let (go, count) = (node.dir.path().join("go"), node.dir.path().join("count"));
    let script = format!(
        "echo x >>'{0}'; while [ -e '{0}' ] && ! [ -e '{1}' ]; do sleep 0.05; done; exit 5",
        count.display(),
        go.display()
    );
    (order(&script), go)
}

#[test]
fn a_claim_below_the_mark_executes_nothing_more() {
    each_shell(|node| {
        node.expect(&other("true"), 0, Outcome::Ok, Some(0));
        let output = node.expect(&order("echo never"), 76, Outcome::Superseded, None);
        assert!(output.contains(&other("").claim.to_string()), "{output}");
        // Nor does it hear of what it has done: it has nothing to do with it any more.
        assert_eq!(node.state_of(&order("")), None);
        node.expect(&other("true"), 0, Outcome::Ok, Some(0));
        assert_eq!(node.journal().mark, other("").claim.to_string());
    });
}

#[test]
fn a_mark_that_cannot_be_read_lets_nobody_in() {
    each_shell(|node| {
        node.expect(&order("true"), 0, Outcome::Ok, Some(0));
        for text in ["", "yes\n", "\n"] {
            std::fs::write(node.state().join("mark"), text).expect("written");
            let output = node.expect(&other("echo never"), 73, Outcome::Undelivered, None);
            assert!(output.contains("the mark"), "{output}");
        }
    });
}

#[test]
fn while_a_step_runs_every_other_is_busy_whatever_its_claim() {
    each_shell(|node| {
        let (order, go) = waiting(node);
        let (child, _) = node.begin(&order);
        let output = node.expect(&other("echo never"), 75, Outcome::Busy, None);
        assert!(output.contains(&order.run.to_string()), "{output}");
        let next = Order {
            attempt: 2,
            ..order.clone()
        };
        let next = Order {
            claim: ClaimId::new(9_000, 0),
            ..next
        };
        node.expect(&next, 75, Outcome::Busy, None);
        std::fs::write(&go, "").expect("written");
        let (_, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!((judged.outcome, judged.status), (Outcome::Failed, Some(5)));
        node.expect(&next, 1, Outcome::Failed, Some(5));
    });
}

#[test]
fn a_transport_that_goes_leaves_the_step_running_and_its_result_recorded() {
    each_shell(|node| {
        for (number, signal, whole) in [
            (1, Signal::KILL, false),
            (2, Signal::KILL, true),
            (3, Signal::TERM, true),
            (4, Signal::HUP, true),
        ] {
            let (order, go) = waiting(node);
            let order = Order {
                attempt: number,
                ..order
            };
            let (child, group) = node.begin(&order);
            let pid = Pid::from_child(&child);
            if whole {
                kill_process_group(pid, signal)
            } else {
                kill_process(pid, signal)
            }
            .expect("it lives");
            let output = child.wait_with_output().expect("ends");
            assert!(
                output.stdout.is_empty(),
                "{:?} {signal:?}: who is gone says nothing",
                node.shell
            );
            assert!(alive(group), "{:?} {signal:?}", node.shell);
            assert_eq!(node.state_of(&order), Some(State::Running));
            std::fs::write(&go, "").expect("written");
            let ended = State::Ended {
                outcome: Outcome::Failed,
                status: Some(5),
            };
            poll("the record", || {
                (node.state_of(&order) == Some(ended)).then_some(())
            });
            node.expect(&order, 1, Outcome::Failed, Some(5));
            let count = std::fs::read_to_string(node.dir.path().join("count")).expect("a file");
            assert_eq!(count.lines().count(), number as usize, "{:?}", node.shell);
            std::fs::remove_file(&go).expect("there");
        }
    });
}

#[test]
fn a_step_whose_supervisor_was_killed_keeps_others_out_until_it_has_ended() {
    each_shell(|node| {
        let (order, go) = waiting(node);
        let (child, group) = node.begin(&order);
        let supervisor = pid_in(&node.attempt_dir(&order).join("supervisor")).expect("a pid");
        kill_process(supervisor, Signal::KILL).expect("it lives");
        node.expect(&other("echo never"), 75, Outcome::Busy, None);
        assert_eq!(node.state_of(&order), Some(State::Running));
        assert!(alive(group));
        std::fs::write(&go, "").expect("written");
        // Its sender is still attached, and nobody knows how the step ended.
        let (code, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!((code, judged.outcome), (Some(1), Outcome::Interrupted));
        let next = Order {
            attempt: 2,
            claim: ClaimId::new(9_000, 0),
            ..order.clone()
        };
        node.expect(&next, 1, Outcome::Failed, Some(5));
        let last = Order {
            claim: ClaimId::new(9_000, 0),
            ..order
        };
        node.expect(&last, 1, Outcome::Interrupted, None);
    });
}

#[test]
fn a_daemon_left_behind_blocks_nobody_once_there_is_a_result() {
    each_shell(|node| {
        let order = order("sleep 300 & echo \"$!\"");
        let output = node.expect(&order, 0, Outcome::Ok, Some(0));
        let daemon = Pid::from_raw(output.trim().parse().expect("a pid")).expect("not zero");
        assert!(alive(daemon));
        node.expect(&other("true"), 0, Outcome::Ok, Some(0));
        assert!(alive(daemon));
        kill_process(daemon, Signal::KILL).expect("it lives");
    });
}

#[test]
fn of_many_sends_at_once_one_runs_at_a_time_and_each_attempt_once() {
    each_shell(|node| {
        let path = |name: &str| node.dir.path().join(name).display().to_string();
        let script = format!(
            "mkdir '{}' || echo overlap >>'{}'; echo \"$ATTEMPT\" >>'{}'; sleep 0.1; rmdir '{}'",
            path("in"),
            path("overlap"),
            path("count"),
            path("in")
        );
        let orders = (1..=12_u32).map(|number| {
            // Each attempt twice; every third claim is later than the ones before.
            let attempt = number.div_ceil(2);
            let mut order = Order {
                attempt,
                claim: ClaimId::new(2_000 + u64::from(attempt / 3), 0),
                ..order(&script)
            };
            order.env.insert("ATTEMPT".to_owned(), attempt.to_string());
            order
        });
        let sent: Vec<_> = orders
            .map(|order| (node.start(&node.text(&order)), order))
            .collect();
        let mut ran = 0;
        for (child, order) in sent {
            let (code, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
            let expected = match judged.outcome {
                Outcome::Ok => 0,
                Outcome::Busy => 75,
                Outcome::Superseded => 76,
                other => panic!("{:?}: {other} {judged:?}", node.shell),
            };
            ran += u32::from(judged.outcome == Outcome::Ok);
            assert_eq!(code, Some(expected));
        }
        assert!(ran > 0 && !node.dir.path().join("overlap").exists());
        let count = std::fs::read_to_string(path("count")).expect("a file");
        let mut attempts: Vec<&str> = count.lines().collect();
        let all = attempts.len();
        attempts.sort_unstable();
        attempts.dedup();
        assert_eq!(attempts.len(), all, "{:?}: {count}", node.shell);
    });
}

#[test]
fn a_node_without_flock_is_refused_unless_the_job_has_no_fence() {
    each_shell(|node| {
        // busybox runs its own applets whatever PATH says, so there it is not missing.
        if node.shell[0] == "busybox" {
            return;
        }
        let bin = node.dir.path().join("bin");
        std::fs::create_dir(&bin).expect("made");
        for (tool, target) in tools().into_iter().filter(|(tool, _)| *tool != "flock") {
            std::os::unix::fs::symlink(target, bin.join(tool)).expect("linked");
        }
        let run = |order: &Order| {
            let text = format!("PATH='{}'\n{}", bin.display(), node.text(order));
            node.judged(order, &node.run_text(&text))
        };
        let (code, judged) = run(&order("echo never"));
        assert_eq!((code, judged.outcome), (Some(73), Outcome::Undelivered));
        assert!(
            judged.output.contains("no flock") && judged.output.contains("fence = \"off\""),
            "{judged:?}"
        );
        let open = Order {
            fence: Fence::Off,
            ..order("echo here")
        };
        let (code, judged) = run(&open);
        assert_eq!((code, judged.outcome), (Some(0), Outcome::Ok), "{judged:?}");
        // Mark and journal are there all the same.
        assert_eq!(run(&open).1.output, "here\n");
        assert_eq!(node.journal().mark, open.claim.to_string());
    });
}

#[test]
fn without_the_fence_a_second_run_starts_beside_the_first() {
    each_shell(|node| {
        let (order, go) = waiting(node);
        let (child, _) = node.begin(&order);
        let open = Order {
            fence: Fence::Off,
            ..other("echo here")
        };
        node.expect(&open, 0, Outcome::Ok, Some(0));
        std::fs::write(&go, "").expect("written");
        let (_, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!(judged.status, Some(5));
    });
}
