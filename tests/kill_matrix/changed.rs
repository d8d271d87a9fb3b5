//! A runner is killed, and the job file is another one when the next one comes.

use std::fmt;

use crate::case::{Case, NEXT};
use crate::job::{Goes, Job};
use crate::kills::kill;
use crate::plan::{Hit, hits};
use crate::pool::{large, tally, whole};
use crate::test_aws::Aws;

/// What the numbers of the new file's commands have more.
const NEW: u32 = 10;

/// Whether the next one goes on all the same.
struct Change {
    hit: Hit,
    accepts: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.accepts { "accepts" } else { "refuses" };
        write!(f, "{}{word}/", self.hit)
    }
}

/// Gives back why the run failed; `None`: it did not.
fn one(change: &Change) -> Option<String> {
    let (job, goes) = (change.hit.job, change.hit.goes);
    let aws = Aws::start();
    let case = Case::new(&aws, job, goes);
    kill(&case, &change.hit);
    let dead = case.claim();
    let folder = case.site.folder.path().display().to_string();
    // Nothing that is sent from now on waits: what waits is the old file's.
    let calm = if goes == Goes::Running {
        Goes::Well
    } else {
        goes
    };
    case.site.job(&job.text(calm, &folder, NEW));
    let args: &[&str] = if change.accepts {
        &["run", "hello", "--accept-changed"]
    } else {
        &["run", "hello"]
    };
    case.visits(
        args,
        || case.expire(),
        |visit| {
            visit.until("it has ended", || {
                if case.is_watched(dead.as_deref()) {
                    case.site.folder.write("go", "");
                }
                false
            });
        },
    );
    assert!(case.calls(NEXT) > 0 || dead.is_none());
    judge(&case, change.accepts)
}

/// What has to hold in the end, and why the run failed.
#[track_caller]
fn judge(case: &Case<'_>, accepts: bool) -> Option<String> {
    let (left, runs) = (case.site.left(0), case.runs());
    let told = || format!("{left:?}\n{runs:?}\n{}", case.told());
    assert!(!left.contains_key("lock"), "{}", told());
    let whole = case.job.does(case.goes);
    let mut complete = 0;
    for run in runs.values() {
        assert!(run.values().all(|status| *status == Some(0)), "{}", told());
        let numbers: Vec<u32> = run.keys().map(|it| it.0).collect();
        let mut plain: Vec<u32> = numbers.iter().map(|number| number % NEW).collect();
        plain.sort_unstable();
        let is_step = |number: &&u32| **number % NEW <= case.job.steps();
        let (new, old) = numbers
            .iter()
            .filter(is_step)
            .partition::<Vec<u32>, _>(|it| **it > NEW);
        if !accepts {
            assert!(
                new.is_empty() || old.is_empty(),
                "both files' steps: {}",
                told()
            );
        }
        complete += usize::from(plain == whole);
        plain.dedup();
        let once = plain.len() == numbers.len();
        assert!(once, "a command of each number: {}", told());
    }
    let reason = left
        .get("fail-hello")
        .and_then(|fail| fail.split_once("reason="));
    let reason = reason.map(|it| it.1.to_owned());
    assert_eq!(
        left.contains_key("last-hello"),
        reason.is_none(),
        "{}",
        told()
    );
    if let Some(reason) = &reason {
        assert!(!accepts && reason == "job-changed", "{}", told());
    } else {
        assert_eq!((runs.len(), complete), (1, 1), "{}", told());
    }
    reason
}

pub(crate) fn a_run_is_not_gone_on_with_under_another_file_unless_that_is_said() {
    let pairs = if large() {
        vec![
            (Job::One, Goes::Well),
            (Job::Three, Goes::Well),
            (Job::Three, Goes::Running),
            (Job::Always, Goes::Well),
            (Job::Always, Goes::Running),
        ]
    } else {
        vec![(Job::One, Goes::Well)]
    };
    let mut cases = Vec::new();
    for hit in hits(pairs) {
        if large() {
            cases.push(Change { hit, accepts: true });
        }
        if large() || hit.when == "after" {
            cases.push(Change {
                hit,
                accepts: false,
            });
        }
    }
    let ends = tally("changed", cases, one);
    println!("why runs failed: {ends:?}");
    assert!(!whole() || ends.len() == 2, "some were done, some not");
}
