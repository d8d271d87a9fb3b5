//! What must never be: looked for whenever something happens by which it could come about.

use jiff::SignedDuration;
use roundsman::model::lock::Lock;
use roundsman::model::record::{Fail, Last};
use roundsman::model::suspect::FINISHED_FOR;
use roundsman::model::time::later;

use crate::contender::{Awaited, Left, Phase, Visit};
use crate::model::Search;
use crate::world::{Flying, Op, Order, Stage, State, Wrong};

impl Search {
    /// Whether a contender believes that it holds a node.
    pub(crate) fn is_held(&self, state: &State, who: u8) -> bool {
        let contender = self.contender(state, who);
        let holds = |visit| self.holds(state, contender.kind, visit);
        contender.visit().is_some_and(holds)
    }

    /// Whether a visit has the right to act. One that parks has given it up.
    pub(crate) fn holds(&self, state: &State, kind: u8, visit: &Visit) -> bool {
        let now = self.scenario.boot(state.at);
        let gives_back = visit.parking || visit.awaited == Awaited::Release;
        visit.lease.is_held(&self.scenario.terms(kind), now) && !gives_back
    }

    fn with_visit<T>(&self, state: &State, who: u8, ask: impl FnOnce(&Visit) -> T) -> Option<T> {
        let contender = self.contender(state, who);
        contender.visit().map(ask)
    }

    /// Every contender's node and claim, where it holds one.
    fn holders(&self, state: &State) -> Vec<(u8, u8)> {
        let all = 0..u8::try_from(state.contenders.len()).expect("few");
        let held = |who| {
            let node = self.with_visit(state, who, |visit| visit.node);
            node.filter(|_| self.is_held(state, who))
                .map(|node| (who, node))
        };
        all.filter_map(held).collect()
    }

    /// A contender may have come to hold its node.
    pub(crate) fn check_held(&self, state: &mut State, who: u8) {
        let holders = self.holders(state);
        let Some((_, node)) = holders.iter().find(|(holder, _)| *holder == who).copied() else {
            return;
        };
        let claim = self.with_visit(state, who, |visit| visit.lease.claim_id());
        let stale = self.scenario.world.stale;
        let stops = self.with_visit(state, who, |visit| visit.stops) == Some(true);
        let here_too = holders.iter().filter(|(_, n)| *n == node).count() > 1;
        let here = &mut state.nodes[usize::from(node)];
        let mut wrong = None;
        if here_too && self.scenario.belief {
            wrong = Some(Wrong::TwoHolders);
        } else if here.held > claim {
            wrong = Some(Wrong::IdOrder);
        } else if !stops && here.hold_at.is_some_and(|since| since + stale < state.at) {
            wrong = Some(Wrong::UnderHold);
        }
        here.held = here.held.max(claim);
        let wrong = wrong.or_else(|| self.wrong_run(state, who, node));
        state.wrong = state.wrong.or(wrong);
        self.check_limit(state);
    }

    /// Whether the run that was found there is not to be gone on with, or not to be given up.
    fn wrong_run(&self, state: &State, who: u8, node: u8) -> Option<Wrong> {
        let take = self.with_visit(state, who, |visit| visit.take.clone())?;
        let sends = &state.nodes[usize::from(node)].sends;
        match take {
            Left::Free => None,
            Left::Adopt(_, run) => sends
                .iter()
                .any(|(order, _)| {
                    order.run == run.run
                        && self.accounted(state, node, order)
                        && self.is_stable(state, node, order)
                })
                .then_some(Wrong::DoneAgain),
            Left::Over(found, run) => sends
                .iter()
                .any(|(order, stage)| {
                    order.run == run.run
                        && *stage == Stage::Ended(true)
                        && !self.accounted(state, node, order)
                        && self.is_within_a_day(state, &found)
                })
                .then_some(Wrong::GivenUp),
        }
    }

    /// Whether a lock ended so lately that its job may still commit what it has done.
    fn is_within_a_day(&self, state: &State, found: &str) -> bool {
        let now = self.scenario.wall(state.at, 0);
        let kept = |lock: Lock| now < later(lock.until, FINISHED_FOR);
        Lock::parse(found).is_none_or(kept)
    }

    /// Whether what accounts for a run has stood for longer than any read is old.
    fn is_stable(&self, state: &State, node: u8, order: &Order) -> bool {
        let keys = &self.scenario.kinds[usize::from(order.kind)].rules.keys;
        [&keys.last, &keys.fail].into_iter().all(|key| {
            let index = usize::from(self.scenario.register(node, key.as_str()));
            state.registers[index].is_stable()
        })
    }

    /// A contender writes or sends: not while a later claim holds its node.
    pub(crate) fn check_act(&self, state: &mut State, who: u8) {
        if !self.is_held(state, who) {
            return;
        }
        let mine = self.with_visit(state, who, |visit| (visit.node, visit.lease.claim_id()));
        if self.scenario.somebody_stops() {
            return self.check_act_beside_stops(state, who);
        }
        let displaced = self.holders(state).into_iter().any(|(other, node)| {
            let theirs = self.with_visit(state, other, |visit| visit.lease.claim_id());
            other != who
                && mine.is_some_and(|(at, mine)| at == node && theirs.is_some_and(|t| t > mine))
        });
        if displaced {
            state.wrong = state.wrong.or(Some(Wrong::Displaced));
        }
    }

    /// Where somebody stops, a holder is displaced while it believes that it holds, and a write of its own that lands
    /// late may give it its lease back. But of two that may act without looking again there is never one too many.
    fn check_act_beside_stops(&self, state: &mut State, who: u8) {
        let node = self.with_visit(state, who, |visit| visit.node);
        let mut others = self.acting(state).into_iter();
        if others.any(|(other, at)| other != who && Some(at) == node) {
            state.wrong = state.wrong.or(Some(Wrong::Displaced));
        }
        self.check_limit(state);
    }

    /// Those who may act without looking again, and where.
    fn acting(&self, state: &State) -> Vec<(u8, u8)> {
        let now = self.scenario.now(state.at, 0).boot;
        let fresh = |(who, _): &(u8, u8)| {
            let terms = self.scenario.terms(self.contender(state, *who).kind);
            let until = self.with_visit(state, *who, |visit| visit.lease.fresh_until(&terms));
            until.flatten().is_some_and(|until| now <= until)
        };
        self.holders(state).into_iter().filter(fresh).collect()
    }

    /// More nodes may be held or at work than the limit allows.
    pub(crate) fn check_limit(&self, state: &mut State) {
        // Who was displaced by a stop believes what it last read.
        let holders = if self.scenario.somebody_stops() {
            self.acting(state)
        } else {
            self.holders(state)
        };
        let mut nodes: Vec<u8> = holders.into_iter().map(|(_, node)| node).collect();
        let running = (0..)
            .zip(&state.nodes)
            .filter(|(_, node)| node.running() > 0);
        nodes.extend(running.map(|(n, _)| n));
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.len() > self.scenario.limit {
            state.wrong = state.wrong.or(Some(Wrong::OverLimit));
        }
    }

    /// A contender begins a step: not that of a new run on a node that was served lately.
    pub(crate) fn check_send(&self, state: &mut State, who: u8, node: u8) {
        let contender = self.contender(state, who);
        let rules = &self.scenario.kinds[usize::from(contender.kind)].rules;
        let new = contender
            .visit()
            .is_some_and(|visit| visit.take == Left::Free);
        let key = usize::from(self.scenario.register(node, rules.keys.last.as_str()));
        let now = self.scenario.wall(state.at, 0);
        let cast = self.cast.lock().expect("one thread");
        let last = Last::read(
            cast.texts.text(state.registers[key].now),
            now,
            rules.lease.skew,
        );
        let every = SignedDuration::try_from(rules.job.every).expect("short");
        let robbed = state.nodes[usize::from(node)].robbed;
        if new && !robbed && last.at().is_some_and(|at| now.duration_since(at) < every) {
            state.wrong = state.wrong.or(Some(Wrong::DoneAgain));
        }
    }

    /// A contender records: a completion only of work that has succeeded.
    pub(crate) fn check_record(&self, state: &mut State, who: u8, ops: &[(u8, Op)]) {
        let keys = self.scenario.keys.len();
        let completes = |(index, op): &(u8, Op)| {
            self.scenario.keys[usize::from(*index) % keys].starts_with("last-")
                && matches!(op, Op::Put(_))
        };
        if !ops.iter().any(completes) {
            return;
        }
        let done = self.with_visit(state, who, |visit| {
            let run = visit.lease.lock().run;
            let sends = &state.nodes[usize::from(visit.node)].sends;
            let well =
                |(order, stage): &(Order, Stage)| order.run == run && *stage == Stage::Ended(true);
            sends.iter().any(well)
        });
        // A runner's own step leaves nothing on the node.
        if done != Some(true) && self.scenario.evidence {
            state.wrong = state.wrong.or(Some(Wrong::NoWork));
        }
    }

    /// A lock was deleted: not over a run that nothing accounts for and nobody holds.
    pub(crate) fn check_freed(&self, state: &mut State, by: u8, index: u8) {
        let keys = self.scenario.keys.len();
        if self.scenario.keys[usize::from(index) % keys] != "lock" {
            return;
        }
        let node = u8::try_from(usize::from(index) / keys).expect("few");
        let holders = self.holders(state);
        // What is removed under a late value is told by reading, not by the lock: only taking back is meant.
        let takes_back = usize::from(by) < state.contenders.len()
            && matches!(self.contender(state, by).phase, Phase::Visits(_));
        let other = |(who, held): &(u8, u8)| *held == node && *who != by;
        if takes_back && self.scenario.belief && holders.iter().any(other) {
            state.wrong = state.wrong.or(Some(Wrong::FreedHolder));
        }
        let sends = state.nodes[usize::from(node)].sends.clone();
        let robbed = state.nodes[usize::from(node)].robbed;
        let left = !robbed
            && sends.iter().any(|(order, stage)| {
                // What has failed is tried again: no work is lost by it.
                matches!(
                    stage,
                    Stage::Running(_) | Stage::Ended(true) | Stage::Pending(_)
                ) && !self.accounted(state, node, order)
                    && !self.is_tended(state, by, order)
            });
        if left {
            state.wrong = state.wrong.or(Some(Wrong::Orphaned));
        }
    }

    pub(crate) fn gives_back(&self, state: &State, who: u8) -> bool {
        self.with_visit(state, who, |visit| visit.awaited == Awaited::Release)
            .unwrap_or_default()
    }

    /// A lease was given back: nothing that would revive it is still on its way.
    pub(crate) fn check_given_back(&self, state: &mut State, who: u8) {
        let world = self.scenario.world;
        let revives = |f: &Flying| {
            let prompt = f.lands_by <= f.began + world.answers;
            let put = f.ops.iter().any(|(_, op)| matches!(op, Op::Put(_)));
            f.by == who && prompt && put
        };
        if state.flying.iter().any(revives) {
            state.wrong = state.wrong.or(Some(Wrong::Revived));
        }
    }

    /// Whether somebody alive works on this run, other than who has just let go of it.
    fn is_tended(&self, state: &State, by: u8, order: &Order) -> bool {
        let all = 0..u8::try_from(state.contenders.len()).expect("few");
        let tends = |visit: &Visit| visit.lease.lock().run == order.run;
        all.filter(|who| *who != by)
            .filter_map(|who| self.with_visit(state, who, tends))
            .any(|is| is)
    }

    fn accounted(&self, state: &State, node: u8, order: &Order) -> bool {
        let rules = &self.scenario.kinds[usize::from(order.kind)].rules;
        let cast = self.cast.lock().expect("one thread");
        let text = |key: &str| {
            let index = usize::from(self.scenario.register(node, key));
            cast.texts
                .text(state.registers[index].now)
                .map(str::to_owned)
        };
        let now = self.scenario.wall(state.at, self.scenario.world.ahead);
        let last = Last::read(
            text(rules.keys.last.as_str()).as_deref(),
            now,
            rules.lease.skew,
        );
        let began = i64::try_from(order.run.began_ms() / 1_000).expect("small");
        let failed = text(rules.keys.fail.as_str()).and_then(|text| Fail::parse(&text));
        last.at().is_some_and(|at| at.as_second() >= began)
            || failed.is_some_and(|fail| fail.run >= order.run)
    }
}
