//! The real binary over the test AWS of `tests/test_aws`: the same tests as over moto, where they hold on both.
#![cfg(feature = "aws")]

#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "what is there for the tests over a local fleet")]
mod cli;
#[path = "cli_aws/crowd.rs"]
mod crowd;
#[path = "cli_aws/errors.rs"]
mod errors;
#[path = "test_aws/kills.rs"]
mod kills;
#[path = "cli_aws/leases.rs"]
mod leases;
#[path = "test_aws/reboots.rs"]
mod reboots;
#[path = "cli_aws/runs.rs"]
mod runs;
#[path = "cli_aws/site.rs"]
mod site;
#[path = "cli_aws/steps.rs"]
mod steps;
#[path = "test_aws/cloud.rs"]
#[expect(dead_code, reason = "what is there for other tests")]
mod test_aws;

/// What the tests over moto call it.
mod support {
    pub(crate) use crate::test_aws::Aws;
}

use std::sync::LazyLock;

use test_aws::Aws;

/// One for all tests that keep to groups of their own.
static CALM: LazyLock<Aws> = LazyLock::new(Aws::start);
