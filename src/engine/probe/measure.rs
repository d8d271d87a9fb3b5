//! The writer and the readers.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::select;

use crate::engine::probe::Probe;
use crate::engine::stop::{Stop, Urgency};
use crate::model::backoff::backoff;
use crate::model::node::Node;
use crate::model::probe::tag::{ProbeTag, Shown, shown};
use crate::model::probe::{Answer, Read, Way, Write};
use crate::model::time::Moment;
use crate::port::{Clock, ErrorKind, PortError, Put, Store, WriteError};

/// How long nothing may be answered before the probe gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many claims (a read, and the write after it) in a row may fail before it gives up.
const CLAIMS_MAX: u32 = 5;
/// How many reads of the fleet in a row may lack the node before it counts as gone.
const GONE_MAX: u32 = 3;

impl<S, C, F> Probe<'_, S, C, F>
where
    S: Store,
    C: Clock,
    F: AsyncFn(&S) -> Result<Vec<Node>, PortError>,
{
    /// Writes and reads until the time is up, a signal comes, or it cannot go on. No write is under way afterwards.
    pub(super) async fn measure(&self, stop: Stop) {
        let readers = join_all((0..self.stores.len()).map(|connection| self.read_on(connection)));
        select! {
            biased;
            () = self.write_on(stop) => {}
            _ = readers => {}
        }
    }

    async fn write_on(&self, mut stop: Stop) {
        let end = self.now().plus(self.order.for_);
        let mut trouble = self.trouble.subscribe();
        let mut next = self.now();
        let mut failed = 0;
        loop {
            let wake = next.max(self.quiet_until.get()).min(end);
            select! {
                biased;
                _ = stop.more_than(Urgency::Go) => return,
                _ = trouble.wait_for(Option::is_some) => return,
                () = self.clock.sleep_until(wake) => {}
            }
            if self.now() >= end {
                return;
            }
            match self.claim(&stop).await {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    if failed == CLAIMS_MAX {
                        self.give_up(error.clone());
                    }
                    self.failed(error, failed);
                }
            }
            next = self.now().plus(self.spread(self.order.write_every));
        }
    }

    /// Between half of this and one and a half.
    fn spread(&self, span: Duration) -> Duration {
        let ms = span.as_millis().max(1);
        let ms = ms / 2 + self.clock.random() % (ms + 1);
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// What a claim does: a read, and right after it a write, unless the probe is told to stop meanwhile.
    async fn claim(&self, stop: &Stop) -> Result<(), PortError> {
        let Some(store) = self.stores.first() else {
            return Ok(());
        };
        let read = self.now();
        self.read(store, Way::Node).await?;
        if stop.urgency() > Urgency::Go || self.trouble.borrow().is_some() {
            return Ok(());
        }
        let mut values = self.values.take();
        let seq = values.len() + 1;
        let tag = ProbeTag {
            probe: self.order.probe,
            seq,
            at: store.offset().correct(self.clock.wall()),
            by: self.order.by.clone(),
        };
        let value = tag.format();
        // Noted before it is written: a reader may see it before the answer comes.
        values.push(value.clone());
        self.values.replace(values);
        let began = self.now();
        let put = Put::one(self.order.key.clone(), value);
        let answer = store.write(&self.order.node, &put, None).await;
        let write = Write {
            read,
            began,
            ended: self.now(),
            answer: match &answer {
                Ok(()) => Answer::Done,
                Err(WriteError::Refused(_) | WriteError::Changed) => Answer::Refused,
                Err(WriteError::Unknown(_)) => Answer::Unanswered,
            },
        };
        self.log.borrow_mut().writes.push(write);
        tracing::debug!(node = %self.order.node, seq, answer = ?write.answer, took = ?write.ended.since(began), "wrote");
        match answer {
            Ok(()) => {
                self.good.set(write.ended);
                Ok(())
            }
            Err(WriteError::Changed) => Err(PortError::new(
                ErrorKind::Conflict,
                format!("the tags of {} have changed meanwhile", self.order.node),
            )),
            Err(WriteError::Refused(error) | WriteError::Unknown(error)) => Err(error),
        }
    }

    /// Reads by each call in turn, for ever.
    async fn read_on(&self, connection: usize) {
        let Some(store) = self.stores.get(connection) else {
            return std::future::pending().await;
        };
        // The connections' reads lie evenly between each other.
        let share = |part: usize, of: usize| {
            let part = u32::try_from(part).unwrap_or(u32::MAX);
            self.order.read_every.saturating_mul(part)
                / u32::try_from(of.max(1)).unwrap_or(u32::MAX)
        };
        let mut next = self.now().plus(share(connection, self.stores.len()));
        // Only some calls can tell that the node is gone, so each is counted by itself.
        let (mut failed, mut gone) = (0, Way::ALL.map(|_| 0));
        loop {
            for (way, gone) in Way::ALL.into_iter().zip(&mut gone) {
                self.clock
                    .sleep_until(next.max(self.quiet_until.get()))
                    .await;
                match self.read(store, way).await {
                    Ok(Seen::Read) => (failed, *gone) = (0, 0),
                    Ok(Seen::NoNode) => *gone += 1,
                    Err(error) => {
                        failed += 1;
                        self.failed(error, failed);
                    }
                }
                if *gone == GONE_MAX {
                    self.give_up(gone_from(&self.order.node.0));
                }
            }
            // What has been missed is not made up for.
            next = next.plus(self.order.read_every).max(self.now());
        }
    }

    /// One read, noted.
    async fn read(&self, store: &S, way: Way) -> Result<Seen, PortError> {
        let (node, key) = (&self.order.node, &self.order.key);
        let began = self.now();
        let value = match way {
            Way::Node => store.read_tags(node).await?.remove(key.as_str()),
            Way::Key => store
                .read_key(std::slice::from_ref(node), key)
                .await?
                .remove(node),
            Way::Fleet => {
                let nodes = (self.fleet)(store).await?;
                let Some(mut found) = nodes.into_iter().find(|found| found.id == *node) else {
                    return Ok(Seen::NoNode);
                };
                found.tags.remove(key.as_str())
            }
        };
        let ended = self.now();
        self.good.set(ended);
        let written = self.values.borrow().len();
        match shown(value.as_deref(), self.order.probe, self.began, written) {
            Shown::Foreign(value) => self.give_up(foreign(&self.order.node.0, &value)),
            Shown::Before => self.note(way, began, ended, 0),
            Shown::Own(version) => self.note(way, began, ended, version),
        }
        Ok(Seen::Read)
    }

    fn note(&self, way: Way, began: Moment, ended: Moment, version: usize) {
        self.log.borrow_mut().reads.push(Read {
            way,
            began,
            ended,
            version,
        });
    }
}

/// What a read gave.
enum Seen {
    Read,
    /// A fleet without the node.
    NoNode,
}

impl<S: Store, C: Clock, F> Probe<'_, S, C, F> {
    /// Notes a failed call. What may pass is waited for, by everybody; else the probe ends.
    ///
    /// `attempt`: how many in a row have failed where it was asked.
    pub(super) fn failed(&self, error: PortError, attempt: u32) {
        tracing::debug!(%error, attempt, "a call of the probe failed");
        let throttled = error.kind == ErrorKind::Throttled;
        {
            let mut log = self.log.borrow_mut();
            let count = if throttled {
                &mut log.throttled
            } else {
                &mut log.failed
            };
            *count += 1;
        }
        let passes = matches!(
            error.kind,
            ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Unreachable
        );
        if !passes || self.now().since(self.good.get()) > PATIENCE {
            self.give_up(error);
        }
        let until = self.now().plus(backoff(attempt, self.clock.random()));
        self.quiet_until.set(self.quiet_until.get().max(until));
    }

    /// Ends the probe. The first reason counts.
    fn give_up(&self, error: PortError) {
        self.trouble.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(error);
            first
        });
    }
}

fn gone_from(node: &str) -> PortError {
    PortError::new(
        ErrorKind::NotFound,
        format!("{node} is gone: the fleet no longer lists it (terminated?)"),
    )
    .with_help("nothing follows from what was read of it: probe another node")
}

fn foreign(node: &str, value: &str) -> PortError {
    PortError::new(
        ErrorKind::Conflict,
        format!("somebody else writes the probe's tag on {node}: {value:?}"),
    )
    .with_help("one probe at a time for each node: look who else probes, and begin again")
}
