//! Ending a run on purpose, whoever holds its lease: `stop`.

use crate::engine::Engine;
use crate::engine::observe::observe_node;
use crate::engine::round::take::epoch_ms;
use crate::engine::stop::{Stop, Urgency};
use crate::engine::visit::{Begin, Visited, for_good, visit};
use crate::model::decide::Wish;
use crate::model::id::{ClaimId, RunId};
use crate::model::job::Selector;
use crate::model::lease::{Lease, Terms};
use crate::model::lock::Lock;
use crate::model::node::Node;
use crate::model::run::Result as RunResult;
use crate::model::stop::{self, NoStop, Target};
use crate::model::time::Moment;
use crate::model::view::View;
use crate::port::{Clock, Consistency, PortError, Ports, Put, Store};

/// What a stop came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halted {
    /// The run was ended and recorded, and its lock removed.
    Stopped {
        /// The lock that was found.
        found: Box<Lock>,
        /// What the run amounts to: stopped, or done where all of its steps had succeeded.
        result: RunResult,
    },
    /// The run ended by itself before it was stopped.
    Over,
    /// Nothing was stopped.
    Not(NoStop),
    /// No claim held: why the last was lost.
    ClaimLost {
        /// A sentence.
        why: String,
    },
    /// The stop's own lease was lost. With the outside's error, where that was why.
    LeaseLost(Option<PortError>),
    /// The outside failed.
    Outside(PortError),
    /// Told to end before it was done.
    Left,
}

/// What a look for something to be stopped gave.
enum Found {
    Begin(Box<(Begin, Target)>),
    Not(NoStop),
}

/// Looks what there is to be stopped on a node. Writes nothing.
///
/// # Errors
/// When the node cannot be read.
pub async fn target<P: Ports>(
    engine: &Engine<'_, P>,
    node: &Node,
    only: Option<RunId>,
) -> Result<Result<Target, NoStop>, PortError> {
    let view = observe_node(engine.ports, node).await?;
    let node = view.node(&node.id).unwrap_or(node);
    Ok(stop::target(engine.rules, &view, node, only))
}

/// Ends the run on a node: claims it over whoever holds it, ends what it has under way, cleans up, records, lets go.
///
/// A claim that is lost, to a write of the holder's that landed late or to another claim, is made anew a few times.
/// `only`: the run that is meant.
pub async fn halt<P: Ports>(
    engine: &Engine<'_, P>,
    node: &Node,
    only: RunId,
    mut told: Stop,
) -> Halted {
    let transactional = engine.ports.store().consistency() == Consistency::Transactional;
    let terms = Terms::of(engine.rules, transactional);
    let wish = Wish::default();
    let mut lost = Halted::Over;
    for _ in 0..stop::TRIES {
        let taken = if transactional {
            engine.take_to_stop_at_once(&terms, node, only).await
        } else {
            engine.take_to_stop(node, only).await
        };
        let (begin, target) = match taken {
            Ok(Found::Begin(begun)) => *begun,
            // It was there before: it has been recorded, or let go of, or somebody else has begun there since.
            Ok(Found::Not(NoStop::Free | NoStop::AnotherRun(_) | NoStop::Over(_))) => {
                return Halted::Over;
            }
            Ok(Found::Not(no)) => return Halted::Not(no),
            Err(error) => return Halted::Outside(error),
        };
        let found = Box::new(target.found.lock);
        lost = match visit(engine, terms, &wish, begin, told.clone()).await {
            Visited::Recorded(result) => return Halted::Stopped { found, result },
            Visited::LeaseLost(error) => return Halted::LeaseLost(error),
            Visited::Outside(error) => return Halted::Outside(error),
            Visited::Left | Visited::Parked => return Halted::Left,
            Visited::NotClaimed(error) if for_good(&error) => return Halted::Outside(error),
            Visited::NotClaimed(error) => Halted::Outside(error),
            Visited::ClaimLost { why } => Halted::ClaimLost { why },
        };
        if told.urgency() > Urgency::Go {
            return Halted::Left;
        }
        let wait = stop::wait_after_loss(&engine.rules.lease, engine.ports.clock().random());
        let until = engine.now().boot.plus(wait);
        tokio::select! {
            biased;
            _ = told.more_than(Urgency::Go) => return Halted::Left,
            () = engine.sleep_until(until) => {}
        }
    }
    lost
}

impl<P: Ports> Engine<'_, P> {
    async fn take_to_stop(&self, node: &Node, only: RunId) -> Result<Found, PortError> {
        let view = observe_node(self.ports, node).await?;
        self.check_clock()?;
        let node = view.node(&node.id).unwrap_or(node);
        let target = match stop::target(self.rules, &view, node, Some(only)) {
            Ok(target) => target,
            Err(no) => return Ok(Found::Not(no)),
        };
        let claim = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let own = stop::own_lock(self.rules, &target, self.owner, claim);
        let lease = Lease::stop(own, target.found.clone());
        let begin = begin(&view, node, (lease, false), &target);
        Ok(Found::Begin(Box::new((begin, target))))
    }

    /// The same where reading and writing are one transaction.
    async fn take_to_stop_at_once(
        &self,
        terms: &Terms,
        node: &Node,
        only: RunId,
    ) -> Result<Found, PortError> {
        let proposed = ClaimId::new(epoch_ms(self.now()), self.ports.clock().random());
        let everywhere = Selector {
            all: true,
            ..Selector::default()
        };
        let key = self.rules.keys.lock.clone();
        // What has to be asked of the node is asked before: a transaction keeps everybody else out. What its run has
        // begun since is ended all the same, and what another has, the lock names.
        let asked = observe_node(self.ports, node).await?;
        let decide = |nodes: Vec<Node>, claim| {
            let now = self.now();
            let view = View {
                now: now.wall,
                nodes,
                evidence: asked.evidence,
            };
            let Some(node) = view.node(&node.id) else {
                return (None, Found::Not(NoStop::Free));
            };
            match stop::target(self.rules, &view, node, Some(only)) {
                Err(no) => (None, Found::Not(no)),
                Ok(target) => {
                    let own = stop::own_lock(self.rules, &target, self.owner, claim);
                    let (lease, value) = Lease::granted(stop::granted(own), terms, now);
                    let grant = (node.id.clone(), Put::one(key, value));
                    let begin = begin(&view, node, (lease, true), &target);
                    (Some(grant), Found::Begin(Box::new((begin, target))))
                }
            }
        };
        self.ports
            .store()
            .transact(&everywhere, proposed, decide)
            .await
    }
}

fn begin(view: &View, node: &Node, (lease, granted): (Lease, bool), target: &Target) -> Begin {
    Begin {
        commands: view.commands(&node.id),
        leave_at: Moment::MAX,
        node: node.clone(),
        lease,
        granted,
        take: stop::take(target),
        stops: Some(target.found.lock.clone()),
        fleet: vec![node.id.clone()],
    }
}
