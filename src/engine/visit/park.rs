//! When a run is left to the next invocation, and what is never left.
//!
//! A node step goes on by itself, and evidence shows it to whoever adopts the run. A step beside the runner ends with
//! the runner, so it is waited for, or ended. A run that is being ended on purpose is carried through: `parked` could
//! not say so.

use std::rc::Rc;
use std::time::Duration;

use crate::engine::stop::Urgency;
use crate::engine::visit::deliver::Told;
use crate::engine::visit::{Awaited, Hands, Visit};
use crate::event::ParkedFor;
use crate::model::job::{Fence, On, OnStop};
use crate::model::lease::{Input, Next, Want};
use crate::model::lock::LockState;
use crate::model::run::Do;
use crate::model::time::Moment;
use crate::port::Ports;

/// After a signal the answer to a send is waited for that long: within 5 s the lock has to say `parked`.
const SENT_WITHIN: Duration = Duration::from_secs(3);

impl<P: Ports> Visit<'_, P> {
    /// Has the lock say that the run is left.
    pub(super) fn park(&mut self, why: ParkedFor) -> Next {
        self.awaited = Awaited::Parked(why);
        self.feed(Input::Want(Want::Park))
    }

    /// Whether what is under way, or about to begin, is left now.
    pub(super) fn parks_now(&self, hands: &Hands<'_>) -> Option<ParkedFor> {
        let now = self.engine.now().boot;
        let signal = self.parks_when_told();
        let Some(underway) = &hands.underway else {
            let begins = matches!(self.awaited, Awaited::Step { .. } | Awaited::Held);
            return signal.filter(|_| begins && self.may_park());
        };
        if underway.on() == On::Runner || !self.may_leave() || underway.is_cancelled() {
            return None;
        }
        let sent = underway.is_sent() || now >= self.told_at.plus(SENT_WITHIN);
        let time = now >= self.leave_at && !underway.had_ended();
        let why = signal.or(time.then_some(ParkedFor::Time));
        why.filter(|_| sent)
    }

    /// When that has to be asked again, whatever else happens.
    pub(super) fn parks_at(&self, hands: &Hands<'_>) -> Moment {
        let now = self.engine.now().boot;
        let sent_by = self.told_at.plus(SENT_WITHIN);
        let waits = |at: &Moment| hands.underway.is_some() && *at > now;
        let moments = [self.leave_at, sent_by].into_iter().filter(waits);
        moments.min().unwrap_or(Moment::MAX)
    }

    /// The send whose answer is waited for before the run is left.
    pub(super) fn waits_for_send(&self, hands: &Hands<'_>) -> Option<Rc<Told>> {
        let leaves = self.engine.now().boot >= self.leave_at || self.parks_when_told().is_some();
        let underway = hands.underway.as_ref()?;
        let told = underway.told();
        (leaves && !underway.is_sent()).then_some(told)
    }

    /// Whether the run is left instead of doing this, with nothing under way.
    pub(super) fn parks_before(&self, next: &Do) -> Option<ParkedFor> {
        if !self.may_park() {
            return None;
        }
        let now = self.engine.now();
        let signal = self.parks_when_told();
        let time = (now.boot >= self.leave_at).then_some(ParkedFor::Time);
        match next {
            Do::Begin { .. } if self.is_to_park_for_hold() => signal.or(Some(ParkedFor::Hold)),
            // What can be begun at once is: the run advances with every invocation.
            Do::Begin { not_before, .. } if now.boot < *not_before => signal.or(time),
            Do::Begin { .. } => signal,
            Do::Attach { command, .. } if command.activity.is_told_at_once() => signal,
            Do::Attach { .. } | Do::KeepUntil(_) => signal.or(time).filter(|_| self.may_leave()),
            Do::Record(_) | Do::Release | Do::Nothing => None,
        }
    }

    /// Whether the run waits for the end of a hold before its next step.
    pub(super) fn is_to_park_for_hold(&self) -> bool {
        let held = self.engine.rules.hold(&self.tags, self.engine.now().wall);
        held.is_some() && self.may_park()
    }

    pub(super) fn parks_when_told(&self) -> Option<ParkedFor> {
        match (self.urgency, self.engine.rules.job.on_stop) {
            (Urgency::Leave, _) => Some(ParkedFor::Credentials),
            (Urgency::InOrder | Urgency::AtOnce, OnStop::Park) => Some(ParkedFor::Signal),
            (Urgency::Go, _) | (_, OnStop::Cancel) => None,
        }
    }

    /// Whether what runs on the node may be left there: only the node's journal shows it to the next invocation.
    pub(super) fn may_leave(&self) -> bool {
        self.may_park() && self.engine.rules.job.fence == Fence::On
    }

    /// Whether the run may be left between its steps.
    pub(super) fn may_park(&self) -> bool {
        let ending = matches!(
            self.awaited,
            Awaited::Claim
                | Awaited::Abandoned
                | Awaited::Record
                | Awaited::Stopping
                | Awaited::Parked(_)
                | Awaited::Release
        );
        let stopping = self.lease.lock().state == LockState::Stopping || self.run.is_stopping();
        // Of steps beside a runner nothing is left to see: what follows them has to know that they succeeded.
        let job = &self.engine.rules.job;
        let unseen = !self.run.is_in_steps() && job.steps.iter().any(|step| step.on == On::Runner);
        !ending && !stopping && !unseen && self.held_at.is_some() && self.halting.is_none()
    }
}
