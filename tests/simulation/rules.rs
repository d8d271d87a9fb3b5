//! Rules taken out, one at a time: with each of these gone some seed breaks a promise, although every assumption is kept.
//!
//! They are those that a few worlds are enough for. What the others prevent is so rare that chance does not find it: the
//! model checker does. `ROUNDSMAN_SIM_RULES` is how many worlds each of the others is looked for in, too.

use std::time::Duration;

use roundsman::model::rule::{Rule, Without};
use roundsman::model::settings::LeaseSettings;

use crate::campaign::{Campaign, Storm, say};
use crate::checks::Promise;
use crate::faults::Faults;
use crate::{seconds_of, setting};

/// The worlds in which each is looked for.
const WORLDS: u64 = 12;

const FOUND: [Rule; 8] = [
    Rule::FreshId,
    Rule::LeaveLate,
    Rule::DecideAgain,
    Rule::WriteBack,
    Rule::AnyRun,
    Rule::NotAfter,
    Rule::KernelLock,
    Rule::Journal,
];

/// The weather in which each is looked for. Only when somebody takes a lock away under a running step, and the node is
/// claimed again before that ends, the kernel's lock alone keeps two runs apart.
fn storm(rule: Rule) -> Storm {
    match rule {
        Rule::KernelLock => |lease: &LeaseSettings| Faults {
            between_events: Duration::from_secs(300),
            ..Faults::kept(lease)
        },
        _ => Faults::kept,
    }
}

/// The first seed that breaks a promise, and which.
fn search(rule: Rule, worlds: u64) -> Option<(u64, Promise)> {
    let campaign = Campaign {
        first_seed: 1,
        worlds,
        seasons: 4,
        storm: storm(rule),
        without: Without::rule(rule),
    };
    let (seed, violation) = campaign.first_violation()?;
    Some((seed, violation.promise))
}

#[test]
fn without_a_rule_some_seed_breaks_a_promise() {
    let more = setting("RULES", 0);
    for rule in Rule::ALL {
        let known = FOUND.contains(rule);
        let worlds = if known { more.max(WORLDS) } else { more };
        let (found, took) = seconds_of(|| search(*rule, worlds));
        if worlds > 0 {
            say(&format!("without {rule:?}: {found:?} in {took:.0} s"));
        }
        assert!(
            !known || found.is_some(),
            "without {rule:?}: nothing is broken in {worlds} worlds"
        );
        if *rule == Rule::FreshId {
            // Two adopters under one id hold one lease: so the checker of that is not blind.
            assert_eq!(found.map(|(_, promise)| promise), Some(Promise::OneHolder));
        }
    }
}
