//! The real binary over a local fleet: what it does, prints, leaves and returns.

#[path = "cli/adoption.rs"]
mod adoption;
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/folder.rs"]
mod folder;
#[path = "cli/operate.rs"]
mod operate;
#[path = "cli/reboots.rs"]
mod reboots;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/stopping.rs"]
mod stopping;
