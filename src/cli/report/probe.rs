//! What a probe found, for people and as JSON.

mod json;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use json::json;

use crate::cli::report::Look;
use crate::cli::report::grid::{Cell, Field, render};
use crate::cli::report::paint::Paint;
use crate::cli::report::table::plural;
use crate::cli::report::text::harmless_line;
use crate::cli::report::times::wrapped;
use crate::engine::probe::{Ended, Probed, Removal};
use crate::model::probe::Way;
use crate::model::probe::advice::{Advice, FACTOR, Verdict};
use crate::model::probe::find::{Found, WayFound};
use crate::model::probe::spread::{Spread, rule_of_three};
use crate::model::settings::LeaseSettings;
use crate::model::span::{exact_span, fine_span, short_span};

/// Everything that is told of one probe.
#[derive(Debug)]
pub struct Probe<'a> {
    /// The node's id.
    pub node: &'a str,
    /// The node as people call it.
    pub label: &'a str,
    /// The probe's key.
    pub key: &'a str,
    /// The region.
    pub region: &'a str,
    /// The account, as far as it is known.
    pub account: Option<&'a str>,
    /// Over how many connections.
    pub connections: usize,
    /// What it did and saw.
    pub probed: &'a Probed,
    /// What that shows.
    pub found: &'a Found,
    /// What follows.
    pub advice: &'a Advice,
    /// The settings in effect.
    pub now: &'a LeaseSettings,
}

/// The call behind a read, as policies and bills name it.
fn call(way: Way) -> &'static str {
    match way {
        Way::Node => "DescribeTags, one node",
        Way::Key => "DescribeTags, one key",
        Way::Fleet => "DescribeInstances",
    }
}

/// The whole report: figures, settings, what to make of them, and the settings to paste.
pub fn human(probe: &Probe<'_>, look: Look) -> String {
    let account = probe
        .account
        .map_or_else(String::new, |account| format!(", account {account}"));
    let heading = format!(
        "probe of {} in {}{account}: {}, {}, {} over {}",
        probe.label,
        probe.region,
        short_span(probe.probed.took),
        plural(
            probe.found.writes.map_or(0, |writes| writes.samples),
            "write"
        ),
        plural(probe.found.reads(), "read"),
        plural(probe.connections, "connection"),
    );
    let mut text = wrapped(&harmless_line(&heading), look.width);
    for part in [
        times(probe.found, look),
        reads(probe.found, look),
        settings(probe.advice, look),
    ] {
        text.push('\n');
        text.push_str(&part);
    }
    text.push('\n');
    for note in notes(probe) {
        text.push_str(&wrapped(&format!("- {note}"), look.width));
    }
    text.push('\n');
    text.push_str(&paste(probe));
    text
}

fn field(head: &'static str, rank: u8, cells: Vec<Cell>) -> Field {
    Field {
        head,
        rank,
        least: 40,
        cells,
        beneath: Vec::new(),
    }
}

/// How long things took.
fn times(found: &Found, look: Look) -> String {
    let mut rows: Vec<(&str, Option<Spread>)> = vec![
        ("claim: read and write", found.claims),
        ("write: CreateTags", found.writes),
    ];
    rows.extend(found.ways.iter().map(|way| (read_label(way.way), way.took)));
    rows.push(("write first seen after", found.first_seen));
    rows.push(("write last missed after", found.last_missed));
    let of = |figure: &dyn Fn(Spread) -> String| -> Vec<Cell> {
        let cell = |spread: &Option<Spread>| Cell::new(&spread.map_or_else(String::new, figure));
        rows.iter().map(|(_, spread)| cell(spread)).collect()
    };
    let names = rows.iter().map(|(name, _)| Cell::new(name)).collect();
    render(
        &[
            field("time", 1, names),
            field("samples", 5, of(&|spread| spread.samples.to_string())),
            field("p50", 4, of(&|spread| fine_span(spread.p50))),
            field("p99", 3, of(&|spread| fine_span(spread.p99))),
            field("max", 2, of(&|spread| fine_span(spread.max))),
        ],
        look,
    )
}

fn read_label(way: Way) -> &'static str {
    match way {
        Way::Node => "read: DescribeTags, one node",
        Way::Key => "read: DescribeTags, one key",
        Way::Fleet => "read: DescribeInstances",
    }
}

/// How old what was read was.
fn reads(found: &Found, look: Look) -> String {
    let of = |cell: &dyn Fn(&WayFound) -> String| -> Vec<Cell> {
        found.ways.iter().map(|way| Cell::new(&cell(way))).collect()
    };
    let age = |figure: fn(Spread) -> Duration| {
        move |way: &WayFound| {
            way.age
                .map_or_else(String::new, |age| fine_span(figure(age)))
        }
    };
    render(
        &[
            field(
                "age of what was read",
                1,
                of(&|way| call(way.way).to_owned()),
            ),
            field("reads", 4, of(&|way| way.reads().to_string())),
            field("stale", 3, of(&|way| way.stale.to_string())),
            field("p50", 6, of(&age(|age| age.p50))),
            field("p99", 5, of(&age(|age| age.p99))),
            field("max", 2, of(&age(|age| age.max))),
            field("backwards", 3, of(&|way| way.backwards.to_string())),
        ],
        look,
    )
}

/// How the settings stand.
fn settings(advice: &Advice, look: Look) -> String {
    let rows = &advice.rows;
    let span = |figure: fn(&crate::model::probe::advice::Row) -> Duration| -> Vec<Cell> {
        rows.iter()
            .map(|row| Cell::new(&exact_span(figure(row))))
            .collect()
    };
    let found = rows
        .iter()
        .map(|row| Cell::new(&fine_span(row.found)))
        .collect();
    let verdict = |verdict| match verdict {
        Verdict::Below => Cell::painted("below", Some(Paint::Bad)),
        Verdict::Thin => Cell::painted("thin", Some(Paint::Warn)),
        Verdict::Enough => Cell::painted("enough", Some(Paint::Good)),
    };
    render(
        &[
            field(
                "setting",
                1,
                rows.iter().map(|row| Cell::new(row.key)).collect(),
            ),
            field("is", 3, span(|row| row.now)),
            field("found", 4, found),
            field("would choose", 5, span(|row| row.choose)),
            field(
                "verdict",
                2,
                rows.iter().map(|row| verdict(row.verdict)).collect(),
            ),
        ],
        look,
    )
}

/// What to make of the figures: a sentence each.
fn notes(probe: &Probe<'_>) -> Vec<String> {
    let (found, mut notes) = (probe.found, Vec::new());
    if probe.probed.ended == Ended::Signal {
        notes.push("it was cut short: what was measured is not kept for `config`".to_owned());
    }
    notes.push(staleness(found));
    if found.backwards > 0 {
        notes.push(format!(
            "{} showed less than an earlier one that had ended, all calls taken together: reads go backwards, which claims allow for",
            plural(found.backwards, "read")
        ));
    }
    let bare: usize = found.ways.iter().map(|way| way.bare).sum();
    if bare > 0 {
        notes.push(format!(
            "{} showed no tag of this probe long after it was written: very stale, or something removes it (Terraform without `ignore_tags`?)",
            plural(bare, "read")
        ));
    }
    let claims = found.claims.map_or(0, |claims| claims.samples);
    if found.late > 0 {
        notes.push(format!(
            "{} of {} took longer than `claim-within`: each would have left its node locked until `ttl` and `margin` had passed",
            found.late,
            plural(claims, "claim")
        ));
    }
    if found.unanswered > 0 {
        notes.push(format!(
            "{} got no answer; reads that show one say nothing of staleness",
            plural(found.unanswered, "write")
        ));
    }
    let log = &probe.probed.log;
    if log.throttled + log.failed + found.refused > 0 {
        notes.push(format!(
            "{} throttled, {} failed, {} refused; the probe waited after each",
            plural(log.throttled, "call"),
            plural(log.failed, "call"),
            plural(found.refused, "write")
        ));
    }
    if let Some(worst) = probe.advice.rows.iter().map(|row| row.verdict).min() {
        notes.push(verdict(worst));
    }
    notes
}

/// Whether reads are stale, and how sure that is.
fn staleness(found: &Found) -> String {
    let stale: usize = found.ways.iter().map(|way| way.stale).sum();
    if stale == 0 {
        let least = found.ways.iter().map(WayFound::reads).min().unwrap_or(0);
        // Rounded up: it is a bound.
        let share = (rule_of_three(least).unwrap_or(100.0) * 100.0).ceil() / 100.0;
        return format!(
            "no read was stale: with 95 % confidence fewer than {share:.2} % of the reads by one call are, \
             as long as the store is as it was in this time"
        );
    }
    let worst = found.staleness();
    let calls: Vec<&str> = found
        .ways
        .iter()
        .filter(|way| way.worst == worst)
        .map(|way| call(way.way))
        .collect();
    let by = if calls.is_empty() {
        String::new()
    } else {
        format!(" (by {})", calls.join(" and "))
    };
    format!(
        "{stale} of {} were stale, the worst by {} at least and {} at most{by}",
        plural(found.reads(), "read"),
        fine_span(worst.at_least),
        fine_span(worst.at_most)
    )
}

fn verdict(worst: Verdict) -> String {
    match worst {
        Verdict::Below => {
            "a setting is below what was found: claims rest on an assumption that does not hold. Raise it".to_owned()
        }
        Verdict::Thin => format!(
            "a setting is less than it should be: {FACTOR} times the worst that was found, and not below its default"
        ),
        Verdict::Enough => format!(
            "the settings are at least {FACTOR} times the worst that was found and not below the defaults. A probe can show \
             that a setting is too low, never that one may be lower"
        ),
    }
}

/// The settings to paste.
fn paste(probe: &Probe<'_>) -> String {
    let Some(chosen) = &probe.advice.settings else {
        return wrapped(
            "No settings would hold: `margin` is at most 1h, and has to be above `skew` and `staleness`. Do not run on this store.",
            100,
        );
    };
    let was = probe.now;
    let lines = [
        ("claim-within", was.claim_within, chosen.claim_within),
        ("staleness", was.staleness, chosen.staleness),
        ("skew", was.skew, chosen.skew),
        ("margin", was.margin, chosen.margin),
        ("ttl", was.ttl, chosen.ttl),
        ("request-life", was.request_life, chosen.request_life),
    ];
    let mut text = if chosen == was {
        "# Nothing needs to be changed. These are in effect:\n".to_owned()
    } else {
        "# All machines that share a fleet need the same: change them together, while no run is in progress.\n".to_owned()
    };
    text.push_str("[lease]\n");
    for (key, was, is) in lines {
        let line = format!("{key:12} = \"{}\"", exact_span(is));
        if was == is {
            text.push_str(&format!("{line}\n"));
        } else {
            text.push_str(&format!("{line:30}# was {}\n", exact_span(was)));
        }
    }
    let settle = |settings: &LeaseSettings| exact_span(settings.settle());
    text.push_str(&format!(
        "# a claim then settles for {} (now: {})\n",
        settle(chosen),
        settle(was)
    ));
    text
}

/// What became of the tag, in a sentence, and whether that is a warning. `may_return`: until when a write that was not
/// answered may bring it back.
pub fn removal(
    node: &str,
    key: &str,
    removal: &Removal,
    may_return: Option<&str>,
) -> (bool, String) {
    match removal {
        Removal::NotWritten => (false, format!("nothing was written on {node}")),
        Removal::Gone => match may_return {
            None => (false, format!("the tag {key} is removed from {node}")),
            Some(until) => (
                true,
                format!(
                    "the tag {key} is removed from {node}, but a write was not answered and may bring it back until {until}: \
                     it does no harm, and the next probe of this node removes it"
                ),
            ),
        },
        Removal::Perhaps { value, why } => {
            let tags = serde_json::json!([{ "Key": key, "Value": value }]);
            (
                true,
                format!(
                    "the tag {key} may be on {node} still ({why}): it does no harm, and the next probe of this node removes it; \
                     or: aws ec2 delete-tags --resources {node} --tags '{tags}'"
                ),
            )
        }
    }
}
