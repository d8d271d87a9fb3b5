//! Expired is not free: what may be done about a lock that somebody else left.
//!
//! A lease past its end is suspect. What settles it is evidence, read after the tags that it judges. A run that
//! evidence shows is treated as if the lock named it, and no lock is removed over one.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::{Name, RunId};
use crate::model::lock::{Lock, LockState};
use crate::model::node::{Activity, Command, Evidence, Node, Service};
use crate::model::reason::Reason;
use crate::model::record::{Fail, Last};
use crate::model::span::format_span;
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
    /// Claim the node in spite of it. `abandoned`: the run of another job that is given up by that.
    TakeOver {
        /// That run: its job, task, id and step.
        abandoned: Option<Abandoned>,
    },
}

/// A run of another job that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// Its job's task.
    pub task: Name,
    /// The run.
    pub run: RunId,
    /// The step it had begun last.
    pub step: u32,
}

/// A lock with other settings is left alone for this long after its end: two machines with different settings void
/// the proof, and a fleet must not be wedged for ever by a holder that died before a change of settings.
pub const OTHER_SET_FOR: Duration = Duration::from_secs(3_600);

/// A run of another job of which a step has finished may still be committed by that job for this long.
pub const FINISHED_FOR: Duration = Duration::from_secs(86_400);

/// Judges a lock at `view.now`.
pub fn judge(rules: &Rules, view: &View, node: &Node, lock: &Lock) -> Answer {
    if lock.set != rules.lease.set() && view.now < later(lock.until, OTHER_SET_FOR) {
        return wait(
            Reason::Locked,
            Some(later(lock.until, OTHER_SET_FOR)),
            format!(
                "{} holds it with other lease settings ({}, ours are {})",
                lock.owner,
                lock.set,
                rules.lease.set()
            ),
        );
    }
    if view.now < lock.until && lock.state != LockState::Parked {
        let what = if lock.state == LockState::Settling {
            "is claiming it"
        } else {
            "holds it"
        };
        return wait(
            Reason::Locked,
            Some(lock.until),
            format!(
                "{} {what} for {}, until {}",
                lock.owner,
                lock.job,
                format_stamp(lock.until)
            ),
        );
    }
    let commands = match commands(view, node) {
        Ok(commands) => commands,
        Err(why) => return wait(Reason::Busy, None, why),
    };
    if let Some(answer) = in_progress(view.now, commands) {
        return answer;
    }
    let free_at = later(lock.until, rules.lease.margin);
    if view.now < free_at {
        let reason = if lock.state == LockState::Parked {
            Reason::Parked
        } else {
            Reason::Suspect
        };
        let why = format!(
            "the lease of {} ({}) ended {}; it is left alone for {}",
            lock.owner,
            lock.job,
            format_stamp(lock.until),
            format_span(rules.lease.margin)
        );
        return wait(reason, Some(free_at), why);
    }
    past_margin(rules, view, node, lock, commands)
}

/// What is known to have been sent to the node; a sentence, where that could not be had.
fn commands<'v>(view: &'v View, node: &Node) -> Result<&'v [Command], String> {
    match view.evidence.get(&node.id) {
        _ if matches!(node.service, Service::Out { stopped: true, .. }) => Ok(&[]),
        Some(Evidence::Commands(commands)) => Ok(commands),
        Some(Evidence::None) => Ok(&[]),
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

/// Something in progress, or that may be, makes the node busy, whatever run it belongs to.
fn in_progress(now: Timestamp, commands: &[Command]) -> Option<Answer> {
    commands.iter().find_map(|command| {
        let (until, word) = match command.activity {
            Activity::InProgress => (None, "is running"),
            Activity::Unknown { latest_end } if now < latest_end => {
                (Some(latest_end), "may be running")
            }
            Activity::Unknown { .. } | Activity::Finished => return None,
        };
        Some(wait(
            Reason::Busy,
            until,
            format!(
                "step {} of {} (run {}) {word} there",
                command.step, command.job, command.run
            ),
        ))
    })
}

fn past_margin(
    rules: &Rules,
    view: &View,
    node: &Node,
    lock: &Lock,
    commands: &[Command],
) -> Answer {
    // A run that evidence shows and that nothing accounts for stands before the name in the lock.
    let hidden = commands
        .iter()
        .filter(|command| {
            !accounted(
                rules,
                view,
                node,
                &command.job,
                &task_of(rules, lock, &command.job),
                command.run,
            )
        })
        .max_by_key(|command| (command.run, command.step, command.attempt));
    let (job, task, run, step) = match hidden {
        Some(command) => (
            &command.job,
            task_of(rules, lock, &command.job),
            command.run,
            command.step,
        ),
        None => (&lock.job, lock.task.clone(), lock.run, lock.step),
    };
    if hidden.is_none() {
        let never_began = lock.state == LockState::Settling && lock.was.is_none();
        if never_began || accounted(rules, view, node, job, &task, run) {
            return Answer::Remove;
        }
    }
    if *job == rules.job.name {
        return Answer::TakeOver { abandoned: None };
    }
    let kept_until = later(lock.until, FINISHED_FOR);
    if hidden.is_some() && view.now < kept_until {
        return wait(
            Reason::Suspect,
            Some(kept_until),
            format!(
                "a step of {job} (run {run}) has finished there, and that job may still commit it"
            ),
        );
    }
    Answer::TakeOver {
        abandoned: Some(Abandoned { task, run, step }),
    }
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
fn accounted(rules: &Rules, view: &View, node: &Node, job: &Name, task: &Name, run: RunId) -> bool {
    let own = *job == rules.job.name;
    let last_key = if own {
        Some(rules.keys.last.clone())
    } else {
        rules.keys.last_of(task).ok()
    };
    let fail_key = if own {
        Some(rules.keys.fail.clone())
    } else {
        rules.keys.fail_of(task).ok()
    };
    let tag =
        |key: Option<crate::model::tag::TagKey>| key.and_then(|key| node.tags.get(key.as_str()));
    let began = i64::try_from(run.began_ms() / 1_000).unwrap_or(i64::MAX);
    let last = Last::read(
        tag(last_key).map(String::as_str),
        view.now,
        rules.lease.skew,
    );
    last.at().is_some_and(|at| at.as_second() >= began)
        || tag(fail_key)
            .and_then(|text| Fail::parse(text))
            .is_some_and(|fail| fail.run >= run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ClaimId;
    use crate::model::lock::tests::sample;
    use crate::model::view::tests::{node, now, rules, view};

    fn before(seconds: u64) -> Timestamp {
        now()
            .checked_sub(jiff::SignedDuration::from_secs(
                i64::try_from(seconds).expect("small"),
            ))
            .expect("a time")
    }

    /// A lock of our job whose lease ended so many seconds ago.
    fn expired(seconds: u64) -> Lock {
        let began = u64::try_from(before(seconds + 3_600).as_millisecond()).expect("after 1970");
        Lock {
            set: rules().lease.set(),
            until: before(seconds),
            run: RunId::new(began, 1),
            claim: ClaimId::new(began, 2),
            ..sample()
        }
    }

    fn command(job: &str, run: RunId, activity: Activity) -> Command {
        Command {
            job: Name::new(job).expect("a name"),
            run,
            step: 1,
            attempt: 1,
            activity,
        }
    }

    fn ask(lock: &Lock, tags: &[(&str, &str)], commands: Vec<Command>) -> Answer {
        let node = node("a", tags);
        let mut view = view(vec![node.clone()]);
        view.evidence
            .insert(node.id.clone(), Evidence::Commands(commands));
        judge(&rules(), &view, &node, lock)
    }

    fn reason(answer: &Answer) -> Option<(Reason, Option<Timestamp>)> {
        match answer {
            Answer::Wait { reason, until, .. } => Some((*reason, *until)),
            Answer::Remove | Answer::TakeOver { .. } => None,
        }
    }

    #[test]
    fn a_lease_blocks_until_its_end_and_is_left_alone_for_the_margin() {
        let mut held = expired(0);
        held.until = later(now(), Duration::from_secs(60));
        assert_eq!(
            reason(&ask(&held, &[], vec![])),
            Some((Reason::Locked, Some(held.until)))
        );
        let suspect = expired(299);
        assert_eq!(
            reason(&ask(&suspect, &[], vec![])),
            Some((Reason::Suspect, Some(later(now(), Duration::from_secs(1)))))
        );
        assert_eq!(
            ask(&expired(300), &[], vec![]),
            Answer::TakeOver { abandoned: None }
        );
    }

    #[test]
    fn a_lock_with_other_settings_blocks_for_an_hour_and_is_then_like_any_other() {
        let mut other = expired(3_599);
        other.set = sample().set;
        assert_ne!(other.set, rules().lease.set());
        assert_eq!(
            reason(&ask(&other, &[], vec![])).map(|(reason, _)| reason),
            Some(Reason::Locked)
        );
        other.until = before(3_600);
        assert_eq!(
            ask(&other, &[], vec![]),
            Answer::TakeOver { abandoned: None }
        );
    }

    #[test]
    fn a_run_that_ended_leaves_only_a_lock_to_remove() {
        let lock = expired(400);
        let at_began = format_stamp(
            Timestamp::from_millisecond(i64::try_from(lock.run.began_ms()).expect("small"))
                .expect("a time"),
        );
        assert_eq!(
            ask(&lock, &[("last-repair", &at_began)], vec![]),
            Answer::Remove
        );
        let fail = Fail {
            count: 1,
            at: now(),
            run: lock.run,
            step: 1,
            reason: "failed".to_owned(),
        }
        .format();
        assert_eq!(
            ask(&lock, &[("fail-repair", &fail)], vec![]),
            Answer::Remove
        );
        let earlier = Fail {
            count: 1,
            at: now(),
            run: RunId::new(1, 1),
            step: 1,
            reason: "failed".to_owned(),
        }
        .format();
        assert_eq!(
            ask(&lock, &[("fail-repair", &earlier)], vec![]),
            Answer::TakeOver { abandoned: None }
        );
    }

    #[test]
    fn a_claim_that_never_settled_is_removed_unless_it_adopted_or_hides_a_run() {
        let lock = Lock {
            state: LockState::Settling,
            step: 0,
            ..expired(400)
        };
        assert_eq!(ask(&lock, &[], vec![]), Answer::Remove);
        let adopting = Lock {
            was: Some(LockState::Held),
            ..lock.clone()
        };
        assert_eq!(
            ask(&adopting, &[], vec![]),
            Answer::TakeOver { abandoned: None }
        );
        let hidden = command("repair", RunId::new(7, 7), Activity::Finished);
        assert_eq!(
            ask(&lock, &[], vec![hidden]),
            Answer::TakeOver { abandoned: None }
        );
    }

    #[test]
    fn anything_in_progress_makes_the_node_busy_whatever_run_it_is() {
        let lock = expired(100_000);
        let running = command("backup", RunId::new(7, 7), Activity::InProgress);
        assert_eq!(
            reason(&ask(&lock, &[], vec![running])),
            Some((Reason::Busy, None))
        );
        let end = later(now(), Duration::from_secs(30));
        let maybe = command("repair", lock.run, Activity::Unknown { latest_end: end });
        assert_eq!(
            reason(&ask(&lock, &[], vec![maybe])),
            Some((Reason::Busy, Some(end)))
        );
        let over = command("repair", lock.run, Activity::Unknown { latest_end: now() });
        assert_eq!(
            ask(&lock, &[], vec![over]),
            Answer::TakeOver { abandoned: None }
        );
    }

    #[test]
    fn evidence_that_cannot_be_had_blocks() {
        let node = node("a", &[]);
        let mut view = view(vec![node.clone()]);
        view.evidence
            .insert(node.id.clone(), Evidence::Unavailable("denied".to_owned()));
        assert_eq!(
            reason(&judge(&rules(), &view, &node, &expired(400))),
            Some((Reason::Busy, None))
        );
    }

    #[test]
    fn another_jobs_run_is_abandoned_at_once_or_a_day_after_a_finished_step() {
        let mut lock = expired(400);
        lock.job = Name::new("backup").expect("a name");
        lock.task = Name::new("nightly").expect("a name");
        let abandoned = Answer::TakeOver {
            abandoned: Some(Abandoned {
                task: lock.task.clone(),
                run: lock.run,
                step: 1,
            }),
        };
        assert_eq!(ask(&lock, &[], vec![]), abandoned);
        let finished = command("backup", lock.run, Activity::Finished);
        assert_eq!(
            reason(&ask(&lock, &[], vec![finished.clone()])),
            Some((Reason::Suspect, Some(later(lock.until, FINISHED_FOR))))
        );
        lock.until = before(86_400);
        assert_eq!(ask(&lock, &[], vec![finished]), abandoned);
    }

    #[test]
    fn a_stopped_instance_has_nothing_in_progress() {
        let mut node = node("a", &[]);
        node.service = Service::Out {
            why: "instance is stopped".to_owned(),
            stopped: true,
        };
        let mut view = view(vec![node.clone()]);
        let lock = expired(400);
        view.evidence.insert(
            node.id.clone(),
            Evidence::Commands(vec![command("repair", lock.run, Activity::InProgress)]),
        );
        assert_eq!(
            judge(&rules(), &view, &node, &lock),
            Answer::TakeOver { abandoned: None }
        );
    }
}
