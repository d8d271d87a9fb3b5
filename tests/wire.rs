//! Real processes, bad wire: the real binary reaches the test AWS through a proxy that loses, repeats, delays and
//! forges what goes over it, call by call.
//!
//! What is shown here by chance and by clock is shown for every schedule in the model's own tests; here it is that the
//! binary does what the model says, with the SDK, its time-outs and its retries between the two.
#![cfg(feature = "aws")]
#![expect(
    clippy::print_stdout,
    reason = "figures, and the seeds that a failure needs"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests of real processes wait by the real clock, with a bound"
)]

#[path = "wire/case.rs"]
mod case;
#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "what is there for the tests over a local fleet")]
mod cli;
#[path = "wire/lots.rs"]
mod lots;
#[path = "wire/many.rs"]
mod many;
#[path = "wire/matrix.rs"]
mod matrix;
#[path = "wire/message.rs"]
mod message;
#[path = "wire/past.rs"]
mod past;
#[path = "wire/proxy.rs"]
mod proxy;
#[path = "cli_aws/site.rs"]
#[expect(dead_code, reason = "what is there for the tests in calm weather")]
mod site;
#[path = "wire/stale.rs"]
mod stale;
#[expect(dead_code, reason = "what is there for the tests of the AWS floor")]
mod support;
#[path = "wire/wrong.rs"]
mod wrong;
