//! Each call of a run in turn goes wrong in each way: the work is done once and recorded all the same, and nothing hangs.

use std::time::Duration;

use crate::case::{Case, SHORT};
use crate::lots::{Lots, large};
use crate::message::Request;
use crate::proxy::{Fate, Proxy};
use crate::support::Aws;
use crate::wrong::{all_of, at_once, calm, each_of, fates, job};

#[test]
fn whichever_call_goes_wrong_the_work_is_done_once_and_recorded() {
    let aws = Aws::start();
    let calls = calm(&aws, "node");
    let mut cases = each_of(&calls, "node", 1);
    if large() {
        cases.extend(each_of(&calls, "node", 3));
        let calls = calm(&aws, "runner");
        cases.extend(each_of(&calls, "runner", 1));
        cases.extend(each_of(&calls, "runner", 3));
    }
    all_of(&aws, cases);
}

/// One call of six goes wrong, in some way that it can, over two invocations; then the weather is calm.
///
/// Here the same work may be done again after an invocation that did not record it, never beside itself.
fn storm(aws: &Aws, seed: u64) -> (usize, usize) {
    let group: &'static str = format!("storm-{seed}").leak();
    let mut lots = Lots::new(seed);
    let plan = move |number, call: &Request| {
        if number > 60 || lots.below(6) > 0 {
            return Fate::Pass;
        }
        let mut fates = fates(&call.action);
        if call.action.starts_with("Describe") {
            fates.push(Fate::Stale(Duration::from_millis(200)));
        }
        fates[lots.below(fates.len())]
    };
    let proxy = Proxy::new(aws, plan).with_past(Lots::new(seed));
    let case = Case::new(aws, group, 1, SHORT, proxy);
    let on = if seed.is_multiple_of(3) {
        "runner"
    } else {
        "node"
    };
    case.site.job(&job(&case, on, 2.0));
    let all = case.serve(12);
    let log = || format!("seed {seed}\n{}\n{all:#?}", case.calls());
    let [begun, ended, overlaps] = case.worked();
    assert_eq!(overlaps, 0, "never two at once: {}", log());
    assert!(begun >= 1 && ended >= 1, "{}", log());
    let mut attempts = case.site.lines("begun");
    attempts.sort();
    attempts.dedup();
    assert_eq!(attempts.len(), begun, "no attempt ran twice: {}", log());
    let unrecorded = all.iter().filter(|it| it.count("committed") == 0).count();
    assert!(
        begun <= unrecorded + 1,
        "only what was not recorded is done again: {}",
        log()
    );
    (all.len(), begun)
}

#[test]
fn in_a_storm_the_work_is_done_and_recorded() {
    let aws = Aws::start();
    let seed = Lots::seed("storm");
    let came = std::sync::Mutex::new(Vec::new());
    let failed = std::sync::Mutex::new(Vec::new());
    let count = if large() { 100 } else { 8 };
    at_once((seed..seed + count).collect(), |seed| {
        let calm = std::panic::AssertUnwindSafe(|| storm(&aws, seed));
        match std::panic::catch_unwind(calm) {
            Ok(it) => came.lock().expect("a list").push(it),
            Err(_) => failed.lock().expect("a list").push(seed),
        }
    });
    let came = came.into_inner().expect("a list");
    println!(
        "{} storms: {} invocations, {} executions",
        came.len(),
        came.iter().map(|it| it.0).sum::<usize>(),
        came.iter().map(|it| it.1).sum::<usize>(),
    );
    let failed = failed.into_inner().expect("a list");
    assert!(failed.is_empty(), "seeds {failed:?}");
}
