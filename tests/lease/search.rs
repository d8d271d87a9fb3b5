//! Running a search, and telling what it found.

use std::sync::atomic::{AtomicUsize, Ordering};

use stateright::{Checker, HasDiscoveries, Model};

use crate::model::Search;
use crate::scenario::Scenario;
use crate::trace::trace;
use crate::world::Wrong;

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Found {
    /// How many different states of the world there were.
    pub(crate) states: usize,
    /// The shortest way to something wrong.
    pub(crate) wrong: Option<(Wrong, String)>,
}

/// A search that has not ended after so many steps, to states old and new, never will in the time that there is.
const STEPS_MAX: usize = 3_000_000;

/// How many states were searched by all tests.
static STATES: AtomicUsize = AtomicUsize::new(0);

/// Says something to whoever asked for it with `--nocapture`.
#[expect(
    clippy::print_stdout,
    reason = "how much was searched, and how rules fall, is to be read"
)]
pub(crate) fn tell(what: &str) {
    println!("{what}");
}

/// Searches a scenario to its horizon, or to the first thing that is wrong.
pub(crate) fn search(scenario: Scenario) -> Found {
    let checker = Search::new(scenario)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::Any)
        .target_state_count(STEPS_MAX)
        .spawn_bfs()
        .join();
    let model = checker.model();
    let wrong = checker.discovery("right").map(|path| {
        let steps: Vec<_> = path.into_vec();
        let wrong = steps.last().and_then(|(state, _)| state.wrong);
        (wrong.expect("it is wrong"), trace(model, &steps))
    });
    let states = checker.unique_state_count();
    // One that was given up half-way has shown nothing.
    let name = &model.scenario.name;
    assert!(
        wrong.is_some() || checker.state_count() < STEPS_MAX,
        "{name}: not searched to the end"
    );
    let so_far = STATES.fetch_add(states, Ordering::Relaxed) + states;
    let how = if wrong.is_some() {
        "until one is wrong"
    } else {
        "all right"
    };
    tell(&format!(
        "{states:>9} states, {} steps, {how}: {name} ({so_far} in all tests so far)",
        checker.state_count()
    ));
    Found { states, wrong }
}
