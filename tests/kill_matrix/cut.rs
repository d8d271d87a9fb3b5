//! The network of a runner is cut at a call, for good; the runner lives on.

use serde_json::json;

use crate::case::{Case, FIRST};
use crate::cli::until;
use crate::job::{Goes, Job};
use crate::plan::{Hit, hits};
use crate::pool::{large, tally, whole};
use crate::test_aws::Aws;

/// Gives back how the first one ended.
fn one(hit: &Hit) -> Option<i32> {
    let aws = Aws::start();
    let case = Case::new(&aws, hit.job, hit.goes);
    // The first fault that strikes counts, and those before it count its call: so the later one stands first.
    aws.fault(&json!({"mode": "lost-before", "caller": FIRST, "skip": hit.n, "count": -1}));
    let mode = format!("lost-{}", hit.when);
    aws.fault(&json!({"mode": mode, "caller": FIRST, "skip": hit.n - 1}));
    case.spoil();
    let mut first = case.start(FIRST, &["run", "hello"]);
    until("its call is lost, or it is over", 90, || {
        case.calls(FIRST) >= hit.n || first.is_over()
    });
    let dead = case.claim();
    case.visits(
        &["run", "hello"],
        || {
            if case.claim().is_none() {
                until("the first one has ended", 90, || {
                    first_is_over(&case, hit) || case.is_settled()
                });
            }
            case.outwait();
        },
        |visit| case.let_go(visit, dead.as_deref()),
    );
    until("the first one has ended", 120, || first.is_over());
    let ran = first.end().calm();
    case.check();
    ran.status
}

/// Whether it cannot claim any more.
fn first_is_over(case: &Case<'_>, hit: &Hit) -> bool {
    case.calls(FIRST) > hit.n || case.claim().is_some()
}

pub(crate) fn whoever_is_cut_off_at_any_call_the_next_one_brings_the_run_to_its_end() {
    let pairs = if large() {
        vec![
            (Job::One, Goes::Well),
            (Job::One, Goes::Running),
            (Job::Three, Goes::Well),
            (Job::Always, Goes::Well),
            (Job::Failed, Goes::Failing),
        ]
    } else {
        vec![(Job::One, Goes::Well)]
    };
    let mut cases = hits(pairs);
    cases.retain(|hit| large() || hit.when == "after");
    let ends = tally("cut off", cases, one);
    println!("how the first one ended: {ends:?}");
    assert!(
        !whole() || ends.contains_key(&Some(5)),
        "some could not work"
    );
}
