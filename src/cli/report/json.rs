//! The JSON forms: one object for `plan` and `status`, one event a line for `run`. Every object has `"v": 1`.

mod lines;
mod status;

pub use lines::Lines;
pub use status::status;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::event::{Event, EventKind};
use crate::model::decide::Row;
use crate::model::id::NodeId;
use crate::model::lock::Lock;
use crate::model::node::Node;
use crate::model::record::Last;
use crate::model::time::format_stamp;
use crate::model::view::{Rules, View};

/// The version that every object bears.
pub const VERSION: u8 = 1;

/// `plan --format json`.
#[derive(Debug, Serialize)]
pub struct PlanJson {
    v: u8,
    job: String,
    task: String,
    at: String,
    nodes: Vec<NodeJson>,
}

/// One node of a plan.
#[derive(Debug, Serialize)]
pub struct NodeJson {
    node: String,
    name: Option<String>,
    address: Option<String>,
    zone: Option<String>,
    verdict: &'static str,
    reason: &'static str,
    until: Option<String>,
    last: Option<String>,
    due: Option<String>,
    overdue_s: u64,
    lock: Option<LockJson>,
}

/// A lock's fields.
#[derive(Debug, Serialize)]
pub struct LockJson {
    run: String,
    claim: String,
    seq: u32,
    state: &'static str,
    set: String,
    job: String,
    file: String,
    step: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    owner: String,
    until: String,
}

impl From<&Lock> for LockJson {
    fn from(lock: &Lock) -> Self {
        Self {
            run: lock.run.to_string(),
            claim: lock.claim.to_string(),
            seq: lock.seq,
            state: lock.state.label(),
            set: lock.set.to_string(),
            job: if lock.job == lock.task {
                lock.job.to_string()
            } else {
                format!("{}/{}", lock.job, lock.task)
            },
            file: lock.file.to_string(),
            step: lock.step,
            was: lock.was.map(crate::model::lock::LockState::label),
            owner: lock.owner.clone(),
            until: format_stamp(lock.until),
        }
    }
}

/// One row of a plan.
pub fn node(row: &Row, node: &Node) -> NodeJson {
    NodeJson {
        node: row.node.to_string(),
        name: node.name.clone(),
        address: node.address.clone(),
        zone: node.zone.clone(),
        verdict: row.verdict.label(),
        reason: row.reason.label(),
        until: row.until.map(format_stamp),
        last: match &row.last {
            Last::At(at) => Some(format_stamp(*at)),
            Last::Never => None,
            Last::Unreadable(text) => Some(text.clone()),
        },
        due: row.due.map(format_stamp),
        overdue_s: row.overdue.as_secs(),
        lock: row.lock.as_ref().map(LockJson::from),
    }
}

/// A whole plan.
pub fn plan(rules: &Rules, view: &View, rows: &[Row]) -> PlanJson {
    let nodes = rows
        .iter()
        .filter_map(|row| view.node(&row.node).map(|of| node(row, of)))
        .collect();
    PlanJson {
        v: VERSION,
        job: rules.job.name.to_string(),
        task: rules.job.task.to_string(),
        at: format_stamp(view.now),
        nodes,
    }
}

/// One event as a line of JSON; `None` for what only people are told.
pub fn event(job: &str, event: &Event) -> Option<String> {
    let (word, more) = details(&event.kind)?;
    let line = EventJson {
        at: format_stamp(event.at),
        event: word,
        job,
        run: event.run.map(|run| run.to_string()),
        node: event.node.as_ref().map(NodeId::as_str),
        more,
    };
    serde_json::to_string(&line).ok()
}

/// An event's line: what every event has, in this order, then its own fields.
struct EventJson<'e> {
    at: String,
    event: &'static str,
    job: &'e str,
    run: Option<String>,
    node: Option<&'e str>,
    more: Value,
}

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &VERSION)?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("event", self.event)?;
        map.serialize_entry("job", self.job)?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("node", &self.node)?;
        for (key, value) in self.more.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

fn details(kind: &EventKind) -> Option<(&'static str, Value)> {
    Some(match kind {
        EventKind::Chosen { .. } | EventKind::Settling { .. } | EventKind::Warned { .. } => {
            return None;
        }
        EventKind::Claimed { until } => ("claimed", json!({ "until": format_stamp(*until) })),
        EventKind::ClaimLost { why } => ("claim-lost", json!({ "why": why })),
        EventKind::Adopted { was, step, until } => (
            "adopted",
            json!({ "was": was.label(), "step": step, "until": format_stamp(*until) }),
        ),
        EventKind::Stopping {
            was,
            owner,
            step,
            until,
        } => (
            "stopping",
            json!({ "was": was.label(), "owner": owner, "step": step, "until": format_stamp(*until) }),
        ),
        EventKind::StepStarted {
            step,
            name,
            attempt,
        } => (
            "step-started",
            json!({ "step": step, "name": name, "attempt": attempt }),
        ),
        EventKind::StepFinished {
            step,
            name,
            attempt,
            outcome,
            status,
            took,
            output_tail,
        } => (
            "step-finished",
            json!({ "step": step, "name": name, "attempt": attempt, "outcome": outcome.label(), "status": status,
                "took_s": took.map(|took| took.as_secs()), "output_tail": output_tail }),
        ),
        EventKind::Renewed { until } => ("renewed", json!({ "until": format_stamp(*until) })),
        EventKind::LeaseLost { why } => ("lease-lost", json!({ "why": why })),
        EventKind::Committed { last, took } => (
            "committed",
            json!({ "last": format_stamp(*last), "took_s": took.as_secs() }),
        ),
        EventKind::Failed {
            step,
            reason,
            count,
        } => (
            "failed",
            json!({ "step": step, "reason": reason.label(), "count": count }),
        ),
        EventKind::Released => ("released", json!({})),
        EventKind::Parked { why, step, until } => (
            "parked",
            json!({ "why": why.label(), "step": step, "until": format_stamp(*until) }),
        ),
        EventKind::Finished(counts) => (
            "finished",
            json!({ "claimed": counts.claimed, "committed": counts.committed, "failed": counts.failed, "parked": counts.parked,
                "claims_lost": counts.claims_lost, "leases_lost": counts.leases_lost }),
        ),
    })
}
