//! Tags as a register: the last to land wins, and a read may show what is no longer there.

use std::collections::BTreeMap;
use std::time::Duration;

use roundsman::model::id::NodeId;
use roundsman::model::node::Node;
use roundsman::model::rule::Rule;
use roundsman::model::tag::{TAGS_MAX, Tags};
use roundsman::model::time::Moment;
use roundsman::port::{Clock, ErrorKind, PortError, WriteError};

use crate::cloud::{Cloud, SimNode};
use crate::fact::{By, What};
use crate::faults::Class;

/// A value that a key no longer has.
#[derive(Debug)]
pub(crate) struct Change {
    at: Moment,
    key: String,
    before: Option<String>,
}

/// A change of tags that is under way.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Put(Vec<(String, String)>),
    Delete(Vec<(String, String)>),
}

/// How long ago a change is forgotten: longer than any read is stale.
const FORGOTTEN: Duration = Duration::from_secs(120);

impl Cloud {
    /// The nodes as a read shows them that began at `began` and is served now.
    pub(crate) fn read_nodes(&self, began: Moment) -> Vec<Node> {
        self.nodes
            .borrow()
            .values()
            .map(|node| Node {
                tags: self.read_tags_of(node, began),
                ..node.node.clone()
            })
            .collect()
    }

    /// A node's tags as a read shows them that began at `began` and is served now: each key as it was at some moment
    /// between its staleness before the beginning, and now.
    pub(crate) fn read_tags_of(&self, node: &SimNode, began: Moment) -> Tags {
        let mut tags = node.node.tags.clone();
        let (chance, stale_by) = {
            let faults = self.faults.borrow();
            (faults.read_stale, faults.stale_by)
        };
        let oldest = Moment(began.0.saturating_sub(stale_by));
        if node.recent.back().is_none_or(|change| change.at < oldest) {
            return tags;
        }
        let mut seen_at: BTreeMap<&str, Moment> = BTreeMap::new();
        let now = self.clock.boot();
        for change in node.recent.iter().rev() {
            if change.at < oldest {
                break;
            }
            let at = *seen_at.entry(&change.key).or_insert_with(|| {
                if !self.lots.chance(chance) {
                    now
                } else if self.lots.chance(300_000) {
                    oldest
                } else {
                    oldest.plus(self.lots.between(Duration::ZERO, now.since(oldest)))
                }
            });
            if at < change.at {
                match &change.before {
                    Some(before) => tags.insert(change.key.clone(), before.clone()),
                    None => tags.remove(&change.key),
                };
            }
        }
        for key in seen_at.into_keys() {
            if tags.get(key) != node.node.tags.get(key) {
                self.fired.count(Class::ReadStale);
            }
        }
        tags
    }

    /// Whether another write to the node is under way. Counts one more in until [`Cloud::write_over`].
    pub(crate) fn write_begins(&self, id: &NodeId) -> bool {
        let mut nodes = self.nodes.borrow_mut();
        nodes.get_mut(id).is_some_and(|node| {
            node.writes_under_way += 1;
            node.writes_under_way > 1
        })
    }

    pub(crate) fn write_over(&self, id: &NodeId) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(id) {
            node.writes_under_way = node.writes_under_way.saturating_sub(1);
        }
    }

    /// A change lands: now, whoever waits for it or no longer does.
    pub(crate) fn land(
        &self,
        id: &NodeId,
        mutation: &Mutation,
        by: &By,
        began: Moment,
    ) -> Result<(), WriteError> {
        let mut changes = Vec::new();
        {
            let mut nodes = self.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(id) else {
                return Err(WriteError::Refused(PortError::new(
                    ErrorKind::NotFound,
                    format!("the instance {id} does not exist"),
                )));
            };
            let tags = &node.node.tags;
            let exact = self.without.keeps(Rule::ExactDelete);
            match mutation {
                Mutation::Put(pairs) => {
                    let new = pairs
                        .iter()
                        .filter(|(key, _)| !tags.contains_key(key))
                        .count();
                    if tags.len() + new > TAGS_MAX {
                        return Err(WriteError::Refused(PortError::new(
                            ErrorKind::Other,
                            format!("TagLimitExceeded: {id} has {} tags", tags.len()),
                        )));
                    }
                    changes.extend(
                        pairs
                            .iter()
                            .filter(|(key, value)| tags.get(key) != Some(value))
                            .map(|(key, value)| (key.clone(), Some(value.clone()))),
                    );
                }
                Mutation::Delete(pairs) => changes.extend(
                    pairs
                        .iter()
                        .filter(|(key, value)| tags.get(key) == Some(value) || !exact)
                        .filter(|(key, _)| tags.contains_key(key))
                        .map(|(key, _)| (key.clone(), None)),
                ),
            }
            for (key, after) in &changes {
                node.change(self.clock.boot(), key, after.clone());
            }
        }
        for (key, after) in changes {
            let before = self.before_last(id, &key);
            self.tell(What::Tag {
                node: id.clone(),
                key,
                before,
                after,
                by: by.clone(),
                began,
            });
        }
        Ok(())
    }

    fn before_last(&self, id: &NodeId, key: &str) -> Option<String> {
        let nodes = self.nodes.borrow();
        let recent = &nodes.get(id)?.recent;
        recent
            .iter()
            .rev()
            .find(|change| change.key == key)?
            .before
            .clone()
    }

    /// Somebody from outside changes tags, for certain and at once. `None` removes a key.
    pub(crate) fn meddle(&self, id: &NodeId, pairs: &[(String, Option<String>)]) {
        let now = self.clock.boot();
        for (key, after) in pairs {
            let before = {
                let mut nodes = self.nodes.borrow_mut();
                let Some(node) = nodes.get_mut(id) else {
                    return;
                };
                let before = node.node.tags.get(key).cloned();
                if before == *after {
                    continue;
                }
                node.change(now, key, after.clone());
                before
            };
            self.tell(What::Tag {
                node: id.clone(),
                key: key.clone(),
                before,
                after: after.clone(),
                by: By::Outsider,
                began: now,
            });
        }
    }
}

impl SimNode {
    fn change(&mut self, at: Moment, key: &str, after: Option<String>) {
        let before = match after {
            Some(after) => self.node.tags.insert(key.to_owned(), after),
            None => self.node.tags.remove(key),
        };
        while self
            .recent
            .front()
            .is_some_and(|change| change.at.plus(FORGOTTEN) < at)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(Change {
            at,
            key: key.to_owned(),
            before,
        });
    }
}
