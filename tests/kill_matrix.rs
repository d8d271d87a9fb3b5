//! The kill matrix: the real binary over the test AWS is killed, stopped or cut off at every call of a run, and somebody
//! else goes on from a clean directory.
//!
//! Whatever happens: each attempt's effects are there once, nothing overlaps on the node, `last-<task>` is there if and
//! only if all steps have succeeded, and no lock stays. By default a part of the product is run; with `KILL_LARGE` in the
//! environment all of it, which takes hours on two cores. `KILL_ONLY=three/well` runs the cases
//! whose names have that in them.
#![cfg(feature = "aws")]
#![expect(
    clippy::print_stdout,
    reason = "figures, and the names of what has failed"
)]

#[path = "kill_matrix/case.rs"]
mod case;
#[path = "kill_matrix/changed.rs"]
mod changed;
#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "what is there for the tests over a local fleet")]
mod cli;
#[path = "kill_matrix/cut.rs"]
mod cut;
#[path = "kill_matrix/job.rs"]
mod job;
#[path = "kill_matrix/kills.rs"]
mod kills;
#[path = "kill_matrix/plan.rs"]
mod plan;
#[path = "kill_matrix/pool.rs"]
mod pool;
#[path = "kill_matrix/recovery.rs"]
mod recovery;
#[path = "kill_matrix/replaced.rs"]
mod replaced;
#[path = "cli_aws/site.rs"]
#[expect(dead_code, reason = "what is there for the tests in calm weather")]
mod site;
#[path = "kill_matrix/stopped.rs"]
mod stopped;
#[path = "test_aws/cloud.rs"]
#[expect(dead_code, reason = "what is there for other tests")]
mod test_aws;
#[path = "kill_matrix/together.rs"]
mod together;

/// What the tests over moto call it.
mod support {
    pub(crate) use crate::test_aws::Aws;
}

#[test]
fn whatever_happens_at_any_call_the_work_is_done_once_and_recorded() {
    let parts: [fn(); 7] = [
        changed::a_run_is_not_gone_on_with_under_another_file_unless_that_is_said,
        cut::whoever_is_cut_off_at_any_call_the_next_one_brings_the_run_to_its_end,
        kills::whoever_is_killed_at_any_call_the_next_one_brings_the_run_to_its_end,
        recovery::a_dead_runners_run_is_adopted_once_its_lease_and_the_margin_are_over,
        replaced::when_a_node_is_replaced_in_the_middle_the_new_one_is_served,
        stopped::whoever_was_stopped_past_its_lease_wakes_and_touches_nothing,
        together::of_two_who_adopt_at_once_one_does,
    ];
    if pool::large() {
        for part in parts {
            part();
        }
    } else {
        // Most of their time is waiting, each for something else.
        std::thread::scope(|scope| {
            for part in parts {
                scope.spawn(part);
            }
        });
    }
    let count = pool::COUNT.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count > 0, "no case has such a name");
}
