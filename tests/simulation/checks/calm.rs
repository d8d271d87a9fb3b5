//! What has to be true at the end of a calm: nothing left behind, everything recorded, everything due served.

use std::time::Duration;

use roundsman::io::memory::MemoryClock;
use roundsman::model::id::NodeId;
use roundsman::model::lock::Lock;
use roundsman::model::tag::Tags;
use roundsman::model::time::{Moment, later, parse_stamp};

use crate::checks::{Checks, Promise};
use crate::fact::{Fact, What};

/// When the last calm began.
#[derive(Debug, Default)]
pub(crate) struct Calms {
    began: Option<Moment>,
}

/// How many times every machine has to have invoked every job until a node that is due has been served in a calm, beside
/// once for each job: whoever comes first serves all that is due to it, and the others leave again.
const SPARE_PERIODS: u32 = 3;

/// How long after its end, and the margin, a lease may still be found: until the next invocation of its job.
const LOOKED_INTO_WITHIN: Duration = Duration::from_secs(14 * 3_600);

impl Checks {
    pub(super) fn see_calm(&mut self, fact: &Fact) {
        match &fact.what {
            What::Calm => self.calm.began = Some(fact.at),
            What::CalmEnds { nodes } => {
                for (node, tags) in nodes {
                    self.see_leftover(fact.at, node, tags);
                    self.see_served(fact.at, node, tags);
                }
                self.see_recorded(fact.at);
            }
            _ => {}
        }
    }

    fn see_leftover(&mut self, at: Moment, node: &NodeId, tags: &Tags) {
        let Some(text) = tags.get("lock") else {
            return;
        };
        let now = MemoryClock::wall_at(at);
        let margin = self.site.lease.margin;
        let left = Lock::parse(text)
            .is_none_or(|lock| later(lock.until, margin + LOOKED_INTO_WITHIN) < now);
        if left {
            let what = format!("{node} still bears the lock {text:?}");
            self.broken(at, Promise::NoLockLeft, what);
        }
    }

    fn see_served(&mut self, at: Moment, node: &NodeId, tags: &Tags) {
        let now = MemoryClock::wall_at(at);
        let periods = u32::try_from(self.site.jobs.len()).unwrap_or(0) + SPARE_PERIODS;
        let jobs = self.site.jobs.iter().map(|job| {
            let within = job.rules.job.every + self.site.period * periods;
            (job.rules.keys.last.as_str().to_owned(), within)
        });
        let jobs: Vec<(String, Duration)> = jobs.collect();
        for (key, within) in jobs {
            let last = tags.get(&key).and_then(|text| parse_stamp(text));
            let served = last.is_some_and(|last| now < later(last, within));
            if !served {
                let what = format!("{node} was not served: {key} is {last:?}, at {now}; {tags:?}");
                self.broken(at, Promise::Served, what);
            }
        }
    }

    /// Work that was done before the calm began has been recorded in it.
    fn see_recorded(&mut self, at: Moment) {
        let Some(calm) = self.calm.began else {
            return;
        };
        let old: Vec<_> = self
            .tags
            .unrecorded
            .iter()
            .filter(|(_, done)| **done < calm)
            .map(|(entry, done)| (entry.clone(), *done))
            .collect();
        for ((node, job, run), done) in old {
            let what = format!(
                "run {run} of {job} had done its work on {node} {:?} before, and nothing tells of it",
                at.since(done)
            );
            self.broken(at, Promise::Recorded, what);
            self.tags.unrecorded.remove(&(node, job, run));
        }
    }
}
