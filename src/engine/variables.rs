//! What a step finds in its environment.

use std::collections::BTreeMap;

use crate::model::job::Job;
use crate::model::lock::Lock;
use crate::model::node::Node;

/// `ROUNDSMAN_…` for one attempt, and the job's own `[env]`. `last`: the tag's value before this run.
pub fn variables(
    job: &Job,
    node: &Node,
    lock: &Lock,
    step: u32,
    attempt: u32,
    last: Option<&str>,
) -> BTreeMap<String, String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let own = [
        ("NODE", node.id.to_string()),
        ("NAME", text(&node.name)),
        ("ADDRESS", text(&node.address)),
        ("ZONE", text(&node.zone)),
        ("JOB", job.name.to_string()),
        ("TASK", job.task.to_string()),
        ("RUN", lock.run.to_string()),
        ("CLAIM", lock.claim.to_string()),
        ("STEP", step.to_string()),
        ("ATTEMPT", attempt.to_string()),
        ("LAST", last.unwrap_or_default().to_owned()),
    ];
    let own = own
        .into_iter()
        .map(|(key, value)| (format!("ROUNDSMAN_{key}"), value));
    job.env.clone().into_iter().chain(own).collect()
}
