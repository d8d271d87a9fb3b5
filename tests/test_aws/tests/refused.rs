//! What is refused, and by which code.

use serde_json::{Value, json};

use crate::ask::{ec2, ssm};
use crate::test_aws::Aws;

/// Action, parameters, code. `$node` is a node, `$long` 257 characters.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const NOBODY: &str = "i-0123456789abcdef0";

const READS: &[Row] = &[
    (
        "DescribeInstances",
        &[("MaxResults", "4")],
        "InvalidParameterValue",
    ),
    (
        "DescribeInstances",
        &[("MaxResults", "1001")],
        "InvalidParameterValue",
    ),
    (
        "DescribeInstances",
        &[("MaxResults", "5"), ("InstanceId.1", "$node")],
        "InvalidParameterCombination",
    ),
    (
        "DescribeInstances",
        &[("InstanceId.1", NOBODY)],
        "InvalidInstanceID.NotFound",
    ),
    (
        "DescribeInstances",
        &[("InstanceId.1", "i-what")],
        "InvalidInstanceID.Malformed",
    ),
    (
        "DescribeInstances",
        &[("NextToken", "what")],
        "InvalidPaginationToken",
    ),
    (
        "DescribeInstances",
        &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
        "InvalidParameterValue",
    ),
    (
        "DescribeInstances",
        &[("Colour", "red")],
        "UnknownParameter",
    ),
    // A filter names no instance that has to be there.
    (
        "DescribeInstances",
        &[
            ("Filter.1.Name", "instance-id"),
            ("Filter.1.Value.1", NOBODY),
        ],
        "ok",
    ),
];

const WRITES: &[Row] = &[
    (
        "CreateTags",
        &[("ResourceId.1", NOBODY), ("Tag.1.Key", "k")],
        "InvalidInstanceID.NotFound",
    ),
    (
        "CreateTags",
        &[("ResourceId.1", "$node"), ("Tag.1.Key", "aws:k")],
        "InvalidParameterValue",
    ),
    (
        "CreateTags",
        &[("ResourceId.1", "$node"), ("Tag.1.Key", "$long")],
        "InvalidParameterValue",
    ),
    (
        "CreateTags",
        &[
            ("ResourceId.1", "$node"),
            ("Tag.1.Key", "k"),
            ("Tag.1.Value", "$long"),
        ],
        "InvalidParameterValue",
    ),
    (
        "CreateTags",
        &[
            ("ResourceId.1", "$node"),
            ("Tag.1.Key", "k"),
            ("DryRun", "true"),
        ],
        "DryRunOperation",
    ),
    (
        "CreateTags",
        &[("ResourceId.1", "$node")],
        "MissingParameter",
    ),
    ("CreateTags", &[("Tag.1.Key", "k")], "MissingParameter"),
];

#[test]
fn what_ec2_does_not_take_is_refused_by_its_code() {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    let long = "x".repeat(257);
    for (action, asked, code) in READS.iter().chain(WRITES) {
        let given = |value: &'static str| match value {
            "$node" => node.as_str(),
            "$long" => long.as_str(),
            value => value,
        };
        let asked: Vec<(&str, &str)> = asked
            .iter()
            .map(|(name, value)| (*name, given(value)))
            .collect();
        assert_eq!(
            ec2(&aws, action, &asked).code(),
            *code,
            "{action} {asked:?}"
        );
    }
    let keys: Vec<String> = aws.tags(&node).into_keys().collect();
    assert_eq!(keys, ["Name"], "nothing was written");
}

#[test]
fn a_filter_has_at_most_200_values_and_a_call_50_filters() {
    let aws = Aws::start();
    let values = |count: usize| -> Vec<(String, String)> {
        let name = [("Filter.1.Name".to_owned(), "key".to_owned())];
        let values = (1..=count).map(|n| (format!("Filter.1.Value.{n}"), n.to_string()));
        name.into_iter().chain(values).collect()
    };
    let filters = |count: usize| -> Vec<(String, String)> {
        let each = |n: usize| {
            [
                (format!("Filter.{n}.Name"), "key".to_owned()),
                (format!("Filter.{n}.Value.1"), "k".to_owned()),
            ]
        };
        (1..=count).flat_map(each).collect()
    };
    for (asked, code) in [
        (values(200), "ok"),
        (values(201), "FilterLimitExceeded"),
        (filters(50), "ok"),
        (filters(51), "FilterLimitExceeded"),
    ] {
        let asked: Vec<(&str, &str)> = asked
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(ec2(&aws, "DescribeTags", &asked).code(), code);
    }
}

#[test]
fn what_ssm_does_not_take_is_refused_by_its_code() {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    let with = |changes: Value| {
        let mut asked = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": [node], "Parameters": {"commands": ["true"]},
        });
        for (name, value) in changes.as_object().expect("an object") {
            asked[name] = value.clone();
        }
        ssm(&aws, "SendCommand", &asked).code()
    };
    let many: Vec<&str> = vec![&node; 51];
    for (changes, code) in [
        (json!({}), "ok"),
        (
            json!({"InstanceIds": [node, "i-0123456789abcdef0"]}),
            "InvalidInstanceId",
        ),
        (json!({"InstanceIds": many}), "ValidationException"),
        (json!({"DocumentName": "mine"}), "InvalidDocument"),
        (json!({"Comment": "x".repeat(101)}), "ValidationException"),
        (json!({"TimeoutSeconds": 29}), "ValidationException"),
        (json!({"Colour": "red"}), "ValidationException"),
        (json!({"Parameters": {}}), "InvalidParameters"),
        (
            json!({"Parameters": {"commands": ["echo {{ssm:x}}"]}}),
            "InvalidParameters",
        ),
        (
            json!({"Parameters": {"commands": ["x".repeat(65_537)]}}),
            "MaxDocumentSizeExceeded",
        ),
        (
            json!({"Parameters": {"commands": ["true"], "executionTimeout": ["172801"]}}),
            "InvalidParameters",
        ),
    ] {
        assert_eq!(with(changes.clone()), code, "{changes}");
    }
    aws.instance(&node, &json!({"state": "terminated"}));
    assert_eq!(with(json!({})), "InvalidInstanceId");
    let told = ssm(&aws, "DescribeInstanceInformation", &json!({})).json();
    assert_eq!(told["InstanceInformationList"], json!([]));
}
