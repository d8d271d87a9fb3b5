//! Sending, waiting and cancelling, as one process does it through a network that loses and delays.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use roundsman::model::journal;
use roundsman::model::node::{Evidence, Node, Stopped};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::port::{ErrorKind, Halt, Order, PortError, Shell, Ticket, WriteError};

use crate::faults::Class;
use crate::look::attempt_of;
use crate::process::Handle;
use crate::ssm::{Stage, payload};
use crate::store::{CALL_TIMEOUT, unreachable};

fn number(ticket: &Ticket) -> u64 {
    ticket.0.parse().unwrap_or(0)
}

impl Shell for Handle {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        self.refused(Duration::MAX)
            .await
            .map_err(|error| match error.kind {
                ErrorKind::Unreachable => WriteError::Unknown(error),
                _ => WriteError::Refused(error),
            })?;
        let (there, back) = self.latencies();
        let faults = self.cloud.faults.borrow().clone();
        let chance = |class, ppm| {
            let came = self.cloud.lots.chance(ppm);
            if came {
                self.cloud.fired.count(class);
            }
            came
        };
        if chance(Class::SendLost, faults.send_lost) {
            self.sleep(CALL_TIMEOUT).await;
            return Err(WriteError::Unknown(unreachable()));
        }
        let late = chance(Class::SendLate, faults.send_late);
        let arrives = if late {
            self.cloud
                .lots
                .between(there, self.cloud.lease.request_life)
        } else {
            there
        };
        let slot = Rc::new(RefCell::new(None));
        let (answer, id, payload) = (Rc::clone(&slot), node.id.clone(), payload(order));
        self.cloud.after(arrives, move |cloud| {
            *answer.borrow_mut() = cloud.take_send(&id, &payload);
        });
        if late
            || chance(Class::SendAnswerLost, faults.send_answer_lost)
            || there + back >= CALL_TIMEOUT
        {
            self.sleep(CALL_TIMEOUT).await;
            return Err(WriteError::Unknown(unreachable()));
        }
        self.sleep(there + back).await;
        slot.take()
            .map(|send| Ticket(send.to_string()))
            .ok_or_else(|| {
                let message = format!("InvalidInstanceId: {}", node.id);
                WriteError::Refused(PortError::new(ErrorKind::NotFound, message))
            })
    }

    /// Looks every few seconds; each look may fail, and for long enough that the caller hears of it.
    async fn wait(&self, node: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        self.sleep(Duration::from_secs(1)).await;
        if let Some(command) = journal::named(&ticket.0) {
            return self.wait_for_found(&node.id, attempt_of(&command)).await;
        }
        let send = number(ticket);
        let stage = std::future::poll_fn(|context| self.cloud.poll_over(send, context)).await;
        let until_next_look = self
            .cloud
            .lots
            .between(Duration::from_millis(100), Duration::from_secs(10));
        self.sleep(until_next_look).await;
        self.refused(Duration::MAX).await?;
        if let Some(Stage::Lost) = stage
            && self.cloud.looks.get()
            && let Some((_, payload)) = self.cloud.sent(send)
            && let Ok(found) = self.wait_for_found(&node.id, payload.attempt()).await
        {
            return Ok(found);
        }
        Ok(match stage {
            Some(Stage::Ended(delivery)) => delivery,
            Some(Stage::Undelivered) => Delivery::Undelivered("it was not delivered".to_owned()),
            Some(Stage::Cancelled) => Delivery::Interrupted("cancelled before it began".to_owned()),
            Some(Stage::Lost | Stage::Waiting | Stage::Running) => {
                Delivery::Unknown("SSM lost sight of it".to_owned())
            }
            None => Delivery::Unknown("SSM does not know the command".to_owned()),
        })
    }

    async fn cancel(&self, node: &Node, ticket: &Ticket, _: Duration) -> Result<(), PortError> {
        let (id, send) = (node.id.clone(), number(ticket));
        if let Some(command) = journal::named(&ticket.0) {
            return self
                .ask(move |cloud, _| cloud.stop_step(&id, attempt_of(&command)))
                .await;
        }
        self.ask(move |cloud, _| {
            let Some((stage, payload)) = cloud.sent(send) else {
                return;
            };
            match stage {
                Stage::Running => {
                    let takes = cloud
                        .lots
                        .between(Duration::from_millis(100), Duration::from_secs(5));
                    cloud.after(takes, move |cloud| cloud.stop_step(&id, payload.attempt()));
                }
                Stage::Waiting => cloud.set_stage(send, Stage::Cancelled),
                _ => {}
            }
        })
        .await
    }

    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        self.refused(Duration::MAX).await?;
        self.end_all(&node.id, halt).await
    }

    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        let away = self.cloud.faults.borrow().evidence_away;
        if self.cloud.lots.chance(away) {
            self.cloud.fired.count(Class::EvidenceAway);
            self.sleep(Duration::from_millis(200)).await;
            return Ok(Evidence::Unavailable("ThrottlingException".to_owned()));
        }
        let id = node.id.clone();
        let shown = self
            .ask(move |cloud, _| cloud.evidence_of(&id, within))
            .await
            .map(Evidence::Commands);
        let shown = match shown {
            Ok(shown) if self.cloud.looks.get() => Ok(self.corrected(&node.id, shown).await),
            shown => shown,
        };
        shown.or_else(|error| match error.kind {
            ErrorKind::Throttled | ErrorKind::Unreachable => {
                Ok(Evidence::Unavailable(error.message))
            }
            _ => Err(error),
        })
    }
}

/// Whether an outcome shows that nothing was executed by that send.
pub(crate) fn refused_by_fence(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Busy | Outcome::Superseded | Outcome::TooLate
    )
}
