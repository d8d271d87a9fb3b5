//! Tags in memory: the last one to write wins, unless the store compares and sets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::io::memory::MemoryClock;
use crate::model::id::{ClaimId, NodeId};
use crate::model::job::Selector;
use crate::model::node::Node;
use crate::model::tag::{TagKey, Tags};
use crate::port::{
    Clock, Consistency, ErrorKind, Grant, Offset, PortError, Put, Store, WriteError,
};

/// How the store behaves. Calm by default: every call takes 50 ms and succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather {
    /// How long a read takes.
    pub read_takes: Duration,
    /// How long a write takes.
    pub write_takes: Duration,
    /// What the next writes answer, in turn; then they succeed.
    pub writes_answer: VecDeque<Result<(), WriteError>>,
    /// What the next reads answer, in turn; then they succeed.
    pub reads_answer: VecDeque<Result<(), PortError>>,
    /// Provider time less the clock's.
    pub offset: Offset,
}

impl Default for Weather {
    fn default() -> Self {
        let quick = Duration::from_millis(50);
        Self {
            read_takes: quick,
            write_takes: quick,
            writes_answer: VecDeque::new(),
            reads_answer: VecDeque::new(),
            offset: Offset::default(),
        }
    }
}

/// Tags in memory.
#[derive(Debug)]
pub struct MemoryStore {
    nodes: RefCell<BTreeMap<NodeId, Node>>,
    consistency: Consistency,
    clock: MemoryClock,
    weather: RefCell<Weather>,
    calls: RefCell<BTreeMap<&'static str, u32>>,
    last_claim: Cell<Option<ClaimId>>,
}

impl MemoryStore {
    pub(super) fn new(nodes: Vec<Node>, consistency: Consistency, clock: MemoryClock) -> Self {
        Self {
            nodes: RefCell::new(
                nodes
                    .into_iter()
                    .map(|node| (node.id.clone(), node))
                    .collect(),
            ),
            consistency,
            clock,
            weather: RefCell::default(),
            calls: RefCell::default(),
            last_claim: Cell::new(None),
        }
    }

    /// Changes how the store behaves.
    pub fn weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.weather.borrow_mut());
    }

    /// Changes a node behind everybody's back. Unknown nodes are left unknown.
    pub fn change(&self, node: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(&NodeId(node.to_owned())) {
            change(node);
        }
    }

    /// A node's tags as they are.
    pub fn tags(&self, node: &str) -> Tags {
        self.nodes
            .borrow()
            .get(&NodeId(node.to_owned()))
            .map(|node| node.tags.clone())
            .unwrap_or_default()
    }

    /// All nodes as they are.
    pub fn nodes(&self) -> Vec<Node> {
        self.nodes.borrow().values().cloned().collect()
    }

    /// How many calls there were, by name.
    pub fn calls(&self) -> BTreeMap<&'static str, u32> {
        self.calls.borrow().clone()
    }

    async fn read(&self, name: &'static str) -> Result<(), PortError> {
        *self.calls.borrow_mut().entry(name).or_default() += 1;
        let takes = self.weather.borrow().read_takes;
        self.clock.sleep_until(self.clock.boot().plus(takes)).await;
        self.weather
            .borrow_mut()
            .reads_answer
            .pop_front()
            .unwrap_or(Ok(()))
    }

    /// Half of the time passes before the write lands, half before it is answered.
    async fn written(
        &self,
        name: &'static str,
        land: impl FnOnce(&mut BTreeMap<NodeId, Node>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        *self.calls.borrow_mut().entry(name).or_default() += 1;
        let half = self.weather.borrow().write_takes / 2;
        self.clock.sleep_until(self.clock.boot().plus(half)).await;
        let answer = self
            .weather
            .borrow_mut()
            .writes_answer
            .pop_front()
            .unwrap_or(Ok(()));
        let landed = match answer {
            Err(WriteError::Refused(_) | WriteError::Changed) => answer,
            Ok(()) | Err(WriteError::Unknown(_)) => land(&mut self.nodes.borrow_mut()).and(answer),
        };
        self.clock.sleep_until(self.clock.boot().plus(half)).await;
        landed
    }
}

fn unknown(node: &NodeId) -> PortError {
    PortError::new(ErrorKind::NotFound, format!("no node {node}"))
}

impl Store for MemoryStore {
    fn consistency(&self) -> Consistency {
        self.consistency
    }

    fn offset(&self) -> Offset {
        self.weather.borrow().offset
    }

    async fn read_fleet(&self, _: &Selector) -> Result<Vec<Node>, PortError> {
        self.read("read_fleet").await?;
        Ok(self.nodes())
    }

    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        self.read("read_key").await?;
        let all = self.nodes.borrow();
        let value = |id: &NodeId| {
            all.get(id)
                .and_then(|node| node.tags.get(key.as_str()))
                .cloned()
        };
        Ok(nodes
            .iter()
            .filter_map(|id| value(id).map(|value| (id.clone(), value)))
            .collect())
    }

    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError> {
        self.read("read_tags").await?;
        self.nodes
            .borrow()
            .get(node)
            .map(|node| node.tags.clone())
            .ok_or_else(|| unknown(node))
    }

    async fn write(
        &self,
        id: &NodeId,
        put: &Put,
        only_if: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        let compares = self.consistency == Consistency::Transactional;
        self.written("write", |nodes| {
            let node = nodes
                .get_mut(id)
                .ok_or_else(|| WriteError::Refused(unknown(id)))?;
            if let Some((key, expected)) = only_if.filter(|_| compares)
                && node.tags.get(key.as_str()).map(String::as_str) != expected
            {
                return Err(WriteError::Changed);
            }
            node.tags.extend(
                put.iter()
                    .map(|(key, value)| (key.as_str().to_owned(), value.clone())),
            );
            Ok(())
        })
        .await
    }

    async fn delete(&self, id: &NodeId, pairs: &Put) -> Result<(), WriteError> {
        self.written("delete", |nodes| {
            let node = nodes
                .get_mut(id)
                .ok_or_else(|| WriteError::Refused(unknown(id)))?;
            node.tags
                .retain(|key, value| !pairs.iter().any(|(k, v)| k.as_str() == key && v == value));
            Ok(())
        })
        .await
    }

    async fn transact<T>(
        &self,
        _: &Selector,
        proposed: ClaimId,
        decide: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        self.read("transact").await?;
        let after_last = self.last_claim.get().and_then(ClaimId::next);
        let claim = after_last.map_or(proposed, |next| next.max(proposed));
        let (grant, value) = decide(self.nodes(), claim);
        if let Some((id, put)) = grant {
            self.last_claim.set(Some(claim));
            let mut nodes = self.nodes.borrow_mut();
            let node = nodes.get_mut(&id).ok_or_else(|| unknown(&id))?;
            node.tags.extend(
                put.iter()
                    .map(|(key, value)| (key.as_str().to_owned(), value.clone())),
            );
        }
        Ok(value)
    }
}
