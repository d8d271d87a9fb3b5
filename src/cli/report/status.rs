//! What `status` shows of a job.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::reason::{Reason, Verdict};
use crate::model::record::{Fail, Last};

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusJob {
    /// Its name.
    pub job: String,
    /// Its task.
    pub task: String,
    /// When its fleet was looked at, the provider's time.
    pub now: Timestamp,
    /// Its nodes, in the order in which they are shown.
    pub nodes: Vec<StatusNode>,
    /// How often each is served.
    pub every: Duration,
    /// How many were served within `every`.
    pub served: usize,
    /// The hold on its whole fleet, as a sentence.
    pub held: Option<String>,
}

/// One node of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusNode {
    /// Its id.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
    /// What the job makes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub detail: String,
    /// When it was last served.
    pub last: Last,
    /// How long that took, as its tag says.
    pub took: Option<String>,
    /// When it is, or was, due; `None`: never served.
    pub due: Option<Timestamp>,
    /// How long its deadline has passed; zero: it has not.
    pub overdue: Duration,
    /// Its lock, on one line.
    pub lock: Option<String>,
    /// Its runs without success since the last one with.
    pub failures: Option<Fail>,
    /// The hold on it, on one line.
    pub hold: Option<String>,
}

/// A lease whose job has no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The node.
    pub node: String,
    /// The job that the lease names.
    pub job: String,
    /// When the lease ends, if that can be read.
    pub until: Option<Timestamp>,
}
