//! What comes back from outside, as the lease and the run take it in.

use crate::engine::stop::Urgency;
use crate::engine::visit::end::for_good;
use crate::engine::visit::step::{Ended, Whose};
use crate::engine::visit::{Awaited, Landed, Visit};
use crate::model::lease::{Input, Next, Want};
use crate::model::outcome::{Lease, Outcome};
use crate::port::{Clock, Ports};

impl<P: Ports> Visit<'_, P> {
    /// A read or write of the lease has come back.
    pub(super) fn landed(&mut self, landed: Landed) -> Next {
        let Landed {
            input,
            tags,
            commands,
            error,
        } = landed;
        if let Some(tags) = tags {
            self.tags = tags;
        }
        if let Some(commands) = commands {
            self.commands = commands;
        }
        match error {
            Some(error) => {
                tracing::debug!(node = %self.node.id, error = %error, "a read or write of the lease did not succeed");
                self.trouble += 1;
                self.error = Some(error);
            }
            None => self.trouble = 0,
        }
        if self.awaited == Awaited::Abandoned && matches!(input, Input::Recorded(_)) {
            self.unrecorded = self
                .error
                .clone()
                .filter(|error| self.trouble > 0 && for_good(error));
        }
        let next = self.feed(input);
        if self.unrecorded.is_some() && self.awaited == Awaited::Abandoned {
            self.awaited = Awaited::Release;
            self.trouble = 0;
            return self.feed(Input::Want(Want::Release));
        }
        // Told to stop while the claim's write was under way: it is answered now.
        if self.held_at.is_none() && self.urgency > Urgency::Go && matches!(next, Next::Wait(_)) {
            return self.feed(Input::GiveUp);
        }
        next
    }

    /// The step under way has ended.
    pub(super) fn step_ended(&mut self, ended: &Ended) -> Next {
        let now = self.engine.now();
        let random = self.engine.ports.clock().random();
        let job = &self.engine.rules.job;
        let outcome = ended.judged.outcome;
        let told = match ended.whose {
            Whose::Own { .. } => self.run.amounts_to(job, now.wall, outcome),
            Whose::Found { .. } => Some(outcome).filter(|found| *found != Outcome::Rebooting),
        };
        match told.or(ended.cancelled.then_some(outcome)) {
            Some(end) => self.tell(ended.event(end)),
            None => {
                tracing::info!(node = %self.node.id, said = %outcome, "the reboot is asked after");
            }
        }
        let not_after = match ended.whose {
            Whose::Own { not_after } => not_after,
            Whose::Found { latest_end } => {
                self.run.found(job, outcome, latest_end, ended.cancelled);
                return self.feed(Input::Woke);
            }
        };
        let failed = outcome != Outcome::Ok && outcome.meaning().lease == Lease::Goes;
        // What says nothing of a reboot is taken in: the run has to know that the node may be away.
        let failed = failed && told.is_some();
        if ended.not_taken && !ended.cancelled {
            self.run.not_taken(job, now, random);
        } else if !(ended.cancelled && failed) {
            self.run.ended(job, now, outcome, not_after, random);
        }
        if ended.cancelled {
            self.stop_run();
        }
        self.feed(Input::Woke)
    }
}
