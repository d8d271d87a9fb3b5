//! The real binary over the test AWS: what it writes into the nodes' tags, what it calls, and how it bears bad weather.
//!
//! The settings make claims settle in seconds; their relations are those of the contract all the same.
#![cfg(feature = "aws")]

#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "what is there for the tests over a local fleet")]
mod cli;
#[path = "cli_aws/crowd.rs"]
mod crowd;
#[path = "cli_aws/errors.rs"]
mod errors;
#[path = "cli_aws/leases.rs"]
mod leases;
#[path = "cli_aws/operators.rs"]
mod operators;
#[path = "cli_aws/parking.rs"]
mod parking;
#[path = "cli_aws/probe.rs"]
mod probe;
#[path = "cli_aws/runs.rs"]
mod runs;
#[path = "cli_aws/site.rs"]
mod site;
#[path = "cli_aws/steps.rs"]
mod steps;
#[expect(dead_code, reason = "what is there for the tests of the AWS floor")]
mod support;

use std::sync::LazyLock;

use support::Aws;

/// One for all tests that keep to groups of their own.
static CALM: LazyLock<Aws> = LazyLock::new(Aws::start);
