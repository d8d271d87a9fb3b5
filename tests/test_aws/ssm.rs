//! SSM Run Command: commands are sent, listed, looked at and cancelled here; `agent` runs them on the nodes.

mod agent;
mod command;
mod list;
mod send;

use serde_json::{Value, json};

pub(crate) use command::Commands;

use super::call::{Answer, Refusal};
use super::fault::Fault;
use super::page::page;
use super::query::Json;
use super::state::Shared;

pub(crate) use agent::reboot;

/// Entries in one answer, at most and unasked (API reference; `DescribeInstanceInformation` gives 10 unasked).
const PAGE: usize = 50;

pub(crate) fn answer(
    shared: &Shared,
    action: &str,
    json: Json,
    fault: Option<&Fault>,
) -> Result<Answer, Refusal> {
    let told = match action {
        "SendCommand" => send::send(shared, json, fault),
        "CancelCommand" => send::cancel(shared, json),
        "ListCommands" => list::commands(&shared.state(), json),
        "ListCommandInvocations" => list::invocations(&shared.state(), json),
        "GetCommandInvocation" => list::invocation(&shared.state(), json),
        "DescribeInstanceInformation" => list::agents(&shared.state(), json),
        _ => Err(Refusal::new(
            "UnknownOperationException",
            format!("The test AWS has no SSM action {action}"),
        )),
    };
    told.map(|told| Answer::good(told.to_string()))
}

/// A page of a list, under its name.
fn paged(
    name: &str,
    items: Vec<Value>,
    token: Option<&str>,
    size: usize,
) -> Result<Value, Refusal> {
    let (items, next) = page(name, items, token, Some(size))
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The specified token isn't valid."))?;
    let mut told = json!({ name: items });
    if let Some(next) = next {
        told["NextToken"] = json!(next);
    }
    Ok(told)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}
