//! `plan` and `status` as tables.

use crate::cli::report::Look;
use crate::cli::report::closing::empty_fleet;
use crate::cli::report::grid::{Cell, Field, render};
use crate::cli::report::paint::Paint;
use crate::cli::report::status::{StatusJob, StatusNode};
use crate::cli::report::text::harmless_line;
use crate::cli::report::times::{both, relative, wrapped};
use crate::model::decide::Row;
use crate::model::node::Node;
use crate::model::reason::Verdict;
use crate::model::record::Last;
use crate::model::span::short_span;
use crate::model::time::elapsed;
use crate::model::view::{Rules, View};

/// At this width and beyond, times are told by the clock too.
const WIDE: usize = 110;
/// What never wraps.
const WHOLE: usize = 40;

/// `plan`: a heading, and each node in the order in which it would be served.
pub fn plan(rules: &Rules, view: &View, rows: &[Row], look: Look) -> String {
    let job = job_title(rules.job.name.as_str(), rules.job.task.as_str());
    if view.nodes.is_empty() {
        return format!("{job}: {}\n", empty_fleet(&rules.job.fleet));
    }
    if rows.is_empty() {
        return format!("{job}: no such node in its fleet\n");
    }
    let of = |cell: &dyn Fn(&Row) -> Cell| rows.iter().map(cell).collect::<Vec<_>>();
    let from = |text: &dyn Fn(&Node) -> Option<String>| {
        let cell = |row: &Row| Cell::new(&view.node(&row.node).and_then(text).unwrap_or_default());
        rows.iter().map(cell).collect::<Vec<_>>()
    };
    let until = |row: &Row| match row.until {
        Some(at) if look.width >= WIDE => Cell::new(&both(at, view.now)),
        Some(at) => Cell::new(&relative(at, view.now)),
        None => Cell::new(""),
    };
    let field = |head, rank, least, cells| Field {
        head,
        rank,
        least,
        cells,
        beneath: Vec::new(),
    };
    let mut fields = vec![
        field("node", 1, 20, of(&|row| Cell::new(row.node.as_str()))),
        field(
            "name",
            4,
            10,
            from(&|node| node.name.clone().filter(|name| *name != node.id.0)),
        ),
        field("zone", 8, 12, from(&|node| node.zone.clone())),
        field("verdict", 2, WHOLE, of(&|row| verdict(row.verdict))),
        field("reason", 3, WHOLE, of(&|row| Cell::new(row.reason.label()))),
        field("until", 6, WHOLE, of(&until)),
        field("last", 7, WHOLE, of(&|row| last(&row.last, view.now))),
        field("why", 5, 20, of(&|row| Cell::new(&row.detail))),
    ];
    let blocked = |row: &Row| row.verdict == Verdict::Blocked;
    for field in fields.iter_mut().filter(|field| field.head == "why") {
        field.beneath = rows.iter().map(blocked).collect();
    }
    fields.retain(|field| !field.is_empty());
    let heading = wrapped(&format!("{job}: {}", counts(rows)), look.width.max(60));
    format!("{heading}\n{}", render(&fields, look))
}

/// `status` of one job: a heading, each node, and how far the round is.
pub fn status(job: &StatusJob, look: Look) -> String {
    let title = job_title(&job.job, &job.task);
    let held = job
        .held
        .as_ref()
        .map(|held| wrapped(&harmless_line(held), look.width.max(60)))
        .unwrap_or_default();
    if job.nodes.is_empty() {
        return format!("{title}: the fleet is empty\n{held}");
    }
    let of = |cell: &dyn Fn(&StatusNode) -> Cell| job.nodes.iter().map(cell).collect::<Vec<_>>();
    let text = |text: &Option<String>| Cell::new(text.as_deref().unwrap_or_default());
    let field = |head, rank, least, cells| Field {
        head,
        rank,
        least,
        cells,
        beneath: Vec::new(),
    };
    let name = |node: &StatusNode| node.name.clone().filter(|name| *name != node.node);
    let mut fields = vec![
        field("node", 1, 20, of(&|node| Cell::new(&node.node))),
        field("name", 7, 10, of(&|node| text(&name(node)))),
        field("last", 3, WHOLE, of(&|node| last(&node.last, job.now))),
        field("took", 8, WHOLE, of(&|node| text(&node.took))),
        field("due", 2, WHOLE, of(&|node| due(node, job))),
        field("lock", 4, 14, of(&|node| text(&node.lock))),
        field("failures", 5, 14, of(&|node| failures(node, job))),
        field("hold", 6, 14, of(&|node| text(&node.hold))),
    ];
    let grave = |field: &&mut Field| matches!(field.head, "lock" | "failures" | "hold");
    for field in fields.iter_mut().filter(grave) {
        field.beneath = vec![true; job.nodes.len()];
    }
    fields.retain(|field| !field.is_empty());
    let nodes = plural(job.nodes.len(), "node");
    let heading = wrapped(&format!("{title}: {nodes}"), look.width.max(60));
    format!(
        "{heading}{held}\n{}{}",
        render(&fields, look),
        progress(job, look)
    )
}

fn job_title(job: &str, task: &str) -> String {
    if job == task {
        job.to_owned()
    } else {
        format!("{job} (task {task})")
    }
}

/// `1 node`, `3 nodes`.
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn counts(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let mut text = plural(rows.len(), "node");
    let shown = [
        (Verdict::Due, "due"),
        (Verdict::Overdue, "overdue"),
        (Verdict::Blocked, "blocked"),
    ];
    for (verdict, word) in shown {
        let count = count(verdict);
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    if count(Verdict::NotDue) == rows.len() {
        text.push_str(", none due");
    }
    text
}

fn verdict(verdict: Verdict) -> Cell {
    let paint = match verdict {
        Verdict::Due => Paint::Good,
        Verdict::Overdue => Paint::Bad,
        Verdict::NotDue => Paint::Faint,
        Verdict::Blocked => Paint::Warn,
    };
    Cell::painted(verdict.label(), Some(paint))
}

fn last(last: &Last, now: jiff::Timestamp) -> Cell {
    match last {
        Last::Never => Cell::new("never"),
        Last::At(at) => Cell::new(&relative(*at, now)),
        Last::Unreadable(_) => Cell::painted("unreadable", Some(Paint::Warn)),
    }
}

fn due(node: &StatusNode, job: &StatusJob) -> Cell {
    if !node.overdue.is_zero() {
        let why = match node.verdict {
            Verdict::Blocked => format!(" ({})", node.reason),
            _ => String::new(),
        };
        let text = format!("overdue by {}{why}", short_span(node.overdue));
        return Cell::painted(&text, Some(Paint::Bad));
    }
    let text = match node.due {
        Some(due) if due > job.now => return Cell::new(&relative(due, job.now)),
        Some(due) => format!("since {}", short_span(elapsed(due, job.now))),
        None => "now".to_owned(),
    };
    // Its time has come, and yet it would not be taken.
    match node.verdict {
        Verdict::Blocked => {
            let text = format!("{text} ({})", node.reason);
            Cell::painted(&text, Some(Paint::Warn))
        }
        _ => Cell::painted(&text, Some(Paint::Good)),
    }
}

fn failures(node: &StatusNode, job: &StatusJob) -> Cell {
    match &node.failures {
        None => Cell::new(""),
        Some(fail) => {
            let (count, step, reason) = (fail.count, fail.step, &fail.reason);
            let ago = relative(fail.at, job.now);
            let text = format!("{count}, step {step} {reason} {ago}");
            Cell::painted(&text, Some(Paint::Bad))
        }
    }
}

/// `round: 7 of 10 served within 7d`, on a terminal with a bar.
fn progress(job: &StatusJob, look: Look) -> String {
    let whole = job.nodes.len();
    let within = short_span(job.every);
    let bar = if look.terminal {
        let done = (job.served * 20).checked_div(whole).unwrap_or(0).min(20);
        format!("[{}{}] ", "#".repeat(done), ".".repeat(20 - done))
    } else {
        String::new()
    };
    format!(
        "\n{bar}round: {} of {whole} served within {within}\n",
        job.served
    )
}

#[cfg(test)]
mod tests;
