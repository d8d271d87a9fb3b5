//! Each event as one sentence.

use crate::cli::report::text::harmless_line;
use crate::cli::report::times::near;
use crate::event::{Event, EventKind, ParkedFor};
use crate::model::lock::LockState;
use crate::model::outcome::Outcome;
use crate::model::span::short_span;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Something did not succeed.
    Error,
    /// Something that a person should know.
    Warning,
    /// Something has succeeded.
    Success,
    /// What is going on.
    Info,
    /// What goes on all the time.
    Detail,
}

impl Weight {
    /// The priority as the journal expects it at the start of a line (sd-daemon(3)).
    pub(super) fn priority(self) -> &'static str {
        match self {
            Self::Error => "<3>",
            Self::Warning => "<4>",
            Self::Success | Self::Info | Self::Detail => "<6>",
        }
    }
}

/// The event's sentence. `node` is the node as people are told of it; `None`: nothing to say.
pub(super) fn sentence(event: &Event, node: &str) -> Option<(Weight, String)> {
    let until = |at| near(at, event.at);
    let (weight, what) = match &event.kind {
        EventKind::Settling { for_ } => (
            Weight::Info,
            format!("claiming, settles for {}", short_span(*for_)),
        ),
        EventKind::Claimed { until: end } => {
            (Weight::Info, format!("claimed until {}", until(*end)))
        }
        EventKind::ClaimLost { why } => {
            (Weight::Info, format!("not claimed: {}", harmless_line(why)))
        }
        EventKind::Adopted {
            was,
            step,
            until: end,
        } => (Weight::Info, adopted(*was, *step, &until(*end))),
        EventKind::Stopping {
            was, owner, step, ..
        } => {
            let far = far(*step);
            let owner = harmless_line(owner);
            (
                Weight::Info,
                format!("being stopped; its run was found {was} by {owner}, {far}"),
            )
        }
        EventKind::StepStarted { .. } | EventKind::StepFinished { .. } => step(&event.kind)?,
        EventKind::Renewed { until: end } => {
            (Weight::Detail, format!("lease runs until {}", until(*end)))
        }
        EventKind::LeaseLost { why } => {
            (Weight::Error, format!("lease lost: {}", harmless_line(why)))
        }
        EventKind::Committed { took, .. } => (
            Weight::Success,
            format!("committed after {}", short_span(*took)),
        ),
        EventKind::Failed {
            step,
            reason,
            count,
        } => {
            let place = match step {
                0 => "before its first step".to_owned(),
                step => format!("at step {step}"),
            };
            let often = match count {
                None => "; that could not be recorded".to_owned(),
                Some(1) => ", for the first time since its last success".to_owned(),
                Some(count) => format!(", {count} times since its last success"),
            };
            (Weight::Error, format!("failed {place} ({reason}){often}"))
        }
        EventKind::Released => (Weight::Info, "released".to_owned()),
        EventKind::Parked { why, step, .. } => (Weight::Info, parked(*why, *step)),
        EventKind::Warned { message } => {
            return Some((Weight::Warning, warning(event, message, node)));
        }
        EventKind::Chosen { .. } | EventKind::Finished(_) => return None,
    };
    Some((weight, format!("{node}: {what}")))
}

/// A run is left.
fn parked(why: ParkedFor, step: u32) -> String {
    let far = match step {
        0 => "no step has begun".to_owned(),
        step => format!("step {step} was begun last"),
    };
    let why = match why {
        ParkedFor::Signal => "told to stop",
        ParkedFor::Time => "the time of --for is up",
        ParkedFor::Credentials => "the credentials end soon",
        ParkedFor::Hold => {
            return format!(
                "parked (on hold): {far}; the next `run` of this job takes it up when the hold is gone"
            );
        }
    };
    format!(
        "parked ({why}): {far}, and what runs there goes on; the next `run` of this job takes it up"
    )
}

/// A run is gone on with.
fn adopted(was: LockState, step: u32, until: &str) -> String {
    let far = far(step);
    format!("adopted until {until}; its run was found {was}, {far}")
}

/// How far a run had come.
fn far(step: u32) -> String {
    match step {
        0 => "no step begun".to_owned(),
        step => format!("step {step} begun last"),
    }
}

/// What happened to a step.
fn step(kind: &EventKind) -> Option<(Weight, String)> {
    match kind {
        EventKind::StepStarted {
            step,
            name,
            attempt,
        } => {
            let (name, again) = (called(*step, name), again(*attempt));
            Some((Weight::Info, format!("step {step}{name} started{again}")))
        }
        EventKind::StepFinished {
            step,
            name,
            attempt,
            outcome,
            status,
            took,
            ..
        } => {
            let weight = if *outcome == Outcome::Ok {
                Weight::Info
            } else {
                Weight::Warning
            };
            let (name, how) = (called(*step, name), ended(*outcome, *status));
            let again = again(*attempt);
            let what = match took {
                Some(took) => format!("step {step}{name} {how} after {}{again}", short_span(*took)),
                None => format!("step {step}{name} {how}, found ended{again}"),
            };
            Some((weight, what))
        }
        _ => None,
    }
}

/// A step's name behind its number; nothing when the name says no more than the number.
fn called(step: u32, name: &str) -> String {
    if name == format!("step-{step}") {
        String::new()
    } else {
        format!(" {}", harmless_line(name))
    }
}

/// A warning; its node is put before it unless the sentence names it already.
fn warning(event: &Event, message: &str, node: &str) -> String {
    let message = harmless_line(message);
    let named = event
        .node
        .as_ref()
        .is_none_or(|node| message.contains(node.as_str()));
    if named {
        format!("warning: {message}")
    } else {
        format!("warning: {node}: {message}")
    }
}

fn again(attempt: u32) -> String {
    if attempt > 1 {
        format!(", attempt {attempt}")
    } else {
        String::new()
    }
}

fn ended(outcome: Outcome, status: Option<i32>) -> String {
    match (outcome, status) {
        (Outcome::Failed, Some(status)) => format!("failed with status {status}"),
        (Outcome::Unknown, _) => {
            "ended nobody knows how (unknown; it may still be running)".to_owned()
        }
        (Outcome::Undelivered, _) => "did not reach the node (undelivered)".to_owned(),
        (Outcome::Unreachable, _) => "could not reach the node (unreachable)".to_owned(),
        (Outcome::TimedOut, _) => "timed out".to_owned(),
        (Outcome::Busy, _) => "found the node busy".to_owned(),
        (Outcome::Superseded, _) => {
            "was refused, a later claim has been there (superseded)".to_owned()
        }
        (Outcome::TooLate, _) => "arrived too late".to_owned(),
        (Outcome::Rebooting, _) => "reboots the node".to_owned(),
        (Outcome::NotBack, _) => "has the node not back and ready in time (not-back)".to_owned(),
        (Outcome::Ok | Outcome::Failed | Outcome::Interrupted, _) => outcome.label().to_owned(),
    }
}
