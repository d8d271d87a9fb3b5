//! The tags, as one process reads and writes them through a network that loses, delays and repeats.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::job::Selector;
use roundsman::model::lock::Lock;
use roundsman::model::node::Node;
use roundsman::model::tag::{TagKey, Tags};
use roundsman::model::time::{Moment, floor_second};
use roundsman::port::{
    Clock, Consistency, ErrorKind, Grant, Offset, PortError, Put, Store, WriteError,
};

use crate::cloud::Cloud;
use crate::faults::Class;
use crate::process::Handle;
use crate::register::Mutation;

/// How long a call is waited for.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn unreachable() -> PortError {
    PortError::new(ErrorKind::Unreachable, "no answer in time")
}

pub(crate) fn milliseconds(least: u64, most: u64, handle: &Handle) -> Duration {
    handle
        .cloud
        .lots
        .between(Duration::from_millis(least), Duration::from_millis(most))
}

impl Handle {
    /// What keeps a call from being made, or from being taken.
    pub(crate) async fn refused(&self, freeze_most: Duration) -> Result<(), PortError> {
        self.depart(freeze_most).await;
        let (throttled, server_error) = {
            let faults = self.cloud.faults.borrow();
            (faults.throttled, faults.server_error)
        };
        let error = if self.cloud.clock.boot() < self.process.machine.no_credentials_until.get() {
            self.cloud.fired.count(Class::CredentialsExpired);
            PortError::new(ErrorKind::Credentials, "ExpiredToken")
        } else if self.cloud.lots.chance(throttled) {
            self.cloud.fired.count(Class::Throttled);
            PortError::new(ErrorKind::Throttled, "RequestLimitExceeded")
        } else if self.cloud.lots.chance(server_error) {
            self.cloud.fired.count(Class::ServerError);
            PortError::new(ErrorKind::Unreachable, "InternalError")
        } else {
            return Ok(());
        };
        self.sleep(milliseconds(20, 400, self)).await;
        Err(error)
    }

    /// How long it takes until a call is served, and until its answer is here.
    pub(crate) fn latencies(&self) -> (Duration, Duration) {
        let slow = self.cloud.faults.borrow().call_slow;
        if self.cloud.lots.chance(slow) {
            self.cloud.fired.count(Class::CallSlow);
            (milliseconds(10, 6_000, self), milliseconds(10, 6_000, self))
        } else {
            (milliseconds(10, 80, self), milliseconds(10, 80, self))
        }
    }

    /// Has `serve` called in the cloud, with the moment at which the call was begun, and waits for its answer.
    pub(crate) async fn ask<T: 'static>(
        &self,
        serve: impl FnOnce(&Rc<Cloud>, Moment) -> T + 'static,
    ) -> Result<T, PortError> {
        self.refused(Duration::MAX).await?;
        let (there, back) = self.latencies();
        let began = self.cloud.clock.boot();
        let begun = self.wall();
        let slot = Rc::new(RefCell::new(None));
        let answer = Rc::clone(&slot);
        self.cloud.after(there, move |cloud| {
            let date = floor_second(cloud.clock.wall());
            *answer.borrow_mut() = Some((serve(cloud, began), date));
        });
        self.sleep((there + back).min(CALL_TIMEOUT)).await;
        if there + back >= CALL_TIMEOUT {
            return Err(unreachable());
        }
        let Some((value, date)) = slot.take() else {
            return Err(unreachable());
        };
        self.process.answered(date, begun, self.wall());
        Ok(value)
    }
}

fn pairs(put: &Put) -> Vec<(String, String)> {
    put.iter()
        .map(|(key, value)| (key.as_str().to_owned(), value.clone()))
        .collect()
}

impl Store for Handle {
    fn consistency(&self) -> Consistency {
        Consistency::Eventual
    }

    fn offset(&self) -> Offset {
        self.process.offset()
    }

    async fn read_fleet(&self, _: &Selector) -> Result<Vec<Node>, PortError> {
        self.ask(|cloud, began| cloud.read_nodes(began)).await
    }

    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        let (nodes, key) = (nodes.to_vec(), key.clone());
        let serve = move |cloud: &Rc<Cloud>, began| {
            let all = cloud.nodes.borrow();
            let value = |id: &NodeId| {
                let mut tags = cloud.read_tags_of(all.get(id)?, began);
                tags.remove(key.as_str())
            };
            nodes
                .iter()
                .filter_map(|id| Some((id.clone(), value(id)?)))
                .collect()
        };
        self.ask(serve).await
    }

    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError> {
        let id = node.clone();
        self.ask(move |cloud, began| {
            let all = cloud.nodes.borrow();
            all.get(&id)
                .map_or_else(Tags::new, |node| cloud.read_tags_of(node, began))
        })
        .await
    }

    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        _: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        let lock = put.iter().find_map(|(_, value)| Lock::parse(value));
        if let Some(lock) = lock {
            let own = (lock.run, lock.claim);
            self.process.own.borrow_mut().insert(node.clone(), own);
        }
        self.mutate(node, Mutation::Put(pairs(put))).await
    }

    async fn delete(&self, node: &NodeId, values: &Put) -> Result<(), WriteError> {
        self.mutate(node, Mutation::Delete(pairs(values))).await
    }

    async fn transact<T>(
        &self,
        _: &Selector,
        _: ClaimId,
        _: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        Err(PortError::new(
            ErrorKind::Other,
            "EC2 tags know no transactions",
        ))
    }
}
