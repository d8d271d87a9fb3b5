//! SIGKILL at every call of a run, before and after it has taken effect.

use std::collections::BTreeMap;

use crate::case::{Case, FIRST, NEXT};
use crate::cli::until;
use crate::job::{Goes, Job, PRODUCT};
use crate::plan::{Hit, hits};
use crate::pool::{all, large, whole};
use crate::test_aws::Aws;

/// What came of it.
struct Came {
    /// Whether it was killed; else the run had ended by then.
    killed: bool,
    /// How often somebody had to come, and how many calls all of them made.
    visits: usize,
    calls: usize,
}

/// The run of whoever comes first, killed or not.
pub(crate) fn kill(case: &Case<'_>, hit: &Hit) -> bool {
    case.signal("KILL", hit);
    let ran = case.start(FIRST, &["run", "hello"]).end();
    if ran.status.is_some() {
        assert!(matches!(ran.status, Some(0 | 1)), "{ran:?}");
        return false;
    }
    // Its end is seen here before the test AWS has written the call's end down.
    until("its last call is lost", 20, || {
        let log = case.site.aws.log();
        let last = log.iter().rfind(|call| call.caller == FIRST);
        last.is_some_and(|call| call.answer.as_deref() == Some("lost"))
    });
    true
}

fn one(hit: &Hit) -> Came {
    let aws = Aws::start();
    let case = Case::new(&aws, hit.job, hit.goes);
    let killed = kill(&case, hit);
    let dead = case.claim();
    let visits = case.serve(|visit| case.let_go(visit, dead.as_deref()));
    case.check();
    Came {
        killed,
        visits: visits.len(),
        calls: case.calls(NEXT),
    }
}

pub(crate) fn whoever_is_killed_at_any_call_the_next_one_brings_the_run_to_its_end() {
    let product = PRODUCT
        .iter()
        .flat_map(|(job, all)| all.iter().map(|&goes| (*job, goes)));
    let mut pairs: Vec<(Job, Goes)> = product.collect();
    if !large() {
        pairs.retain(|pair| [(Job::One, Goes::Running), (Job::Always, Goes::Well)].contains(pair));
    }
    let mut cases = hits(pairs);
    cases.retain(|hit| large() || hit.job == Job::One || hit.when == "after");
    let mut rows: BTreeMap<(Job, Goes), [usize; 4]> = BTreeMap::new();
    for (hit, came) in all("killed", cases, one) {
        let row = rows.entry((hit.job, hit.goes)).or_default();
        row[usize::from(!came.killed)] += 1;
        row[2] = row[2].max(came.visits);
        row[3] = row[3].max(came.calls);
    }
    for ((job, goes), [killed, ended, visits, calls]) in rows {
        println!(
            "{job:?} {goes:?}: killed {killed}, ended before {ended}; at most {visits} visits, {calls} calls"
        );
        assert!(
            !whole() || goes == Goes::Running || ended > 0,
            "the last call was hit too"
        );
    }
}
