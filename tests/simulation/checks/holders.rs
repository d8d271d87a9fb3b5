//! Who holds a node's lease, by what runners tell: nobody begins a step there once a later claim is held.
//!
//! The fence on the node has no part in this: it is the tags that keep runners apart, and this fails where they do not.
//!
//! A write of a holder that a `stop` has displaced may land over the stop's lock. When it has stood there for as long as a
//! claim settles, that holder has the lease again, and the stop finds out before it begins anything more.

use std::collections::BTreeMap;

use roundsman::event::EventKind;
use roundsman::model::id::NodeId;
use roundsman::model::time::Moment;

use crate::checks::{Checks, Promise};
use crate::fact::{By, Fact, What};

/// What is known of leases.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// The invocation that was the last to hold each node's lease.
    latest: BTreeMap<NodeId, u64>,
    /// Whose value stands in each node's lock, and since when.
    shown: BTreeMap<NodeId, (u64, Moment)>,
}

impl Checks {
    pub(super) fn see_holders(&mut self, fact: &Fact) {
        match &fact.what {
            What::NodeGone(node) => {
                self.holders.latest.remove(node);
                self.holders.shown.remove(node);
            }
            What::Tag { node, key, by, .. } if key == "lock" => self.see_writer(fact.at, node, by),
            What::Told { process, event } => {
                let Some(node) = &event.node else { return };
                match event.kind {
                    EventKind::Claimed { .. }
                    | EventKind::Adopted { .. }
                    | EventKind::Stopping { .. } => {
                        self.holders.latest.insert(node.clone(), *process);
                    }
                    EventKind::StepStarted { .. } => self.see_start(fact.at, node, *process),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn see_writer(&mut self, at: Moment, node: &NodeId, by: &By) {
        let By::Runner { process, .. } = by else {
            self.holders.shown.remove(node);
            return;
        };
        let shown = self.holders.shown.get(node);
        if shown.is_none_or(|(writer, _)| writer != process) {
            self.holders.shown.insert(node.clone(), (*process, at));
        }
    }

    fn see_start(&mut self, at: Moment, node: &NodeId, process: u64) {
        let meddled = self.meddled_until.get(node);
        let meddled = meddled.is_some_and(|until| at < *until);
        let holder = self.holders.latest.get(node).copied();
        let shown = self.holders.shown.get(node);
        let settled = shown.is_some_and(|(writer, since)| {
            *writer == process && at.since(*since) >= self.site.lease.settle()
        });
        if settled {
            self.holders.latest.insert(node.clone(), process);
        } else if holder != Some(process) && !meddled {
            let what =
                format!("invocation {process} began a step on {node}, which {holder:?} holds");
            self.broken(at, Promise::OneHolder, what);
        }
    }
}
