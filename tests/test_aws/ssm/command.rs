//! Commands and their invocations, and how SSM shows them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Characters that are kept of what a command prints, and of both streams together in a listing.
const STDOUT: usize = 24_000;
const STDERR: usize = 8_000;
const LISTED: usize = 2_500;
/// How long SSM keeps commands.
const HISTORY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How far an invocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Pending,
    InProgress,
    Success,
    Failed,
    Undeliverable,
    DeliveryTimedOut,
    ExecutionTimedOut,
    Cancelled,
}

impl Stage {
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }

    fn status(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Failed | Self::Undeliverable => "Failed",
            Self::DeliveryTimedOut | Self::ExecutionTimedOut => "TimedOut",
            Self::Cancelled => "Cancelled",
        }
    }

    /// AWS spells these with spaces in some places and without in others: by turns here.
    fn details(self, spaced: bool) -> &'static str {
        match (self, spaced) {
            (Self::InProgress, true) => "In Progress",
            (Self::DeliveryTimedOut, true) => "Delivery Timed Out",
            (Self::DeliveryTimedOut, false) => "DeliveryTimedOut",
            (Self::ExecutionTimedOut, true) => "Execution Timed Out",
            (Self::ExecutionTimedOut, false) => "ExecutionTimedOut",
            (Self::Undeliverable, _) => "Undeliverable",
            (stage, _) => stage.status(),
        }
    }
}

/// A command on one node.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) stage: Stage,
    /// -1: there is none yet.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// Not listed before.
    pub(crate) listed_from: Instant,
}

impl Invocation {
    pub(crate) fn new(listed_from: Instant) -> Self {
        Self {
            stage: Stage::Pending,
            code: -1,
            stdout: String::new(),
            stderr: String::new(),
            started: None,
            ended: None,
            listed_from,
        }
    }

    /// Ends it, unless it has ended.
    pub(crate) fn end(&mut self, stage: Stage, code: i32, at: Timestamp) {
        if !self.stage.is_over() {
            self.stage = stage;
            self.code = code;
            self.ended = Some(at);
        }
    }
}

/// A command.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) id: String,
    pub(crate) comment: String,
    pub(crate) document: String,
    pub(crate) parameters: Value,
    pub(crate) text: String,
    pub(crate) delivery: u64,
    pub(crate) execution: u64,
    pub(crate) at: Timestamp,
    /// By node.
    pub(crate) invocations: BTreeMap<String, Invocation>,
}

impl Command {
    fn spaced(&self) -> bool {
        self.id.ends_with(['0', '2', '4', '6', '8', 'a', 'c', 'e'])
    }

    /// When SSM gives up on hearing of it.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.delivery + self.execution)
    }

    /// As `ListCommands` shows it: the status of the whole is the best news there is of its parts.
    pub(crate) fn shown(&self) -> Value {
        let stages = || self.invocations.values().map(|each| each.stage);
        let stage = if let Some(open) = stages().find(|stage| !stage.is_over()) {
            open
        } else if stages().any(|stage| stage == Stage::Success) {
            Stage::Success
        } else {
            stages().next().unwrap_or(Stage::Success)
        };
        let completed = stages().filter(|stage| stage.is_over()).count();
        let failed = stages().filter(|stage| *stage == Stage::Failed).count();
        let expires = SignedDuration::try_from(self.patience()).unwrap_or(SignedDuration::ZERO);
        json!({
            "CommandId": self.id, "Comment": self.comment, "DocumentName": self.document,
            "DocumentVersion": "$DEFAULT", "Parameters": self.parameters,
            "ExpiresAfter": number(self.at.saturating_add(expires).unwrap_or(self.at)),
            "InstanceIds": self.invocations.keys().collect::<Vec<_>>(), "Targets": [],
            "RequestedDateTime": number(self.at), "Status": stage.status(),
            "StatusDetails": stage.details(self.spaced()), "OutputS3BucketName": "", "OutputS3KeyPrefix": "",
            "MaxConcurrency": "50", "MaxErrors": "0", "TargetCount": self.invocations.len(),
            "CompletedCount": completed, "ErrorCount": failed, "DeliveryTimedOutCount":
            stages().filter(|stage| *stage == Stage::DeliveryTimedOut).count(), "ServiceRole": "",
            "TimeoutSeconds": self.delivery,
        })
    }

    /// As `ListCommandInvocations` shows it.
    pub(crate) fn listed(&self, node: &str, it: &Invocation, details: bool) -> Value {
        let mut output = it.stdout.clone();
        if !it.stderr.is_empty() {
            output.push_str("\n----------ERROR-------\n");
            output.push_str(&it.stderr);
        }
        let stage = (it.stage.status(), it.stage.details(self.spaced()));
        let mut plugin = json!({
            "Name": "aws:runShellScript", "Status": stage.0, "StatusDetails": stage.1, "ResponseCode": it.code,
            "Output": first(&output, LISTED), "OutputS3Region": "eu-west-1", "OutputS3BucketName": "",
            "OutputS3KeyPrefix": "",
        });
        for (name, at) in [
            ("ResponseStartDateTime", it.started),
            ("ResponseFinishDateTime", it.ended),
        ] {
            if let Some(at) = at {
                plugin[name] = number(at);
            }
        }
        let begun = it.started.is_some();
        json!({
            "CommandId": self.id, "InstanceId": node, "InstanceName": "", "Comment": self.comment,
            "DocumentName": self.document, "DocumentVersion": "$DEFAULT", "RequestedDateTime": number(self.at),
            "Status": stage.0, "StatusDetails": stage.1, "StandardOutputUrl": "", "StandardErrorUrl": "",
            "CommandPlugins": if details && begun { vec![plugin] } else { Vec::new() }, "ServiceRole": "",
        })
    }

    /// As `GetCommandInvocation` shows it.
    pub(crate) fn told(&self, node: &str, it: &Invocation) -> Value {
        let text = |at: Option<Timestamp>| {
            at.map_or_else(String::new, |at| {
                at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
            })
        };
        let elapsed = it
            .started
            .zip(it.ended)
            .map_or_else(String::new, |(from, to)| {
                format!("PT{:.3}S", to.duration_since(from).as_secs_f64())
            });
        json!({
            "CommandId": self.id, "InstanceId": node, "Comment": self.comment, "DocumentName": self.document,
            "DocumentVersion": "$DEFAULT", "PluginName": "aws:runShellScript", "ResponseCode": it.code,
            "ExecutionStartDateTime": text(it.started), "ExecutionElapsedTime": elapsed,
            "ExecutionEndDateTime": text(it.ended), "Status": it.stage.status(),
            "StatusDetails": it.stage.details(self.spaced()), "StandardOutputContent": first(&it.stdout, STDOUT),
            "StandardOutputUrl": "", "StandardErrorContent": first(&it.stderr, STDERR), "StandardErrorUrl": "",
        })
    }
}

fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// A time as JSON 1.1 has it: seconds, with a fraction.
fn number(at: Timestamp) -> Value {
    json!(at.as_duration().as_secs_f64())
}

/// All commands, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Commands(Vec<Command>);

impl Commands {
    pub(crate) fn push(&mut self, command: Command) {
        self.0.push(command);
    }

    /// Every command that SSM still remembers, the oldest first.
    pub(crate) fn known(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &Command> {
        self.0
            .iter()
            .filter(move |command| now.duration_since(command.at) <= HISTORY)
    }

    pub(crate) fn get(&self, id: &str, now: Timestamp) -> Option<&Command> {
        self.known(now).find(|command| command.id == id)
    }

    pub(crate) fn invocation(&mut self, id: &str, node: &str) -> Option<&mut Invocation> {
        let command = self.0.iter_mut().find(|command| command.id == id)?;
        command.invocations.get_mut(node)
    }

    /// How many commands run on a node now.
    pub(crate) fn running(&self, node: &str) -> usize {
        let on = self
            .0
            .iter()
            .filter_map(|command| command.invocations.get(node));
        on.filter(|it| it.stage == Stage::InProgress).count()
    }
}
