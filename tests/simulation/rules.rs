//! Rules taken out, one at a time: with each of these gone some seed breaks a promise, although every assumption is kept.

use roundsman::model::rule::{Rule, Without};

use crate::campaign::{Campaign, say};
use crate::checks::Promise;
use crate::faults::Faults;
use crate::setting;

/// The worlds in which a violation is looked for, from this seed on.
fn search(rule: Rule, first_seed: u64, worlds: u64) -> Option<(u64, Promise)> {
    let campaign = Campaign {
        first_seed,
        worlds,
        seasons: 6,
        storm: Faults::kept,
        without: Without::rule(rule),
    };
    let found = campaign.first_violation()?;
    Some((found.0, found.1.promise))
}

#[test]
fn search_all() {
    let worlds = setting("RULE_WORLDS", 0);
    for rule in Rule::ALL {
        let (found, took) = crate::seconds_of(|| search(*rule, 1, worlds));
        say(&format!("{rule:?}: {found:?} ({took:.0} s)"));
    }
}
