//! Told to stop.

use crate::engine::stop::Urgency;
use crate::engine::visit::halting::Halting;
use crate::engine::visit::step::Underway;
use crate::engine::visit::{Awaited, Visit};
use crate::model::job::On;
use crate::model::lease::{Input, Next, Want};
use crate::port::Ports;

impl<'a, P: Ports> Visit<'a, P> {
    /// The first signal: a claim is taken back; a run ends in order, its step cancelled, its lock saying so.
    pub(super) fn told_to_stop(
        &mut self,
        urgency: Urgency,
        underway: Option<&mut Underway<'a>>,
    ) -> Next {
        self.urgency = urgency;
        self.told_at = self.told_at.min(self.engine.now().boot);
        if self.held_at.is_none() {
            return self.feed(Input::GiveUp);
        }
        // What is past its steps ends by itself; what is recorded of another job's run is recorded first.
        let ending = matches!(
            self.awaited,
            Awaited::Record | Awaited::Release | Awaited::Abandoned
        );
        let parks = self.parks_when_told().is_some()
            && match underway.as_ref() {
                Some(underway) => underway.on() == On::Node && self.may_leave(),
                None => self.may_park(),
            };
        let carried_through = self.is_cleaning_up() || ending || self.halting.is_some();
        // Parking follows by itself, when what is under way has been sent. Nothing is ended for a right that ends.
        if parks || urgency == Urgency::Leave || carried_through {
            return self.feed(Input::Woke);
        }
        self.begin_stopping(underway)
    }

    /// Whether a clean-up step was begun, as far as this run has come: the lock may speak of another job file's.
    fn is_cleaning_up(&self) -> bool {
        let begun = usize::try_from(self.lease.lock().step).unwrap_or(usize::MAX);
        !self.run.is_in_steps() && begun > self.engine.rules.job.steps.len()
    }

    pub(super) fn begin_stopping(&mut self, underway: Option<&mut Underway<'a>>) -> Next {
        match underway {
            Some(underway) => underway.cancel(),
            None => self.stop_run(),
        }
        self.awaited = Awaited::Stopping;
        self.feed(Input::Want(Want::Stopping))
    }

    /// Nothing is begun any more but clean-up. A node that reboots, or may, is not let go of before that is ended there,
    /// or over: it would go down while others take it for free.
    pub(super) fn stop_run(&mut self) {
        if let Some(over_by) = self.run.reboot_over_by() {
            if !self.run.has_begun_reboot() {
                // The send that may be on its way carries the own claim: the node would take it after the stop.
                self.run.keep_until(over_by);
            }
            let own = self.lease.lock().clone();
            self.halting
                .get_or_insert_with(|| Halting::of_reboot(own, over_by));
        }
        self.run
            .stopped(&self.engine.rules.job, self.lease.lock().step);
    }
}
