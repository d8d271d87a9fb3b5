//! What the test AWS knows, behind one lock; and its clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::bucket::Buckets;
use super::fault::Fault;
use super::fleet::Fleet;
use super::log::Log;
use super::lots::Lots;
use super::settings::Settings;
use super::ssm::Commands;
use super::tags::Past;

/// The variable that marks what runs on nodes.
const MARK: &str = "ROUNDSMAN_TEST_NODE";

/// All that changes.
pub(crate) struct State {
    pub(crate) lots: Lots,
    /// For names that decide nothing, so that asking more often changes no chance.
    pub(crate) names: Lots,
    pub(crate) staleness: Duration,
    pub(crate) delivery: Duration,
    pub(crate) not_yet: Duration,
    /// `None`: there is no limit.
    pub(crate) buckets: Option<Buckets>,
    pub(crate) fleet: Fleet,
    pub(crate) tags: Past,
    pub(crate) commands: Commands,
    pub(crate) faults: Vec<Fault>,
    pub(crate) log: Log,
    /// The most entries in one answer of an action.
    pub(crate) pages: BTreeMap<String, usize>,
    /// How far this cloud's clock is ahead of the machine's, in seconds.
    pub(crate) ahead: i64,
    /// Whether it is over: nothing begins any more.
    pub(crate) over: bool,
}

impl State {
    fn new(settings: &Settings) -> Self {
        Self {
            lots: Lots::new(settings.seed),
            names: Lots::new(!settings.seed),
            staleness: settings.staleness,
            delivery: settings.delivery,
            not_yet: settings.not_yet,
            buckets: settings.buckets.then(Buckets::default),
            fleet: Fleet::default(),
            tags: Past::default(),
            commands: Commands::default(),
            faults: Vec::new(),
            log: Log::default(),
            pages: BTreeMap::new(),
            ahead: 0,
            over: false,
        }
    }

    /// The size of a page: what was asked for, or less where a test wants that.
    pub(crate) fn page_size(&self, action: &str, asked: usize) -> usize {
        self.pages.get(action).copied().unwrap_or(asked).min(asked)
    }

    /// This cloud's time.
    pub(crate) fn time(&self) -> Timestamp {
        let now = wall();
        now.checked_add(SignedDuration::from_secs(self.ahead))
            .unwrap_or(now)
    }
}

/// The state with what does not change, for every thread.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Rung when it is over.
    over: Condvar,
    begun: Instant,
    /// The folder of the nodes' folders.
    root: PathBuf,
    /// Stands in the environment of all that runs on nodes.
    mark: String,
}

impl Shared {
    pub(crate) fn new(settings: &Settings, root: PathBuf) -> Self {
        // Not from the seed: two of the same seed may run side by side.
        let mark = format!("{}-{}", std::process::id(), wall().as_nanosecond());
        Self(Arc::new(Inner {
            state: Mutex::new(State::new(settings)),
            over: Condvar::new(),
            begun: now(),
            root,
            mark,
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; `false`: it is over.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .0
            .over
            .wait_timeout_while(state, time, |state| !state.over)
            .unwrap_or_else(PoisonError::into_inner);
        !state.over
    }

    /// Does something later, unless it is over by then.
    pub(crate) fn later(&self, time: Duration, what: impl FnOnce(&Self) + Send + 'static) {
        let shared = self.clone();
        std::thread::spawn(move || {
            if shared.pause(time) {
                what(&shared);
            }
        });
    }

    /// Ends all that was begun.
    pub(crate) fn end(&self) {
        self.state().over = true;
        self.0.over.notify_all();
    }

    /// Milliseconds since the start.
    pub(crate) fn since_ms(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The folder of a node.
    pub(crate) fn home(&self, node: &str) -> PathBuf {
        self.0.root.join(node)
    }

    /// The word in the environment of all that runs on a node: name and value.
    pub(crate) fn mark(&self, node: &str) -> (&'static str, String) {
        (MARK, format!("{}/{node}", self.0.mark))
    }

    /// What the words of all nodes begin with.
    pub(crate) fn marks(&self) -> String {
        format!("{MARK}={}/", self.0.mark)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test AWS runs by the real clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test AWS runs by the real clock"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}
