//! `status --format json`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::report::json::VERSION;
use crate::cli::report::status::{Orphan, StatusJob, StatusNode};
use crate::model::record::Last;
use crate::model::time::format_stamp;

/// All jobs, and the leases whose job has no file.
pub fn status(jobs: &[StatusJob], orphans: &[Orphan]) -> StatusJson {
    let at = jobs.iter().map(|job| job.now).max();
    StatusJson {
        v: VERSION,
        at: at.map(format_stamp),
        jobs: jobs.iter().map(job).collect(),
        orphans: orphans.iter().map(orphan).collect(),
    }
}

/// The whole of it, in the order in which it is read.
#[derive(Debug, Serialize)]
pub struct StatusJson {
    v: u8,
    at: Option<String>,
    jobs: Vec<Value>,
    orphans: Vec<Value>,
}

fn job(job: &StatusJob) -> Value {
    json!({
        "job": job.job,
        "task": job.task,
        "hold": job.held,
        "nodes": job.nodes.iter().map(node).collect::<Vec<_>>(),
        "round": { "nodes": job.nodes.len(), "served": job.served },
    })
}

fn node(node: &StatusNode) -> Value {
    let failures = node.failures.as_ref().map(|fail| {
        json!({
            "count": fail.count,
            "at": format_stamp(fail.at),
            "run": fail.run.to_string(),
            "step": fail.step,
            "reason": fail.reason,
        })
    });
    json!({
        "node": node.node,
        "name": node.name,
        "verdict": node.verdict.label(),
        "reason": node.reason.label(),
        "last": match &node.last {
            Last::At(at) => Some(format_stamp(*at)),
            Last::Never => None,
            Last::Unreadable(text) => Some(text.clone()),
        },
        "took": node.took,
        "due": node.due.map(format_stamp),
        "overdue_s": node.overdue.as_secs(),
        "lock": node.lock,
        "failures": failures,
        "hold": node.hold,
    })
}

fn orphan(orphan: &Orphan) -> Value {
    json!({
        "node": orphan.node,
        "job": orphan.job,
        "until": orphan.until.map(format_stamp),
    })
}
