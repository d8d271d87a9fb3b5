//! Two at once come to what a killed runner has left.

use crate::case::{Case, NEXT, Visit};
use crate::cli::until;
use crate::job::{Goes, Job};
use crate::kills::kill;
use crate::plan::{Hit, hits};
use crate::pool::{large, tally};
use crate::test_aws::Aws;

/// Gives back how the two ended.
fn one(hit: &Hit) -> [Option<i32>; 2] {
    let aws = Aws::start();
    let case = Case::new(&aws, hit.job, hit.goes);
    kill(&case, hit);
    let dead = case.claim();
    case.expire();
    let mut two = [NEXT, "beside"].map(|caller| case.start(caller, &["run", "hello"]));
    until("both have ended", 120, || {
        if case.goes == Goes::Running && case.is_watched(dead.as_deref()) {
            case.site.folder.write("go", "");
        }
        // Both are asked: none stays a zombie.
        two.iter_mut()
            .map(Visit::is_over)
            .fold(true, |all, it| all & it)
    });
    let ends = two.map(|visit| visit.end().calm().status);
    case.serve(|visit| case.let_go(visit, dead.as_deref()));
    case.check();
    ends
}

pub(crate) fn of_two_who_adopt_at_once_one_does() {
    let pairs = if large() {
        vec![
            (Job::One, Goes::Well),
            (Job::One, Goes::Running),
            (Job::Three, Goes::Running),
            (Job::Always, Goes::Running),
        ]
    } else {
        vec![(Job::One, Goes::Running)]
    };
    let mut cases = hits(pairs);
    if !large() {
        cases.retain(|hit| hit.when == "after");
    }
    let ends = tally("two at once", cases, one);
    println!("how the two ended: {ends:?}");
}
