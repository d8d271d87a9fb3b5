//! One fleet with one job; who comes to it in turn, and what has to be there in the end.

use std::collections::BTreeMap;
use std::process::Child;

use roundsman::model::lock::{Lock, LockState};

use crate::cli::{Folder, Ran, until};
use crate::job::{Goes, Job};
use crate::site::{Pace, Site, clock, end};
use crate::test_aws::Aws;

/// Who is hit.
pub(crate) const FIRST: &str = "first";
/// Who comes after.
pub(crate) const NEXT: &str = "next";
/// The margin of [`Pace::Quick`].
const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
/// How long an invocation may take; what hangs longer is shown by [`end`].
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);
/// How often somebody comes, at most.
const VISITS: usize = 6;

/// A group of one node, and a job for it.
pub(crate) struct Case<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) job: Job,
    pub(crate) goes: Goes,
}

/// What a run has done: number and attempt of each command that began, and the status of those that ended.
pub(crate) type Done = BTreeMap<(u32, u32), Option<u8>>;

impl<'a> Case<'a> {
    pub(crate) fn new(aws: &'a Aws, job: Job, goes: Goes) -> Self {
        let site = Site::new(aws, "matrix", 1, Pace::Quick);
        let text = job.text(goes, &site.folder.path().display().to_string(), 0);
        site.job(&text);
        Self { site, job, goes }
    }

    /// Starts an invocation by this caller in a clean directory that has nothing but the settings and the job.
    pub(crate) fn start(&self, caller: &str, args: &[&str]) -> Visit {
        let folder = Folder::new(&[]);
        for file in ["roundsman.toml", "jobs/hello.toml"] {
            folder.write(file, self.site.folder.read(file));
        }
        let mut command = folder.command(args);
        command.envs(self.site.aws.env_of(caller));
        let child = command.spawn().expect("it starts");
        Visit {
            child,
            _folder: folder,
        }
    }

    pub(crate) fn lock(&self) -> Option<Lock> {
        self.site.lock(0)
    }

    /// The claim in the lock.
    pub(crate) fn claim(&self) -> Option<String> {
        self.lock().map(|lock| lock.claim.to_string())
    }

    /// Whether somebody else than the dead one holds the node, and the command that waits has begun.
    pub(crate) fn is_watched(&self, dead: Option<&str>) -> bool {
        let held = self.lock().is_some_and(|lock| {
            lock.state == LockState::Held && Some(lock.claim.to_string().as_str()) != dead
        });
        let target = format!(" {} 1", self.job.target(self.goes));
        let begun = |line: &String| line.starts_with("begun") && line.ends_with(&target);
        held && self.site.lines("work").iter().any(begun)
    }

    /// Lets a command that waits go on, once the visitor has the node and the command has begun.
    #[track_caller]
    pub(crate) fn let_go(&self, visit: &mut Visit, dead: Option<&str>) {
        if self.goes != Goes::Running {
            return;
        }
        visit.until("it is watched", || self.is_watched(dead));
        if !visit.is_over() {
            self.site.folder.write("go", "");
        }
    }

    /// The lease of whoever is dead ends now, and its margin too: nobody has to wait for that.
    pub(crate) fn expire(&self) {
        let Some(mut lock) = self.lock() else { return };
        let minute = std::time::Duration::from_secs(60);
        lock.until = lock.until.min(now()) - minute;
        let node = &self.site.nodes[0];
        self.site.aws.set_tags(node, &[("lock", &lock.format())]);
    }

    /// Whether a run was recorded and nobody has to come any more.
    pub(crate) fn is_settled(&self) -> bool {
        let keys = self.site.keys(0);
        let is = |wanted: &str| keys.iter().any(|key| key == wanted);
        !is("lock") && (is("last-hello") || is("fail-hello"))
    }

    /// Waits until the lease that is there, and its margin, are over by themselves.
    #[track_caller]
    pub(crate) fn outwait(&self) {
        let second = std::time::Duration::from_secs(1);
        until("the lease is past its margin", 90, || {
            let free = self
                .lock()
                .is_none_or(|lock| lock.until + MARGIN + second < now());
            free || self.is_settled()
        });
    }

    /// Invokes from clean directories until a run is recorded, with what `meanwhile` does to each of them. Whoever left
    /// a lock is dead: nobody waits for its end.
    #[track_caller]
    pub(crate) fn serve(&self, meanwhile: impl Fn(&mut Visit)) -> Vec<Ran> {
        self.visits(&["run", "hello"], || self.expire(), meanwhile)
    }

    /// The same, with what is done before each.
    #[track_caller]
    pub(crate) fn visits(
        &self,
        args: &[&str],
        before: impl Fn(),
        meanwhile: impl Fn(&mut Visit),
    ) -> Vec<Ran> {
        let mut all = Vec::new();
        while !self.is_settled() {
            assert!(
                all.len() < VISITS,
                "never settled: {:?}\n{}\n{all:#?}",
                self.site.left(0),
                self.told()
            );
            before();
            if self.is_settled() {
                break;
            }
            let mut visit = self.start(NEXT, args);
            meanwhile(&mut visit);
            all.push(visit.end());
        }
        all
    }

    /// What each run has done, by its id. Nothing began twice, and nothing overlapped.
    #[track_caller]
    pub(crate) fn runs(&self) -> BTreeMap<String, Done> {
        let mut runs: BTreeMap<String, Done> = BTreeMap::new();
        for line in self.site.lines("work") {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |n: usize| words[n].parse::<u32>().expect("a number");
            let done = runs.entry(words[1].to_owned()).or_default();
            let key = (number(2), number(3));
            if words[0] == "begun" {
                let before = done.insert(key, None);
                assert_eq!(before, None, "begun twice: {line}\n{}", self.told());
            } else {
                let status = words[4].parse().expect("a status");
                let before = done.insert(key, Some(status));
                assert_eq!(before, Some(None), "ended twice: {line}\n{}", self.told());
            }
        }
        assert_eq!(self.site.folder.read("overlaps"), "", "{}", self.told());
        runs
    }

    /// What has to hold in the end, whatever has happened.
    #[track_caller]
    pub(crate) fn check(&self) {
        let (left, runs) = (self.site.left(0), self.runs());
        let told = || format!("{left:?}\n{runs:?}\n{}", self.told());
        assert!(!left.contains_key("lock"), "a lock stays: {}", told());
        let (done, failed) = self.job.records(self.goes);
        let mut keys = Vec::new();
        keys.extend(failed.then_some("fail-hello"));
        keys.extend(
            done.then_some(["last-hello", "took-hello"])
                .into_iter()
                .flatten(),
        );
        assert_eq!(self.site.keys(0), keys, "{}", told());
        // What fails is due again, and served again when its lock was all that was left to remove.
        let count = left.get("fail-hello").map_or(1, |fail| {
            let count = fail.split(' ').find_map(|it| it.strip_prefix("count="));
            count.and_then(|it| it.parse().ok()).expect("a count")
        });
        assert_eq!(runs.len(), count, "each run is accounted for: {}", told());
        let does = self.job.does(self.goes);
        for run in runs.values() {
            assert!(run.values().all(Option::is_some), "{}", told());
            let mut numbers: Vec<u32> = run.keys().map(|it| it.0).collect();
            assert_eq!(numbers, does, "each command once: {}", told());
            numbers.dedup();
            let most = 1 + u32::from(self.goes.is_lost());
            assert!(run.keys().all(|it| it.1 <= most), "{}", told());
        }
    }

    /// All calls, for whoever reads that it failed.
    pub(crate) fn told(&self) -> String {
        let log = self.site.aws.log();
        let lines = log.iter().map(|call| {
            let fault = call.fault.as_deref().unwrap_or_default();
            let answer = call.answer.as_deref().unwrap_or("…");
            format!(
                "{:6} {} {} {fault} {answer}\n",
                call.at_ms, call.caller, call.action
            )
        });
        lines.collect()
    }

    /// How many calls somebody has made.
    pub(crate) fn calls(&self, caller: &str) -> usize {
        let log = self.site.aws.log();
        log.iter().filter(|call| call.caller == caller).count()
    }
}

/// An invocation under way, and its directory.
pub(crate) struct Visit {
    pub(crate) child: Child,
    _folder: Folder,
}

impl Visit {
    /// What it said in the end: nobody knows of a command that SSM has lost before its latest end, in minutes.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let child = &mut self.child;
        let began = clock();
        until("it has ended, or hangs", 500, || {
            child.try_wait().expect("it can be asked").is_some() || began.elapsed() > PATIENCE
        });
        end(self.child)
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// Whether it is stopped by a signal.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Polls until `done`, or until it has ended by itself.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let child = &mut self.child;
        until(what, 60, || {
            done() || child.try_wait().expect("it can be asked").is_some()
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test AWS has this machine's clock"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
