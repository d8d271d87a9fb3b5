//! One invocation: look, decide, take, and again, while limits and wishes have room.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::engine::stop::{Stop, Urgency};
use crate::engine::visit::{Begin, Visited, visit};
use crate::event::{Counts, EventKind};
use crate::model::backoff::backoff;
use crate::model::decide::{Row, Take, Wish, decide};
use crate::model::id::{ClaimId, NodeId, RunId};
use crate::model::lease::{Found, Lease, Terms};
use crate::model::lock::{Lock, LockState};
use crate::model::record::Last;
use crate::model::run::Result as RunResult;
use crate::model::suspect::Abandoned;
use crate::model::time::{Moment, Now};
use crate::model::view::View;
use crate::port::{Clock, Consistency, ErrorKind, PortError, Ports, Put, Store, WriteError};

/// How often in a row a claim may not be answered in time, or be refused, before the invocation gives up.
const NOT_CLAIMED_MAX: u32 = 3;

/// How many claims one invocation may lose before it leaves the fleet to the others.
const LOSSES_MAX: u32 = 16;

/// How often leftover locks are removed before one look is given up, and how long apart where reads may be stale.
const REMOVALS_MAX: u32 = 32;
const REMOVALS_APART: Duration = Duration::from_secs(1);

/// What an operator asks of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Only this node.
    pub only: Option<NodeId>,
    /// How many nodes are claimed at most; `None`: all that may be.
    pub max: Option<u32>,
    /// How many are in hand at once, at most.
    pub parallel: u32,
}

/// What one invocation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// How many of each.
    pub counts: Counts,
    /// The outside failed in a way that ended the invocation, or a visit.
    pub error: Option<PortError>,
    /// Whether a run was ended, or left, because of a signal.
    pub cut_short: bool,
    /// The last look at the fleet, and what was decided on it: it says what comes next.
    pub last_look: Option<(View, Vec<Row>)>,
    /// The nodes whose run was recorded, in the order in which they ended.
    pub served: Vec<Served>,
    /// When all was done, the provider's time.
    pub at: jiff::Timestamp,
}

/// One node whose run was recorded, committed or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The node.
    pub node: NodeId,
    /// What the run amounts to.
    pub result: RunResult,
    /// How long the visit took, claiming and letting go included.
    pub took: Duration,
}

type Visiting<'v> = Pin<Box<dyn Future<Output = (NodeId, Visited, Duration)> + 'v>>;

#[derive(Default)]
struct State {
    counts: Counts,
    error: Option<PortError>,
    cut_short: bool,
    last_look: Option<(View, Vec<Row>)>,
    served: Vec<Served>,
    /// Nodes in hand or served by this invocation.
    skip: BTreeSet<NodeId>,
    /// Nodes with work begun or being claimed.
    taken: u32,
    not_claimed: u32,
    /// The latest claim that was not answered in time: told when nothing else came of the invocation.
    unanswered: Option<PortError>,
    losses: u32,
    warned: bool,
    /// Nothing could be taken at the last look, and nothing has changed since.
    idle: bool,
    /// When the next look may be: after a lost claim a random while later.
    not_before: Moment,
}

/// Runs one invocation to its end.
///
/// Looking for the next node and the visits of those in hand go on side by side: a slow read of the fleet must not
/// keep a lease from its renewal.
pub async fn round<P: Ports>(engine: &Engine<'_, P>, orders: &Orders, stop: Stop) -> Round {
    let transactional = engine.ports.store().consistency() == Consistency::Transactional;
    let rules = engine.rules;
    let terms = Terms {
        settings: rules.lease,
        ttl: rules.job.ttl(&rules.lease),
        transactional,
    };
    let again = Wish {
        only: orders.only.clone(),
        skip: BTreeSet::new(),
    };
    let mut state = State::default();
    let mut taking: Option<Taking<'_>> = None;
    let mut visits: FuturesUnordered<Visiting<'_>> = FuturesUnordered::new();
    loop {
        if taking.is_none()
            && state.wants_more(orders, visits.len())
            && stop.urgency() == Urgency::Go
        {
            let wish = Wish {
                only: orders.only.clone(),
                skip: state.skip.clone(),
            };
            taking = Some(Box::pin(engine.take_later(
                terms,
                wish,
                state.not_before,
                stop.clone(),
            )));
        }
        if taking.is_none() && visits.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some((node, visited, took)) = visits.next(), if !visits.is_empty() => {
                if state.count(&node, visited, took) {
                    let wait = backoff(state.losses.min(4), engine.ports.clock().random());
                    state.not_before = engine.now().boot.plus(wait);
                }
            }
            taken = arrived(&mut taking) => {
                taking = None;
                let Some(begin) = engine.take_in(taken, &mut state) else {
                    continue;
                };
                let (wish, stop) = (&again, stop.clone());
                visits.push(Box::pin(async move {
                    let (node, began) = (begin.node.id.clone(), engine.now().boot);
                    let visited = visit(engine, terms, wish, begin, stop).await;
                    (node, visited, engine.now().boot.since(began))
                }));
            }
        }
    }
    if orders.max == Some(0) && state.error.is_none() {
        let wish = Wish {
            only: orders.only.clone(),
            skip: BTreeSet::new(),
        };
        match observe(engine.ports, rules, None).await {
            Ok(view) => state.last_look = Some((view.clone(), decide(rules, &view, &wish))),
            Err(error) => state.error = Some(error),
        }
    }
    engine.tell(None, None, EventKind::Finished(state.counts));
    let unanswered = state.unanswered.filter(|_| state.counts.claimed == 0);
    Round {
        counts: state.counts,
        error: state.error.or(unanswered),
        cut_short: state.cut_short,
        last_look: state.last_look,
        served: state.served,
        at: engine.now().wall,
    }
}

/// A look for the next node, under way.
type Taking<'t> = Pin<Box<dyn Future<Output = Result<Taken, PortError>> + 't>>;

/// What a look for the next node gave.
struct Taken {
    /// What to begin; `None`: nothing can be taken now.
    begin: Option<Begin>,
    /// What was seen, and decided; `None`: told to stop before looking.
    look: Option<(View, Vec<Row>)>,
}

async fn arrived(taking: &mut Option<Taking<'_>>) -> Result<Taken, PortError> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

impl State {
    /// Whether another node may be looked for.
    fn wants_more(&self, orders: &Orders, in_hand: usize) -> bool {
        let room =
            orders.max.is_none_or(|max| self.taken < max) && in_hand < orders.parallel as usize;
        room && self.error.is_none() && !self.idle && self.losses < LOSSES_MAX
    }

    /// Counts how a visit ended; `true`: the next claim waits a random while.
    fn count(&mut self, node: &NodeId, visited: Visited, took: Duration) -> bool {
        self.idle = false;
        if let Visited::Recorded(result) = &visited {
            self.served.push(Served {
                node: node.clone(),
                result: *result,
                took,
            });
        }
        let claimed = !matches!(visited, Visited::ClaimLost { .. } | Visited::NotClaimed(_));
        self.counts.claimed += u32::from(claimed);
        match visited {
            Visited::Recorded(RunResult::Done) => self.counts.committed += 1,
            Visited::Recorded(RunResult::DoneUnclean { .. }) => {
                self.counts.committed += 1;
                self.counts.failed += 1;
            }
            Visited::Recorded(RunResult::Failed { reason, .. }) => {
                self.counts.failed += 1;
                self.cut_short |= reason == crate::model::record::FailReason::Stopped;
            }
            // A change of the node's tags by somebody else at the same moment is a claim lost like any other.
            Visited::ClaimLost { .. }
            | Visited::NotClaimed(PortError {
                kind: ErrorKind::Conflict,
                ..
            }) => {
                self.counts.claims_lost += 1;
                return self.lost(node);
            }
            Visited::NotClaimed(error) => {
                self.not_claimed += 1;
                let passing = matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable);
                if error.kind == ErrorKind::Unreachable {
                    self.unanswered = Some(error.clone());
                }
                if !passing || self.not_claimed >= NOT_CLAIMED_MAX {
                    self.error = Some(error);
                }
                return self.lost(node);
            }
            Visited::LeaseLost(error) => {
                self.counts.leases_lost += 1;
                if let Some(error) = error {
                    self.error = Some(error);
                }
            }
            Visited::Outside(error) => self.error = Some(error),
            Visited::Left => self.cut_short = true,
        }
        false
    }

    fn lost(&mut self, node: &NodeId) -> bool {
        self.losses += 1;
        self.taken -= 1;
        self.skip.remove(node);
        true
    }
}

impl<P: Ports> Engine<'_, P> {
    /// Takes in what a look gave; `Some`: a visit begins.
    fn take_in(&self, taken: Result<Taken, PortError>, state: &mut State) -> Option<Begin> {
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
    async fn take_later(
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
