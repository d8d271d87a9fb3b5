//! The last line of `run`: what was done, and what comes next.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cli::report::table::plural;
use crate::cli::report::text::harmless_line;
use crate::cli::report::times::{both, cut, label};
use crate::engine::round::{Round, Served};
use crate::model::decide::{Row, Wish, decide};
use crate::model::id::NodeId;
use crate::model::job::Selector;
use crate::model::reason::{Reason, Verdict};
use crate::model::run::Result as RunResult;
use crate::model::span::short_span;
use crate::model::time::format_stamp;
use crate::model::view::{Rules, View};

/// How many nodes are named in one list.
const NAMED_MAX: usize = 5;
/// The most characters of what stands in a node's way.
const DETAIL_MAX: usize = 200;

/// What was done and what comes next, as one line without its end.
pub fn sentence(rules: &Rules, round: &Round) -> String {
    let mut parts = done(round);
    let idle = parts.is_empty();
    if round.cut_short {
        parts.push("cut short by a signal".to_owned());
    }
    let left = left_locked(round);
    if left > 0 {
        let (nodes, their) = if left == 1 {
            ("1 node".to_owned(), "its lease runs")
        } else {
            (format!("{left} nodes"), "their leases run")
        };
        parts.push(format!("{nodes} left locked until {their} out"));
    }
    match (&round.last_look, &round.error) {
        // Of a node that was left as it is nobody knows enough to say what comes next.
        (_, None) if left > 0 || round.counts.leases_lost > 0 || round.counts.parked > 0 => {}
        (Some((view, rows)), None) => parts.push(next(rules, round, view, rows, idle)),
        _ if idle => parts.push("nothing was done".to_owned()),
        (_, Some(_)) => parts.push("it ended early".to_owned()),
        (None, None) => {}
    }
    parts.join("; ")
}

/// Why a fleet has no nodes, as a sentence.
pub(super) fn empty_fleet(fleet: &Selector) -> String {
    let mut wanted: Vec<String> = Vec::new();
    if !fleet.groups.is_empty() {
        wanted.push(format!("groups {}", fleet.groups.join(", ")));
    }
    for (tag, values) in &fleet.tags {
        wanted.push(format!("{tag} = {}", values.join(" or ")));
    }
    if wanted.is_empty() {
        "the fleet is empty: the provider has no nodes".to_owned()
    } else {
        let wanted = cut(&harmless_line(&wanted.join(" and ")), 200);
        format!("the fleet is empty: no node matches {wanted}")
    }
}

/// How many nodes were claimed and then left as they were: neither recorded, nor lost, nor parked.
fn left_locked(round: &Round) -> usize {
    let accounted = round.served.len() + (round.counts.leases_lost + round.counts.parked) as usize;
    if round.cut_short {
        (round.counts.claimed as usize).saturating_sub(accounted)
    } else {
        0
    }
}

fn done(round: &Round) -> Vec<String> {
    let name = |node: &NodeId| name(round, node);
    let failed = |served: &&Served| matches!(served.result, RunResult::Failed { .. });
    let (bad, good): (Vec<&Served>, Vec<&Served>) = round.served.iter().partition(failed);
    let mut parts = Vec::new();
    if !good.is_empty() {
        let one = |served: &&Served| {
            let unclean = match served.result {
                RunResult::DoneUnclean { step } => format!(" (its clean-up failed at step {step})"),
                RunResult::Done | RunResult::Failed { .. } => String::new(),
            };
            format!(
                "{} in {}{unclean}",
                name(&served.node),
                short_span(served.took)
            )
        };
        let count = plural(good.len(), "node");
        parts.push(format!("served {count}: {}", list(&good, one)));
    }
    if !bad.is_empty() {
        let one = |served: &&Served| match served.result {
            RunResult::Failed { step: 0, reason } => format!("{} ({reason})", name(&served.node)),
            RunResult::Failed { step, reason } => {
                format!("{} at step {step} ({reason})", name(&served.node))
            }
            RunResult::Done | RunResult::DoneUnclean { .. } => name(&served.node),
        };
        let count = plural(bad.len(), "node");
        parts.push(format!("{count} failed: {}", list(&bad, one)));
    }
    let counts = round.counts;
    if counts.leases_lost > 0 {
        let count = plural(counts.leases_lost as usize, "lease");
        parts.push(format!("{count} lost"));
    }
    if counts.parked > 0 {
        let count = plural(counts.parked as usize, "run");
        parts.push(format!("{count} left to the next invocation"));
    }
    parts
}

fn list<T>(all: &[T], one: impl Fn(&T) -> String) -> String {
    let mut named: Vec<String> = all.iter().take(NAMED_MAX).map(one).collect();
    if all.len() > NAMED_MAX {
        named.push(format!("and {} more", all.len() - NAMED_MAX));
    }
    named.join(", ")
}

fn name(round: &Round, node: &NodeId) -> String {
    let found = round
        .last_look
        .as_ref()
        .and_then(|(view, _)| view.node(node));
    label(node.as_str(), found.and_then(|node| node.name.as_deref()))
}

/// How a node that was not served stands when the invocation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It would be taken.
    Due,
    /// Its time has come, and something is in the way.
    InTheWay,
    /// Its time comes then.
    Later(Timestamp),
    /// Nobody can say when its turn comes.
    Open,
}

/// What is known of the fleet now: the last look, and what this invocation has since done to its nodes.
fn known(rules: &Rules, round: &Round, seen: &View) -> View {
    let mut view = seen.clone();
    for node in &mut view.nodes {
        let Some(served) = round.served.iter().find(|served| served.node == node.id) else {
            continue;
        };
        node.tags.remove(rules.keys.lock.as_str());
        node.tags.remove(rules.keys.fail.as_str());
        if !matches!(served.result, RunResult::Done) {
            // Whether a node has failed is told by the tag being there, whatever it says.
            let text = "by this invocation".to_owned();
            node.tags.insert(rules.keys.fail.to_string(), text);
        }
    }
    view
}

fn stands(row: &Row, round: &Round) -> Stands {
    match (row.verdict, row.until.or(row.due)) {
        (Verdict::Due | Verdict::Overdue, _) => Stands::Due,
        (Verdict::Blocked, _) if row.owed => Stands::InTheWay,
        (Verdict::Blocked, _) => match row.due {
            Some(due) if due <= round.at => Stands::InTheWay,
            Some(due) => Stands::Later(due),
            None => Stands::Open,
        },
        (Verdict::NotDue, Some(at)) if at <= round.at => Stands::Due,
        (Verdict::NotDue, Some(at)) => Stands::Later(at),
        (Verdict::NotDue, None) => Stands::Open,
    }
}

fn next(rules: &Rules, round: &Round, view: &View, rows: &[Row], idle: bool) -> String {
    if view.nodes.is_empty() {
        return empty_fleet(&rules.job.fleet);
    }
    let anew = (!round.served.is_empty())
        .then(|| decide(rules, &known(rules, round, view), &Wish::default()));
    let asked: BTreeSet<&NodeId> = rows.iter().map(|row| &row.node).collect();
    let left: Vec<(&Row, Stands)> = anew
        .as_deref()
        .unwrap_or(rows)
        .iter()
        .filter(|row| asked.contains(&row.node))
        .filter(|row| round.served.iter().all(|served| served.node != row.node))
        .map(|row| (row, stands(row, round)))
        .collect();
    let with = |wanted: Stands| -> Vec<&Row> {
        let rows = left.iter().filter(|(_, stands)| *stands == wanted);
        rows.map(|(row, _)| *row).collect()
    };
    let lost = match round.counts.claims_lost {
        0 => String::new(),
        _ if !idle => String::new(),
        1 => "a claim was lost; ".to_owned(),
        count => format!("{count} claims were lost; "),
    };
    let due = with(Stands::Due);
    if let [first, ..] = due.as_slice() {
        let what = match (idle, due.len()) {
            (true, 1) => format!("{lost}nothing claimed: {} is due", name(round, &first.node)),
            (true, count) => format!("{lost}nothing claimed: {count} are due"),
            (false, 1) => format!("1 more is due: {}", name(round, &first.node)),
            (false, count) => format!("{count} more are due"),
        };
        return what;
    }
    let blocked = with(Stands::InTheWay);
    if !blocked.is_empty() {
        let what = in_the_way(round, &blocked);
        return if idle && blocked.len() == 1 {
            format!("{lost}nothing claimed: {what}")
        } else {
            format!("{lost}{what}")
        };
    }
    let more = if idle { "" } else { " more" };
    let soonest = left.iter().filter_map(|(row, stands)| match stands {
        Stands::Later(at) => Some((*at, *row)),
        _ => None,
    });
    match soonest.min_by_key(|(at, _)| *at) {
        Some((at, row)) => format!(
            "{lost}nothing{more} is due; {} is next, {}",
            name(round, &row.node),
            both(at, round.at)
        ),
        None => format!("{lost}nothing{more} is due"),
    }
}

/// What stands in the way of nodes that are due.
fn in_the_way(round: &Round, blocked: &[&Row]) -> String {
    let detail = |row: &Row| {
        let text = harmless_line(&row.detail);
        match row.until {
            // The sentence has the time already: then it is told as people read it.
            Some(at) if text.contains(&format_stamp(at)) => {
                let text = text.replace(&format_stamp(at), &both(at, round.at));
                cut(&text, DETAIL_MAX)
            }
            Some(at) => format!("{}, until {}", cut(&text, DETAIL_MAX), both(at, round.at)),
            None => cut(&text, DETAIL_MAX),
        }
    };
    if let [row] = blocked {
        let node = name(round, &row.node);
        return format!("{node} is due but {} ({})", row.reason, detail(row));
    }
    let count = blocked.len();
    let mut reasons: Vec<(Reason, usize)> = Vec::new();
    for row in blocked {
        match reasons.iter_mut().find(|(reason, _)| *reason == row.reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((row.reason, 1)),
        }
    }
    if let [(reason, _)] = reasons.as_slice() {
        let same = blocked.iter().all(|row| row.detail == blocked[0].detail);
        let why = if same {
            format!(" ({})", detail(blocked[0]))
        } else {
            String::new()
        };
        return format!("{count} due, all blocked: {reason}{why}");
    }
    let each = list(&reasons, |(reason, count)| format!("{count} {reason}"));
    format!("{count} due, all blocked: {each}")
}

#[cfg(test)]
mod tests;
