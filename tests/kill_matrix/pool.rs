//! Many cases at once, most of whose time is waiting.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

/// How many are under way at once: more, and answers take longer than a claim bears.
const AT_ONCE: usize = 32;

/// How many there is room for, over all tests of this file.
static ROOM: (Mutex<usize>, Condvar) = (Mutex::new(AT_ONCE), Condvar::new());

/// How many cases there were.
pub(crate) static COUNT: AtomicUsize = AtomicUsize::new(0);
/// How the names of runs end to which nothing happens.
const CALM: &str = "calm/0/";

/// A place among those that are under way.
struct Place;

impl Place {
    fn wait() -> Self {
        let room = ROOM.0.lock().expect("a number");
        let mut room = ROOM
            .1
            .wait_while(room, |room| *room == 0)
            .expect("a number");
        *room -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *ROOM.0.lock().expect("a number") += 1;
        ROOM.1.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "what a tester asks for")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether all of the product is wanted: `KILL_LARGE`, whatever its value.
pub(crate) fn large() -> bool {
    variable("KILL_LARGE").is_some()
}

/// Whether no case is left out by its name.
pub(crate) fn whole() -> bool {
    variable("KILL_ONLY").is_none()
}

/// Runs all cases, and fails with the names of those that fail.
pub(crate) fn all<C: Display + Sync + Send, R: Send>(
    what: &str,
    cases: Vec<C>,
    one: impl Fn(&C) -> R + Sync,
) -> Vec<(C, R)> {
    let only = variable("KILL_ONLY").unwrap_or_default();
    let mut left: VecDeque<C> = cases.into();
    left.retain(|case| {
        let name = case.to_string();
        // What a case needs to know of its calm run comes with it.
        let calm = name
            .strip_suffix(CALM)
            .is_some_and(|run| only.contains(run));
        calm || name.contains(&only)
    });
    COUNT.fetch_add(left.len(), Ordering::Relaxed);
    let left = Mutex::new(left);
    let (came, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let began = crate::site::clock();
    let work = || {
        loop {
            let next = left.lock().expect("a list").pop_front();
            let Some(case) = next else { return };
            let _place = Place::wait();
            match catch_unwind(AssertUnwindSafe(|| one(&case))) {
                Ok(it) => {
                    let mut came = came.lock().expect("a list");
                    came.push((case, it));
                    if came.len() % 100 == 0 {
                        println!("{what}: {} in {} s", came.len(), began.elapsed().as_secs());
                    }
                }
                Err(why) => {
                    let why = why.downcast::<String>().map_or_else(
                        |why| why.downcast::<&str>().map_or("", |why| *why).to_owned(),
                        |why| *why,
                    );
                    println!("FAILED {case}: {why}");
                    failed.lock().expect("a list").push(case.to_string());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("a list");
    let came = came.into_inner().expect("a list");
    println!(
        "{what}: {} cases, {} failed, in {} s",
        came.len() + failed.len(),
        failed.len(),
        began.elapsed().as_secs()
    );
    assert!(failed.is_empty(), "{what}: {failed:#?}");
    came
}

/// The same, for cases of which only what they come to is of interest: how many came to what.
pub(crate) fn tally<C: Display + Sync + Send, R: Send + Ord>(
    what: &str,
    cases: Vec<C>,
    one: impl Fn(&C) -> R + Sync,
) -> BTreeMap<R, usize> {
    let mut ends = BTreeMap::new();
    for (_, came) in all(what, cases, one) {
        *ends.entry(came).or_insert(0) += 1;
    }
    ends
}
