//! At which call of which run somebody is hit.

use std::fmt;

use serde_json::json;

use crate::case::{Case, FIRST};
use crate::job::{Goes, Job};
use crate::pool::all;
use crate::test_aws::Aws;

/// Looks at a command that waits for ever, which are cases too.
const LOOKS: usize = 4;

/// A run whose n-th call is hit before or after it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) job: Job,
    pub(crate) goes: Goes,
    pub(crate) n: usize,
    pub(crate) when: &'static str,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, goes, n, when } = self;
        let name = format!("{job:?}/{goes:?}/{when}/{n}/");
        f.write_str(&name.to_lowercase())
    }
}

/// How many calls a run makes that nothing happens to; where its command waits, with some looks at that.
fn calls(hit: &Hit) -> usize {
    let aws = Aws::start();
    let waits = hit.goes == Goes::Running;
    let case = Case::new(&aws, hit.job, if waits { Goes::Untidy } else { hit.goes });
    case.spoil();
    case.start(FIRST, &["run", "hello"]).end();
    let log = aws.log();
    if waits {
        let mut calls = log.iter().enumerate();
        let target = hit.job.target(hit.goes);
        let sent = (0..target).filter_map(|_| calls.find(|(_, call)| call.action == "SendCommand"));
        return sent.last().expect("it was sent").0 + 1 + LOOKS;
    }
    log.len()
}

/// Every call of these runs, before and after it takes effect, and two calls more, which never come.
pub(crate) fn hits(pairs: impl IntoIterator<Item = (Job, Goes)>) -> Vec<Hit> {
    let pairs = pairs.into_iter().map(|(job, goes)| Hit {
        job,
        goes,
        n: 0,
        when: "calm",
    });
    let mut hits = Vec::new();
    for (pair, calls) in all("calm runs", pairs.collect(), calls) {
        let beyond = if pair.goes == Goes::Running { 0 } else { 2 };
        for n in 1..=calls + beyond {
            hits.extend(["before", "after"].map(|when| Hit { n, when, ..pair }));
        }
    }
    hits.sort();
    hits
}

impl Case<'_> {
    /// What goes wrong with the command, besides who is hit; to be said after that, for the first fault strikes.
    pub(crate) fn spoil(&self) {
        if let Some(fault) = self.goes.fault(self.job) {
            self.site.aws.fault(&fault);
        }
    }

    /// Whoever comes first gets this signal at that call.
    pub(crate) fn signal(&self, signal: &str, hit: &Hit) {
        let skip = hit.n - 1;
        self.site.aws.fault(&json!({
            "mode": "signal", "signal": signal, "when": hit.when, "caller": FIRST, "skip": skip,
        }));
        self.spoil();
    }
}
