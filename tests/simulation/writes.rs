//! Writes on their way: in time, late, twice, or never; answered or not.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roundsman::model::id::NodeId;
use roundsman::model::rule::Rule;
use roundsman::model::time::{Moment, floor_second};
use roundsman::port::{Clock, ErrorKind, PortError, WriteError};

use crate::cloud::Cloud;
use crate::fact::By;
use crate::faults::{Class, Faults};
use crate::process::Handle;
use crate::register::Mutation;
use crate::store::{CALL_TIMEOUT, milliseconds, unreachable};

/// One write.
#[derive(Debug, Clone)]
struct Letter {
    id: NodeId,
    mutation: Mutation,
    by: By,
    began: Moment,
}

impl Cloud {
    fn land_letter(&self, letter: &Letter) -> Result<(), WriteError> {
        self.land(&letter.id, &letter.mutation, &letter.by, letter.began)
    }

    fn land_later(self: &Rc<Self>, span: Duration, letter: &Letter) {
        let letter = letter.clone();
        self.after(span, move |cloud| {
            cloud.tell_fate(letter.id.as_str(), || {
                format!("a write of {span:?} before lands: {:?}", letter.mutation)
            });
            let _ = cloud.land_letter(&letter);
        });
    }
}

impl Handle {
    /// One attempt at a write.
    pub(crate) async fn mutate(&self, id: &NodeId, mutation: Mutation) -> Result<(), WriteError> {
        // A write that is begun is signed at once, as far as the protocol may know: what freezes its process in between
        // makes it late, and lateness has its bound.
        let cloud = &self.cloud;
        let faults = cloud.faults.borrow().clone();
        let letter = Letter {
            id: id.clone(),
            mutation,
            by: self.process.by(id),
            began: cloud.clock.boot(),
        };
        let refused = self.refused(faults.late_by / 2).await;
        // Somebody beside it may have the whole machine suspended for longer. Then the signature has aged out.
        if cloud.clock.boot() > letter.began.plus(faults.late_by) {
            let error = PortError::new(ErrorKind::Credentials, "RequestExpired");
            return Err(WriteError::Refused(error));
        }
        if let Err(error) = refused {
            // Of an internal error nobody knows what it left behind: half of them have done what they were asked to.
            return Err(match error.kind {
                ErrorKind::Unreachable => {
                    if cloud.lots.chance(500_000) {
                        let _ = cloud.land_letter(&letter);
                    }
                    WriteError::Unknown(error)
                }
                _ => WriteError::Refused(error),
            });
        }
        let together = cloud.write_begins(id) && cloud.lots.chance(500_000);
        if together || cloud.lots.chance(faults.conflict) {
            cloud.fired.count(Class::Conflict);
            self.sleep(milliseconds(20, 200, self)).await;
            cloud.write_over(id);
            let error = PortError::new(ErrorKind::Conflict, "ConcurrentTagAccess");
            return Err(WriteError::Refused(error));
        }
        self.send_letter(letter, &faults).await
    }

    async fn send_letter(&self, letter: Letter, faults: &Faults) -> Result<(), WriteError> {
        let cloud = &self.cloud;
        let (there, back) = self.latencies();
        let late = || {
            let since = cloud.clock.boot().since(letter.began);
            let left = faults.late_by.saturating_sub(since);
            cloud.lots.between(there.min(left), left)
        };
        if cloud.lots.chance(faults.write_lost) {
            cloud.fired.count(Class::WriteLost);
            return self.never_answered(&letter.id).await;
        }
        if cloud.lots.chance(faults.write_late) {
            cloud.fired.count(Class::WriteLate);
            cloud.land_later(late(), &letter);
            if !cloud.without.keeps(Rule::OneAttempt) {
                // The SDK gives the attempt up, and makes another that is answered: the first is a twin in flight.
                self.sleep(milliseconds(300, 900, self)).await;
                cloud.write_over(&letter.id);
                return cloud.land_letter(&letter);
            }
            return self.never_answered(&letter.id).await;
        }
        if cloud.lots.chance(faults.write_twice) {
            cloud.fired.count(Class::WriteTwice);
            cloud.land_later(late(), &letter);
        }
        let unanswered = cloud.lots.chance(faults.write_answer_lost);
        let slot = Rc::new(RefCell::new(None));
        let (answer, begun, id) = (Rc::clone(&slot), self.wall(), letter.id.clone());
        cloud.after(there, move |cloud| {
            let landed = cloud.land_letter(&letter);
            cloud.write_over(&letter.id);
            *answer.borrow_mut() = Some((landed, floor_second(cloud.clock.wall())));
        });
        if unanswered {
            cloud.fired.count(Class::WriteAnswerLost);
        }
        if unanswered || there + back >= CALL_TIMEOUT {
            // It has landed by then, and is no longer under way.
            self.sleep(CALL_TIMEOUT).await;
            return Err(WriteError::Unknown(unreachable()));
        }
        self.sleep(there + back).await;
        match slot.take() {
            Some((landed, date)) => {
                self.process.answered(date, begun, self.wall());
                landed
            }
            None => self.never_answered(&id).await,
        }
    }

    async fn never_answered(&self, id: &NodeId) -> Result<(), WriteError> {
        self.sleep(CALL_TIMEOUT).await;
        self.cloud.write_over(id);
        Err(WriteError::Unknown(unreachable()))
    }
}
