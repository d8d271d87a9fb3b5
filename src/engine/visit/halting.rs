//! What is different about a node that is claimed to end the run found there; and the end of an own run while its node
//! reboots.

use std::pin::Pin;

use jiff::Timestamp;

use crate::engine::observe::observe_node;
use crate::engine::visit::act::looked;
use crate::engine::visit::step::UNTOLD;
use crate::engine::visit::{Awaited, Flight, Landed, Pursuit, Visit};
use crate::event::EventKind;
use crate::model::backoff::backoff;
use crate::model::lease::{Input, Next, Want};
use crate::model::lock::{Lock, LockState};
use crate::model::node::{Evidence, Stopped};
use crate::model::run::{END_SLACK, Run};
use crate::model::span::short_span;
use crate::model::stop;
use crate::model::time::{Moment, Now, format_stamp, later};
use crate::port::{Clock, ErrorKind, PortError, Ports, Shell};

/// The end of what runs there, under way.
pub(super) type Halt<'a> = Pin<Box<dyn Future<Output = Result<Stopped, PortError>> + 'a>>;

/// How often it is tried to reach a node whose step is to be ended.
const TRIES: u32 = 4;

/// A stop, as far as it has come.
pub(super) struct Halting {
    /// The lock that was to be written over when the stop was decided on.
    over: Lock,
    /// How often what runs there could not be ended.
    trouble: u32,
    /// When that is tried again.
    not_before: Moment,
    /// Whether it has been, or was given up.
    over_with: bool,
    /// Whether a later claim has been on the node.
    superseded: bool,
    /// Whether it was said that the lock is kept for a while.
    told: bool,
    /// The node reboots, or may: it is asked until then, for while it is away it cannot answer.
    away_until: Option<Timestamp>,
}

impl Halting {
    pub(super) fn new(over: Lock) -> Self {
        Self {
            over,
            trouble: 0,
            not_before: Moment::default(),
            over_with: false,
            superseded: false,
            told: false,
            away_until: None,
        }
    }

    /// The end of an own run in the middle of a reboot, which is over by then whatever becomes of it.
    pub(super) fn of_reboot(own: Lock, over_by: Timestamp) -> Self {
        Self {
            away_until: Some(over_by),
            ..Self::new(own)
        }
    }

    /// Whether it is not tried again, after another time that it did not succeed.
    fn gives_up(&self, now: Now) -> bool {
        self.trouble >= TRIES && self.away_until.is_none_or(|until| until <= now.wall)
    }
}

impl<'a, P: Ports> Visit<'a, P> {
    /// Everything decided again for a stop: this node alone, and what runs there.
    pub(super) fn look_again_to_stop(&self, retry_in: std::time::Duration) -> Flight<'a> {
        let (engine, node) = (self.engine, self.node.clone());
        let over = self.lease.over().cloned();
        Box::pin(async move {
            let view = match observe_node(engine.ports, &node).await {
                Ok(view) => view,
                Err(error) => {
                    return Landed::answered(Input::LookFailed { retry_in }, Some(error));
                }
            };
            let found = view.node(&node.id).unwrap_or(&node);
            let stands = over.map(|over| stop::stands(engine.rules, &view, found, &over));
            let value = found.tags.get(engine.rules.keys.lock.as_str()).cloned();
            let commands = match view.evidence.get(&node.id) {
                Some(Evidence::Commands(commands)) => commands.clone(),
                Some(Evidence::None | Evidence::Unavailable(_)) | None => Vec::new(),
            };
            Landed {
                tags: Some(found.tags.clone()),
                commands: Some(commands),
                ..looked(value, stands)
            }
        })
    }

    /// The claim is held; `false`: it is no stop.
    pub(super) fn take_up_to_stop(&mut self) -> bool {
        let Some(halting) = &self.halting else {
            return false;
        };
        let over = self.lease.over().unwrap_or(&halting.over).clone();
        let (rules, now) = (self.engine.rules, self.engine.now().wall);
        let own = self.lease.lock();
        let until = own.until;
        self.run = Run::adopted(&rules.job, &stop::ending(&over), &self.commands);
        self.tell(EventKind::Stopping {
            was: over.run_state(),
            owner: over.owner.clone(),
            step: over.step,
            until,
        });
        if let Some(after) = stop::clean_up_after(rules, &over, now, until) {
            self.run.keep_until(after);
            self.warn(format!(
                "{} may have a step of its own beside it, for {}: it ends that when it notices, and clean-up waits until {}",
                over.owner,
                self.node.id,
                format_stamp(after)
            ));
        }
        true
    }

    /// What a stop does before anything else: its lock says so, and what runs there is ended.
    pub(super) fn halts_first(&mut self, now: Now) -> Option<Pursuit> {
        let halting = self.halting.as_ref().filter(|halting| !halting.over_with)?;
        if self.lease.lock().state != LockState::Stopping {
            self.awaited = Awaited::Stopping;
            return Some(Pursuit::Want(Want::Stopping));
        }
        if halting.superseded {
            return Some(Pursuit::Over);
        }
        if now.boot < halting.not_before {
            return Some(Pursuit::Until(halting.not_before));
        }
        Some(Pursuit::Halt)
    }

    /// Ends what the run has under way, as far as evidence does not show it.
    pub(super) fn halt(&self) -> Halt<'a> {
        let (engine, node, lock) = (self.engine, self.node.clone(), self.lease.lock());
        let known = engine.rules.job.file_digest() == lock.file;
        let steps = u32::try_from(engine.rules.job.steps.len()).unwrap_or(u32::MAX);
        let halt = crate::port::Halt {
            job: lock.job.clone(),
            run: lock.run,
            claim: lock.claim,
            // Where the steps are not known, nobody can tell which are clean-up.
            steps: if known { steps } else { u32::MAX },
        };
        Box::pin(async move { engine.ports.node().end_run(&node, &halt).await })
    }

    pub(super) fn halted(&mut self, halted: Result<Stopped, PortError>) -> Next {
        let now = self.engine.now();
        let Some(halting) = self.halting.as_mut() else {
            return self.feed(Input::Woke);
        };
        let halted = halted.and_then(|stopped| match stopped {
            Stopped::Lives => Err(PortError::new(
                ErrorKind::Other,
                format!("something is left on {} that does not end", self.node.id),
            )),
            Stopped::Nothing { .. } | Stopped::Superseded => Ok(stopped),
        });
        match halted {
            Ok(Stopped::Superseded) => halting.superseded = true,
            Ok(_) => halting.over_with = true,
            Err(error) => {
                halting.trouble += 1;
                let random = self.engine.ports.clock().random();
                halting.not_before = now.boot.plus(backoff(halting.trouble, random));
                tracing::warn!(node = %self.node.id, error = %error, "what runs there could not be ended");
                if halting.gives_up(now) {
                    halting.over_with = true;
                    self.keep_what_may_run(&error);
                }
            }
        }
        self.feed(Input::Woke)
    }

    /// What runs there could not be ended: it is waited for until it has ended for certain.
    fn keep_what_may_run(&mut self, error: &PortError) {
        let job = &self.engine.rules.job;
        let longest = job.steps.iter().map(|step| step.timeout).max();
        let sent = self.lease.over().map_or_else(
            || self.halting.as_ref().map(|halting| halting.over.until),
            |over| Some(over.until),
        );
        let longest = longest.unwrap_or(UNTOLD);
        let away_until = self.halting.as_ref().and_then(|halting| halting.away_until);
        let until = later(later(sent.unwrap_or_default(), longest), END_SLACK);
        let until = away_until.unwrap_or(until);
        self.run.keep_until(until);
        self.warn(format!(
            "what runs on {} could not be ended ({error}): it is waited for until {}, when it has ended for certain",
            self.node.id,
            format_stamp(until)
        ));
    }

    /// Says that all is done, and why the lock stays for a while.
    pub(super) fn tell_kept(&mut self, now: Now) {
        let kept = self.lease.kept_until().filter(|kept| now.boot < *kept);
        let (Some(halting), Some(kept)) = (self.halting.as_mut(), kept) else {
            return;
        };
        if std::mem::replace(&mut halting.told, true) {
            return;
        }
        let left = kept.since(now.boot);
        self.warn(format!(
            "what was to be done on {} is done; its lock is kept for {} (until {}), since what its displaced holder wrote \
             may still land",
            self.node.id,
            short_span(left),
            format_stamp(later(now.wall, left))
        ));
    }

    fn warn(&self, message: String) {
        self.tell(EventKind::Warned { message });
    }
}
