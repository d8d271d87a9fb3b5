//! What a decision looks at: a fleet at one moment, and the rules that it is judged by.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::id::{ClaimId, NodeId};
use crate::model::job::{Job, On};
use crate::model::lock::{LockState, Seen};
use crate::model::node::{Command, Evidence, Node};
use crate::model::record::{Hold, Last, Scope};
use crate::model::rule::Without;
use crate::model::settings::LeaseSettings;
use crate::model::tag::{Keys, Tags};

/// The rules of one invocation.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The job.
    pub job: Job,
    /// Its tag keys.
    pub keys: Keys,
    /// The lease settings.
    pub lease: LeaseSettings,
    /// Nothing, but in a model checker or a simulator.
    pub without: Without,
}

impl Rules {
    /// Whether any step runs on the node.
    pub fn on_node(&self) -> bool {
        let mut steps = self
            .job
            .steps
            .iter()
            .chain(self.job.cleanup.iter().map(|cleanup| &cleanup.step));
        steps.any(|step| step.on == On::Node)
    }
}

/// A fleet at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The provider's time.
    pub now: Timestamp,
    /// The nodes, in any order.
    pub nodes: Vec<Node>,
    /// What is known of commands, for nodes that have a suspect or parked lock. Read after the tags.
    pub evidence: BTreeMap<NodeId, Evidence>,
}

impl View {
    /// The node with this id.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// The nodes whose lock asks for evidence: a lease past its end, or parked; and the node of a claim that was
    /// written `over` such a lock, which no longer shows.
    pub fn asks_evidence(&self, rules: &Rules, over: Option<&NodeId>) -> Vec<&Node> {
        let asks = |node: &&Node| match rules.lock(node) {
            _ if over == Some(&node.id) => true,
            Seen::Lock(lock) => lock.until <= self.now || lock.state == LockState::Parked,
            Seen::Free | Seen::Unreadable(_) => false,
        };
        self.nodes.iter().filter(asks).collect()
    }

    /// What is known to have been sent to a node.
    pub fn commands(&self, node: &NodeId) -> Vec<Command> {
        match self.evidence.get(node) {
            Some(Evidence::Commands(commands)) => commands.clone(),
            Some(Evidence::None | Evidence::Unavailable(_)) | None => Vec::new(),
        }
    }

    /// The same view with the evidence of an earlier look, for the nodes whose lock has not changed since: evidence
    /// is worth something only when it was read after the tags that it judges.
    #[must_use]
    pub fn with_evidence_of(mut self, earlier: &Self, rules: &Rules) -> Self {
        let lock = |node: &Node| node.tags.get(rules.keys.lock.as_str()).cloned();
        let same = |id: &NodeId| {
            let (then, now) = (earlier.node(id).map(lock), self.node(id).map(lock));
            then == now
        };
        self.evidence = earlier
            .evidence
            .iter()
            .filter(|(id, _)| same(id))
            .map(|(id, evidence)| (id.clone(), evidence.clone()))
            .collect();
        self
    }

    /// The same view where nobody keeps a record of commands: there is no evidence to be had.
    #[must_use]
    pub fn without_evidence(mut self) -> Self {
        self.evidence = self
            .nodes
            .iter()
            .map(|node| (node.id.clone(), Evidence::None))
            .collect();
        self
    }
}

impl Rules {
    /// What stands in a node's `lock`.
    pub fn lock(&self, node: &Node) -> Seen {
        Seen::read(node.tags.get(self.keys.lock.as_str()).map(String::as_str))
    }

    /// What stands in a node's `last-<task>`.
    pub fn last(&self, node: &Node, now: Timestamp) -> Last {
        Last::read(
            node.tags.get(self.keys.last.as_str()).map(String::as_str),
            now,
            self.lease.skew,
        )
    }

    /// The hold in a node's own tags, if one stands at `now`.
    pub fn hold(&self, tags: &Tags, now: Timestamp) -> Option<Hold> {
        tags.get(self.keys.hold.as_str())
            .map(|text| Hold::read(text))
            .filter(|hold| hold.stands(now))
    }

    /// The hold on the whole fleet, if any of its nodes bears one that stands: the one that ends last.
    pub fn fleet_hold(&self, view: &View) -> Option<Hold> {
        let holds = view
            .nodes
            .iter()
            .filter_map(|node| self.hold(&node.tags, view.now));
        holds
            .filter(|hold| hold.scope == Scope::Fleet)
            .max_by_key(|hold| hold.until.unwrap_or(Timestamp::MAX))
    }

    /// Whether the node has this task's `fail-`.
    pub fn failed(&self, node: &Node) -> bool {
        node.tags.contains_key(self.keys.fail.as_str())
    }

    /// Whether the node's lock shows this claim.
    pub fn shows_claim(&self, node: &Node, claim: ClaimId) -> bool {
        self.lock(node)
            .lock()
            .is_some_and(|lock| lock.claim == claim)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::node::{Agent, Service};

    /// The time at which tests look.
    pub(crate) fn now() -> Timestamp {
        "2026-11-23T00:10:00Z".parse().expect("a time")
    }

    /// Rules for tests: the sample job under default settings.
    pub(crate) fn rules() -> Rules {
        let job = crate::model::job::tests::sample();
        let keys = Keys::new("", &job.task, None).expect("keys");
        Rules {
            job,
            keys,
            lease: LeaseSettings::default(),
            without: Without::NOTHING,
        }
    }

    /// A node in service with these tags.
    pub(crate) fn node(id: &str, tags: &[(&str, &str)]) -> Node {
        Node {
            id: NodeId(id.to_owned()),
            name: None,
            address: None,
            zone: None,
            group: None,
            launched: None,
            service: Service::In,
            agent: Agent::NotAsked,
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// A view of these nodes without evidence.
    pub(crate) fn view(nodes: Vec<Node>) -> View {
        let view = View {
            now: now(),
            nodes,
            evidence: BTreeMap::new(),
        };
        view.without_evidence()
    }
}
