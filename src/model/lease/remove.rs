//! Removing the lock of a run that has ended, or never began: compare-and-delete on a read no older than G.

use crate::model::lease::{Input, Look, Next, Terms};
use crate::model::time::{Moment, Now};

/// One removal. It takes [`Input::Start`], [`Input::Looked`], [`Input::LookFailed`] and [`Input::Deleted`], and asks for
/// at most one read and one delete; then the fleet is decided on anew, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Removal {
    found: String,
    asked: Option<Moment>,
    over: bool,
}

/// What a removal does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Removing {
    /// Do this, which is a look at the node or a delete, and answer.
    Do(Next),
    /// It is over.
    Over,
}

impl Removal {
    /// The removal of a lock with this exact value.
    pub fn new(found: String) -> Self {
        Self {
            found,
            asked: None,
            over: false,
        }
    }

    /// The next thing to do after `input`, which happened at `now`.
    pub fn on(&mut self, terms: &Terms, now: Now, input: &Input) -> Removing {
        match (input, self.asked) {
            (Input::Start, None) => {
                self.asked = Some(now.boot);
                Removing::Do(Next::Look(Look::Node))
            }
            (Input::Looked { value, .. }, Some(began)) if !self.over => {
                self.over = true;
                let fresh =
                    terms.transactional || now.boot.since(began) <= terms.settings.claim_within;
                if fresh && value.as_ref() == Some(&self.found) {
                    return Removing::Do(Next::Delete(self.found.clone()));
                }
                Removing::Over
            }
            _ => Removing::Over,
        }
    }
}
