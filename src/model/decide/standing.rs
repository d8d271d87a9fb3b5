//! A settled claim is decided on again: only the same answer enters.

use crate::model::decide::{Take, Wish, judge_node};
use crate::model::id::{ClaimId, NodeId};
use crate::model::limits::{Asking, Over, Room, room};
use crate::model::lock::Lock;
use crate::model::reason::Reason;
use crate::model::rule::Rule;
use crate::model::view::{Rules, View};

/// What a settled claim finds when everything is decided again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The same answer as before: it is held.
    Enter,
    /// Too many, but the others are settling too and mine is the lowest claim: look again.
    Stay,
    /// Another answer: the claim is withdrawn.
    Withdraw(String),
    /// The run that the claim was written over has ended meanwhile: the claim is withdrawn, and nothing is left.
    Ended(String),
}

/// A claim that is written, and what it was written over.
#[derive(Debug, Clone, Copy)]
pub struct Mine<'a> {
    /// Its id.
    pub claim: ClaimId,
    /// The lock that it covers.
    pub over: Option<&'a Lock>,
    /// How the node was to be taken.
    pub take: &'a Take,
}

/// Decides everything again for a node that shows the own claim: due, hold, limits, evidence. Only the same answer
/// enters.
pub fn standing(
    rules: &Rules,
    view: &View,
    wish: &Wish,
    node: &NodeId,
    mine: Mine<'_>,
) -> Standing {
    if !rules.without.keeps(Rule::DecideAgain) {
        return Standing::Enter;
    }
    let Some(node) = view.node(node) else {
        return Standing::Withdraw("it is no longer in the fleet".to_owned());
    };
    let over = match mine.take {
        Take::Over { .. } => Over::Others,
        Take::Adopt { .. } => Over::Own,
        Take::Free | Take::Remove { .. } => Over::Free,
    };
    let asking = Asking {
        mine: Some(mine.claim),
        over,
    };
    let row = judge_node(rules, view, wish, node, Some((mine.claim, mine.over)));
    match row.take {
        Some(take) if take.same(mine.take) => Standing::Enter,
        Some(Take::Remove { .. }) => {
            Standing::Ended("the run that was found there has ended meanwhile".to_owned())
        }
        Some(_) => Standing::Withdraw("what was found there has changed".to_owned()),
        None if row.reason == Reason::Limit
            && room(rules, view, node, asking) == Room::Contended =>
        {
            Standing::Stay
        }
        None => Standing::Withdraw(row.detail),
    }
}
