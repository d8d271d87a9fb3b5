//! The AWS floor: EC2 tags as the store, Auto Scaling groups as fleets, SSM Run Command as the shell.
//!
//! - [`Clients`]: configuration, time-outs, retries (reads three attempts, writes exactly one), the provider's clock.
//! - [`AwsStore`]: fleets and tags ([`crate::port::Store`]).
//! - [`SsmShell`]: steps on nodes ([`crate::port::Shell`]).
//!
//! What AWS answers is turned into [`crate::port::PortError`] in one place, `error.rs`.

mod agents;
mod asg;
mod client;
mod ec2;
mod error;
mod fleet;
mod meter;
mod ssm;

pub use client::{ATTEMPT_TIMEOUT, Clients, Wall};
pub use fleet::AwsStore;
pub use ssm::{Compose, SsmShell, Verbs};
