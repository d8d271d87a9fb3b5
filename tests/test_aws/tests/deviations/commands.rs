//! SSM.

use super::{Deviation, REFUSED, row};

pub(crate) const ROWS: &[Deviation] = &[
    row(
        &["a command"],
        "Command.",
        &[
            "Status",
            "StatusDetails",
            "CompletedCount",
            "TargetCount",
            "InstanceIds",
        ],
        "",
        "A command is Pending when it is sent, and goes to the instances that were named (SSM user guide, \"Command \
         statuses\"; API reference, SendCommand); moto ends it at once, on all instances.",
    ),
    row(
        &["the command", "commands of a node"],
        "Commands[].",
        &[
            "StatusDetails",
            "CompletedCount",
            "TargetCount",
            "InstanceIds",
        ],
        "",
        "The same. StatusDetails of a success is Success (API reference, Command).",
    ),
    row(
        &["a command"],
        "Command.",
        &["NotificationConfig", "OutputS3Region", "DocumentVersion"],
        "only",
        "None is required (API reference, Command).",
    ),
    row(
        &["the command", "commands of a node"],
        "Commands[].",
        &["NotificationConfig", "OutputS3Region", "DocumentVersion"],
        "only",
        "None is required (API reference, Command).",
    ),
    row(
        &["commands of another"],
        "",
        &["Commands"],
        "0 here",
        "\"Lists commands issued against this managed node ID\" (API reference, ListCommands).",
    ),
    row(
        &["commands of later"],
        "",
        &["Commands"],
        "0 here",
        "InvokedAfter: \"to limit your results\" (API reference, CommandFilter); moto passes over filters.",
    ),
    row(
        &["its invocation"],
        "",
        &[
            "DocumentVersion",
            "StandardErrorUrl",
            "StandardOutputContent",
            "ExecutionElapsedTime",
        ],
        "",
        "Here the script has run, and this is what it printed and how long it took (API reference, \
         GetCommandInvocation); moto runs nothing.",
    ),
    row(
        &["its invocation"],
        "",
        &["ExecutionStartDateTime", "ExecutionEndDateTime"],
        "\"<time>\" here",
        "\"ISO 8601 notation in Coordinated Universal Time (UTC)\", such as 2019-01-31T18:40:22.000Z (API reference, \
         GetCommandInvocation); moto leaves out the zone.",
    ),
    row(
        &["an unknown invocation"],
        "",
        &[
            "CommandId",
            "Comment",
            "DocumentName",
            "ExecutionElapsedTime",
            "ExecutionEndDateTime",
            "ExecutionStartDateTime",
            "InstanceId",
            "PluginName",
            "ResponseCode",
            "StandardErrorContent",
            "StandardOutputContent",
            "StandardOutputUrl",
            "Status",
            "StatusDetails",
            "error",
            "status",
        ],
        "only",
        "InvocationDoesNotExist: the command was not sent to that node (API reference, GetCommandInvocation).",
    ),
    row(
        &["its invocations", "an end of it", "the agents"],
        "",
        &[
            "CommandInvocations",
            "InstanceInformationList",
            "error",
            "status",
        ],
        "only",
        "moto has no ListCommandInvocations, CancelCommand and DescribeInstanceInformation.",
    ),
    row(
        &[
            "a command to nobody",
            "a command of no document",
            "a long comment",
            "a short time",
        ],
        "",
        REFUSED,
        "only",
        "InvalidInstanceId and InvalidDocument are errors of SendCommand; Comment has at most 100 characters, \
         TimeoutSeconds is at least 30 (API reference); moto takes all.",
    ),
];
