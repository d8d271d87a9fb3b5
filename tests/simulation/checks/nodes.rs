//! What runs on nodes: overlaps, superseded claims, repeated attempts, limits.

use std::collections::{BTreeMap, BTreeSet};

use roundsman::model::id::{ClaimId, NodeId, RunId};
use roundsman::model::job::{Divider, On};
use roundsman::model::outcome::Outcome;
use roundsman::model::time::Moment;

use crate::checks::{Checks, Promise};
use crate::fact::{By, Execution, Fact, What};
use crate::send::refused_by_fence;

type Attempt = (NodeId, RunId, u32, u32);

/// What runs, and what has run.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub(super) running: BTreeMap<u64, Execution>,
    /// The highest claim that has executed on each node.
    highest: BTreeMap<NodeId, ClaimId>,
    /// Attempts that have ended with a result, on nodes that are there.
    finished: BTreeSet<Attempt>,
    zones: BTreeMap<NodeId, String>,
    /// Steps beside a runner that stood still: nothing ends them in time, and none of that is promised.
    stood_still: BTreeSet<u64>,
}

impl Checks {
    pub(super) fn see_nodes(&mut self, fact: &Fact) {
        match &fact.what {
            What::Began(execution) => {
                self.figures.executions += 1;
                self.see_overlap(fact.at, execution);
                if execution.on == On::Node {
                    self.see_claim(fact.at, execution);
                    self.see_repetition(fact.at, execution);
                }
                let running = &mut self.nodes.running;
                running.insert(execution.id, execution.clone());
                self.see_limits(fact.at, execution);
            }
            What::Ended { execution, outcome } => {
                self.nodes.stood_still.remove(execution);
                let Some(ended) = self.nodes.running.remove(execution) else {
                    return;
                };
                if *outcome != Outcome::Interrupted && ended.on == On::Node {
                    let attempt = (ended.node, ended.run, ended.step, ended.attempt);
                    self.nodes.finished.insert(attempt);
                }
            }
            What::Tag {
                node,
                key,
                after: None,
                by: By::Runner { own, .. },
                ..
            } if key == "lock" => self.see_let_go(fact.at, node, *own),
            What::Delivered { answer, .. } => match answer {
                Some(outcome) if refused_by_fence(*outcome) => self.figures.refused += 1,
                Some(_) => self.figures.answered += 1,
                None => {}
            },
            What::StoodStill { execution } => {
                self.nodes.stood_still.insert(*execution);
            }
            What::NodeGone(node) => {
                self.nodes.highest.remove(node);
                self.nodes.finished.retain(|(of, ..)| of != node);
            }
            What::NodeAdded { node, zone } => {
                self.nodes.zones.insert(node.clone(), zone.clone());
            }
            _ => {}
        }
    }

    fn see_let_go(&mut self, at: Moment, node: &NodeId, own: Option<(RunId, ClaimId)>) {
        let left = self.nodes.running.values().find(|each| {
            each.node == *node && each.on == On::Node && own == Some((each.run, each.claim))
        });
        if let Some(left) = left {
            let what = format!(
                "{node} was let go of while step {}.{} of {} run {} (claim {}) was running there",
                left.step, left.attempt, left.job, left.run, left.claim
            );
            self.broken(at, Promise::NotLetGo, what);
        }
    }

    fn see_overlap(&mut self, at: Moment, began: &Execution) {
        let others: Vec<Execution> = self
            .nodes
            .running
            .values()
            .filter(|other| other.node == began.node)
            .cloned()
            .collect();
        for other in others {
            if other.on == On::Runner || began.on == On::Runner {
                self.figures.unfenced_overlaps += u64::from(other.run != began.run);
                continue;
            }
            let what = format!(
                "step {}.{} of {} run {} (claim {}) began on {} while step {}.{} of {} run {} (claim {}) was running there",
                began.step,
                began.attempt,
                began.job,
                began.run,
                began.claim,
                began.node,
                other.step,
                other.attempt,
                other.job,
                other.run,
                other.claim
            );
            self.broken(at, Promise::NoOverlap, what);
        }
    }

    fn see_claim(&mut self, at: Moment, began: &Execution) {
        let highest = self
            .nodes
            .highest
            .entry(began.node.clone())
            .or_insert(began.claim);
        if *highest > began.claim {
            let what = format!(
                "claim {} executed on {} after the later claim {highest}",
                began.claim, began.node
            );
            self.broken(at, Promise::NotSuperseded, what);
        } else {
            *highest = began.claim;
        }
    }

    fn see_repetition(&mut self, at: Moment, began: &Execution) {
        let attempt = (began.node.clone(), began.run, began.step, began.attempt);
        if self.nodes.finished.contains(&attempt) {
            let what = format!(
                "step {}.{} of run {} was executed again on {}",
                began.step, began.attempt, began.run, began.node
            );
            self.broken(at, Promise::NotRepeated, what);
        }
    }

    /// Distinct nodes with a step running now. Nodes whose lock was taken away from outside do not count, nor steps
    /// beside a runner that stood still.
    fn see_limits(&mut self, at: Moment, began: &Execution) {
        let meddled = |node: &NodeId| {
            let until = self.meddled_until.get(node);
            until.is_some_and(|until| at < *until)
        };
        let busy: BTreeSet<&NodeId> = self
            .nodes
            .running
            .values()
            .filter(|each| !self.nodes.stood_still.contains(&each.id))
            .map(|each| &each.node)
            .filter(|node| !meddled(node))
            .collect();
        let limits = &self.site.jobs[0].rules.job.limits;
        let names: Vec<&str> = busy.iter().map(|node| node.as_str()).collect();
        let most = usize::try_from(limits.nodes).unwrap_or(usize::MAX);
        let mut problem = (busy.len() > most).then(|| format!("the fleet's {most}"));
        for per in &limits.per {
            let Divider::Zone = per.by else {
                continue;
            };
            let zone = self.zone(&began.node);
            let here = busy.iter().filter(|node| self.zone(node) == zone).count();
            if here > usize::try_from(per.nodes).unwrap_or(usize::MAX) {
                problem = Some(format!("the {} of zone {zone}", per.nodes));
            }
        }
        if let Some(problem) = problem {
            let what = format!(
                "{} at work, more than {problem}, when step {} of {} run {} began on {}",
                names.join(", "),
                began.step,
                began.job,
                began.run,
                began.node
            );
            self.broken(at, Promise::WithinLimits, what);
        }
    }

    fn zone(&self, node: &NodeId) -> &str {
        self.nodes.zones.get(node).map_or("", String::as_str)
    }
}
