//! The cloud: nodes with tags that are read stale and written late, and what executes steps on them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use roundsman::io::memory::{Lots, MemoryClock};
use roundsman::model::id::NodeId;
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::rule::{Rule, Without};
use roundsman::model::settings::LeaseSettings;
use roundsman::model::tag::{TAGS_MAX, Tags};
use roundsman::model::time::Moment;
use roundsman::port::{Clock, ErrorKind, PortError, WriteError};

use crate::fact::{By, Fact, What};
use crate::faults::{Class, Faults, Fired};
use crate::runner::RunnerSteps;
use crate::ssm::Ssm;
use crate::wrapper::Fence;

/// Who is told every fact.
pub(crate) type Witness = Box<dyn FnMut(&Fact)>;

/// One world.
pub(crate) struct Cloud {
    pub(crate) clock: MemoryClock,
    pub(crate) lots: Lots,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) fired: Fired,
    pub(crate) lease: LeaseSettings,
    /// The rules that are taken out of store and wrapper.
    pub(crate) without: Without,
    pub(crate) nodes: RefCell<BTreeMap<NodeId, SimNode>>,
    pub(crate) ssm: Ssm,
    pub(crate) runner_steps: RunnerSteps,
    next_id: Cell<u64>,
    witness: RefCell<Witness>,
    /// Whether facts that only people read are told too.
    pub(crate) traced: bool,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").finish_non_exhaustive()
    }
}

/// A value that a key no longer has.
struct Change {
    at: Moment,
    key: String,
    before: Option<String>,
}

/// One instance.
pub(crate) struct SimNode {
    /// As it truly is.
    pub(crate) node: Node,
    recent: VecDeque<Change>,
    writes_under_way: u32,
    pub(crate) up: bool,
    pub(crate) agent_online: bool,
    /// Its kernel's boot id.
    pub(crate) boot: u64,
    pub(crate) clock_off_ms: i64,
    pub(crate) fence: Fence,
    /// The sends that the executor lists for it, the oldest first.
    pub(crate) sends: VecDeque<u64>,
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
    pub(crate) fn new(
        seed: u64,
        lease: LeaseSettings,
        without: Without,
        witness: Witness,
        traced: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            clock: MemoryClock::new(seed),
            lots: Lots::new(seed),
            faults: RefCell::new(Faults::calm(&lease)),
            fired: Fired::default(),
            lease,
            without,
            nodes: RefCell::default(),
            ssm: Ssm::default(),
            runner_steps: RunnerSteps::default(),
            next_id: Cell::new(1),
            witness: RefCell::new(witness),
            traced,
        })
    }

    /// A number that nothing else has.
    pub(crate) fn number(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    pub(crate) fn tell(&self, what: What) {
        let at = self.clock.boot();
        (self.witness.borrow_mut())(&Fact { at, what });
    }

    /// Something that only people read, in a trace.
    pub(crate) fn tell_fate(&self, whom: &str, what: impl FnOnce() -> String) {
        if self.traced {
            self.tell(What::Fate {
                whom: whom.to_owned(),
                what: what(),
            });
        }
    }

    pub(crate) fn after(self: &Rc<Self>, span: Duration, call: impl FnOnce(&Rc<Self>) + 'static) {
        let cloud = Rc::clone(self);
        let at = self.clock.boot().plus(span);
        self.clock.call_at(at, move || call(&cloud));
    }

    /// A new instance in service, with tags that are not ours.
    pub(crate) fn add_node(&self, zone: &str) -> NodeId {
        let id = NodeId(format!("i-{:03}", self.number()));
        let half_skew = i64::try_from(self.lease.skew.as_millis() / 2).expect("small");
        let node = Node {
            id: id.clone(),
            name: Some(format!("db {id}")),
            address: None,
            zone: Some(zone.to_owned()),
            group: None,
            launched: Some(self.clock.wall()),
            service: Service::In,
            agent: Agent::Online,
            tags: [
                ("Name".to_owned(), format!("db {id}")),
                ("team".to_owned(), "storage".to_owned()),
            ]
            .into(),
        };
        let sim = SimNode {
            node,
            recent: VecDeque::new(),
            writes_under_way: 0,
            up: true,
            agent_online: true,
            boot: self.number(),
            clock_off_ms: self.off_within(half_skew),
            fence: Fence::default(),
            sends: VecDeque::new(),
        };
        self.nodes.borrow_mut().insert(id.clone(), sim);
        self.tell(What::NodeAdded {
            node: id.clone(),
            zone: zone.to_owned(),
        });
        id
    }

    /// A number of milliseconds between minus `most` and `most`.
    pub(crate) fn off_within(&self, most: i64) -> i64 {
        let width = u64::try_from(2 * most + 1).unwrap_or(1);
        i64::try_from(self.lots.below(width)).unwrap_or(0) - most
    }

    pub(crate) fn any_node(&self) -> Option<NodeId> {
        let nodes = self.nodes.borrow();
        let count = u64::try_from(nodes.len()).ok()?;
        let which = usize::try_from(self.lots.below(count)).ok()?;
        nodes.keys().nth(which).cloned()
    }

    pub(crate) fn true_tags(&self, id: &NodeId) -> Option<Tags> {
        self.nodes
            .borrow()
            .get(id)
            .map(|node| node.node.tags.clone())
    }

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
