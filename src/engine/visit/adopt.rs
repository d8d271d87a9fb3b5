//! What is different about a node that is taken to go on with the run found there.

use jiff::Timestamp;

use crate::engine::visit::halting::Halting;
use crate::engine::visit::{Awaited, Visit};
use crate::event::EventKind;
use crate::model::decide::Take;
use crate::model::lease::Want;
use crate::model::lock::LockState;
use crate::model::run::{Do, Run};
use crate::model::suspect::LeftRun;
use crate::port::Ports;

impl<P: Ports> Visit<'_, P> {
    /// The claim is held: a run begins, or one is gone on with.
    pub(super) fn take_up(&mut self) {
        if self.take_up_to_stop() {
            return;
        }
        let until = self.lease.lock().until;
        let Some(left) = self.adopted().cloned() else {
            self.tell(EventKind::Claimed { until });
            return;
        };
        self.tell(EventKind::Adopted {
            was: left.state,
            step: left.step,
            until,
        });
        // The claim says which file it goes on with.
        let left = LeftRun {
            file: self.own().file,
            ..left
        };
        self.run = Run::adopted(&self.engine.rules.job, &left, &self.commands);
        if left.state == LockState::Stopping {
            // Whoever was ending it may not have come to ending what runs there.
            let over = self.lease.over().unwrap_or(self.own());
            self.halting = Some(Halting::new(over.clone()));
        }
        if self.run.has_other_file() {
            let message = format!(
                "the job file is not the one that the run on {} began with: what runs there is watched to its end, no \
                 step is begun, and the run ends after its clean-up (job-changed); `--accept-changed` goes on instead",
                self.node.id
            );
            self.tell(EventKind::Warned { message });
        }
    }

    /// The run that is gone on with, if one is.
    fn adopted(&self) -> Option<&LeftRun> {
        match &self.take {
            Take::Adopt { run, .. } => Some(run),
            Take::Free | Take::Over { .. } | Take::Remove { .. } => None,
        }
    }

    /// When an adopted run began: long before this visit.
    pub(super) fn began_before(&self) -> Option<Timestamp> {
        let began = self.adopted()?.run.began_ms();
        Timestamp::from_millisecond(i64::try_from(began).ok()?).ok()
    }

    /// What the lock has to say before an adopted run goes on: that the run is being ended, so that whoever comes
    /// next ends it too; or that the claim is held, before something is waited for that may take hours.
    pub(super) fn said_first(&mut self, next: &Do) -> Option<Want> {
        let goes_on = matches!(next, Do::Begin { .. } | Do::Attach { .. });
        let state = self.lease.lock().state;
        if goes_on && self.run.is_stopping() && state != LockState::Stopping {
            self.awaited = Awaited::Stopping;
            return Some(Want::Stopping);
        }
        let waits = matches!(next, Do::Attach { .. } | Do::KeepUntil(_));
        if waits && state == LockState::Settling {
            self.awaited = Awaited::Held;
            return Some(self.says(0));
        }
        None
    }

    /// What has the lock say that a step is begun. It never goes back: while what was begun before is judged again,
    /// whoever adopts next must know how far the run had come.
    pub(super) fn says(&self, step: u32) -> Want {
        Want::Step(step.max(self.lease.lock().step))
    }
}
