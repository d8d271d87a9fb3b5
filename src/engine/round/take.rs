//! The next node: looked for, decided on, and taken.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::engine::round::state::State;
use crate::engine::stop::{Stop, Urgency};
use crate::engine::visit::Begin;
use crate::event::EventKind;
use crate::model::decide::{Row, Take, Wish, decide};
use crate::model::id::{ClaimId, NodeId, RunId};
use crate::model::lease::{Found, Lease, Terms};
use crate::model::lock::{Lock, LockState};
use crate::model::record::Last;
use crate::model::suspect::Abandoned;
use crate::model::time::{Moment, Now};
use crate::model::view::View;
use crate::port::{Clock, Consistency, ErrorKind, PortError, Ports, Put, Store, WriteError};

/// How often leftover locks are removed before one look is given up, and how long apart where reads may be stale.
const REMOVALS_MAX: u32 = 32;
const REMOVALS_APART: Duration = Duration::from_secs(1);

/// What a look for the next node gave.
pub(super) struct Taken {
    /// What to begin; `None`: nothing can be taken now.
    pub(super) begin: Option<Begin>,
    /// What was seen, and decided; `None`: told to stop before looking.
    pub(super) look: Option<(View, Vec<Row>)>,
}

impl<P: Ports> Engine<'_, P> {
    /// Takes in what a look gave; `Some`: a visit begins.
    pub(super) fn take_in(
        &self,
        taken: Result<Taken, PortError>,
        state: &mut State,
    ) -> Option<Begin> {
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                state.error = Some(error);
                return None;
            }
        };
        if let Some((view, rows)) = taken.look {
            self.warn_once(&rows, state);
            state.last_look = Some((view, rows));
        }
        state.idle = taken.begin.is_none();
        let begin = taken.begin?;
        state.taken += 1;
        state.skip.insert(begin.node.id.clone());
        Some(begin)
    }

    /// The same as [`Engine::take`], not before a moment; nothing when told to stop until then.
    pub(super) async fn take_later(
        &self,
        terms: Terms,
        wish: Wish,
        not_before: Moment,
        mut stop: Stop,
    ) -> Result<Taken, PortError> {
        tokio::select! {
            biased;
            _ = stop.more_than(Urgency::Go) => return Ok(Taken { begin: None, look: None }),
            () = self.sleep_until(not_before) => {}
        }
        self.take(&terms, &wish).await
    }

    /// Looks, decides, and takes the first node that may be taken.
    async fn take(&self, terms: &Terms, wish: &Wish) -> Result<Taken, PortError> {
        for _ in 0..REMOVALS_MAX {
            let (chosen, view, rows) = if terms.transactional {
                self.transact(terms, wish).await?
            } else {
                self.choose(wish).await?
            };
            let begin = match chosen {
                Chosen::Begin(begin) => Some(*begin),
                Chosen::Nothing => None,
                Chosen::Leftover { node, found } => {
                    self.remove(&node, found).await?;
                    if !terms.transactional {
                        // The next read may still show it.
                        self.sleep_until(self.now().boot.plus(REMOVALS_APART)).await;
                    }
                    continue;
                }
            };
            return Ok(Taken {
                begin,
                look: Some((view, rows)),
            });
        }
        let message =
            format!("leftover locks were removed {REMOVALS_MAX} times, and there are still some");
        Err(PortError::new(ErrorKind::Other, message)
            .with_help("the next invocation goes on; look with `status` whose they are"))
    }

    async fn choose(&self, wish: &Wish) -> Result<(Chosen, View, Vec<Row>), PortError> {
        let view = observe(self.ports, self.rules, None).await?;
        self.check_clock()?;
        let rows = decide(self.rules, &view, wish);
        let claim = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let chosen = self.first(&view, &rows, claim, |own, over| {
            (Lease::claim(own, over), false)
        });
        Ok((chosen, view, rows))
    }

    /// Claims where reading, deciding and writing are one transaction.
    async fn transact(
        &self,
        terms: &Terms,
        wish: &Wish,
    ) -> Result<(Chosen, View, Vec<Row>), PortError> {
        let proposed = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let key = self.rules.keys.lock.clone();
        let decide = |nodes, claim| {
            let now = self.now();
            let view = View {
                now: now.wall,
                nodes,
                evidence: BTreeMap::new(),
            }
            .without_evidence();
            let rows = decide(self.rules, &view, wish);
            let mut grant = None;
            let chosen = self.first(&view, &rows, claim, |own, _| {
                let (lease, value) = Lease::granted(own, terms, now);
                grant = Some(value);
                (lease, true)
            });
            let grant = match (&chosen, grant) {
                (Chosen::Begin(begin), Some(value)) => {
                    Some((begin.node.id.clone(), Put::one(key, value)))
                }
                _ => None,
            };
            (grant, (chosen, view, rows))
        };
        self.ports
            .store()
            .transact(&self.rules.job.fleet, proposed, decide)
            .await
    }

    /// The first row that may be taken, as something to begin with.
    fn first(
        &self,
        view: &View,
        rows: &[Row],
        claim: ClaimId,
        lease: impl FnOnce(Lock, Option<Found>) -> (Lease, bool),
    ) -> Chosen {
        if let Some((row, found)) = rows
            .iter()
            .find_map(|row| row.remove.clone().map(|found| (row, found)))
        {
            return Chosen::Leftover {
                node: row.node.clone(),
                found,
            };
        }
        let Some((row, take)) = rows
            .iter()
            .find_map(|row| row.take.as_ref().map(|take| (row, take)))
        else {
            return Chosen::Nothing;
        };
        let Some(node) = view.node(&row.node) else {
            return Chosen::Nothing;
        };
        let (found, abandoned): (Option<Found>, Option<Abandoned>) = match take {
            Take::Remove { found } => {
                return Chosen::Leftover {
                    node: row.node.clone(),
                    found: found.clone(),
                };
            }
            Take::Free => (None, None),
            Take::Over { found, abandoned } => {
                let lock = row.lock.clone();
                (
                    lock.map(|lock| Found {
                        value: found.clone(),
                        lock,
                    }),
                    abandoned.clone(),
                )
            }
        };
        let job = &self.rules.job;
        let own = Lock {
            run: RunId::new(claim.epoch_ms(), self.ports.clock().random()),
            claim,
            seq: 0,
            state: LockState::Settling,
            set: self.rules.lease.set(),
            job: job.name.clone(),
            task: job.task.clone(),
            file: job.file_digest(),
            step: 0,
            was: None,
            owner: self.owner.to_owned(),
            until: view.now,
        };
        let (lease, granted) = lease(own, found);
        let fleet = view.nodes.iter().map(|node| node.id.clone()).collect();
        Chosen::Begin(Box::new(Begin {
            node: node.clone(),
            lease,
            granted,
            abandoned,
            fleet,
        }))
    }

    /// Removes the lock of a run that has ended, or never began: compare-and-delete, on a read no older than G.
    async fn remove(&self, node: &NodeId, found: String) -> Result<(), PortError> {
        let store = self.ports.store();
        let began = self.now().boot;
        let tags = store.read_tags(node).await?;
        let key = &self.rules.keys.lock;
        let fresh = self.now().boot.since(began) <= self.rules.lease.claim_within
            || store.consistency() == Consistency::Transactional;
        if !fresh || tags.get(key.as_str()) != Some(&found) {
            return Ok(());
        }
        match store.delete(node, &Put::one(key.clone(), found)).await {
            Ok(()) | Err(WriteError::Changed) => Ok(()),
            Err(WriteError::Refused(error) | WriteError::Unknown(error)) => Err(error),
        }
    }

    /// Refuses to claim when this machine's clock is certainly wrong by more than the skew that is allowed for.
    fn check_clock(&self) -> Result<(), PortError> {
        let offset = self.ports.store().offset();
        if !offset.beyond(self.rules.lease.skew) {
            return Ok(());
        }
        let by = if offset.least_ms > 0 {
            offset.least_ms
        } else {
            offset.most_ms
        };
        let message = format!(
            "this machine's clock differs from the provider's by {by} ms, more than `skew` allows"
        );
        Err(PortError::new(ErrorKind::Other, message).with_help(
            "set the clock (NTP), or raise `[lease] skew` on every machine that runs this job",
        ))
    }

    fn warn_once(&self, rows: &[Row], state: &mut State) {
        if std::mem::replace(&mut state.warned, true) {
            return;
        }
        for row in rows {
            if let Last::Unreadable(text) = &row.last {
                let message = format!(
                    "{} of {} is {text:?}: no time, or one in the future; the node counts as due",
                    self.rules.keys.last, row.node
                );
                self.tell(None, Some(&row.node), EventKind::Warned { message });
            }
        }
    }
}

/// What a look at the fleet leads to.
enum Chosen {
    Begin(Box<Begin>),
    Leftover { node: NodeId, found: String },
    Nothing,
}

fn epoch_ms(now: Now) -> u64 {
    u64::try_from(now.wall.as_millisecond()).unwrap_or(0)
}
