//! What SSM says of commands and agents.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::command::Command;
use super::{PAGE, invalid, paged};
use crate::test_aws::call::Refusal;
use crate::test_aws::query::Json;
use crate::test_aws::state::{State, now};

/// What a listing of commands asks for.
struct Question {
    command: Option<String>,
    node: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    size: usize,
    token: Option<String>,
}

impl Question {
    fn read(state: &State, action: &str, json: &mut Json) -> Result<Self, Refusal> {
        let mut question = Self {
            command: json.text("CommandId"),
            node: json.text("InstanceId"),
            after: None,
            before: None,
            size: state.page_size(action, size(json, 1)?.unwrap_or(PAGE)),
            token: json.text("NextToken"),
        };
        for (key, values) in json.pairs("Filters", "key", "value") {
            let time = values.first().and_then(|text| text.parse().ok());
            let time = time.ok_or_else(|| {
                Refusal::new("InvalidFilterValue", "a time such as 2021-07-07T00:00:00Z")
            })?;
            match key.as_str() {
                "InvokedAfter" => question.after = Some(time),
                "InvokedBefore" => question.before = Some(time),
                _ => {
                    let why = format!("The test AWS does not know the filter {key}");
                    return Err(Refusal::new("InvalidFilterKey", why));
                }
            }
        }
        Ok(question)
    }

    /// Whether a command, or its part on a node, is meant and listed by now.
    fn means(&self, command: &Command) -> bool {
        let listed = |node: &String| {
            let it = command.invocations.get(node);
            it.is_some_and(|it| it.listed_from <= now())
        };
        self.command.as_ref().is_none_or(|id| *id == command.id)
            && self.after.is_none_or(|after| command.at >= after)
            && self.before.is_none_or(|before| command.at <= before)
            && self
                .node
                .as_ref()
                .is_none_or(|node| command.invocations.contains_key(node))
            && command.invocations.keys().any(listed)
    }
}

/// `MaxResults`, from `least` to 50.
fn size(json: &mut Json, least: i64) -> Result<Option<usize>, Refusal> {
    match json.number("MaxResults") {
        Some(size) if size < least || size > 50 => Err(invalid(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: Member must have value between {least} and 50"
        ))),
        size => Ok(size.and_then(|size| usize::try_from(size).ok())),
    }
}

/// `ListCommands`: the newest first.
pub(super) fn commands(state: &State, mut json: Json) -> Result<Value, Refusal> {
    let question = Question::read(state, "ListCommands", &mut json)?;
    json.end()?;
    let found = state
        .commands
        .known(state.time())
        .rev()
        .filter(|command| question.means(command))
        .map(Command::shown)
        .collect();
    paged("Commands", found, question.token.as_deref(), question.size)
}

/// `ListCommandInvocations`.
pub(super) fn invocations(state: &State, mut json: Json) -> Result<Value, Refusal> {
    let question = Question::read(state, "ListCommandInvocations", &mut json)?;
    let details = json.take("Details").is_some_and(|value| value == true);
    json.end()?;
    let mut found = Vec::new();
    for command in state.commands.known(state.time()).rev() {
        if question.means(command) {
            let parts = command.invocations.iter().filter(|(node, it)| {
                question.node.as_ref().is_none_or(|wanted| wanted == *node)
                    && it.listed_from <= now()
            });
            found.extend(parts.map(|(node, it)| command.listed(node, it, details)));
        }
    }
    let name = "CommandInvocations";
    paged(name, found, question.token.as_deref(), question.size)
}

/// `GetCommandInvocation`.
pub(super) fn invocation(state: &State, mut json: Json) -> Result<Value, Refusal> {
    let id = json.text("CommandId").unwrap_or_default();
    let node = json.text("InstanceId").unwrap_or_default();
    let plugin = json.text("PluginName");
    json.end()?;
    if plugin.is_some_and(|plugin| plugin != "aws:runShellScript") {
        return Err(Refusal::new(
            "InvalidPluginName",
            "The plugin name isn't valid.",
        ));
    }
    let command = state.commands.get(&id, state.time());
    let found = command.and_then(|command| Some((command, command.invocations.get(&node)?)));
    match found {
        Some((command, it)) if it.listed_from <= now() => Ok(command.told(&node, it)),
        _ => Err(Refusal::new("InvocationDoesNotExist", "")),
    }
}

/// `DescribeInstanceInformation`: the nodes whose agents SSM knows.
pub(super) fn agents(state: &State, mut json: Json) -> Result<Value, Refusal> {
    let action = "DescribeInstanceInformation";
    let size = state.page_size(action, size(&mut json, 5)?.unwrap_or(10));
    let token = json.text("NextToken");
    let mut filters = json.pairs("Filters", "Key", "Values");
    filters.extend(json.pairs("InstanceInformationFilterList", "key", "valueSet"));
    json.end()?;
    for (key, values) in &filters {
        if !matches!(key.as_str(), "InstanceIds" | "PingStatus") {
            let why = format!("The test AWS does not know the filter {key}");
            return Err(Refusal::new("InvalidInstanceInformationFilterValue", why));
        }
        if values.len() > PAGE {
            return Err(invalid("a filter has at most 50 values"));
        }
    }
    let met = |key: &str, text: &String| {
        let mut about = filters.iter().filter(|(each, _)| each == key);
        about.all(|(_, values)| values.contains(text))
    };
    let found = state
        .fleet
        .instances
        .iter()
        .filter_map(|instance| {
            let ping = instance.agent.as_ref()?;
            (met("InstanceIds", &instance.id) && met("PingStatus", ping)).then(|| {
                json!({
                    "InstanceId": instance.id, "PingStatus": ping, "PlatformType": "Linux",
                    "PlatformName": "Debian GNU/Linux", "AgentVersion": "3.3.0.0", "ResourceType": "EC2Instance",
                    "IPAddress": instance.address,
                })
            })
        })
        .collect();
    paged("InstanceInformationList", found, token.as_deref(), size)
}
