//! `SendCommand` and `CancelCommand`.

use serde_json::{Value, json};

use super::command::{Command, Invocation, Stage};
use super::{agent, invalid};
use crate::test_aws::call::Refusal;
use crate::test_aws::fault::{Fault, Mode};
use crate::test_aws::query::Json;
use crate::test_aws::state::{Shared, now};

/// Documents that are there: the public one, and one of the account's own with the same parameters.
const DOCUMENTS: [&str; 2] = ["AWS-RunShellScript", "roundsman"];
/// Instances of one call; characters of a comment; seconds of delivery and of execution; bytes of a document with its
/// parameters (API reference, `SendCommand`; the document AWS-RunShellScript).
const INSTANCES: usize = 50;
const COMMENT: usize = 100;
const DELIVERY: std::ops::RangeInclusive<u64> = 30..=2_592_000;
const EXECUTION: std::ops::RangeInclusive<u64> = 1..=172_800;
const DOCUMENT: usize = 64 * 1024;

/// `SendCommand`. It has no token by which a repetition would be known.
pub(super) fn send(shared: &Shared, json: Json, fault: Option<&Fault>) -> Result<Value, Refusal> {
    let mut guard = shared.state();
    let state = &mut *guard;
    let (mut command, nodes) = read(json)?;
    for node in &nodes {
        if state.fleet.get(node).is_none_or(|it| it.agent.is_none()) {
            let why = format!("Instances [[{node}]] not in a valid state for account 123456789012");
            return Err(Refusal::new("InvalidInstanceId", why));
        }
    }
    command.id = state.lots.uuid();
    command.at = state.time();
    let mode = fault.map(|fault| fault.mode);
    let seconds = fault.map(Fault::time).unwrap_or_default();
    let mut deliveries = Vec::new();
    for node in &nodes {
        let not_yet = if mode == Some(Mode::Unlisted) {
            seconds
        } else {
            let most = state.not_yet;
            state.lots.up_to(most)
        };
        let invocation = Invocation::new(now() + not_yet);
        command.invocations.insert(node.clone(), invocation);
        let late = if mode == Some(Mode::Late) {
            seconds
        } else {
            let most = state.delivery;
            state.lots.up_to(most)
        };
        deliveries.push(agent::Delivery {
            command: command.id.clone(),
            node: node.clone(),
            late,
            mode,
            seconds,
        });
    }
    let shown = json!({"Command": command.shown()});
    state.commands.push(command);
    drop(guard);
    for delivery in deliveries {
        let shared = shared.clone();
        std::thread::spawn(move || delivery.run(&shared));
    }
    Ok(shown)
}

/// A command without id and time, and its nodes.
fn read(mut json: Json) -> Result<(Command, Vec<String>), Refusal> {
    let document = json.text("DocumentName").unwrap_or_default();
    let nodes = json.texts("InstanceIds");
    let comment = json.text("Comment").unwrap_or_default();
    let delivery = json.number("TimeoutSeconds").unwrap_or(3_600);
    let parameters = json.take("Parameters").unwrap_or_else(|| json!({}));
    json.end()?;
    if !DOCUMENTS.contains(&document.as_str()) {
        let why = format!("Document with name {document} does not exist.");
        return Err(Refusal::new("InvalidDocument", why));
    }
    let delivery = u64::try_from(delivery)
        .ok()
        .filter(|n| DELIVERY.contains(n));
    let delivery =
        delivery.ok_or_else(|| invalid("timeoutSeconds is not between 30 and 2592000"))?;
    if comment.chars().count() > COMMENT {
        return Err(invalid("comment has more than 100 characters"));
    }
    if nodes.len() > INSTANCES || nodes.is_empty() {
        return Err(invalid("instanceIds has not between 1 and 50 members"));
    }
    let (text, execution) = script(&parameters)?;
    let command = Command {
        id: String::new(),
        comment,
        document,
        parameters,
        text,
        delivery,
        execution,
        at: jiff::Timestamp::UNIX_EPOCH,
        invocations: std::collections::BTreeMap::new(),
    };
    Ok((command, nodes))
}

/// The text of a command's parameters, and its `executionTimeout`.
fn script(parameters: &Value) -> Result<(String, u64), Refusal> {
    let wrong = |why: &str| Refusal::new("InvalidParameters", why);
    let strings = |name: &str| -> Vec<&str> {
        let list = parameters.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let known = ["commands", "executionTimeout"];
    let mut given = parameters.as_object().into_iter().flatten();
    if let Some((name, _)) = given.find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(wrong(&format!("The test AWS knows no parameter {name}")));
    }
    let text = strings("commands").join("\n");
    if text.is_empty() {
        return Err(wrong("Parameter \"commands\" requires a value."));
    }
    if text.len() > DOCUMENT {
        let why = "The size limit of a document is 64 KB.";
        return Err(Refusal::new("MaxDocumentSizeExceeded", why));
    }
    if text.contains("{{ssm:") || text.contains("{{ ssm:") {
        return Err(wrong(
            "The test AWS has no parameter store, and this text refers to it",
        ));
    }
    let execution = match strings("executionTimeout").first() {
        None => Some(3_600),
        Some(text) => text.parse().ok().filter(|n| EXECUTION.contains(n)),
    };
    let execution =
        execution.ok_or_else(|| wrong("executionTimeout is not between 1 and 172800"))?;
    Ok((text, execution))
}

/// `CancelCommand`: best effort; whoever carries the command sees that it is over and kills what it has started.
pub(super) fn cancel(shared: &Shared, mut json: Json) -> Result<Value, Refusal> {
    let id = json.text("CommandId").unwrap_or_default();
    let nodes = json.texts("InstanceIds");
    json.end()?;
    let mut state = shared.state();
    let at = state.time();
    let Some(command) = state.commands.get(&id, at) else {
        return Err(Refusal::new("InvalidCommandId", ""));
    };
    let all: Vec<String> = command.invocations.keys().cloned().collect();
    for node in all
        .iter()
        .filter(|node| nodes.is_empty() || nodes.contains(node))
    {
        if let Some(it) = state.commands.invocation(&id, node) {
            it.end(Stage::Cancelled, -1, at);
        }
    }
    Ok(json!({}))
}
