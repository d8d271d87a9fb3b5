//! What came about in a search: one in which nobody ever held anything would find nothing wrong either.

use std::sync::atomic::{AtomicU8, Ordering};

use roundsman::model::lock::{Lock, LockState};

use crate::contender::{Awaited, Doing, Event, Left, Phase};
use crate::model::Search;
use crate::world::{Flying, Op, State};

/// Something that comes about on some way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reach {
    /// A new claim enters.
    Enters,
    /// A run that was left is gone on with.
    Adopts,
    /// A node is claimed in spite of what another job has left there.
    TakesOver,
    /// A claim waits for others that settle: it has the lowest id.
    Stays,
    /// A claim that still stands is withdrawn, because of others.
    Withdraws,
    /// A lock comes to say `parked`.
    Parks,
    /// A write that nobody waits for lands over what somebody else has written.
    Overwrites,
}

impl Reach {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All that came about so far.
#[derive(Debug, Default)]
pub(crate) struct Reached(AtomicU8);

impl Reached {
    fn note(&self, reach: Reach) {
        self.0.fetch_or(reach.bit(), Ordering::Relaxed);
    }

    pub(crate) fn has(&self, reach: Reach) -> bool {
        self.0.load(Ordering::Relaxed) & reach.bit() != 0
    }
}

impl Search {
    /// Whether a contender is about to decide again about a claim that has settled.
    pub(crate) fn decides_again(&self, state: &State, who: u8, event: &Event) -> bool {
        let judges = |doing: &Doing| matches!(doing, Doing::Judges(_));
        matches!(event, Event::Evidence(_))
            && self
                .contender(state, who)
                .visit()
                .is_some_and(|visit| visit.awaited == Awaited::Claim && judges(&visit.doing))
    }

    /// What a contender has decided about its claim.
    pub(crate) fn note_decision(&self, state: &State, who: u8) {
        let contender = self.contender(state, who);
        let held = self.is_held(state, who);
        let Some(visit) = contender.visit() else {
            return;
        };
        let reach = match (&visit.take, &visit.doing) {
            (Left::Free, _) if held => Reach::Enters,
            (Left::Adopt(..), _) if held => Reach::Adopts,
            (Left::Over(..), _) if held => Reach::TakesOver,
            (_, Doing::Nothing) => Reach::Stays,
            _ => Reach::Withdraws,
        };
        self.reached.note(reach);
    }

    /// A write lands.
    pub(crate) fn note_landing(&self, state: &State, flying: &Flying) {
        for (index, op) in &flying.ops {
            let Op::Put(val) = op else {
                continue;
            };
            let was = state.registers[usize::from(*index)].now;
            let cast = self.cast.lock().expect("one thread");
            let lock = |val| cast.texts.text(val).and_then(Lock::parse);
            let may_park = self.scenario.budget.signals > 0 && !self.reached.has(Reach::Parks);
            if may_park && lock(*val).is_some_and(|lock| lock.state == LockState::Parked) {
                self.reached.note(Reach::Parks);
            }
            let stray = !flying.awaited && was != *val && !self.reached.has(Reach::Overwrites);
            if stray
                && lock(was).is_some_and(|was| lock(*val).is_some_and(|is| is.claim != was.claim))
            {
                self.reached.note(Reach::Overwrites);
            }
        }
    }

    /// Whether somebody has read tags, and not yet the evidence that judges them.
    pub(crate) fn someone_asks(&self, state: &State) -> bool {
        let asks = |number: &u32| {
            let cast = self.cast.lock().expect("one thread");
            let contender = cast.contender(*number);
            let judges = matches!(contender.doing(), Some(Doing::Judges(_)));
            let chooses = matches!(contender.phase, Phase::Chooses(_));
            !contender.dead && !contender.paused && (judges || chooses)
        };
        self.scenario.budget.lags > 0 && state.contenders.iter().any(asks)
    }
}
