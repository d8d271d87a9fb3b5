//! Assumptions broken, one after the other, with the fence on the node and without it: what happens then.

use std::fmt::Write as _;

use roundsman::model::rule::{Rule, Without};
use roundsman::model::settings::LeaseSettings;

use crate::campaign::{Campaign, Outcome, Storm, say};
use crate::checks::Promise;
use crate::faults::Faults;
use crate::setting;
use crate::site::no_fence;

/// What is broken, and how: the weather, and the rules that the world beside the engine does not keep.
type Breach = (&'static str, Storm, Option<Rule>);

fn stale(lease: &LeaseSettings) -> Faults {
    Faults {
        stale_by: lease.staleness * 6,
        ..Faults::kept(lease)
    }
}

fn clocks(lease: &LeaseSettings) -> Faults {
    Faults {
        clock_off: lease.skew * 40,
        ..Faults::kept(lease)
    }
}

fn late(lease: &LeaseSettings) -> Faults {
    Faults {
        write_late: 30_000,
        write_twice: 30_000,
        late_by: lease.request_life * 4,
        ..Faults::kept(lease)
    }
}

fn careless(lease: &LeaseSettings) -> Faults {
    Faults {
        careless: true,
        ..Faults::kept(lease)
    }
}

fn unheeded(lease: &LeaseSettings) -> Faults {
    Faults {
        cancel_unheeded: 1_000_000,
        signal: 500_000,
        delivery_slow: 300_000,
        ..Faults::kept(lease)
    }
}

fn everything(lease: &LeaseSettings) -> Faults {
    Faults {
        stale_by: lease.staleness * 6,
        clock_off: lease.skew * 40,
        write_late: 30_000,
        write_twice: 30_000,
        late_by: lease.request_life * 4,
        careless: true,
        cancel_unheeded: 1_000_000,
        ..Faults::kept(lease)
    }
}

const BREACHES: [Breach; 9] = [
    ("none", Faults::kept, None),
    ("reads stale to 6 P", stale, None),
    ("clocks off to 40 S", clocks, None),
    ("writes late to 4 Z", late, None),
    (
        "writes tried again by the SDK",
        Faults::kept,
        Some(Rule::OneAttempt),
    ),
    (
        "deletes without the value",
        Faults::kept,
        Some(Rule::ExactDelete),
    ),
    ("operators break living leases", careless, None),
    ("cancelled sends arrive", unheeded, None),
    ("all of it but those two rules", everything, None),
];

/// What the fence alone promises, whatever else is broken.
const OF_THE_FENCE: [Promise; 3] = [
    Promise::NoOverlap,
    Promise::NotSuperseded,
    Promise::NotRepeated,
];

fn play(breach: Breach, fenced: bool) -> Outcome {
    let (_, storm, rule) = breach;
    let fence = if fenced { Without::NOTHING } else { no_fence() };
    let worlds = setting("WORLDS", 0).div_ceil(20).max(2);
    let campaign = Campaign {
        first_seed: 1,
        worlds,
        seasons: 3,
        storm,
        without: rule.map_or(fence, |rule| fence.and(rule)),
    };
    campaign.play()
}

fn row(name: &str, fenced: bool, outcome: &Outcome) -> String {
    let mut text = format!("{name:<31}{:<8}", if fenced { "fence" } else { "none" });
    for promise in Promise::ALL {
        let _ = write!(text, "{:>14}", outcome.count(promise));
    }
    let figures = &outcome.figures;
    let _ = write!(
        text,
        "{:>9}{:>9}",
        figures.claims, figures.unfenced_overlaps
    );
    text
}

#[test]
fn whatever_assumption_is_broken_the_fence_lets_no_two_runs_execute_at_once() {
    let mut head = format!("{:<31}{:<8}", "broken", "fence");
    for promise in Promise::ALL {
        let _ = write!(head, "{:>14}", format!("{promise:?}"));
    }
    let mut table = vec![format!("{head}{:>9}{:>9}", "claims", "runner")];
    let (mut unfenced, mut by_timing) = (0, 0);
    for breach in BREACHES {
        for fenced in [true, false] {
            let outcome = play(breach, fenced);
            table.push(row(breach.0, fenced, &outcome));
            let of_the_fence: u64 = OF_THE_FENCE
                .map(|promise| outcome.count(promise))
                .iter()
                .sum();
            if fenced {
                assert_eq!(of_the_fence, 0, "{}\n{}", breach.0, table.join("\n"));
            } else {
                unfenced += outcome.count(Promise::NoOverlap);
            }
            if breach.0 == BREACHES[0].0 {
                // What rests on the timing alone is kept as long as the timing is.
                assert_eq!(outcome.count(Promise::OneHolder), 0, "{}", table.join("\n"));
            } else {
                let rests = [Promise::OneHolder, Promise::WithinLimits];
                by_timing += rests.map(|it| outcome.count(it)).iter().sum::<u64>();
            }
        }
    }
    say(&table.join("\n"));
    assert!(
        unfenced > 0,
        "without the fence steps overlap, or the checker sees nothing"
    );
    assert!(
        by_timing > 0,
        "beyond the assumptions two hold a lease, or too many are at work, or the checkers see nothing"
    );
}
