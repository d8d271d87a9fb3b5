//! `status`: when nodes were served, and what stands out.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cli::args::{self, FailOn};
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::report::status::{Orphan, StatusJob, StatusNode};
use crate::cli::report::{json, table};
use crate::cli::world::{self, Purpose};
use crate::engine::observe::observe;
use crate::model::decide::{Row, Wish, decide};
use crate::model::lock::Seen;
use crate::model::node::Node;
use crate::model::reason::Reason;
use crate::model::record::{Fail, Hold};
use crate::model::time::{elapsed, format_stamp};
use crate::model::view::{Rules, View};

/// Shows the named jobs, or all that there are.
pub(super) async fn status(context: &Context, args: &args::Status) -> Result<Exit, Failure> {
    world::available(context.settings())?;
    let (good, wrong) = context.jobs(&args.jobs);
    if good.is_empty() && wrong.is_empty() {
        return Err(Failure::usage(
            format!("there is no job in {}", context.dirs()),
            "a job is a file `<name>.toml` there; --jobs looks elsewhere",
        ));
    }
    let mut exit = Exit::Done;
    for failure in &wrong {
        complain(&failure.show(context.look.colour, context.look.width));
        exit = exit.worse(failure.exit());
    }
    let known: BTreeSet<String> = good
        .iter()
        .map(|loaded| loaded.job.name.to_string())
        .collect();
    let (mut shown, mut orphans, mut found) = (Vec::new(), Vec::new(), false);
    for loaded in good {
        let rules = context.rules(loaded.job)?;
        let world = world::open(context.settings(), Purpose::Look, rules.on_node()).await?;
        let view = match observe(&world, &rules, None).await {
            Ok(view) => view,
            Err(error) => {
                let failure = Failure::Outside(error);
                complain(&format!(
                    "{}: {}",
                    rules.job.name,
                    failure.show(context.look.colour, context.look.width)
                ));
                exit = exit.worse(failure.exit());
                continue;
            }
        };
        let rows = decide(&rules, &view, &Wish::default());
        found |= rows
            .iter()
            .any(|row| stands_out(&rules, &view, row, &args.fail_on));
        // Without a list of all jobs nobody can say that a job has no file.
        if args.jobs.is_empty() {
            orphans.extend(orphaned(&rules, &view, &known));
        }
        shown.push(describe(&rules, &view, &rows));
    }
    show(context, &shown, orphans);
    Ok(if found {
        exit.worse(Exit::FailOn)
    } else {
        exit
    })
}

fn show(context: &Context, shown: &[StatusJob], mut orphans: Vec<Orphan>) {
    orphans.sort_by(|a, b| a.node.cmp(&b.node));
    orphans.dedup();
    if context.json() {
        let status = serde_json::to_string(&json::status(shown, &orphans)).unwrap_or_default();
        answer(&format!("{status}\n"));
    } else {
        let tables: Vec<String> = shown
            .iter()
            .map(|job| table::status(job, context.look))
            .collect();
        answer(&tables.join("\n"));
        for orphan in &orphans {
            let until = orphan
                .until
                .map(|until| format!(", until {}", format_stamp(until)))
                .unwrap_or_default();
            answer(&format!(
                "{} is locked for {}, which has no file here{until}\n",
                orphan.node, orphan.job
            ));
        }
    }
}

fn stands_out(rules: &Rules, view: &View, row: &Row, what: &[FailOn]) -> bool {
    what.iter().any(|what| match what {
        FailOn::Overdue => !row.overdue.is_zero(),
        FailOn::Failed => view.node(&row.node).is_some_and(|node| rules.failed(node)),
        FailOn::Suspect => {
            let past = row.lock.as_ref().is_some_and(|lock| lock.until <= view.now);
            past || matches!(row.reason, Reason::Suspect | Reason::UnreadableLock)
        }
    })
}

fn orphaned(rules: &Rules, view: &View, known: &BTreeSet<String>) -> Vec<Orphan> {
    let orphan = |node: &Node| match rules.lock(node) {
        Seen::Lock(lock) if !known.contains(lock.job.as_str()) => Some(Orphan {
            node: node.id.to_string(),
            job: lock.job.to_string(),
            until: Some(lock.until),
        }),
        _ => None,
    };
    view.nodes.iter().filter_map(orphan).collect()
}

fn describe(rules: &Rules, view: &View, rows: &[Row]) -> StatusJob {
    let within = |at: Timestamp| elapsed(at, view.now) < rules.job.every;
    let served = rows
        .iter()
        .filter(|row| row.last.at().is_some_and(within))
        .count();
    let held = rules.fleet_hold(view).map(|hold| sentence(&hold));
    let nodes = rows
        .iter()
        .filter_map(|row| {
            view.node(&row.node)
                .map(|node| of_node(rules, view, row, node))
        })
        .collect();
    StatusJob {
        job: rules.job.name.to_string(),
        task: rules.job.task.to_string(),
        now: view.now,
        nodes,
        every: rules.job.every,
        served,
        held,
    }
}

fn of_node(rules: &Rules, view: &View, row: &Row, node: &Node) -> StatusNode {
    let lock = match rules.lock(node) {
        Seen::Free => None,
        Seen::Unreadable(text) => Some(format!("unreadable: {text}")),
        Seen::Lock(lock) => Some(format!(
            "{} {} by {} until {} (run {}, step {})",
            lock.job,
            lock.state,
            lock.owner,
            format_stamp(lock.until),
            lock.run,
            lock.step
        )),
    };
    StatusNode {
        node: node.id.to_string(),
        name: node.name.clone(),
        verdict: row.verdict,
        reason: row.reason,
        detail: row.detail.clone(),
        last: row.last.clone(),
        took: node.tags.get(rules.keys.took.as_str()).cloned(),
        due: row.due,
        overdue: row.overdue,
        lock,
        failures: node
            .tags
            .get(rules.keys.fail.as_str())
            .and_then(|text| Fail::parse(text)),
        hold: rules.hold(&node.tags, view.now).map(|hold| sentence(&hold)),
    }
}

fn sentence(hold: &Hold) -> String {
    let until = hold.until.map_or_else(
        || "until lifted".to_owned(),
        |until| format!("until {}", format_stamp(until)),
    );
    let why = if hold.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", hold.reason)
    };
    format!("by {} {until}{why}", hold.by)
}
