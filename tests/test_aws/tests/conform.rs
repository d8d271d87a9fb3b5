//! The same boto3 calls to the test AWS and to moto: where they differ, it stands in `DIFFERENCES`, with what decides it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::compare::differences;
use crate::deviations::{self, Deviation};
use crate::steps;
use crate::support;
use crate::test_aws::Aws;

/// The instances of the fleet.
const NODES: usize = 6;

/// Every step, and where the answers to it differ.
fn all_differences() -> BTreeSet<(String, String)> {
    let aws = Aws::start();
    let nodes = aws.fleet(Some("g"), NODES, &[]);
    let steps = steps::all();
    let asked = json!({"endpoint": aws.endpoint(), "nodes": nodes, "steps": steps}).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/conform.py");
    let mut child = Command::new(support::python())
        .args(["-B", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(asked.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "its own words stand above");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut found = BTreeSet::new();
    for (n, (name, ..)) in steps.iter().enumerate() {
        for difference in differences(&told["ours"][n], &told["moto"][n]) {
            found.insert(((*name).to_owned(), difference));
        }
    }
    found
}

/// Whether a row means this difference of this step.
fn covers(row: &Deviation, (step, what): &(String, String)) -> bool {
    let of_step = row.steps.is_empty() || row.steps.contains(&step.as_str());
    let is = |rest: &&str| {
        let place = format!("{}{rest}: {}", row.at, row.what);
        what.starts_with(&place)
    };
    of_step && row.of.iter().any(is)
}

#[test]
fn it_answers_as_moto_does_but_where_aws_decides_otherwise() {
    let found = all_differences();
    let rows = deviations::all();
    let unlisted: Vec<String> = found
        .iter()
        .filter(|each| !rows.iter().any(|row| covers(row, each)))
        .map(|(step, what)| format!("{step}: {what}"))
        .collect();
    let idle: Vec<&Deviation> = rows
        .iter()
        .filter(|row| !found.iter().any(|each| covers(row, each)))
        .copied()
        .collect();
    assert!(
        unlisted.is_empty(),
        "differences that no row explains:\n{}",
        unlisted.join("\n")
    );
    assert!(
        idle.is_empty(),
        "rows of differences that there are not: {idle:#?}"
    );
    assert!(rows.iter().all(|row| row.why.len() > 20));
}

#[test]
fn a_difference_is_covered_by_a_row_of_its_step_and_place_only() {
    let row = Deviation {
        steps: &["a step"],
        at: "List[].",
        of: &["One", "Two"],
        what: "only here",
        why: "",
    };
    let is = |step: &str, what: &str| covers(&row, &(step.to_owned(), what.to_owned()));
    assert!(is("a step", "List[].Two: only here"));
    assert!(!is("another step", "List[].Two: only here"));
    assert!(!is("a step", "List[].Two: only at moto"));
    assert!(!is("a step", "List[].Three: only here"));
    assert!(!is("a step", "Two: only here"));
}
