//! The kill matrix: the real binary over the test AWS is killed, stopped or cut off at every call of a run, and somebody
//! else goes on from a clean directory.
//!
//! Whatever happens: each attempt's effects are there once, nothing overlaps on the node, `last-<task>` is there if and
//! only if all steps have succeeded, and no lock stays. By default a part of the product is run; with `KILL_LARGE` in the
//! environment all of it, which takes the better part of an hour on two cores. `KILL_ONLY=three/well` runs the cases
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
