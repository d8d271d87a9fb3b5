//! How long it takes from a runner's death until its run is done, when nobody helps; and how many calls that costs.

use std::time::Duration;

use crate::case::{Case, NEXT};
use crate::cli::until;
use crate::job::{Goes, Job};
use crate::kills::kill;
use crate::plan::{Hit, hits};
use crate::pool::{all, large};
use crate::site::clock;
use crate::test_aws::Aws;

/// Seconds from the death of the first one until another one holds the node, and until the run is recorded; the calls
/// of the invocation that did it, and of those before it.
fn one(hit: &Hit) -> (u64, u64, usize, usize) {
    let aws = Aws::start();
    let case = Case::new(&aws, hit.job, hit.goes);
    assert!(kill(&case, hit));
    let died = clock();
    let dead = case.claim();
    let mut adopted = None;
    let mut calls = 0;
    let mut before = 0;
    while !case.is_settled() {
        assert!(died.elapsed() < Duration::from_secs(90), "{}", case.told());
        before = calls;
        let mut visit = case.start(NEXT, &["run", "hello"]);
        visit.until("it is watched", || case.is_watched(dead.as_deref()));
        if !visit.is_over() {
            adopted.get_or_insert(died.elapsed());
            case.site.folder.write("go", "");
        }
        visit.end().status(0);
        calls = case.calls(NEXT);
        let ended = clock();
        until("a second has passed", 5, || {
            case.is_settled() || ended.elapsed() > Duration::from_secs(1)
        });
    }
    let recorded = died.elapsed();
    case.check();
    let adopted = adopted.expect("it was adopted");
    (
        adopted.as_secs(),
        recorded.as_secs(),
        calls - before,
        before,
    )
}

pub(crate) fn a_dead_runners_run_is_adopted_once_its_lease_and_the_margin_are_over() {
    let mut cases = hits([(Job::One, Goes::Running)]);
    let most = cases.iter().map(|hit| hit.n).max().unwrap_or(0);
    cases.retain(|hit| hit.n == most && (large() || hit.when == "after"));
    for (hit, (adopted, recorded, calls, before)) in all("recovery", cases, one) {
        println!(
            "{hit}: adopted after {adopted} s, recorded after {recorded} s, by {calls} calls; {before} calls looked before \
             (ttl 20 s, margin 5 s, looked at every two seconds)"
        );
        // The lease lasts 20 s from its last write, the margin 5 s, and settling 3.4 s; the rest is the machine's.
        assert!((15..60).contains(&adopted), "{adopted} s");
    }
}
