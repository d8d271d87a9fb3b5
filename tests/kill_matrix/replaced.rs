//! A node is replaced by another one in the middle of a run, whose runner goes on or is killed.

use std::fmt;

use serde_json::json;

use crate::case::{Case, FIRST};
use crate::cli::until;
use crate::job::{Goes, Job};
use crate::plan::{Hit, hits};
use crate::pool::{large, tally};
use crate::site::signal;
use crate::test_aws::Aws;

/// What becomes of the runner that was at it.
struct Replaced {
    hit: Hit,
    then: &'static str,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/", self.hit, self.then.to_lowercase())
    }
}

/// Gives back how the first one ended, and what is left on the node that is gone.
fn one(replaced: &Replaced) -> (Option<i32>, Vec<String>) {
    let aws = Aws::start();
    let mut case = Case::new(&aws, replaced.hit.job, replaced.hit.goes);
    case.signal("STOP", &replaced.hit);
    let mut first = case.start(FIRST, &["run", "hello"]);
    until("it is stopped, or over", 90, || {
        first.is_stopped() || first.is_over()
    });
    let old = case.site.nodes[0].clone();
    aws.instance(&old, &json!({"state": "terminated"}));
    case.site.nodes = aws.fleet(Some(case.site.group), 1, &[]);
    // What waits on the node that is gone is gone too.
    case.site.folder.write("go", "");
    if !first.is_over() {
        signal(replaced.then, &first.child);
    }
    let first = first.end();
    case.serve(|_| ());
    assert_eq!(
        case.site.keys(0),
        ["last-hello", "took-hello"],
        "{}",
        case.told()
    );
    let whole = case.job.does(case.goes);
    let runs = case.runs();
    let is_whole = |run: &&crate::case::Done| {
        let numbers: Vec<u32> = run.keys().map(|it| it.0).collect();
        numbers == whole && run.values().all(|status| *status == Some(0))
    };
    let complete = runs.values().filter(is_whole).count();
    let tags = aws.tags(&old);
    let recorded = usize::from(tags.contains_key("last-hello"));
    assert!(
        complete == 1 + recorded || complete == 2 && recorded == 0,
        "{tags:?} {runs:?}\n{}",
        case.told()
    );
    let left = tags
        .into_keys()
        .filter(|key| key != "Name" && !key.starts_with("aws:"));
    (first.status, left.collect())
}

pub(crate) fn when_a_node_is_replaced_in_the_middle_the_new_one_is_served() {
    let pairs = if large() {
        vec![
            (Job::One, Goes::Well),
            (Job::One, Goes::Running),
            (Job::Three, Goes::Running),
            (Job::Always, Goes::Well),
        ]
    } else {
        vec![(Job::One, Goes::Running)]
    };
    let mut cases = Vec::new();
    for hit in hits(pairs) {
        if large() {
            cases.extend(["CONT", "KILL"].map(|then| Replaced { hit, then }));
        } else if hit.when == "after" {
            // A living one waits until SSM gives up a command on a node that is gone: minutes.
            cases.push(Replaced { hit, then: "KILL" });
        }
    }
    let ends = tally("replaced", cases, one);
    println!("how the first one ended, and what is left on the node that is gone: {ends:#?}");
}
