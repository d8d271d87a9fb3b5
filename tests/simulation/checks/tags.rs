//! What stands in tags: records of work, and what is not ours to touch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundsman::io::memory::MemoryClock;
use roundsman::model::id::{Name, NodeId, RunId};
use roundsman::model::lock::Lock;
use roundsman::model::outcome::Outcome;
use roundsman::model::record::Fail;
use roundsman::model::time::{Moment, later, parse_stamp};

use crate::chaos::is_ours;
use crate::checks::{Checks, Promise};
use crate::fact::{By, Execution, Fact, What};

/// What has been done, and what of it is recorded.
#[derive(Debug, Default)]
pub(crate) struct TagHistory {
    /// The steps of each run that have succeeded.
    done: BTreeMap<(NodeId, RunId), BTreeSet<u32>>,
    /// Which execution is of which run.
    executions: BTreeMap<u64, Execution>,
    /// Runs whose work is all done, and not recorded yet: since when.
    pub(super) unrecorded: BTreeMap<(NodeId, Name, RunId), Moment>,
    /// When somebody from outside last took a node's lock away: what was known of earlier runs may be lost with it.
    meddled_at: BTreeMap<NodeId, jiff::Timestamp>,
    /// When an operator last marked work as done, by node and key.
    marked: BTreeMap<(NodeId, String), Moment>,
    /// Since when a lock tag has been one that cannot be read.
    unreadable_since: BTreeMap<NodeId, Moment>,
}

/// One tag that has changed.
struct Changed<'a> {
    at: Moment,
    node: &'a NodeId,
    key: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    by: &'a By,
    began: Moment,
}

/// When a run began, in whole seconds, as its id says it.
fn began_second(run: RunId) -> i64 {
    i64::try_from(run.began_ms() / 1_000).unwrap_or(i64::MAX)
}

impl Checks {
    pub(super) fn see_tags(&mut self, fact: &Fact) {
        match &fact.what {
            What::Tag {
                node,
                key,
                before,
                after,
                by,
                began,
            } => {
                let changed = Changed {
                    at: fact.at,
                    node,
                    key,
                    before: before.as_deref(),
                    after: after.as_deref(),
                    by,
                    began: *began,
                };
                self.see_tag(&changed);
            }
            What::Began(execution) => {
                let executions = &mut self.tags.executions;
                executions.insert(execution.id, execution.clone());
            }
            What::Ended { execution, outcome } => self.see_end(fact.at, *execution, *outcome),
            What::NodeGone(node) => {
                self.tags.done.retain(|(of, _), _| of != node);
                self.tags.unrecorded.retain(|(of, ..), _| of != node);
                self.tags.unreadable_since.remove(node);
                self.tags.meddled_at.remove(node);
            }
            _ => {}
        }
    }

    fn see_tag(&mut self, changed: &Changed<'_>) {
        self.see_hands_off(changed);
        if changed.key == "lock" {
            self.see_lock(changed);
        }
        if changed.key.starts_with("last-") {
            self.see_last(changed);
        }
        if let (Some(task), Some(fail)) = (
            changed.key.strip_prefix("fail-"),
            changed.after.and_then(Fail::parse),
        ) {
            let entry = (
                changed.node.clone(),
                Name::new(task).expect("a name"),
                fail.run,
            );
            if self.tags.unrecorded.remove(&entry).is_some() {
                self.figures.done_and_failed += 1;
            }
        }
    }

    /// Runners touch only our own keys, and no lock that cannot be read; a write that had been begun when it was typed,
    /// or was justified by a read that did not show it yet, cannot know of it.
    fn see_hands_off(&mut self, changed: &Changed<'_>) {
        let By::Runner { .. } = changed.by else {
            return;
        };
        if !is_ours(changed.key) || changed.key == "hold" {
            let what = format!(
                "{} of {} became {:?}, and was {:?}",
                changed.key, changed.node, changed.after, changed.before
            );
            self.broken(changed.at, Promise::HandsOff, what);
        }
        if changed.key == "lock"
            && let Some(since) = self.tags.unreadable_since.get(changed.node)
        {
            let lease = self.site.lease;
            let blind = lease.claim_within + lease.staleness + Duration::from_secs(1);
            if changed.began > since.plus(blind) {
                let what = format!(
                    "the unreadable lock {:?} of {} became {:?}",
                    changed.before, changed.node, changed.after
                );
                self.broken(changed.at, Promise::HandsOff, what);
            }
        }
    }

    fn see_lock(&mut self, changed: &Changed<'_>) {
        let node = changed.node.clone();
        match changed.after {
            Some(text) if Lock::parse(text).is_none() => {
                self.tags.unreadable_since.insert(node.clone(), changed.at);
            }
            _ => {
                self.tags.unreadable_since.remove(&node);
            }
        }
        if !matches!(changed.by, By::Runner { .. }) {
            // What runs there ends within its timeout; what is on its way is refused.
            let until = changed.at.plus(Duration::from_secs(3 * 3_600));
            self.meddled_until.insert(node.clone(), until);
            let known_to_all = later(MemoryClock::wall_at(changed.at), self.site.lease.skew);
            self.tags.meddled_at.insert(node.clone(), known_to_all);
            self.tags.unrecorded.retain(|(of, ..), _| *of != node);
        }
    }

    fn see_last(&mut self, changed: &Changed<'_>) {
        let task = Name::new(changed.key.trim_start_matches("last-")).expect("a name");
        let Some(after) = changed.after.and_then(parse_stamp) else {
            return;
        };
        let By::Runner { job, own, .. } = changed.by else {
            // Whatever was done before is accounted for by it.
            let key = (changed.node.clone(), changed.key.to_owned());
            self.tags.marked.insert(key, changed.at);
            self.record(changed, &task, after);
            return;
        };
        // A completion that was on its way when an operator marked the node may land over the mark.
        let key = (changed.node.clone(), changed.key.to_owned());
        let marked = self.tags.marked.remove(&key);
        let overtaken = marked.is_some_and(|marked| changed.began < marked);
        if let Some(before) = changed.before.and_then(parse_stamp)
            && after < before
            && !overtaken
            && !changed.before.is_some_and(|text| text.starts_with("2099"))
        {
            let what = format!(
                "{} of {} moved back from {before} to {after}",
                changed.key, changed.node
            );
            self.broken(changed.at, Promise::NotMovedBack, what);
        }
        let steps = self.steps(job);
        let done = own.and_then(|(run, _)| self.tags.done.get(&(changed.node.clone(), run)));
        let all = (1..=steps).all(|step| done.is_some_and(|done| done.contains(&step)));
        if !all {
            let what = format!(
                "{} of {} says {after} for {own:?} of {job}, of which only steps {done:?} of {steps} were done",
                changed.key, changed.node
            );
            self.broken(changed.at, Promise::WorkWasDone, what);
        }
        self.record(changed, &task, after);
    }

    /// A completion at or after a run's beginning accounts for it, in whole seconds.
    fn record(&mut self, changed: &Changed<'_>, task: &Name, last: jiff::Timestamp) {
        let node = changed.node;
        let mut recorded = Vec::new();
        self.tags.unrecorded.retain(|(of, job, run), _| {
            let later = of != node || job != task || last.as_second() < began_second(*run);
            if !later {
                recorded.push(*run);
            }
            later
        });
        if let [first, .., again] = recorded.as_slice() {
            let what = format!(
                "run {again} of {task} did on {node} what run {first} had done, which nobody recorded"
            );
            self.broken(changed.at, Promise::NotDoneAgain, what);
        }
    }

    fn see_end(&mut self, at: Moment, execution: u64, outcome: Outcome) {
        let Some(ended) = self.tags.executions.remove(&execution) else {
            return;
        };
        if outcome != Outcome::Ok {
            return;
        }
        let steps = self.steps(&ended.job);
        let run = (ended.node.clone(), ended.run);
        let done = self.tags.done.entry(run).or_default();
        let new = done.insert(ended.step);
        let known = self
            .tags
            .meddled_at
            .get(&ended.node)
            .is_none_or(|at| began_second(ended.run) > at.as_second());
        let all = (1..=steps).all(|step| done.contains(&step));
        if new && known && ended.step <= steps && all {
            let entry = (ended.node, ended.job, ended.run);
            self.tags.unrecorded.insert(entry, at);
        }
        if self.tags.done.len() > 4_096 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let mut runs: Vec<RunId> = self.tags.done.keys().map(|(_, run)| *run).collect();
        runs.sort_unstable();
        let middle = runs[runs.len() / 2];
        self.tags.done.retain(|(_, run), _| *run >= middle);
    }

    fn steps(&self, job: &Name) -> u32 {
        let found = self
            .site
            .jobs
            .iter()
            .find(|each| each.rules.job.name == *job);
        found.map_or(0, |each| {
            u32::try_from(each.rules.job.steps.len()).unwrap_or(u32::MAX)
        })
    }
}
