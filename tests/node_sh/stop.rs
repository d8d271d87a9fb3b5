//! The verb `stop`.

use roundsman::io::wrapper::compose_stop_run;
use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::journal::State;
use roundsman::model::outcome::Outcome;
use roundsman::port::Halt;
use roundsman::port::Order;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{alive, each_shell, order, pid_in, poll};

#[test]
fn stop_ends_an_attempt_with_all_that_it_started_and_its_sender_is_told() {
    each_shell(|node| {
        let (told, pid) = (node.dir.path().join("told"), node.dir.path().join("pid"));
        let order = order(&format!(
            "sleep 300 & echo \"$!\" >'{}'; trap 'echo told >'\\''{}'\\''; exit 0' TERM; while :; do sleep 0.05; done",
            pid.display(),
            told.display()
        ));
        let (child, _) = node.begin(&order);
        let inner = poll("its child", || pid_in(&pid));
        assert_eq!(node.stop(&node.stop_text(&order)), (1, 0, Some(0)));
        let (code, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!(
            (code, judged.outcome, judged.status),
            (Some(1), Outcome::Interrupted, None),
            "{:?}: TERM came first, and what the step made of it is not asked",
            node.shell
        );
        assert!(told.exists() && !alive(inner));
        assert_eq!(node.stop(&node.stop_text(&order)), (0, 0, Some(0)));
        node.expect(&order, 1, Outcome::Interrupted, None);
    });
}

#[test]
fn what_does_not_heed_term_is_killed_before_its_end_is_recorded() {
    each_shell(|node| {
        let pid = node.dir.path().join("pid");
        // The step goes at once, what it started does not.
        let order = order(&format!(
            "(trap '' TERM; echo x; sleep 300) & echo \"$!\" >'{}'; wait",
            pid.display()
        ));
        let (child, _) = node.begin(&order);
        let inner = poll("its child", || pid_in(&pid));
        poll("its trap", || {
            let output = std::fs::read_to_string(node.attempt_dir(&order).join("output")).ok()?;
            (output == "x\n").then_some(())
        });
        let code = node.attempt_dir(&order).join("code");
        let text = std::fs::read_to_string(&code).expect("the supervisor's text");
        assert!(text.contains("rs_grace=30"));
        let stop = node.stop_text(&order);
        let quick = stop.replace("rs_grace=30", "rs_grace=1");
        assert_ne!(stop, quick);
        assert_eq!(node.stop(&quick), (1, 0, Some(0)));
        assert!(!alive(inner), "{:?}", node.shell);
        let (_, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!(judged.outcome, Outcome::Interrupted);
    });
}

#[test]
fn stop_ends_a_step_whose_supervisor_is_gone() {
    each_shell(|node| {
        let order = order("exec sleep 300");
        let (child, group) = node.begin(&order);
        let supervisor = pid_in(&node.attempt_dir(&order).join("supervisor")).expect("a pid");
        for pid in [Pid::from_child(&child), supervisor] {
            kill_process(pid, Signal::KILL).expect("it lives");
        }
        child.wait_with_output().expect("ends");
        assert_eq!(node.state_of(&order), Some(State::Running));
        assert_eq!(node.stop(&node.stop_text(&order)), (1, 0, Some(0)));
        assert!(!alive(group), "{:?}", node.shell);
        node.expect(&order, 1, Outcome::Interrupted, None);
    });
}

#[test]
fn an_attempt_that_is_stopped_before_it_arrives_never_starts() {
    each_shell(|node| {
        let order = order("echo never");
        assert_eq!(node.stop(&node.stop_text(&order)), (0, 0, Some(0)));
        assert_eq!(node.expect(&order, 1, Outcome::Interrupted, None), "");
        let next = Order {
            attempt: 2,
            ..order
        };
        node.expect(&next, 0, Outcome::Ok, Some(0));
    });
}

#[test]
fn stop_with_a_claim_ends_what_a_run_has_under_way_and_keeps_earlier_claims_out() {
    each_shell(|node| {
        let order = order("exec sleep 300");
        let (child, group) = node.begin(&order);
        let (mine, later) = (ClaimId::new(3_000, 0), ClaimId::new(4_000, 0));
        assert_eq!(node.stop(&node.stop_run_text(mine)), (1, 0, Some(0)));
        assert!(!alive(group));
        let (_, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!(judged.outcome, Outcome::Interrupted, "{:?}", node.shell);
        assert_eq!(node.journal().mark, mine.to_string());
        assert_eq!(node.stop(&node.stop_run_text(mine)), (0, 0, Some(0)));
        let old = Order {
            run: RunId::new(5_000, 0),
            ..crate::support::order("echo never")
        };
        node.expect(&old, 76, Outcome::Superseded, None);
        // A stop that comes late, of an earlier claim, ends nothing.
        let own = Order {
            claim: later,
            run: order.run,
            attempt: 2,
            ..old
        };
        let own = Order {
            script: "exec sleep 300".to_owned(),
            ..own
        };
        let (child, group) = node.begin(&own);
        let output = node.run_text(&node.stop_run_text(mine));
        assert_eq!(output.status.code(), Some(76));
        assert!(alive(group));
        assert_eq!(node.stop(&node.stop_run_text(later)), (1, 0, Some(0)));
        child.wait_with_output().expect("ends");
    });
}

#[test]
fn after_a_stop_that_found_nothing_living_no_earlier_claim_starts_anything() {
    each_shell(|node| {
        for number in 1..=8_u32 {
            let begun = node.dir.path().join(format!("begun{number}"));
            let old = Order {
                attempt: number,
                claim: ClaimId::new(2_000 + 2 * u64::from(number), 0),
                ..order(&format!("echo x >'{}'; exec sleep 300", begun.display()))
            };
            let child = node.start(&node.text(&old));
            // Into the preparations, the lock and the start, as it happens.
            std::process::Command::new("sleep")
                .arg(format!("0.0{number}"))
                .status()
                .expect("sleep");
            let claim = ClaimId::new(2_001 + 2 * u64::from(number), 0);
            let (_, lives, code) = node.stop(&node.stop_run_text(claim));
            assert_eq!((lives, code), (0, Some(0)), "{:?}", node.shell);
            let had_begun = begun.exists();
            let (_, judged) = node.judged(&old, &child.wait_with_output().expect("ends"));
            assert!(
                matches!(judged.outcome, Outcome::Interrupted | Outcome::Superseded),
                "{:?} {judged:?}",
                node.shell
            );
            assert_eq!(begun.exists(), had_begun, "nothing began after the stop");
        }
    });
}

#[test]
fn stop_ends_the_steps_of_a_run_and_leaves_its_clean_up_and_other_runs_alone() {
    each_shell(|node| {
        let order = order("exec sleep 300");
        let stop = |run: RunId, steps: u32| {
            let state = node.state();
            let claim = ClaimId::new(3_000, 0);
            let halt = Halt {
                job: order.job.clone(),
                run,
                claim,
                steps,
            };
            let text = compose_stop_run(&halt, state.to_str().expect("UTF-8"));
            node.stop(&text)
        };
        let (child, group) = node.begin(&order);
        assert_eq!(stop(order.run, order.step - 1), (0, 0, Some(0)));
        assert_eq!(stop(RunId::new(1, 1), 99), (0, 0, Some(0)));
        assert!(alive(group), "{:?}", node.shell);
        assert_eq!(stop(order.run, order.step), (1, 0, Some(0)));
        assert!(!alive(group));
        let (_, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
        assert_eq!(judged.outcome, Outcome::Interrupted);
        assert_eq!(node.journal().mark, ClaimId::new(3_000, 0).to_string());
    });
}
