//! Expired is not free: what may be done about a lock that somebody else left.
//!
//! A lease past its end is suspect. What settles it is evidence, read after the tags that it judges. A run that
//! evidence shows is treated as if the lock named it, and no lock is removed over one.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::{Name, RunId};
use crate::model::lock::{FileDigest, Lock, LockState};
use crate::model::node::{Activity, Command, Evidence, Node, Service};
use crate::model::reason::Reason;
use crate::model::record::{Fail, Last};
use crate::model::rule::Rule;
use crate::model::span::format_span;
use crate::model::tag::TagKey;
use crate::model::time::{format_stamp, later};
use crate::model::view::{Rules, View};

/// What may be done about a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, for this reason, until then if that is known.
    Wait {
        /// The reason.
        reason: Reason,
        /// When it changes.
        until: Option<Timestamp>,
        /// A sentence for people.
        detail: String,
    },
    /// The run there has ended, or there was none: the lock is a leftover and may be removed.
    Remove,
    /// A run of the own job: claim the node to go on with it.
    Adopt(LeftRun),
    /// A run of another job: claim the node in spite of it, which gives that run up.
    TakeOver(LeftRun),
}

/// A run that its runner has left on a node: the one that the lock names, or that evidence shows under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeftRun {
    /// Its job.
    pub job: Name,
    /// That job's task.
    pub task: Name,
    /// The run.
    pub run: RunId,
    /// The step it had begun last; 0: none that is known of.
    pub step: u32,
    /// What its lease said of it: held, parked or stopping, never settling.
    pub state: LockState,
    /// What the nodes were to execute, as far as that is known.
    pub file: FileDigest,
}

/// A lock with other settings is left alone for this long after its end: two machines with different settings void
/// the proof, and a fleet must not be wedged for ever by a holder that died before a change of settings.
pub const OTHER_SET_FOR: Duration = Duration::from_secs(3_600);

/// A run of another job of which a step has finished may still be committed by that job for this long.
pub const FINISHED_FOR: Duration = Duration::from_secs(86_400);

/// Until when a lock with other lease settings keeps everybody out; `None`: it has ours, or has ended long ago.
pub fn other_set_until(rules: &Rules, lock: &Lock, now: Timestamp) -> Option<Timestamp> {
    let until = if rules.without.keeps(Rule::OtherSetEnds) {
        later(lock.until, OTHER_SET_FOR)
    } else {
        Timestamp::MAX
    };
    let other = lock.set != rules.lease.set() && rules.without.keeps(Rule::SameSet);
    (other && now < until).then_some(until)
}

/// Judges a lock at `view.now`.
pub fn judge(rules: &Rules, view: &View, node: &Node, lock: &Lock) -> Answer {
    if let Some(until) = other_set_until(rules, lock, view.now) {
        let detail = format!(
            "{} holds it with other lease settings ({}, ours are {})",
            lock.owner,
            lock.set,
            rules.lease.set()
        );
        return wait(Reason::Locked, Some(until), detail);
    }
    if view.now < lock.until && lock.state != LockState::Parked {
        return held(lock);
    }
    let shown = match shown(rules, view, node, lock) {
        Ok(shown) => shown,
        Err(why) => return wait(Reason::Busy, None, why),
    };
    // What is in progress is watched by its own job, and in the way of every other; also of its own, when its run has
    // been recorded: there is nothing to go on with, least of all over what another run has left there.
    let in_the_way = |command: &&Command| {
        let task = task_of(rules, lock, &command.job);
        command.job != rules.job.name
            || accounted(rules, view, node, (&command.job, &task, command.run))
    };
    if let Some(command) = shown.active.filter(in_the_way) {
        return busy(command);
    }
    let left = left_run(rules, lock, shown.run);
    let own = left.job == rules.job.name;
    let parked_here = lock.state == LockState::Parked && own && left.run == lock.run;
    let free_at = later(lock.until, margin(rules));
    if view.now < free_at && !parked_here {
        return left_alone(rules, lock, free_at);
    }
    let answer = past_margin(rules, view, node, lock, (shown.run, left));
    match (answer, shown.unseen) {
        (Answer::Remove, Some(command)) => {
            let detail = format!(
                "step {} of {} (run {}) may have finished there before it stopped: only the node can tell, when it is back",
                command.step, command.job, command.run
            );
            wait(Reason::Suspect, None, detail)
        }
        (answer, _) => answer,
    }
}

fn held(lock: &Lock) -> Answer {
    let what = if lock.state == LockState::Settling {
        "is claiming it"
    } else {
        "holds it"
    };
    let detail = format!(
        "{} {what} for {}, until {}",
        lock.owner,
        lock.job,
        format_stamp(lock.until)
    );
    wait(Reason::Locked, Some(lock.until), detail)
}

fn left_alone(rules: &Rules, lock: &Lock, free_at: Timestamp) -> Answer {
    let reason = if lock.state == LockState::Parked {
        Reason::Parked
    } else {
        Reason::Suspect
    };
    let detail = format!(
        "the lease of {} ({}) ended {}; it is left alone for {}",
        lock.owner,
        lock.job,
        format_stamp(lock.until),
        format_span(rules.lease.margin)
    );
    wait(reason, Some(free_at), detail)
}

/// M; without the rule one second less than it has to be.
pub(super) fn margin(rules: &Rules) -> Duration {
    if rules.without.keeps(Rule::Margin) {
        return rules.lease.margin;
    }
    (rules.lease.skew + rules.lease.staleness).saturating_sub(Duration::from_secs(1))
}

/// What evidence shows on the node of a lock.
pub(super) struct Shown<'v> {
    /// What is in progress, or may be.
    active: Option<&'v Command>,
    /// That, else the latest that nothing accounts for.
    pub(super) run: Option<&'v Command>,
    /// The latest that nothing accounts for of what nobody saw the end of before its instance stopped. It is not in
    /// progress, and may have finished.
    pub(super) unseen: Option<&'v Command>,
}

/// What evidence shows there; a sentence, where that could not be had.
pub(super) fn shown<'v>(
    rules: &Rules,
    view: &'v View,
    node: &Node,
    lock: &Lock,
) -> Result<Shown<'v>, String> {
    let commands = commands(rules, view, node, lock)?;
    let stopped = matches!(node.service, Service::Out { stopped: true, .. });
    let unseen = |command: &&Command| stopped && command.activity != Activity::Finished;
    let (unseen, commands): (Vec<_>, Vec<_>) = commands.into_iter().partition(unseen);
    let latest = |of: &[&'v Command]| unaccounted(rules, view, node, lock, of);
    let active = commands.iter().copied().find(|c| is_active(c, view.now));
    Ok(Shown {
        active,
        run: active.or_else(|| latest(&commands)),
        unseen: latest(&unseen),
    })
}

/// What is known to have been sent to the node; a sentence, where that could not be had.
fn commands<'v>(
    rules: &Rules,
    view: &'v View,
    node: &Node,
    lock: &Lock,
) -> Result<Vec<&'v Command>, String> {
    let any = rules.without.keeps(Rule::AnyRun);
    match view.evidence.get(&node.id) {
        Some(Evidence::Commands(commands)) => Ok(commands
            .iter()
            .filter(|command| any || command.run == lock.run)
            .collect()),
        Some(Evidence::None) => Ok(Vec::new()),
        Some(Evidence::Unavailable(why)) => {
            Err(format!("what runs there could not be asked: {why}"))
        }
        // What nobody has looked for is not there for anybody to say.
        None => Err("what runs there was not asked".to_owned()),
    }
}

fn wait(reason: Reason, until: Option<Timestamp>, detail: String) -> Answer {
    Answer::Wait {
        reason,
        until,
        detail,
    }
}

/// Whether something is in progress, or may be.
fn is_active(command: &Command, now: Timestamp) -> bool {
    match command.activity {
        Activity::InProgress | Activity::Reboots => true,
        Activity::Unknown { latest_end } => now < latest_end,
        Activity::Finished => false,
    }
}

fn busy(command: &Command) -> Answer {
    let (until, word) = match command.activity {
        Activity::Unknown { latest_end } => (Some(latest_end), "may be running"),
        Activity::Reboots => (None, "reboots the node"),
        Activity::InProgress | Activity::Finished => (None, "is running"),
    };
    let detail = format!(
        "step {} of {} (run {}) {word} there",
        command.step, command.job, command.run
    );
    wait(Reason::Busy, until, detail)
}

/// The latest command that neither `last-` nor `fail-` accounts for.
fn unaccounted<'v>(
    rules: &Rules,
    view: &View,
    node: &Node,
    lock: &Lock,
    commands: &[&'v Command],
) -> Option<&'v Command> {
    let latest = commands
        .iter()
        .copied()
        .filter(|command| {
            let task = task_of(rules, lock, &command.job);
            !accounted(rules, view, node, (&command.job, &task, command.run))
        })
        .max_by_key(|command| (command.run, command.step, command.attempt));
    // The lock's own run stands in its name anyway, unless evidence goes first.
    latest.filter(|_| {
        let named = (&lock.job, &lock.task, lock.run);
        rules.without.keeps(Rule::EvidenceFirst) || !accounted(rules, view, node, named)
    })
}

/// The run that evidence shows, else the one that the lock names.
fn left_run(rules: &Rules, lock: &Lock, shown: Option<&Command>) -> LeftRun {
    let named = LeftRun {
        job: lock.job.clone(),
        task: lock.task.clone(),
        run: lock.run,
        step: lock.step,
        state: lock.run_state(),
        file: lock.file,
    };
    match shown {
        Some(command) if command.run == lock.run => LeftRun {
            step: named.step.max(command.step),
            ..named
        },
        Some(command) => LeftRun {
            job: command.job.clone(),
            task: task_of(rules, lock, &command.job),
            run: command.run,
            step: command.step,
            state: LockState::Held,
            file: if command.job == rules.job.name {
                rules.job.file_digest()
            } else {
                lock.file
            },
        },
        None => named,
    }
}

fn past_margin(
    rules: &Rules,
    view: &View,
    node: &Node,
    lock: &Lock,
    (shown, left): (Option<&Command>, LeftRun),
) -> Answer {
    if shown.is_none() {
        let never_began = lock.state == LockState::Settling && lock.was.is_none();
        let ended = accounted(rules, view, node, (&left.job, &left.task, left.run))
            && rules.without.keeps(Rule::AccountedIsOver);
        if ended || never_began && rules.without.keeps(Rule::SettlingIsNoRun) {
            return Answer::Remove;
        }
    }
    if left.job == rules.job.name {
        return Answer::Adopt(left);
    }
    let kept_until = later(lock.until, FINISHED_FOR);
    let kept = shown.is_some() && rules.without.keeps(Rule::FinishedForADay);
    if kept && view.now < kept_until {
        let detail = format!(
            "a step of {} (run {}) has finished there, and that job may still commit it",
            left.job, left.run
        );
        return wait(Reason::Suspect, Some(kept_until), detail);
    }
    Answer::TakeOver(left)
}

/// The task of a job of which only the name is known: ours and the lock's say theirs, others have their own name.
fn task_of(rules: &Rules, lock: &Lock, job: &Name) -> Name {
    if *job == rules.job.name {
        rules.job.task.clone()
    } else if *job == lock.job {
        lock.task.clone()
    } else {
        job.clone()
    }
}

/// Whether the tags say that a run has ended: a completion at or after its beginning (whole seconds, the beginning
/// rounded down), or a failure that names it.
pub(super) fn accounted(
    rules: &Rules,
    view: &View,
    node: &Node,
    (job, task, run): (&Name, &Name, RunId),
) -> bool {
    let own = *job == rules.job.name;
    let (last_key, fail_key) = if own {
        (Some(rules.keys.last.clone()), Some(rules.keys.fail.clone()))
    } else {
        (rules.keys.last_of(task).ok(), rules.keys.fail_of(task).ok())
    };
    let tag = |key: Option<TagKey>| {
        key.and_then(|key| node.tags.get(key.as_str()))
            .map(String::as_str)
    };
    let began = i64::try_from(run.began_ms() / 1_000).unwrap_or(i64::MAX);
    let last = Last::read(tag(last_key), view.now, rules.lease.skew);
    last.at().is_some_and(|at| at.as_second() >= began)
        || tag(fail_key)
            .and_then(Fail::parse)
            .is_some_and(|fail| fail.run >= run)
}

#[cfg(test)]
mod tests;
