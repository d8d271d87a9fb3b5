//! A job: what is done to which nodes, how often, and how many at once. Valid by construction.
//!
//! [`mod@file`] makes it from a job file's text.

pub mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::digest::hash4;
use crate::model::id::Name;
use crate::model::lock::{Digest, FileDigest};
use crate::model::settings::LeaseSettings;
use crate::model::tag::TagKey;

/// One job file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The file's name without `.toml`.
    pub name: Name,
    /// The key in tag names; several jobs may share one.
    pub task: Name,
    /// A line for people.
    pub about: Option<String>,
    /// Due this long after the last completion.
    pub every: Duration,
    /// Overdue after this long.
    pub deadline: Option<Duration>,
    /// When a node that was never served gets its turn.
    pub new: NewNodes,
    /// A tag that the fleet already has, instead of `last-<task>`.
    pub last_tag: Option<TagKey>,
    /// Which nodes.
    pub fleet: Selector,
    /// How many at once.
    pub limits: Limits,
    /// A longer lease than the settings' own.
    pub ttl: Option<Duration>,
    /// Whether steps on nodes go through the fence.
    pub fence: Fence,
    /// What a signal does to the run.
    pub on_stop: OnStop,
    /// What every step finds in its environment.
    pub env: BTreeMap<String, String>,
    /// The steps, in order; at least one.
    pub steps: Vec<Step>,
    /// What is done after them.
    pub cleanup: Vec<Cleanup>,
}

/// Whether steps on nodes go through the fence there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fence {
    /// A node without `flock` is refused.
    #[default]
    On,
    /// A node without `flock` is served all the same, on the tags' word alone.
    Off,
}

/// What the first SIGTERM or SIGINT does to a run whose node step is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStop {
    /// The step goes on, and the next invocation adopts the run.
    #[default]
    Park,
    /// The step is ended.
    Cancel,
}

/// When a node that was never served gets its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewNodes {
    /// Before all others.
    #[default]
    First,
    /// After all others that are due.
    Last,
    /// First, but not before it has lived this long.
    After(Duration),
}

/// Which nodes make up the fleet. Groups and tags together: both must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Auto Scaling groups, by name.
    pub groups: Vec<String>,
    /// Tags that must all match; any of the values will do.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Every node of the provider (local inventories only).
    pub all: bool,
}

/// How many nodes may be not well at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In the whole fleet.
    pub nodes: u32,
    /// What not well means.
    pub count: BTreeSet<Count>,
    /// Whose leases count: job names, `*` for any run of characters.
    pub jobs: Vec<String>,
    /// The same in parts of the fleet.
    pub per: Vec<Per>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 1,
            count: Count::ALL.into(),
            jobs: vec!["*".to_owned()],
            per: Vec::new(),
        }
    }
}

impl Limits {
    /// Whether leases of the job called `name` count.
    pub fn counts_job(&self, name: &Name) -> bool {
        self.jobs
            .iter()
            .any(|pattern| wildcard(pattern, name.as_str()))
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|from| text.get(from..).is_some_and(|tail| wildcard(rest, tail)))
        }),
    }
}

/// One kind of node that is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// It has a lock: settling, held, parked, suspect or unreadable.
    InWork,
    /// Its instance is not running or not in service.
    OutOfService,
    /// It has this task's `fail-`.
    Failed,
}

impl Count {
    /// All of them, which is the default.
    pub const ALL: [Self; 3] = [Self::InWork, Self::OutOfService, Self::Failed];

    /// The word in job files and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::InWork => "in-work",
            Self::OutOfService => "out-of-service",
            Self::Failed => "failed",
        }
    }
}

/// A limit in each part of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Per {
    /// What divides the fleet.
    pub by: Divider,
    /// How many nodes in each part.
    pub nodes: u32,
}

/// What divides a fleet into parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Divider {
    /// The availability zone.
    Zone,
    /// The value of a tag; nodes without it are a part of their own.
    Tag(String),
}

/// One command of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For people; `step-1` where the file has none.
    pub name: String,
    /// What it does.
    pub action: StepAction,
    /// Where it runs.
    pub on: On,
    /// How long it may take.
    pub timeout: Duration,
    /// How often it is tried again after an attempt that did not succeed.
    pub retries: u32,
}

impl Step {
    /// Whether it reboots its node.
    pub fn reboots(&self) -> bool {
        matches!(self.action, StepAction::Reboot { .. })
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepAction {
    /// A script.
    Run(String),
    /// A reboot, done when the boot id has changed and `ready` succeeds.
    Reboot {
        /// The command that says that the node is back.
        ready: Option<String>,
    },
}

/// Where a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum On {
    /// On the node, behind the fence.
    #[default]
    Node,
    /// Beside roundsman itself.
    Runner,
}

impl On {
    /// The word in job files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Runner => "runner",
        }
    }
}

/// A step that is done after the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    /// What it does.
    pub step: Step,
    /// After which ends of the run.
    pub when: When,
}

/// After which ends of a run a clean-up step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// After every run.
    #[default]
    Always,
    /// Only after a run that did not succeed.
    Failed,
}

impl Job {
    /// A job of which nothing is known but its names: every node, no steps, and everything else as a job file that does
    /// not say it has it.
    pub fn bare(name: Name, task: Name, every: Duration) -> Self {
        Self {
            name,
            task,
            about: None,
            every,
            deadline: None,
            new: NewNodes::First,
            last_tag: None,
            fleet: Selector {
                all: true,
                ..Selector::default()
            },
            limits: Limits::default(),
            ttl: None,
            fence: Fence::On,
            on_stop: OnStop::Park,
            env: BTreeMap::new(),
            steps: Vec::new(),
            cleanup: Vec::new(),
        }
    }

    /// The step with this number: steps count from 1, clean-up steps are numbered on after them.
    pub fn step(&self, number: u32) -> Option<&Step> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.steps.get(index).or_else(|| {
            self.cleanup
                .get(index - self.steps.len())
                .map(|cleanup| &cleanup.step)
        })
    }

    /// How long this job's leases last: its own ttl, never shorter than the settings'.
    pub fn ttl(&self, settings: &LeaseSettings) -> Duration {
        self.ttl.map_or(settings.ttl, |ttl| ttl.max(settings.ttl))
    }

    /// The digest over what the nodes execute: steps in order, where, environment.
    ///
    /// Names, limits and schedule are not in it: changing them does not change a run.
    pub fn file_digest(&self) -> FileDigest {
        let step = |step: &Step| {
            format!(
                "{:?} {:?} {:?} {}\n",
                step.on, step.action, step.timeout, step.retries
            )
        };
        let mut text = format!("{:?}\n", self.env);
        self.steps
            .iter()
            .for_each(|each| text.push_str(&step(each)));
        self.cleanup
            .iter()
            .for_each(|each| text.push_str(&format!("{:?} {}", each.when, step(&each.step))));
        Digest::of(hash4(text.as_bytes()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A job for tests: `repair`, weekly, one step `true` on the node; to be changed where a test means something else.
    pub(crate) fn sample() -> Job {
        let name = Name::new("repair").expect("a name");
        Job {
            deadline: Some(Duration::from_secs(9 * 86_400)),
            steps: vec![step("repair", "true")],
            ..Job::bare(name.clone(), name, Duration::from_secs(7 * 86_400))
        }
    }

    /// A step on the node.
    pub(crate) fn step(name: &str, run: &str) -> Step {
        Step {
            name: name.to_owned(),
            action: StepAction::Run(run.to_owned()),
            on: On::Node,
            timeout: Duration::from_secs(3_600),
            retries: 0,
        }
    }

    #[test]
    fn cleanup_steps_are_numbered_on() {
        let mut job = sample();
        job.cleanup.push(Cleanup {
            step: step("tidy", "rm x"),
            when: When::Always,
        });
        assert_eq!(job.step(0), None);
        assert_eq!(job.step(1).map(|step| step.name.as_str()), Some("repair"));
        assert_eq!(job.step(2).map(|step| step.name.as_str()), Some("tidy"));
        assert_eq!(job.step(3), None);
    }

    #[test]
    fn a_job_only_lengthens_the_ttl() {
        let settings = LeaseSettings::default();
        let mut job = sample();
        job.ttl = Some(Duration::from_secs(60));
        assert_eq!(job.ttl(&settings), settings.ttl);
        job.ttl = Some(Duration::from_secs(7_200));
        assert_eq!(job.ttl(&settings), Duration::from_secs(7_200));
    }

    #[test]
    fn the_digest_follows_what_is_executed_and_nothing_else() {
        let job = sample();
        let mut limits = job.clone();
        limits.limits.nodes = 5;
        assert_eq!(limits.file_digest(), job.file_digest());
        let mut other = job.clone();
        other.steps[0] = step("repair", "false");
        assert_ne!(other.file_digest(), job.file_digest());
        let mut place = job.clone();
        place.steps[0].on = On::Runner;
        assert_ne!(place.file_digest(), job.file_digest());
    }

    #[test]
    fn whose_leases_count_may_be_said_with_a_star() {
        let name = Name::new("cassandra-repair").expect("a name");
        let counts = |pattern: &str| {
            Limits {
                jobs: vec![pattern.to_owned()],
                ..Limits::default()
            }
            .counts_job(&name)
        };
        assert!(
            counts("*")
                && counts("cassandra-*")
                && counts("*repair")
                && counts("c*-r*r")
                && counts("cassandra-repair")
        );
        assert!(!counts("cassandra") && !counts("*backup") && !counts(""));
    }
}
