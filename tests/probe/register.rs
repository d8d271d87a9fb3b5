//! One node's tags as EC2 keeps them: reads as stale as the test says, writes that land when it says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::time::VirtualClock;
use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::job::Selector;
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::probe::Way;
use roundsman::model::tag::{TagKey, Tags};
use roundsman::model::time::Moment;
use roundsman::port::{
    Clock, Consistency, ErrorKind, Grant, Offset, PortError, Put, Store, WriteError,
};

use crate::{KEY, NODE, ms};

/// How long every call takes.
pub(crate) const CALL: Duration = ms(40);

/// What happens to a write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Refused(ErrorKind),
    /// It lands after so long, and is answered so long after it was begun.
    Lands(Duration, Duration),
    /// There is no answer, and it lands after so long.
    Unanswered(Duration),
}

/// The register and its weather. Connections share it.
pub(crate) struct Register {
    pub(crate) clock: VirtualClock,
    /// What stood there from when on.
    history: RefCell<Vec<(Duration, Option<String>)>>,
    /// How stale the nth read by a call is.
    pub(crate) stale: Box<dyn Fn(Way, u64) -> Duration>,
    /// What happens to the nth write.
    pub(crate) fate: Box<dyn Fn(u64) -> Fate>,
    /// How the nth read fails, if it does.
    pub(crate) read_fails: Box<dyn Fn(u64) -> Option<ErrorKind>>,
    pub(crate) delete_fails: Box<dyn Fn(u64) -> Option<ErrorKind>>,
    /// From when on a fleet does not list the node.
    pub(crate) gone_at: Cell<Duration>,
    /// One of so many reads of the fleet does not show the node.
    pub(crate) shown_of: Cell<u64>,
    fleets: Cell<u64>,
    /// Its other tags.
    pub(crate) others: RefCell<Tags>,
    pub(crate) reads: Cell<u64>,
    pub(crate) writes: Cell<u64>,
    pub(crate) deletes: Cell<u64>,
    /// How many writes were under way at once, at most.
    pub(crate) at_once: Cell<u64>,
    under_way: Cell<u64>,
    pub(crate) offset: Cell<Offset>,
}

impl Register {
    pub(crate) fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            history: RefCell::new(vec![(Duration::ZERO, None)]),
            stale: Box::new(|_, _| Duration::ZERO),
            fate: Box::new(|_| Fate::Lands(CALL / 2, CALL)),
            read_fails: Box::new(|_| None),
            delete_fails: Box::new(|_| None),
            gone_at: Cell::new(Duration::MAX),
            shown_of: Cell::new(u64::MAX),
            fleets: Cell::default(),
            others: RefCell::default(),
            reads: Cell::default(),
            writes: Cell::default(),
            deletes: Cell::default(),
            at_once: Cell::default(),
            under_way: Cell::default(),
            offset: Cell::default(),
        }
    }

    /// Sets what stands there from this moment on; what would have stood later stands no more.
    pub(crate) fn set(&self, at: Duration, value: Option<String>) {
        let mut history = self.history.borrow_mut();
        history.push((at, value));
        history.sort_by_key(|(at, _)| *at);
    }

    pub(crate) fn shows(&self, at: Duration) -> Option<String> {
        let history = self.history.borrow();
        let standing = history.iter().rev().find(|(since, _)| *since <= at);
        standing.and_then(|(_, value)| value.clone())
    }

    /// What stands there now.
    pub(crate) fn left(&self) -> Option<String> {
        self.shows(self.clock.boot().0)
    }

    async fn pass(&self, span: Duration) {
        self.clock.sleep_until(self.clock.boot().plus(span)).await;
    }

    async fn read(&self, way: Way) -> Result<Option<String>, PortError> {
        let n = next(&self.reads);
        let began = self.clock.boot().0;
        self.pass(CALL).await;
        if let Some(kind) = (self.read_fails)(n) {
            return Err(PortError::new(kind, "the read fails"));
        }
        Ok(self.shows(began.saturating_sub((self.stale)(way, n))))
    }
}

fn next(count: &Cell<u64>) -> u64 {
    count.set(count.get() + 1);
    count.get()
}

/// One connection to it.
#[derive(Clone)]
pub(crate) struct Line(pub(crate) Rc<Register>);

impl Line {
    /// How a fleet is read over it.
    pub(crate) async fn fleet(&self) -> Result<Vec<Node>, PortError> {
        let value = self.0.read(Way::Fleet).await?;
        let nth = next(&self.0.fleets);
        let blinks = self.0.shown_of.get();
        if self.0.clock.boot().0 >= self.0.gone_at.get() || nth.is_multiple_of(blinks) {
            return Ok(Vec::new());
        }
        Ok(vec![Node {
            id: NodeId(NODE.to_owned()),
            name: None,
            address: None,
            zone: None,
            group: None,
            launched: None,
            service: Service::In,
            agent: Agent::NotAsked,
            tags: value
                .map(|value| (KEY.to_owned(), value))
                .into_iter()
                .collect(),
        }])
    }
}

impl Store for Line {
    fn consistency(&self) -> Consistency {
        Consistency::Eventual
    }

    fn offset(&self) -> Offset {
        self.0.offset.get()
    }

    async fn read_fleet(&self, _: &Selector) -> Result<Vec<Node>, PortError> {
        self.fleet().await
    }

    async fn read_key(
        &self,
        _: &[NodeId],
        _: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        let value = self.0.read(Way::Key).await?;
        Ok(value
            .map(|value| (NodeId(NODE.to_owned()), value))
            .into_iter()
            .collect())
    }

    async fn read_tags(&self, _: &NodeId) -> Result<Tags, PortError> {
        let mut tags = self.0.others.borrow().clone();
        tags.extend(
            self.0
                .read(Way::Node)
                .await?
                .map(|value| (KEY.to_owned(), value)),
        );
        Ok(tags)
    }

    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        _: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        let (register, pairs) = (&self.0, put.iter().collect::<Vec<_>>());
        assert_eq!(
            (node.as_str(), pairs.len(), pairs[0].0.as_str()),
            (NODE, 1, KEY),
            "nothing else is written"
        );
        let n = next(&register.writes);
        let under_way = next(&register.under_way);
        register.at_once.set(register.at_once.get().max(under_way));
        let began = register.clock.boot().0;
        let land = |after: Duration| register.set(began + after, Some(pairs[0].1.clone()));
        let answer = match (register.fate)(n) {
            Fate::Refused(kind) => {
                register.pass(CALL).await;
                Err(WriteError::Refused(PortError::new(
                    kind,
                    "the write is refused",
                )))
            }
            Fate::Lands(after, answered) => {
                land(after);
                register.pass(answered).await;
                Ok(())
            }
            Fate::Unanswered(after) => {
                land(after);
                register.pass(ms(10_000)).await;
                Err(WriteError::Unknown(PortError::new(
                    ErrorKind::Unreachable,
                    "no answer",
                )))
            }
        };
        register.under_way.set(register.under_way.get() - 1);
        answer
    }

    async fn delete(&self, _: &NodeId, pairs: &Put) -> Result<(), WriteError> {
        let n = next(&self.0.deletes);
        self.0.pass(CALL).await;
        if let Some(kind) = (self.0.delete_fails)(n) {
            return Err(WriteError::Refused(PortError::new(
                kind,
                "the delete is refused",
            )));
        }
        let Moment(now) = self.0.clock.boot();
        if self.0.shows(now).as_ref() == Some(&pairs.first.1) {
            self.0.set(now, None);
        }
        Ok(())
    }

    async fn transact<T>(
        &self,
        _: &Selector,
        _: ClaimId,
        _: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        Err(PortError::new(ErrorKind::Other, "no transactions"))
    }
}
