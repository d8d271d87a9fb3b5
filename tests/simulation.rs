//! The engine in bad weather: simulated years of runners, nodes, jobs and operators, each world from one seed.
//!
//! The real engine (`engine::round`, `engine::operate`) runs on virtual time over a cloud that answers as EC2 and SSM may,
//! with the node's wrapper as `node.sh` has it. Checkers stand beside it: they see what truly happened, and nothing of
//! the engine. A violation is printed with its seed, its commit and what went before it.
//!
//! `ROUNDSMAN_SIM_SEED` is the first seed (1), `ROUNDSMAN_SIM_WORLDS` how many worlds are played: 48 are 20 years, 2,400
//! a thousand.

#[path = "simulation/broken.rs"]
mod broken;
#[path = "simulation/campaign.rs"]
mod campaign;
#[path = "simulation/chaos.rs"]
mod chaos;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/cloud.rs"]
mod cloud;
#[path = "simulation/fact.rs"]
mod fact;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/fence.rs"]
mod fence;
#[path = "simulation/look.rs"]
mod look;
#[path = "simulation/named.rs"]
mod named;
#[path = "simulation/operators.rs"]
mod operators;
#[path = "simulation/process.rs"]
mod process;
#[path = "simulation/register.rs"]
mod register;
#[path = "simulation/rules.rs"]
mod rules;
#[path = "simulation/runner.rs"]
mod runner;
#[path = "simulation/send.rs"]
mod send;
#[path = "simulation/site.rs"]
mod site;
#[path = "simulation/ssm.rs"]
mod ssm;
#[path = "simulation/stopper.rs"]
mod stopper;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/world.rs"]
mod world;
#[path = "simulation/wrapper.rs"]
mod wrapper;
#[path = "simulation/writes.rs"]
mod writes;

use campaign::{Campaign, say};
use checks::Promise;
use faults::Faults;
use roundsman::model::rule::Without;

/// How often each fault has to happen in a run that counts.
const LEAST: u64 = 1_000;

/// Evidence is judged one run at a time: where a node bears traces of several that nothing accounts for, the work of one
/// can be done again. The README says so. A campaign in which that happens more often than once in so many runs fails.
const DONE_AGAIN_ONCE_IN: u64 = 10_000;

/// How many worlds make 20 years.
const WORLDS: u64 = 48;

#[expect(
    clippy::disallowed_methods,
    reason = "the test's own settings, not the program's"
)]
fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("ROUNDSMAN_SIM_{name}")).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("ROUNDSMAN_SIM_{name} is {text:?}, which is no number"))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast the simulator is can only be told by a real clock"
)]
fn seconds_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = std::time::Instant::now();
    let value = work();
    (value, began.elapsed().as_secs_f64())
}

#[test]
fn twenty_years_of_bad_weather_break_no_promise() {
    let campaign = Campaign {
        first_seed: setting("SEED", 1),
        worlds: setting("WORLDS", WORLDS),
        seasons: 11,
        storm: Faults::kept,
        without: Without::NOTHING,
    };
    let (outcome, took) = seconds_of(|| campaign.play());
    say(&format!(
        "{:.1} years in {took:.0} s on two threads: {:.2} years a second\n{}\n{:?}",
        campaign.years(),
        campaign.years() / took,
        outcome.table(),
        outcome.figures
    ));
    let (known, new): (Vec<_>, Vec<_>) = outcome
        .first
        .iter()
        .partition(|(_, violation)| violation.promise == Promise::NotDoneAgain);
    for (seed, violation) in &new {
        say(&format!(
            "{:?}, seed {seed}: {}",
            violation.promise, violation.what
        ));
    }
    if let Some((seed, violation)) = new.first() {
        panic!(
            "a promise was broken: {:?}\n{}",
            outcome.broken,
            campaign.explain(*seed, violation)
        );
    }
    for (seed, violation) in &known {
        say(&format!("done again, seed {seed}: {}", violation.what));
        if campaign.worlds == 1 {
            say(&campaign.explain(*seed, violation));
        }
    }
    let often = outcome.count(Promise::NotDoneAgain) * DONE_AGAIN_ONCE_IN;
    if let Some((seed, violation)) = known.first()
        && often > outcome.figures.committed.max(DONE_AGAIN_ONCE_IN)
    {
        panic!(
            "work was done again more often than once in {DONE_AGAIN_ONCE_IN} runs\n{}",
            campaign.explain(*seed, violation)
        );
    }
    if campaign.worlds >= WORLDS {
        assert_eq!(
            outcome.rarer_than(LEAST),
            [],
            "a run counts only when every fault happened at least {LEAST} times"
        );
    }
}

#[test]
fn the_same_seed_plays_the_same_world_and_another_one_another() {
    let campaign = Campaign {
        first_seed: 5,
        worlds: 1,
        seasons: 1,
        storm: Faults::kept,
        without: Without::NOTHING,
    };
    let first = campaign.play_one(5);
    let again = campaign.play_one(5);
    assert_eq!(
        (first.digest, first.totals, first.figures),
        (again.digest, again.totals, again.figures)
    );
    assert_ne!(first.digest, campaign.play_one(6).digest);
}
