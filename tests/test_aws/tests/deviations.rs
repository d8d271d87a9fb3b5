//! Where the test AWS and moto 5.2.5 differ, and what of AWS's own documentation decides it.
//!
//! What is said alike by both is not proven to be AWS's, and is documented by AWS all the same; messages are not
//! compared, since AWS documents codes only.

/// A difference that is meant.
#[derive(Debug)]
pub(crate) struct Deviation {
    /// Steps of `conform.rs`; none: of any step.
    pub(crate) steps: &'static [&'static str],
    /// Places: the first part of each, and the rests; and what is so there.
    pub(crate) at: &'static str,
    pub(crate) of: &'static [&'static str],
    pub(crate) what: &'static str,
    /// What decides it.
    pub(crate) why: &'static str,
}

const fn row(
    steps: &'static [&'static str],
    at: &'static str,
    of: &'static [&'static str],
    what: &'static str,
    why: &'static str,
) -> Deviation {
    Deviation {
        steps,
        at,
        of,
        what,
        why,
    }
}

/// What moto does and the test AWS refuses: the answer is there at moto only, and the error here only.
const REFUSED: &[&str] = &["Command", "Tags", "Reservations", "error", "status"];

pub(crate) const DIFFERENCES: &[Deviation] = &[
    row(
        &[],
        "Reservations[].Instances[].",
        &[
            "AmiLaunchIndex",
            "BlockDeviceMappings",
            "ClientToken",
            "EbsOptimized",
            "HibernationOptions",
            "Hypervisor",
            "MetadataOptions",
            "NetworkInterfaces",
            "Placement.GroupName",
            "Platform",
            "ProductCodes",
            "PublicDnsName",
            "PublicIpAddress",
            "RootDeviceName",
            "RootDeviceType",
            "SecurityGroups",
            "SourceDestCheck",
            "SriovNetSupport",
            "StateReason",
            "StateTransitionReason",
            "SubnetId",
            "VirtualizationType",
            "VpcId",
        ],
        "only at moto",
        "No field of an Instance is required (EC2 API reference, Instance); those that nothing here reads are left out.",
    ),
    row(
        &["a malformed id"],
        "",
        &["error"],
        "\"InvalidInstanceID.Malformed\" here",
        "InvalidInstanceID.Malformed: \"the specified instance ID is malformed\" (EC2 API reference, \"Error codes\").",
    ),
    row(
        &["instances by unknown filter"],
        "",
        &["error", "status"],
        "",
        "moto breaks. InvalidParameterValue is for a value that is not valid (EC2 API reference, \"Error codes\").",
    ),
    row(
        &["tags by unknown filter"],
        "",
        REFUSED,
        "only",
        "moto passes over a filter that it does not know; EC2 has a list of filters (API reference, DescribeTags).",
    ),
    row(
        &["a page of instances"],
        "",
        &["NextToken", "Reservations[].Instances"],
        "",
        "MaxResults is \"the maximum number of items\", which are instances (API reference, DescribeInstances, \
         Pagination); moto counts reservations.",
    ),
    row(
        &["a page of tags"],
        "",
        &["NextToken", "Tags"],
        "",
        "MaxResults of DescribeTags is from 5 to 1000, with a token for the rest (API reference); moto does not page.",
    ),
    row(
        &[
            "a page too small",
            "a page too large",
            "a page of tags too small",
        ],
        "",
        REFUSED,
        "only",
        "\"This value can be between 5 and 1000\" (API reference, DescribeInstances and DescribeTags).",
    ),
    row(
        &["a token that is none"],
        "",
        &["error", "status"],
        "",
        "moto breaks. InvalidPaginationToken is a common client error (EC2 API reference, \"Error codes\").",
    ),
    row(
        &["tags by pair"],
        "",
        &["Tags"],
        "1 here",
        "`tag:<key>` is \"the key/value combination of the tag\" (API reference, DescribeTags); moto passes over it.",
    ),
    row(
        &["after all"],
        "",
        &["Tags"],
        "1 here",
        "\"If you omit this parameter, we delete all user-defined tags for the specified resources. We do not delete \
         AWS-generated tags\" (API reference, DeleteTags).",
    ),
    row(
        &["fifty tags"],
        "",
        &["error", "status"],
        "only at moto",
        "Fifty tags, and \"tags with this prefix [aws:] do not count against your tags per resource limit\" (EC2 user \
         guide, \"Tag restrictions\"); moto counts them.",
    ),
    row(
        &["one too many"],
        "",
        &["error", "status"],
        "only here",
        "The same: at moto the fifty before it were refused, here they are there.",
    ),
    row(
        &["a tag of AWS", "a long key", "a long value"],
        "",
        &["error", "status"],
        "only here",
        "`aws:` is reserved; keys have at most 127 or 128 characters (pages disagree: 128 are refused here), values \
         256 (EC2 user guide, \"Tag restrictions\").",
    ),
    row(
        &["after dry runs"],
        "",
        &["Tags"],
        "2 here",
        "The same: moto has written what was refused here.",
    ),
    row(
        &["a tag of nobody"],
        "",
        &["error", "status"],
        "only here",
        "InvalidInstanceID.NotFound (EC2 API reference, \"Error codes\"); moto tags what is not there.",
    ),
    row(
        &["no tags"],
        "",
        &["error", "status"],
        "only here",
        "Tag.N is required (API reference, CreateTags), and MissingParameter is a common client error.",
    ),
    row(
        &["all groups", "a group by name", "an unknown group"],
        "AutoScalingGroups[].",
        &[
            "CapacityRebalance",
            "EnabledMetrics",
            "Instances[].LaunchTemplate",
            "LaunchTemplate",
            "LoadBalancerNames",
            "ServiceLinkedRoleARN",
            "SuspendedProcesses",
            "Tags",
            "TargetGroupARNs",
            "TerminationPolicies",
        ],
        "only at moto",
        "None of these is required (Auto Scaling API reference, AutoScalingGroup, Instance); nothing here reads them.",
    ),
    row(
        &["all groups", "a group by name", "an unknown group"],
        "AutoScalingGroups[].",
        &["HealthCheckGracePeriod"],
        "0 here",
        "\"Default: 0 seconds\" (Auto Scaling API reference, CreateAutoScalingGroup).",
    ),
    row(
        &[
            "a page of groups too large",
            "a token of groups that is none",
        ],
        "",
        &["error", "status"],
        "",
        "moto breaks. MaxRecords has a maximum of 100; InvalidNextToken is an error of the action (API reference, \
         DescribeAutoScalingGroups).",
    ),
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
