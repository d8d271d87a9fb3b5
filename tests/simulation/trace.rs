//! Facts as people read them.

use std::fmt;

use roundsman::event::EventKind;
use roundsman::model::id::NodeId;

use crate::fact::{By, Execution, Fact, What};

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runner { process, job, .. } => write!(f, "runner {process} ({job})"),
            Self::Operator => f.write_str("an operator"),
            Self::Outsider => f.write_str("somebody else"),
        }
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            node,
            job,
            run,
            claim,
            step,
            attempt,
            on,
        } = self;
        write!(
            f,
            "{node}: execution {id} begins: {job} {run} {step}.{attempt}, claim {claim}, on the {}",
            on.label()
        )
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.3}  ", self.at.0.as_secs_f64())?;
        match &self.what {
            What::Tag {
                node,
                key,
                after,
                by,
                began,
                ..
            } => {
                let after = after.as_deref().unwrap_or("(gone)");
                let ago = self.at.since(*began);
                write!(f, "{node}: {by} made {key} {after} (begun {ago:?} before)")
            }
            What::Began(execution) => execution.fmt(f),
            What::Ended { execution, outcome } => {
                write!(f, "execution {execution} ends: {outcome}")
            }
            What::StoodStill { execution } => {
                write!(f, "execution {execution}: its runner stands still")
            }
            What::Delivered {
                node,
                run,
                claim,
                step,
                attempt,
                answer,
            } => {
                let answer = answer.map_or("executes", |outcome| outcome.label());
                write!(
                    f,
                    "{node}: a send arrives: {run} {step}.{attempt}, claim {claim}: {answer}"
                )
            }
            What::Told { process, event, .. } => match &event.node {
                Some(node) => write!(f, "{node}: runner {process} tells {}", told(&event.kind)),
                None => write!(f, "runner {process} tells {}", told(&event.kind)),
            },
            What::Invoked { process, job } => write!(f, "runner {process} begins with {job}"),
            What::Over { process, crashed } => {
                let how = if *crashed { "crashes" } else { "ends" };
                write!(f, "runner {process} {how}")
            }
            What::Fate { whom, what } => write!(f, "{whom}: {what}"),
            What::NodeAdded { node, zone } => write!(f, "{node}: is new, in zone {zone}"),
            What::NodeGone(node) => write!(f, "{node}: is gone"),
            What::NodeStopped(node) => write!(f, "{node}: is stopped"),
            What::Storm => f.write_str("a storm begins"),
            What::Calm => f.write_str("a calm begins"),
            What::CalmEnds { .. } => f.write_str("the calm ends"),
        }
    }
}

fn told(kind: &EventKind) -> String {
    match kind {
        EventKind::StepFinished {
            step,
            attempt,
            outcome,
            ..
        } => format!("step {step}.{attempt} finished: {outcome}"),
        EventKind::Chosen { .. } => "chosen".to_owned(),
        kind => format!("{kind:?}"),
    }
}

impl Fact {
    /// Whether it has to do with one of these nodes; what is not of any node has to do with all.
    pub(crate) fn concerns(&self, nodes: &[NodeId]) -> bool {
        let node = match &self.what {
            What::Tag { node, .. }
            | What::Delivered { node, .. }
            | What::NodeAdded { node, .. }
            | What::NodeGone(node)
            | What::NodeStopped(node) => node,
            What::Began(execution) => &execution.node,
            What::Told { event, .. } => match &event.node {
                Some(node) => node,
                None => return false,
            },
            What::Fate { whom, .. } => {
                return !whom.starts_with("i-") || nodes.iter().any(|node| node.as_str() == whom);
            }
            What::Ended { .. }
            | What::StoodStill { .. }
            | What::Invoked { .. }
            | What::Over { .. }
            | What::Storm
            | What::Calm
            | What::CalmEnds { .. } => return true,
        };
        nodes.contains(node)
    }
}
