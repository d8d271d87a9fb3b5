//! Ending a run on purpose: which locks a stop may be written over, with which value, and whether it still stands.
//!
//! A stop is a claim like an adoption, for the run that the lock names, but it does not wait for the lease's end. Its
//! value says in `was` what it found, so that a stopper that dies before it holds loses nothing: whoever comes then
//! goes on with the run. It asks no limits, since its node is counted already.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::decide::Take;
use crate::model::decide::standing::Standing;
use crate::model::id::{ClaimId, RunId};
use crate::model::job::{Job, On, OnStop};
use crate::model::lease::Found;
use crate::model::lock::{Lock, LockState, Seen};
use crate::model::node::Node;
use crate::model::rule::Rule;
use crate::model::settings::LeaseSettings;
use crate::model::suspect::{LeftRun, accounted, other_set_until, shown};
use crate::model::time::{format_stamp, later};
use crate::model::view::{Rules, View};

/// What a stop is written over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The lock.
    pub found: Found,
    /// The run, as one that is being ended.
    pub run: LeftRun,
    /// Whether somebody may be holding it.
    pub living: bool,
}

/// Why nothing is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStop {
    /// There is no lock.
    Free,
    /// Its lock cannot be read: its exact text.
    Unreadable(String),
    /// It is another run's than the one that was asked for.
    AnotherRun(Box<Lock>),
    /// Somebody is claiming it: there is no run yet.
    Begins(Box<Lock>),
    /// Somebody is ending the run already, and is left alone until then.
    Already(Box<Lock>, Timestamp),
    /// Its run has been recorded, and it is about to be let go of.
    Over(Box<Lock>),
    /// It was claimed with other lease settings, which void the proof until then.
    OtherSettings(Box<Lock>, Timestamp),
    /// What runs there cannot be told, or is something else: a sentence.
    Unclear(String),
}

impl NoStop {
    /// What it is, and what to do: two sentences about the node.
    pub fn say(&self, node: &str) -> (String, String) {
        let (message, help) = match self {
            Self::Free => (
                format!("{node} has no lock: no run is there"),
                "nothing needs to be done".to_owned(),
            ),
            Self::Unreadable(text) => (
                format!("the lock of {node} cannot be read: {text:?}"),
                format!(
                    "if nothing runs there, `release {node} --value {text:?}` removes exactly this one"
                ),
            ),
            Self::AnotherRun(lock) => (
                format!("the lock of {node} is that of run {} ({})", lock.run, lock.job),
                "look with `status` whose it is".to_owned(),
            ),
            Self::Begins(lock) => (
                format!("{} is only claiming {node} for {}: no run has begun", lock.owner, lock.job),
                "stop it again in a moment, or set a `hold`, under which it withdraws".to_owned(),
            ),
            Self::Already(lock, until) => (
                format!(
                    "{} is ending run {} ({}) on {node} already",
                    lock.owner, lock.run, lock.job
                ),
                format!(
                    "look with `status`; should nobody be doing so any more, `stop` and every `run` of that job finish it \
                     after {}",
                    format_stamp(*until)
                ),
            ),
            Self::Over(lock) => (
                format!("run {} ({}) on {node} has ended already", lock.run, lock.job),
                "its runner lets go of it; a lock that stays is removed by the next `run` of that job".to_owned(),
            ),
            Self::OtherSettings(lock, until) => (
                format!(
                    "{} holds {node} with other lease settings ({})",
                    lock.owner, lock.set
                ),
                format!(
                    "stop it with the settings of that machine (`roundsman config` shows them), or after {}",
                    format_stamp(*until)
                ),
            ),
            Self::Unclear(why) => (
                format!("what runs on {node} cannot be stopped now: {why}"),
                "look there, and try again".to_owned(),
            ),
        };
        (message, help)
    }
}

/// The state of the run under a lock that a stop may be written over while somebody holds it. `None`: there is no run
/// yet, or it is being ended.
pub fn may_be_stopped(lock: &Lock) -> Option<LockState> {
    match lock.state {
        LockState::Settling => lock.was,
        LockState::Held | LockState::Parked => Some(lock.state),
        LockState::Stopping => None,
    }
    .filter(|state| *state != LockState::Stopping)
}

/// What a stop of this node is written over. `only`: the run that is meant, where one is named.
///
/// # Errors
/// Why there is nothing to be stopped, or not now.
pub fn target(
    rules: &Rules,
    view: &View,
    node: &Node,
    only: Option<RunId>,
) -> Result<Target, NoStop> {
    let lock = match rules.lock(node) {
        Seen::Free => return Err(NoStop::Free),
        Seen::Unreadable(text) => return Err(NoStop::Unreadable(text)),
        Seen::Lock(lock) => lock,
    };
    let boxed = || Box::new(lock.clone());
    if only.is_some_and(|only| only != lock.run) {
        return Err(NoStop::AnotherRun(boxed()));
    }
    if let Some(until) = other_set_until(rules, &lock, view.now) {
        return Err(NoStop::OtherSettings(boxed(), until));
    }
    let free_at = later(lock.until, rules.lease.margin);
    let left_alone = view.now < free_at;
    if lock.state == LockState::Settling && lock.was.is_none() {
        return Err(if left_alone {
            NoStop::Begins(boxed())
        } else {
            // It never began: there is nothing to stop, unless another run is there under it.
            whether(rules, view, node, &lock).unwrap_or(NoStop::Over(boxed()))
        });
    }
    if left_alone && may_be_stopped(&lock).is_none() {
        return Err(NoStop::Already(boxed(), free_at));
    }
    match whether(rules, view, node, &lock) {
        Some(no) => Err(no),
        None => Ok(Target {
            run: ending(&lock),
            living: lock.may_be_held(view.now, rules.lease.margin),
            found: Found {
                value: rules_value(rules, node),
                lock,
            },
        }),
    }
}

fn rules_value(rules: &Rules, node: &Node) -> String {
    let value = node.tags.get(rules.keys.lock.as_str());
    value.cloned().unwrap_or_default()
}

/// The run under a lock, as one that is being ended.
pub fn ending(lock: &Lock) -> LeftRun {
    LeftRun {
        job: lock.job.clone(),
        task: lock.task.clone(),
        run: lock.run,
        step: lock.step,
        state: LockState::Stopping,
        file: lock.file,
    }
}

/// Why the run that a lock names is not to be stopped, or cannot be.
fn whether(rules: &Rules, view: &View, node: &Node, lock: &Lock) -> Option<NoStop> {
    if accounted(rules, view, node, (&lock.job, &lock.task, lock.run)) {
        return Some(NoStop::Over(Box::new(lock.clone())));
    }
    let shown = match shown(rules, view, node, lock) {
        Ok(shown) => shown.run.or(shown.unseen),
        Err(why) => return Some(NoStop::Unclear(why)),
    };
    // No lock is removed over another run; whoever finds that one treats it as if the lock named it.
    let other = shown.filter(|command| command.run != lock.run)?;
    Some(NoStop::Unclear(format!(
        "step {} of {} (run {}) is there too, which its lock does not name",
        other.step, other.job, other.run
    )))
}

/// The lock with which a run is stopped: that of the run, with the claim's own id, and what it found.
pub fn own_lock(rules: &Rules, target: &Target, owner: &str, claim: ClaimId) -> Lock {
    let lock = &target.found.lock;
    let found = Some(lock.run_state());
    Lock {
        claim,
        seq: 0,
        state: LockState::Settling,
        set: rules.lease.set(),
        was: found.filter(|_| rules.without.keeps(Rule::Was)),
        owner: owner.to_owned(),
        ..lock.clone()
    }
}

/// The same where a store takes it at once: the value says `stopping` from the beginning.
#[must_use]
pub fn granted(own: Lock) -> Lock {
    Lock {
        was: Some(LockState::Stopping),
        ..own
    }
}

/// How a run is taken that is being stopped.
pub fn take(target: &Target) -> Take {
    Take::Adopt {
        found: target.found.value.clone(),
        run: target.run.clone(),
    }
}

/// Decides again on a stop that has settled over this lock: the run is still there to be stopped.
pub fn stands(rules: &Rules, view: &View, node: &Node, over: &Lock) -> Standing {
    if !rules.without.keeps(Rule::DecideAgain) {
        return Standing::Enter;
    }
    match whether(rules, view, node, over) {
        None => Standing::Enter,
        Some(NoStop::Over(_)) => {
            Standing::Ended("the run there has ended meanwhile, by itself".to_owned())
        }
        Some(no) => Standing::Withdraw(no.say(node.id.as_str()).0),
    }
}

/// Until when clean-up waits: a holder that was displaced ends its runner step before then, which leaves no trace
/// that could be looked for. `None`: there can be none.
///
/// `own_until` is the end of the stop's first write. Whatever the displaced lease said: a holder is lost when no read
/// has shown its claim for L, which has passed by then.
pub fn clean_up_after(
    rules: &Rules,
    over: &Lock,
    now: Timestamp,
    own_until: Timestamp,
) -> Option<Timestamp> {
    let job = &rules.job;
    let steps = (1..).zip(job.steps.iter().chain(job.cleanup.iter().map(|c| &c.step)));
    let mut to_come = steps.filter(|(number, _)| *number >= over.step);
    let known = job.file_digest() == over.file;
    let may_run = !known || to_come.any(|(_, step)| step.on == On::Runner);
    let living = over.may_be_held(now, rules.lease.margin);
    (may_run && living).then(|| later(own_until, rules.lease.margin))
}

/// What is known of a job whose file is not there: its names. It has no steps and no clean-up.
pub fn without_file(lock: &Lock) -> Job {
    Job {
        on_stop: OnStop::Cancel,
        ..Job::bare(lock.job.clone(), lock.task.clone(), Duration::from_secs(1))
    }
}

/// How many claims a stop makes before it gives up: each is lost to a write of the holder's that lands late, or to
/// another claim.
pub const TRIES: u32 = 4;

/// How long a stop whose claim was lost waits: until another stop that has met it holds, and a random while longer.
pub fn wait_after_loss(lease: &LeaseSettings, random: u128) -> Duration {
    let settle = lease.settle();
    let spread = u64::try_from(settle.as_millis()).unwrap_or(u64::MAX).max(1);
    let lot = u64::try_from(random % u128::from(spread)).unwrap_or(0);
    settle + Duration::from_secs(2) + Duration::from_millis(lot)
}

#[cfg(test)]
mod tests;
