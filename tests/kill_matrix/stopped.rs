//! SIGSTOP at a call, until somebody else has the node; then SIGCONT: whoever wakes touches nothing.

use roundsman::model::lock::LockState;

use crate::case::{Case, FIRST, Visit};
use crate::cli::until;
use crate::job::{Goes, Job};
use crate::plan::{Hit, hits};
use crate::pool::{large, tally, whole};
use crate::site::signal;
use crate::test_aws::Aws;

/// Wakes the first one, and holds it against what it does then. One that was settling takes its value back, which is a
/// compare-and-delete, and may ask the node for its journal first: nothing of anybody else is touched.
#[track_caller]
fn wake(case: &Case<'_>, first: &mut Visit, settling: bool) {
    let theirs = case.lock();
    let before = case.calls(FIRST);
    signal("CONT", &first.child);
    until("the first one has ended", 90, || first.is_over());
    if let (Some(theirs), Some(now)) = (&theirs, case.lock()) {
        assert_eq!(theirs.claim, now.claim, "{}", case.told());
    }
    let log = case.site.aws.log();
    let later = log.iter().filter(|call| call.caller == FIRST).skip(before);
    let touched: Vec<&str> = later
        .map(|call| call.action.as_str())
        .filter(|action| {
            !["Describe", "List", "Get"]
                .iter()
                .any(|read| action.starts_with(read))
        })
        .filter(|action| !(settling && ["DeleteTags", "SendCommand"].contains(action)))
        .collect();
    assert!(
        touched.is_empty(),
        "it touched {touched:?}\n{}",
        case.told()
    );
}

/// Gives back how the first one ended, unless it was through before that call.
fn one(hit: &Hit) -> Option<i32> {
    let aws = Aws::start();
    let case = Case::new(&aws, hit.job, hit.goes);
    case.signal("STOP", hit);
    let mut first = case.start(FIRST, &["run", "hello"]);
    until("it is stopped, or over", 90, || {
        first.is_stopped() || first.is_over()
    });
    if first.is_over() {
        case.check();
        return None;
    }
    let dead = case.claim();
    let settling = case
        .lock()
        .is_some_and(|lock| lock.state == LockState::Settling);
    let first = std::sync::Mutex::new(first);
    // While somebody else watches the command, or else after the end of all.
    case.visits(
        &["run", "hello"],
        || case.outwait(),
        |visit| {
            if case.goes == Goes::Running {
                visit.until("it is watched", || case.is_watched(dead.as_deref()));
                let mut first = first.lock().expect("the first one");
                if !visit.is_over() && first.is_stopped() {
                    wake(&case, &mut first, settling);
                }
                case.site.folder.write("go", "");
            }
        },
    );
    let mut first = first.into_inner().expect("the first one");
    if first.is_stopped() {
        wake(&case, &mut first, settling);
    }
    let ran = first.end().calm();
    case.check();
    ran.status
}

pub(crate) fn whoever_was_stopped_past_its_lease_wakes_and_touches_nothing() {
    let pairs = if large() {
        vec![
            (Job::One, Goes::Well),
            (Job::One, Goes::Running),
            (Job::Three, Goes::Well),
            (Job::Three, Goes::Running),
            (Job::Always, Goes::Well),
            (Job::Always, Goes::Running),
        ]
    } else {
        vec![(Job::One, Goes::Running)]
    };
    let mut cases = hits(pairs);
    cases.retain(|hit| large() || hit.when == "after");
    let ends = tally("stopped", cases, one);
    println!("how the first one ended: {ends:?}");
    assert!(
        !whole() || ends.contains_key(&Some(4)),
        "some had lost a lease"
    );
}
