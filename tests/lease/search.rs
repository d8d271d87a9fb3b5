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

/// The same where the larger sets are wanted.
const STEPS_MAX_LARGE: usize = 60_000_000;

/// Whether the larger sets are wanted: `ROUNDSMAN_LEASE_LARGE`, whatever its value.
#[expect(
    clippy::disallowed_methods,
    reason = "how much is searched is for whoever runs the tests to say"
)]
pub(crate) fn large() -> bool {
    std::env::var_os("ROUNDSMAN_LEASE_LARGE").is_some()
}

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

pub(crate) fn search(scenario: Scenario) -> Found {
    let most = if large() { STEPS_MAX_LARGE } else { STEPS_MAX };
    let checker = Search::new(scenario)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::Any)
        .target_state_count(most)
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
        wrong.is_some() || checker.state_count() < most,
        "{name}: not searched to the end"
    );
    for reach in &model.scenario.reaches {
        let reached = model.reached.has(*reach);
        assert!(wrong.is_some() || reached, "{name}: never {reach:?}");
    }
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

/// Searches all of these; they are no fewer than this, or something was left out by mistake.
pub(crate) fn all_safe(least: usize, scenarios: impl IntoIterator<Item = Scenario>) {
    let mut states = 0;
    for scenario in scenarios {
        let found = search(scenario);
        if let Some((wrong, way)) = found.wrong {
            panic!("{wrong:?}\n{way}");
        }
        states += found.states;
    }
    assert!(states >= least, "{states} states only");
}

/// Tests each of which searches scenarios that have to be safe, and the states that each has to come to at least.
macro_rules! searches {
    ($($test:ident: $least:literal => $scenarios:expr;)*) => {
        /// The states that each of these tests searches at least.
        pub(crate) const LEAST: &[usize] = &[$($least),*];

        $(
            #[test]
            fn $test() {
                crate::search::all_safe($least, $scenarios);
            }
        )*
    };
}
pub(crate) use searches;

/// Each of these numbers is asserted by the test that makes the search.
#[test]
fn what_is_searched_to_the_end_is_five_million_states_at_least() {
    let parts = [
        crate::safe::LEAST,
        crate::together::LEAST,
        crate::disturbed::LEAST,
    ];
    let sum: usize = parts.into_iter().flatten().sum();
    assert!(sum >= 5_000_000, "{sum} states only");
}
