//! One invocation: look, decide, take, and again, while limits and wishes have room.

mod state;
pub(super) mod take;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::engine::Engine;
use crate::engine::stop::{Stop, Urgency};
use crate::engine::visit::{Visited, visit};
use crate::event::{Counts, EventKind};
use crate::model::backoff::backoff;
use crate::model::decide::{Row, Wish};
use crate::model::id::NodeId;
use crate::model::lease::Terms;
use crate::model::run::Result as RunResult;
use crate::model::time::Moment;
use crate::model::view::View;
use crate::port::{Clock, Consistency, PortError, Ports, Store};
use state::State;
use take::{Seek, Taken};

/// What an operator asks of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Only this node.
    pub only: Option<NodeId>,
    /// How many nodes are claimed at most; `None`: all that may be.
    pub max: Option<u32>,
    /// How many of those are in hand at once, at most. What is adopted is in hand besides.
    pub parallel: u32,
    /// How long what runs on nodes is waited for, before it is left to the next invocation; `None`: to its end.
    pub wait: Option<Duration>,
    /// Whether a run that began under another job file is gone on with under this one.
    pub accept_changed: bool,
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

/// Runs one invocation to its end.
///
/// Looking for the next node and the visits of those in hand go on side by side: a slow read of the fleet must not
/// keep a lease from its renewal.
pub async fn round<P: Ports>(engine: &Engine<'_, P>, orders: &Orders, stop: Stop) -> Round {
    let transactional = engine.ports.store().consistency() == Consistency::Transactional;
    let terms = Terms::of(engine.rules, transactional);
    let again = Wish {
        only: orders.only.clone(),
        skip: BTreeSet::new(),
    };
    let began = engine.now().boot;
    let mut state = State::until(orders.wait.map_or(Moment::MAX, |wait| began.plus(wait)));
    let mut taking: Option<Taking<'_>> = None;
    let mut visits: FuturesUnordered<Visiting<'_>> = FuturesUnordered::new();
    loop {
        let wanted = state.wants(orders, engine.now().boot);
        if let Some(wanted) = wanted.filter(|_| taking.is_none() && stop.urgency() == Urgency::Go) {
            let seek = Seek {
                wish: Wish {
                    only: orders.only.clone(),
                    skip: state.skip.clone(),
                },
                wanted,
                lost: state.losses > 0,
                accept_changed: orders.accept_changed,
            };
            taking = Some(Box::pin(engine.take_later(
                terms,
                seek,
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

async fn arrived(taking: &mut Option<Taking<'_>>) -> Result<Taken, PortError> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}
