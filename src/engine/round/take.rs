//! The next node: looked for, decided on, and taken.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::engine::round::state::{State, Wanted};
use crate::engine::stop::{Stop, Urgency};
use crate::engine::visit::Begin;
use crate::event::EventKind;
use crate::model::choose::{self, Choice, Claimant, choose, left_behind};
use crate::model::decide::{Row, Wish, decide};
use crate::model::id::{ClaimId, NodeId, RunId};
use crate::model::lease::remove::{Removal, Removing};
use crate::model::lease::{Answer, Input, Lease, Next, Terms};
use crate::model::lock::Seen;
use crate::model::record::Last;
use crate::model::time::{Moment, Now};
use crate::model::view::View;
use crate::port::{Clock, ErrorKind, PortError, Ports, Put, Store, WriteError};

/// How often leftover locks are removed before one look is given up, and how long apart where reads may be stale.
const REMOVALS_MAX: u32 = 32;
const REMOVALS_APART: Duration = Duration::from_secs(1);

/// What the next node is looked for by.
pub(super) struct Seek {
    /// Which nodes.
    pub(super) wish: Wish,
    /// What may be taken.
    pub(super) wanted: Wanted,
    /// Whether a claim was lost before: then by lot.
    pub(super) lost: bool,
    /// Whether a run that began under another job file is gone on with under this one.
    pub(super) accept_changed: bool,
}

impl Seek {
    /// The rows from which one is chosen.
    fn among<'r>(&self, rows: &'r [Row]) -> Cow<'r, [Row]> {
        match self.wanted {
            Wanted::Any => Cow::Borrowed(rows),
            Wanted::Left => Cow::Owned(left_behind(rows)),
        }
    }
}

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
        state.took(taken.begin.as_ref());
        let mut begin = taken.begin?;
        begin.leave_at = state.leave_at;
        Some(begin)
    }

    /// The same as [`Engine::take`], not before a moment; nothing when told to stop until then.
    pub(super) async fn take_later(
        &self,
        terms: Terms,
        seek: Seek,
        not_before: Moment,
        mut stop: Stop,
    ) -> Result<Taken, PortError> {
        tokio::select! {
            biased;
            _ = stop.more_than(Urgency::Go) => return Ok(Taken { begin: None, look: None }),
            () = self.sleep_until(not_before) => {}
        }
        self.take(&terms, &seek).await
    }

    /// Looks, decides, and takes the first node that may be taken.
    async fn take(&self, terms: &Terms, seek: &Seek) -> Result<Taken, PortError> {
        for _ in 0..REMOVALS_MAX {
            let (chosen, view, rows) = if terms.transactional {
                self.transact(terms, seek).await?
            } else {
                self.choose(seek).await?
            };
            let begin = match chosen {
                Chosen::Begin(begin) => Some(*begin),
                Chosen::Nothing => None,
                Chosen::Leftover { node, found } => {
                    self.remove(terms, &node, found).await?;
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

    async fn choose(&self, seek: &Seek) -> Result<(Chosen, View, Vec<Row>), PortError> {
        let view = observe(self.ports, self.rules, None).await?;
        self.check_clock()?;
        let rows = decide(self.rules, &view, &seek.wish);
        let claim = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let claimant = self.claimant(claim, seek, seek.lost);
        let chosen = match choose(self.rules, &view, &seek.among(&rows), &claimant) {
            Choice::Nothing => Chosen::Nothing,
            Choice::Remove { node, found } => Chosen::Leftover { node, found },
            Choice::Claim(chosen) => {
                let lease = Lease::claim(chosen.own.clone(), chosen.over.clone());
                Chosen::Begin(Box::new(begin(&view, *chosen, lease, false)))
            }
        };
        Ok((chosen, view, rows))
    }

    /// Claims where reading, deciding and writing are one transaction.
    async fn transact(
        &self,
        terms: &Terms,
        seek: &Seek,
    ) -> Result<(Chosen, View, Vec<Row>), PortError> {
        let proposed = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let key = self.rules.keys.lock.clone();
        // Whatever has to be asked of nodes is asked before: a transaction keeps everybody else out.
        let asked = observe(self.ports, self.rules, None).await?;
        let decide = |nodes, claim| {
            let now = self.now();
            let view = View {
                now: now.wall,
                nodes,
                evidence: BTreeMap::new(),
            }
            .with_evidence_of(&asked, self.rules);
            let rows = decide(self.rules, &view, &seek.wish);
            let claimant = self.claimant(claim, seek, false);
            let (grant, chosen) = match choose(self.rules, &view, &seek.among(&rows), &claimant) {
                Choice::Nothing => (None, Chosen::Nothing),
                Choice::Remove { node, found } => (None, Chosen::Leftover { node, found }),
                Choice::Claim(chosen) => {
                    let (lease, value) = Lease::granted(chosen.own.clone(), terms, now);
                    let grant = (chosen.node.id.clone(), Put::one(key, value));
                    let begin = begin(&view, *chosen, lease, true);
                    (Some(grant), Chosen::Begin(Box::new(begin)))
                }
            };
            (grant, (chosen, view, rows))
        };
        self.ports
            .store()
            .transact(&self.rules.job.fleet, proposed, decide)
            .await
    }

    /// Who claims, and by which ids. After a lost claim by lot, so that those who met do not meet again.
    fn claimant(&self, claim: ClaimId, seek: &Seek, lost: bool) -> Claimant<'_> {
        let clock = self.ports.clock();
        Claimant {
            owner: self.owner,
            claim,
            run: RunId::new(claim.epoch_ms(), clock.random()),
            lot: lost.then(|| clock.random()),
            accept_changed: seek.accept_changed,
        }
    }

    /// Removes the lock of a run that has ended, or never began.
    async fn remove(&self, terms: &Terms, node: &NodeId, found: String) -> Result<(), PortError> {
        let (store, key) = (self.ports.store(), &self.rules.keys.lock);
        let mut removal = Removal::new(found);
        let mut input = Input::Start;
        while let Removing::Do(next) = removal.on(terms, self.now(), &input) {
            input = if let Next::Delete(value) = next {
                match store.delete(node, &Put::one(key.clone(), value)).await {
                    Ok(()) | Err(WriteError::Changed) => Input::Deleted(Answer::Done),
                    Err(WriteError::Refused(error) | WriteError::Unknown(error)) => {
                        return Err(error);
                    }
                }
            } else {
                let value = store.read_tags(node).await?.remove(key.as_str());
                Input::Looked {
                    shows: Seen::read(value.as_deref()),
                    value,
                    standing: None,
                }
            };
        }
        Ok(())
    }

    /// Refuses to claim when this machine's clock is certainly wrong by more than the skew that is allowed for.
    pub(in crate::engine) fn check_clock(&self) -> Result<(), PortError> {
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

fn begin(view: &View, chosen: choose::Chosen, lease: Lease, granted: bool) -> Begin {
    Begin {
        lease,
        granted,
        take: chosen.take,
        stops: None,
        fleet: view.nodes.iter().map(|node| node.id.clone()).collect(),
        commands: view.commands(&chosen.node.id),
        node: chosen.node,
        leave_at: Moment::MAX,
    }
}

pub(in crate::engine) fn epoch_ms(now: Now) -> u64 {
    u64::try_from(now.wall.as_millisecond()).unwrap_or(0)
}
