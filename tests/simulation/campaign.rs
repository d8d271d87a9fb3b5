//! Many worlds, one after the other on each of two threads, and what came of all of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Write as _;
use std::process::Command;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use roundsman::model::id::NodeId;
use roundsman::model::rule::Without;
use roundsman::model::settings::LeaseSettings;

use crate::checks::{Checks, Figures, Promise, Violation};
use crate::fact::Fact;
use crate::faults::{Class, Faults, Totals};
use crate::setting;
use crate::site::Site;
use crate::world::{CALM, STORM, World};

/// How bad the weather is, given the assumptions that a world runs under.
pub(crate) type Storm = fn(&LeaseSettings) -> Faults;

/// Which worlds are played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    pub(crate) first_seed: u64,
    pub(crate) worlds: u64,
    /// A storm and a calm each.
    pub(crate) seasons: u32,
    pub(crate) storm: Storm,
    pub(crate) without: Without,
}

/// What came of one world, or of many.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    pub(crate) figures: Figures,
    pub(crate) broken: Vec<(Promise, u64)>,
    /// The first violation of each promise in each world that had one, with its seed.
    pub(crate) first: Vec<(u64, Violation)>,
    /// Over all facts, in order.
    pub(crate) digest: u64,
}

/// The facts before a violation that are shown, unless `ROUNDSMAN_SIM_SHOWN` says how many.
const SHOWN: u64 = 80;

impl Campaign {
    /// How many days all of it takes in the world.
    pub(crate) fn days(&self) -> u64 {
        self.worlds * u64::from(self.seasons) * (STORM + CALM).as_secs() / 86_400
    }

    pub(crate) fn years(&self) -> f64 {
        f64::from(u32::try_from(self.days()).unwrap_or(u32::MAX)) / 365.25
    }

    /// Plays until a world breaks a promise; the seed and what it broke first.
    pub(crate) fn first_violation(&self) -> Option<(u64, Violation)> {
        self.play_until(true).first.into_iter().next()
    }

    /// Plays all of it on two threads.
    pub(crate) fn play(&self) -> Outcome {
        self.play_until(false)
    }

    fn play_until(&self, violated: bool) -> Outcome {
        let enough = AtomicBool::new(false);
        let next = AtomicU64::new(self.first_seed);
        let all = Mutex::new(Outcome::default());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let over = seed >= self.first_seed + self.worlds;
                        if over || enough.load(Ordering::Relaxed) {
                            return;
                        }
                        let one = self.play_world(seed, violated);
                        let broken = !one.first.is_empty();
                        enough.fetch_or(violated && broken, Ordering::Relaxed);
                        all.lock().expect("no panic beside").add(one);
                    }
                });
            }
        });
        let mut all = all.into_inner().expect("no panic beside");
        all.first
            .sort_by_key(|(seed, violation)| (*seed, violation.at));
        all
    }

    /// Plays one world.
    pub(crate) fn play_one(&self, seed: u64) -> Outcome {
        self.play_world(seed, false)
    }

    /// Plays one world to its end, or until it breaks a promise.
    fn play_world(&self, seed: u64, violated: bool) -> Outcome {
        let site = Site::new(seed, self.without);
        let storm = (self.storm)(&site.lease);
        let checks = Rc::new(RefCell::new((Checks::new(&site), Digest::default())));
        let seen = Rc::clone(&checks);
        let enough = Rc::new(Cell::new(false));
        let says = Rc::clone(&enough);
        let witness = Box::new(move |fact: &Fact| {
            let (checks, digest) = &mut *seen.borrow_mut();
            checks.see(fact);
            digest.add(fact);
            says.set(violated && !checks.violations.is_empty());
        });
        let length = (&storm, self.seasons);
        let totals = World::play(&site, length, witness, false, &enough);
        let (checks, digest) = &*checks.borrow();
        let count = |promise| u64::try_from(checks.count(promise)).unwrap_or(u64::MAX);
        Outcome {
            totals,
            figures: checks.figures,
            broken: Promise::ALL
                .map(|promise| (promise, count(promise)))
                .to_vec(),
            first: checks
                .first_of_each()
                .into_iter()
                .map(|first| (seed, first))
                .collect(),
            digest: digest.0,
        }
    }

    /// Plays a world again up to its first violation, and tells what went before it on the nodes that it names.
    pub(crate) fn explain(&self, seed: u64, violation: &Violation) -> String {
        let site = Site::new(seed, self.without);
        let storm = (self.storm)(&site.lease);
        let nodes: Vec<NodeId> = violation
            .what
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| word.starts_with("i-"))
            .map(|word| NodeId(word.to_owned()))
            .collect();
        let kept: Rc<RefCell<VecDeque<String>>> = Rc::default();
        let shown = usize::try_from(setting("SHOWN", SHOWN)).unwrap_or(usize::MAX);
        let (keeps, at) = (Rc::clone(&kept), violation.at);
        let witness = Box::new(move |fact: &Fact| {
            if fact.at <= at && fact.concerns(&nodes) {
                let mut kept = keeps.borrow_mut();
                kept.push_back(fact.to_string());
                if kept.len() > shown {
                    kept.pop_front();
                }
            }
        });
        let length = (&storm, self.seasons);
        World::play(&site, length, witness, true, &Cell::new(false));
        let kept = kept.borrow().iter().cloned().collect::<Vec<_>>().join("\n");
        format!(
            "seed {seed}, commit {}, {:?}: {}\nlease: {:?}\n{kept}\nagain: ROUNDSMAN_SIM_SEED={seed} ROUNDSMAN_SIM_WORLDS=1 cargo test --test simulation",
            commit(),
            violation.promise,
            violation.what,
            site.lease
        )
    }
}

/// Which tree this is, as git tells it.
fn commit() -> String {
    let head = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = head.ok().filter(|head| head.status.success());
    text.map_or_else(
        || "unknown".to_owned(),
        |head| String::from_utf8_lossy(&head.stdout).trim().to_owned(),
    )
}

/// A number over facts: the same seed has to give the same.
#[derive(Debug, Default)]
struct Digest(u64);

impl Digest {
    /// Moments alone tell one history from another.
    fn add(&mut self, fact: &Fact) {
        let nanos = u64::try_from(fact.at.0.as_nanos()).unwrap_or(u64::MAX);
        self.0 = (self.0 ^ nanos).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.totals.resize(Class::ALL.len(), 0);
        for (total, more) in self.totals.iter_mut().zip(&other.totals) {
            *total += more;
        }
        self.figures.add(&other.figures);
        if self.broken.is_empty() {
            self.broken = other.broken;
        } else {
            for (mine, more) in self.broken.iter_mut().zip(&other.broken) {
                mine.1 += more.1;
            }
        }
        self.first.extend(other.first);
        self.digest ^= other.digest;
    }

    pub(crate) fn count(&self, promise: Promise) -> u64 {
        self.broken
            .iter()
            .find(|(each, _)| *each == promise)
            .map_or(0, |(_, count)| *count)
    }

    /// The faults that have happened less often than that.
    pub(crate) fn rarer_than(&self, least: u64) -> Vec<(&'static str, u64)> {
        Class::ALL
            .iter()
            .zip(&self.totals)
            .filter(|(_, count)| **count < least)
            .map(|(class, count)| (class.label(), *count))
            .collect()
    }

    /// How often each fault has happened, four a line.
    pub(crate) fn table(&self) -> String {
        let cells: Vec<String> = Class::ALL
            .iter()
            .zip(&self.totals)
            .map(|(class, count)| format!("{:<22}{count:>7}", class.label()))
            .collect();
        let lines: Vec<String> = cells.chunks(4).map(|four| four.join("  ")).collect();
        lines.join("\n")
    }
}

/// Says something whether or not the test's output is kept back.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
