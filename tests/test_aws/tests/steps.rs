//! The calls that the test AWS and moto are compared by.

use serde_json::{Value, json};

/// Name, service, operation, parameters.
pub(crate) type Step = (&'static str, &'static str, &'static str, Value);

fn filter(name: &str, values: &[&str]) -> Value {
    json!([{"Name": name, "Values": values}])
}

fn tag(key: &str, value: &str) -> Value {
    json!([{"Key": key, "Value": value}])
}

fn instances() -> Vec<Step> {
    let describe = |name, asked| (name, "ec2", "describe_instances", asked);
    vec![
        describe("all instances", json!({})),
        describe("instances by id", json!({"InstanceIds": ["$1", "$3"]})),
        describe(
            "instances by id filter",
            json!({"Filters": filter("instance-id", &["$2", "i-0123456789abcdef0"])}),
        ),
        describe(
            "instances by state",
            json!({"Filters": filter("instance-state-name", &["stopped"])}),
        ),
        describe(
            "instances by tag",
            json!({"Filters": filter("tag:Name", &["g-1", "g-2"])}),
        ),
        describe(
            "instances by tag wildcard",
            json!({"Filters": filter("tag:Name", &["g-*"])}),
        ),
        describe(
            "instances by escaped tag",
            json!({"Filters": filter("tag:Name", &["g-\\*"])}),
        ),
        describe(
            "instances by tag key",
            json!({"Filters": filter("tag-key", &["Nme", "Name"])}),
        ),
        describe(
            "instances by group",
            json!({"Filters": filter("tag:aws:autoscaling:groupName", &["g"])}),
        ),
        describe(
            "instances by unknown filter",
            json!({"Filters": filter("colour", &["red"])}),
        ),
        describe(
            "an unknown instance",
            json!({"InstanceIds": ["$1", "i-0123456789abcdef0"]}),
        ),
        describe("a malformed id", json!({"InstanceIds": ["what"]})),
        describe("a page of instances", json!({"MaxResults": 5})),
        describe("a page too small", json!({"MaxResults": 4})),
        describe("a page too large", json!({"MaxResults": 1001})),
        describe(
            "ids and pages",
            json!({"InstanceIds": ["$1"], "MaxResults": 5}),
        ),
        describe("a token that is none", json!({"NextToken": "what"})),
    ]
}

fn create(name: &'static str, node: &str, tags: &Value) -> Step {
    let asked = json!({"Resources": [node], "Tags": tags});
    (name, "ec2", "create_tags", asked)
}

fn describe_tags(name: &'static str, asked: Value) -> Step {
    (name, "ec2", "describe_tags", asked)
}

/// So many tags.
fn many(count: usize) -> Value {
    let each = |n: usize| json!({"Key": format!("k{n}"), "Value": "v"});
    (0..count).map(each).collect()
}

fn tags() -> Vec<Step> {
    let delete = |name, tags| {
        let asked = json!({"Resources": ["$1"], "Tags": tags});
        (name, "ec2", "delete_tags", asked)
    };
    let own = || json!({"Filters": filter("resource-id", &["$1"])});
    vec![
        create("a tag", "$1", &tag("a", "1")),
        create("a tag over another", "$1", &tag("a", "2 <&> \"é\"")),
        create("an empty tag", "$1", &tag("b", "")),
        describe_tags("tags of a node", own()),
        describe_tags(
            "tags by key",
            json!({"Filters": filter("key", &["a", "b"])}),
        ),
        describe_tags(
            "tags by value",
            json!({"Filters": filter("value", &["g-?"])}),
        ),
        describe_tags(
            "tags by type",
            json!({"Filters": [
                {"Name": "resource-type", "Values": ["instance"]}, {"Name": "key", "Values": ["Name"]},
            ]}),
        ),
        describe_tags(
            "tags by pair",
            json!({"Filters": filter("tag:Name", &["g-3"])}),
        ),
        describe_tags(
            "tags of nobody",
            json!({"Filters": filter("resource-id", &["i-0123456789abcdef0"])}),
        ),
        describe_tags(
            "tags by unknown filter",
            json!({"Filters": filter("colour", &["red"])}),
        ),
        describe_tags(
            "a page of tags",
            json!({"MaxResults": 5, "Filters": filter("key", &["Name"])}),
        ),
        describe_tags("a page of tags too small", json!({"MaxResults": 4})),
        delete("a tag of another value", tag("a", "1")),
        describe_tags("after that", own()),
        delete("a tag of this value", tag("a", "2 <&> \"é\"")),
        delete("a tag that is empty", tag("b", "")),
        describe_tags("after both", own()),
        create("three more", "$1", &many(3)),
        delete("a tag by key", json!([{"Key": "k0"}])),
        describe_tags("after one key", own()),
        (
            "all tags",
            "ec2",
            "delete_tags",
            json!({"Resources": ["$1"]}),
        ),
        describe_tags("after all", own()),
    ]
}

/// What there may be of tags, and what not.
fn limits() -> Vec<Step> {
    vec![
        create("fifty tags", "$1", &many(50)),
        create("one too many", "$1", &tag("other", "v")),
        create("one of the fifty", "$1", &tag("k1", "w")),
        create("a tag of AWS", "$2", &tag("aws:a", "v")),
        create("a long key", "$2", &tag(&"k".repeat(128), "v")),
        create("a long value", "$2", &tag("k", &"v".repeat(257))),
        create("a tag of nobody", "i-0123456789abcdef0", &tag("k", "v")),
        create("no tags", "$2", &json!([])),
        (
            "a dry run",
            "ec2",
            "create_tags",
            json!({"Resources": ["$2"], "Tags": tag("k", "v"), "DryRun": true}),
        ),
        (
            "a dry deletion",
            "ec2",
            "delete_tags",
            json!({"Resources": ["$2"], "Tags": tag("Name", "g-2"), "DryRun": true}),
        ),
        describe_tags(
            "after dry runs",
            json!({"Filters": filter("resource-id", &["$2"])}),
        ),
    ]
}

fn groups() -> Vec<Step> {
    let describe = |name, asked| (name, "autoscaling", "describe_auto_scaling_groups", asked);
    vec![
        describe("all groups", json!({})),
        describe("a group by name", json!({"AutoScalingGroupNames": ["g"]})),
        describe(
            "an unknown group",
            json!({"AutoScalingGroupNames": ["g", "h"], "MaxRecords": 100}),
        ),
        describe("no such group", json!({"AutoScalingGroupNames": ["h"]})),
        describe("a page of groups too large", json!({"MaxRecords": 101})),
        describe(
            "a token of groups that is none",
            json!({"NextToken": "what"}),
        ),
    ]
}

fn commands() -> Vec<Step> {
    let send = |name, node: &str, changes: Value| {
        let mut asked = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": [node], "Comment": "c",
            "Parameters": {"commands": ["echo hello"], "executionTimeout": ["60"]},
        });
        for (key, value) in changes.as_object().into_iter().flatten() {
            asked[key] = value.clone();
        }
        (name, "ssm", "send_command", asked)
    };
    let ssm = |name, operation, asked| (name, "ssm", operation, asked);
    let later = json!([{"key": "InvokedAfter", "value": "2100-01-01T00:00:00Z"}]);
    vec![
        ssm("no commands", "list_commands", json!({})),
        send("a command", "$1", json!({})),
        ssm(
            "its invocation",
            "get_command_invocation",
            json!({"CommandId": "$command", "InstanceId": "$1"}),
        ),
        ssm(
            "the command",
            "list_commands",
            json!({"CommandId": "$command"}),
        ),
        ssm(
            "commands of a node",
            "list_commands",
            json!({"InstanceId": "$1"}),
        ),
        ssm(
            "commands of another",
            "list_commands",
            json!({"InstanceId": "$2"}),
        ),
        ssm(
            "commands of later",
            "list_commands",
            json!({"Filters": later}),
        ),
        ssm(
            "its invocations",
            "list_command_invocations",
            json!({"CommandId": "$command", "Details": true}),
        ),
        ssm(
            "an unknown invocation",
            "get_command_invocation",
            json!({"CommandId": "$command", "InstanceId": "$2"}),
        ),
        ssm(
            "an end of it",
            "cancel_command",
            json!({"CommandId": "$command"}),
        ),
        ssm("the agents", "describe_instance_information", json!({})),
        send("a command to nobody", "i-0123456789abcdef0", json!({})),
        send(
            "a command of no document",
            "$1",
            json!({"DocumentName": "mine"}),
        ),
        send("a long comment", "$1", json!({"Comment": "c".repeat(101)})),
        send("a short time", "$1", json!({"TimeoutSeconds": 29})),
    ]
}

/// All of them, in an order that matters.
pub(crate) fn all() -> Vec<Step> {
    [instances(), tags(), limits(), groups(), commands()].concat()
}
