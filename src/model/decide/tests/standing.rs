//! A settled claim, judged again.

use super::*;
use crate::model::decide::standing::{Mine, Standing, standing};
use crate::model::id::RunId;

#[test]
fn a_take_over_stands_when_everything_is_decided_again() {
    let over = lock(-400, LockState::Held);
    let mine = Lock {
        claim: ClaimId::new(u64::pow(2, 41), 9),
        ..lock(600, LockState::Settling)
    };
    let served_before = node(
        "a",
        &[("lock", &mine.format()), ("last-repair", "2025-11-22")],
    );
    let ask = |node: Node| {
        standing(
            &rules(),
            &view(vec![node]),
            &wish(),
            &NodeId("a".to_owned()),
            Mine {
                claim: mine.claim,
                over: Some(&over),
                take: &adopting(&over),
            },
        )
    };
    assert_eq!(ask(served_before), Standing::Enter);
}

#[test]
fn a_settled_claim_is_judged_by_the_same_questions() {
    let mine = lock(600, LockState::Settling);
    let show = |tags: &[(&str, &str)]| {
        let mut node = node("a", tags);
        node.tags.insert("lock".to_owned(), mine.format());
        standing(
            &rules(),
            &view(vec![node, self::node("b", &[])]),
            &wish(),
            &NodeId("a".to_owned()),
            Mine {
                claim: mine.claim,
                over: None,
                take: &Take::Free,
            },
        )
    };
    assert_eq!(show(&[]), Standing::Enter);
    assert!(matches!(show(&[("hold", "yes")]), Standing::Withdraw(why) if why.contains("hold")));
    assert!(
        matches!(show(&[("last-repair", "2026-11-23")]), Standing::Withdraw(why) if why.contains("due in"))
    );
}

#[test]
fn of_two_settling_claims_the_lower_stays_and_the_higher_withdraws() {
    let claim = |n: u64| Lock {
        claim: ClaimId::new(n, 0),
        ..lock(600, LockState::Settling)
    };
    let nodes = vec![
        node("a", &[("lock", &claim(1).format())]),
        node("b", &[("lock", &claim(2).format())]),
    ];
    let ask = |id: &str, n: u64| {
        standing(
            &rules(),
            &view(nodes.clone()),
            &wish(),
            &NodeId(id.to_owned()),
            Mine {
                claim: ClaimId::new(n, 0),
                over: None,
                take: &Take::Free,
            },
        )
    };
    assert_eq!(ask("a", 1), Standing::Stay);
    assert!(matches!(ask("b", 2), Standing::Withdraw(_)));
}

#[test]
fn only_the_same_answer_enters() {
    let over = lock(-400, LockState::Held);
    let mine = Lock {
        claim: ClaimId::new(u64::pow(2, 41), 9),
        ..lock(600, LockState::Settling)
    };
    let ask = |tags: &[(&str, &str)], take: &Take| {
        let mut node = node("a", tags);
        node.tags.insert("lock".to_owned(), mine.format());
        let claimed = Mine {
            claim: mine.claim,
            over: Some(&over),
            take,
        };
        standing(
            &rules(),
            &view(vec![node]),
            &wish(),
            &NodeId("a".to_owned()),
            claimed,
        )
    };
    assert_eq!(ask(&[], &adopting(&over)), Standing::Enter);
    // The run that was found there has committed meanwhile: it is not done twice.
    assert!(matches!(
        ask(&[("last-repair", "2026-11-23T00:10:00Z")], &adopting(&over)),
        Standing::Ended(_)
    ));
    let Take::Adopt { found, run } = adopting(&over) else {
        panic!("it adopts");
    };
    let given_up = Take::Over {
        found: found.clone(),
        run: run.clone(),
    };
    assert!(matches!(ask(&[], &given_up), Standing::Withdraw(_)));
    let another = LeftRun {
        run: RunId::new(7, 7),
        ..run
    };
    let of_another = Take::Adopt {
        found,
        run: another,
    };
    assert!(matches!(ask(&[], &of_another), Standing::Withdraw(_)));
}

/// The adoption of the run that a lock names.
fn adopting(over: &Lock) -> Take {
    Take::Adopt {
        found: over.format(),
        run: LeftRun {
            job: over.job.clone(),
            task: over.task.clone(),
            run: over.run,
            step: over.step,
            state: over.state,
            file: over.file,
        },
    }
}

#[test]
fn an_adoption_is_not_entered_over_what_another_job_runs_there_or_what_could_not_be_asked() {
    let over = lock(-400, LockState::Held);
    let mine = Lock {
        claim: ClaimId::new(u64::pow(2, 41), 9),
        ..lock(600, LockState::Settling)
    };
    let node = node("a", &[("lock", &mine.format())]);
    let claimed = Mine {
        claim: mine.claim,
        over: Some(&over),
        take: &adopting(&over),
    };
    let ask = |evidence: Option<Evidence>| {
        let mut view = view(vec![node.clone()]);
        view.evidence = evidence
            .map(|evidence| (node.id.clone(), evidence))
            .into_iter()
            .collect();
        standing(&rules(), &view, &wish(), &node.id, claimed)
    };
    let running = Command {
        job: crate::model::id::Name::new("backup").expect("a name"),
        run: over.run,
        step: 1,
        attempt: 1,
        activity: Activity::InProgress,
        handle: None,
    };
    assert!(matches!(
        ask(Some(Evidence::Commands(vec![running]))),
        Standing::Withdraw(_)
    ));
    assert!(matches!(ask(None), Standing::Withdraw(_)));
    assert_eq!(ask(Some(Evidence::Commands(vec![]))), Standing::Enter);
    assert_eq!(
        view(vec![node.clone()])
            .asks_evidence(&rules(), Some(&node.id))
            .len(),
        1
    );
}
