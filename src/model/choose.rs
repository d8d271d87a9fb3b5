//! From judged rows to the one thing to do: which node is claimed, with which lock, or which leftover is removed.

use crate::model::decide::{Row, Take};
use crate::model::id::{ClaimId, NodeId, RunId};
use crate::model::lease::Found;
use crate::model::lock::{Lock, LockState};
use crate::model::node::Node;
use crate::model::rule::Rule;
use crate::model::suspect::LeftRun;
use crate::model::view::{Rules, View};

/// Who claims, and with which ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant<'a> {
    /// `[lease] owner`.
    pub owner: &'a str,
    /// The claim's id, never used before.
    pub claim: ClaimId,
    /// The run's, if a new one begins.
    pub run: RunId,
    /// After a lost claim: by which lot one of those that may be served now is chosen, so that runners who met once
    /// do not meet again. `None`: the first.
    pub lot: Option<u128>,
    /// Whether a run that began under another job file is gone on with under this one, as if it had begun so.
    pub accept_changed: bool,
}

/// The one thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Claim a node.
    Claim(Box<Chosen>),
    /// Remove the lock of a run that has ended, or never began; then decide anew.
    Remove {
        /// The node.
        node: NodeId,
        /// The lock's exact value.
        found: String,
    },
    /// Nothing may be done now.
    Nothing,
}

/// A node to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The node as it was decided on.
    pub node: Node,
    /// How it is taken.
    pub take: Take,
    /// The lock to claim it with; state, count and end are the lease's to set.
    pub own: Lock,
    /// The lock that it is written over.
    pub over: Option<Found>,
}

/// Chooses from rows in serving order. A lock that is nobody's is removed before anything is claimed, on nodes out of
/// service too; what was left by the own job goes before what is free.
pub fn choose(rules: &Rules, view: &View, rows: &[Row], claimant: &Claimant<'_>) -> Choice {
    let leftover = rows
        .iter()
        .find_map(|row| row.remove.as_ref().map(|found| (&row.node, found)));
    if let Some((node, found)) = leftover {
        return Choice::Remove {
            node: node.clone(),
            found: found.clone(),
        };
    }
    let takes: Vec<(&Row, &Take)> = rows
        .iter()
        .filter_map(|row| row.take.as_ref().map(|take| (row, take)))
        .collect();
    let Some((row, take)) = pick(&takes, claimant.lot) else {
        return Choice::Nothing;
    };
    if let Take::Remove { found } = take {
        return Choice::Remove {
            node: row.node.clone(),
            found: found.clone(),
        };
    }
    let Some(node) = view.node(&row.node) else {
        return Choice::Nothing;
    };
    let over = take.found().zip(row.lock.clone());
    let over = over.map(|(value, lock)| Found {
        value: value.to_owned(),
        lock,
    });
    Choice::Claim(Box::new(Chosen {
        node: node.clone(),
        own: own_lock(rules, view, take, over.as_ref(), claimant),
        take: take.clone(),
        over,
    }))
}

/// What the own job left behind, and leftovers, without what may be claimed anew.
pub fn left_behind(rows: &[Row]) -> Vec<Row> {
    let left = |row: &&Row| match row.take {
        Some(Take::Adopt { .. } | Take::Remove { .. }) => true,
        Some(Take::Free | Take::Over { .. }) | None => row.remove.is_some(),
    };
    rows.iter().filter(left).cloned().collect()
}

/// The first; or by lot one of those that are as urgent as the first: left behind, or free.
fn pick<'r>(takes: &[(&'r Row, &'r Take)], lot: Option<u128>) -> Option<(&'r Row, &'r Take)> {
    let first = *takes.first()?;
    let Some(lot) = lot else {
        return Some(first);
    };
    let free = |take: &Take| *take == Take::Free;
    let equals: Vec<_> = takes
        .iter()
        .filter(|(_, take)| free(take) == free(first.1))
        .collect();
    let index = usize::try_from(lot % u128::try_from(equals.len()).ok()?).ok()?;
    equals.get(index).copied().copied()
}

/// The lock of a claim. One that adopts keeps the run, its step and its file, and says in `was` what it found.
fn own_lock(
    rules: &Rules,
    view: &View,
    take: &Take,
    over: Option<&Found>,
    claimant: &Claimant<'_>,
) -> Lock {
    let job = &rules.job;
    let fresh = Lock {
        run: claimant.run,
        claim: claimant.claim,
        seq: 0,
        state: LockState::Settling,
        set: rules.lease.set(),
        job: job.name.clone(),
        task: job.task.clone(),
        file: job.file_digest(),
        step: 0,
        was: None,
        owner: claimant.owner.to_owned(),
        until: view.now,
    };
    let Take::Adopt { run: left, .. } = take else {
        return fresh;
    };
    let LeftRun {
        run,
        step,
        state,
        file,
        ..
    } = left.clone();
    let successor = over.and_then(|found| found.lock.claim.next());
    let derived = successor.filter(|_| !rules.without.keeps(Rule::FreshId));
    Lock {
        run,
        claim: derived.unwrap_or(claimant.claim),
        step,
        file: if claimant.accept_changed {
            job.file_digest()
        } else {
            file
        },
        was: Some(state).filter(|_| rules.without.keeps(Rule::Was)),
        ..fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decide::{Wish, decide};
    use crate::model::lock::tests::sample;
    use crate::model::time::later;
    use crate::model::view::tests::{node, now, rules, view};

    fn claimant(lot: Option<u128>) -> Claimant<'static> {
        Claimant {
            owner: "me",
            claim: ClaimId::new(u64::pow(2, 42), 1),
            run: RunId::new(u64::pow(2, 42), 2),
            lot,
            accept_changed: false,
        }
    }

    fn ask(rules: &Rules, nodes: Vec<Node>, lot: Option<u128>) -> Choice {
        let view = view(nodes);
        let rows = decide(rules, &view, &Wish::default());
        choose(rules, &view, &rows, &claimant(lot))
    }

    fn chosen(choice: &Choice) -> &str {
        match choice {
            Choice::Claim(chosen) => chosen.node.id.as_str(),
            Choice::Remove { node, .. } => node.as_str(),
            Choice::Nothing => "",
        }
    }

    /// A lock of the sample job whose lease ended long ago.
    fn left(state: LockState) -> String {
        Lock {
            state,
            set: rules().lease.set(),
            until: now()
                .checked_sub(jiff::SignedDuration::from_secs(4_000))
                .expect("a time"),
            ..sample()
        }
        .format()
    }

    #[test]
    fn the_first_is_chosen_and_after_a_lost_claim_any_that_may_be_served() {
        let nodes = || vec![node("a", &[]), node("b", &[]), node("c", &[])];
        assert_eq!(chosen(&ask(&rules(), nodes(), None)), "a");
        let by_lot: Vec<String> = (0..4)
            .map(|lot| chosen(&ask(&rules(), nodes(), Some(lot))).to_owned())
            .collect();
        assert_eq!(by_lot, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_lot_never_passes_over_a_run_that_was_left_for_a_free_node() {
        let mut rules = rules();
        rules.job.limits.nodes = 4;
        let nodes = || {
            vec![
                node("a", &[]),
                node("b", &[("lock", &left(LockState::Held))]),
                node("c", &[]),
            ]
        };
        for lot in [None, Some(0), Some(1), Some(2)] {
            assert_eq!(chosen(&ask(&rules, nodes(), lot)), "b", "{lot:?}");
        }
    }

    #[test]
    fn an_adopting_claim_keeps_the_run_and_says_what_it_found() {
        for state in [LockState::Held, LockState::Stopping, LockState::Parked] {
            let found = left(state);
            let choice = ask(&rules(), vec![node("a", &[("lock", &found)])], None);
            let Choice::Claim(chosen) = choice else {
                panic!("{choice:?}");
            };
            let (own, before) = (&chosen.own, sample());
            assert_eq!(
                (own.run, own.step, own.file),
                (before.run, before.step, before.file)
            );
            assert_eq!((own.was, own.claim), (Some(state), claimant(None).claim));
            assert_eq!(
                chosen.over.as_ref().map(|over| over.value.as_str()),
                Some(found.as_str())
            );
        }
    }

    #[test]
    fn a_parked_run_of_the_own_job_is_adopted_before_its_lease_ends() {
        let parked = Lock {
            state: LockState::Parked,
            set: rules().lease.set(),
            until: later(now(), std::time::Duration::from_secs(600)),
            ..sample()
        };
        let ours = ask(
            &rules(),
            vec![node("a", &[("lock", &parked.format())])],
            None,
        );
        assert!(matches!(ours, Choice::Claim(_)), "{ours:?}");
        let job = crate::model::id::Name::new("backup").expect("a name");
        let others = Lock {
            task: job.clone(),
            job,
            ..parked
        };
        assert_eq!(
            ask(
                &rules(),
                vec![node("a", &[("lock", &others.format())])],
                None
            ),
            Choice::Nothing
        );
    }

    #[test]
    fn a_claim_that_never_settled_is_removed_first() {
        let lock = Lock {
            step: 0,
            state: LockState::Settling,
            ..Lock::parse(&left(LockState::Held)).expect("ours")
        };
        let choice = ask(
            &rules(),
            vec![node("a", &[]), node("b", &[("lock", &lock.format())])],
            None,
        );
        assert_eq!(
            choice,
            Choice::Remove {
                node: NodeId("b".to_owned()),
                found: lock.format()
            }
        );
    }

    #[test]
    fn nothing_is_chosen_where_nothing_may_be_taken() {
        let held = Lock {
            until: later(now(), std::time::Duration::from_secs(600)),
            ..Lock::parse(&left(LockState::Held)).expect("ours")
        };
        assert_eq!(
            ask(
                &rules(),
                vec![node("a", &[("lock", &held.format())]), node("b", &[])],
                None
            ),
            Choice::Nothing
        );
    }
}
