//! One attempt at one step, from the send to its judged end.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::variables::variables;
use crate::engine::visit::Visit;
use crate::event::EventKind;
use crate::model::backoff::backoff;
use crate::model::job::{On, Step, StepAction};
use crate::model::node::Node;
use crate::model::outcome::{Attempt, Delivery, Judged, Outcome, judge};
use crate::model::time::Moment;
use crate::port::{Clock, ErrorKind, Order, PortError, Ports, Shell, WriteError};

/// The most of a step's output that an event carries, in characters: its end is what tells why it failed.
const TAIL: usize = 4_000;

/// What is said of a reboot step; such jobs are refused before, so nobody should read it.
const NO_REBOOT: &str = "this version does not execute reboot steps";

/// How long a step that is told to end has until it is killed (design section 4).
const GRACE: Duration = Duration::from_secs(30);

/// How long beyond its timeout a step is asked after, when the asking does not succeed.
const END_WITHIN: Duration = Duration::from_secs(60);

/// A step under way.
pub(super) struct Underway<'a> {
    future: Pin<Box<dyn Future<Output = Ended> + 'a>>,
    told: Rc<Told>,
    on: On,
}

/// What the loop and the step's future share.
struct Told {
    cancel: tokio::sync::Notify,
    cancelled: Cell<bool>,
    /// The provider would not take it for now.
    not_taken: Cell<bool>,
    /// How long the step has to go by itself.
    within: Cell<Duration>,
}

/// A step that has ended.
pub(super) struct Ended {
    pub(super) judged: Judged,
    pub(super) not_after: Timestamp,
    pub(super) cancelled: bool,
    /// Nothing was sent, for certain, because the provider would not take it for now.
    pub(super) not_taken: bool,
    step: u32,
    attempt: u32,
    name: String,
    took: Duration,
}

impl Ended {
    pub(super) fn event(&self) -> EventKind {
        EventKind::StepFinished {
            step: self.step,
            name: self.name.clone(),
            attempt: self.attempt,
            outcome: self.judged.outcome,
            status: self.judged.status,
            took: self.took,
            output_tail: tail(&self.judged.output),
        }
    }
}

impl Underway<'_> {
    /// Has the step end: TERM, and KILL after a while.
    pub(super) fn cancel(&self) {
        self.told.cancelled.set(true);
        self.told.cancel.notify_one();
    }

    /// After a lost lease: a runner step is ended, its whole process group, well before others may take the node
    /// (`until + M`); one on a node is left alone, since the node itself refuses superseded claims.
    pub(super) async fn end_runner_step(self, margin: Duration) {
        if self.on == On::Runner {
            self.told.within.set(GRACE.min(margin / 3));
            self.cancel();
            let _ = self.future.await;
        }
    }
}

/// Waits for the step under way; for ever, when there is none.
pub(super) async fn over(underway: &mut Option<Underway<'_>>) -> Ended {
    match underway {
        Some(underway) => underway.future.as_mut().await,
        None => std::future::pending().await,
    }
}

fn tail(text: &str) -> String {
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}

impl<'a, P: Ports> Visit<'a, P> {
    /// Sends an attempt. `None`: the read that justifies it has become too old, or the lease has ended.
    pub(super) fn begin_step(&mut self, step: u32, attempt: u32) -> Option<Underway<'a>> {
        let engine = self.engine;
        let now = engine.now().boot;
        let fresh = self
            .lease
            .fresh_until(&self.terms)
            .is_some_and(|until| now <= until);
        if !fresh || !self.lease.is_held(&self.terms, now) {
            return None;
        }
        let definition = engine.rules.job.step(step)?;
        let name = definition.name.clone();
        let order = self.order(definition, step, attempt);
        self.tell(EventKind::StepStarted {
            step,
            name: name.clone(),
            attempt,
        });
        let told = Rc::new(Told {
            cancel: tokio::sync::Notify::new(),
            cancelled: Cell::new(false),
            not_taken: Cell::new(false),
            within: Cell::new(GRACE),
        });
        let (shared, node, on) = (Rc::clone(&told), self.node.clone(), definition.on);
        let future = Box::pin(async move {
            let (began, clock) = (engine.now().boot, engine.ports.clock());
            let delivery = match (&order, on) {
                (Err(never), _) => never.clone(),
                (Ok(order), On::Node) => {
                    deliver(engine.ports.node(), clock, &node, order, &shared).await
                }
                (Ok(order), On::Runner) => {
                    deliver(engine.ports.runner(), clock, &node, order, &shared).await
                }
            };
            let judged = match &order {
                Ok(order) => judge(
                    &delivery,
                    on,
                    Attempt {
                        run: order.run,
                        claim: order.claim,
                        step,
                        number: attempt,
                    },
                ),
                Err(_) => Judged {
                    outcome: Outcome::Undelivered,
                    status: None,
                    output: NO_REBOOT.to_owned(),
                },
            };
            let not_after = order
                .as_ref()
                .map_or(Timestamp::MIN, |order| order.not_after);
            let (cancelled, took) = (shared.cancelled.get(), engine.now().boot.since(began));
            Ended {
                judged,
                not_after,
                cancelled,
                not_taken: shared.not_taken.get(),
                step,
                attempt,
                name,
                took,
            }
        });
        Some(Underway { future, told, on })
    }

    /// The attempt as a shell takes it; for a step that this version does not execute, what is said instead.
    fn order(&self, definition: &Step, step: u32, attempt: u32) -> Result<Order, Delivery> {
        let StepAction::Run(script) = &definition.action else {
            return Err(Delivery::Undelivered(NO_REBOOT.to_owned()));
        };
        let (rules, lock) = (self.engine.rules, self.own());
        let last = self.tags.get(rules.keys.last.as_str()).map(String::as_str);
        Ok(Order {
            job: rules.job.name.clone(),
            run: lock.run,
            claim: lock.claim,
            step,
            attempt,
            on: definition.on,
            script: script.clone(),
            env: variables(&rules.job, &self.node, lock, step, attempt, last),
            timeout: definition.timeout,
            not_after: lock.until,
        })
    }
}

/// Sends, waits, and cancels when told to.
async fn deliver<S: Shell, C: Clock>(
    shell: &S,
    clock: &C,
    node: &Node,
    order: &Order,
    told: &Told,
) -> Delivery {
    // Told to stop, or the lease lost, before anything was sent.
    if told.cancelled.get() {
        return Delivery::Interrupted("it was not begun".to_owned());
    }
    let ticket = match shell.send(node, order).await {
        Ok(ticket) => ticket,
        Err(WriteError::Refused(error)) => {
            told.not_taken.set(error.kind == ErrorKind::Throttled);
            return refused(error);
        }
        Err(WriteError::Changed) => return Delivery::Undelivered("it was refused".to_owned()),
        Err(WriteError::Unknown(error)) => return Delivery::Unknown(error.message),
    };
    let mut trouble = 0;
    let mut give_up = Moment::MAX;
    loop {
        tokio::select! {
            biased;
            waited = shell.wait(node, &ticket) => match waited {
                Ok(delivery) => return delivery,
                // What was sent goes on, whoever cannot ask: ask again until it has ended for certain.
                Err(error) => {
                    trouble += 1;
                    let now = clock.boot();
                    if trouble == 1 {
                        give_up = give_up.min(now.plus(order.timeout + END_WITHIN));
                    }
                    if now >= give_up || matches!(error.kind, ErrorKind::NotFound) {
                        return Delivery::Unknown(error.message);
                    }
                    tracing::warn!(node = %node.id, error = %error, "the step could not be asked after");
                    clock.sleep_until(now.plus(backoff(trouble, clock.random()))).await;
                }
            },
            () = told.cancel.notified() => {
                if let Err(error) = shell.cancel(node, &ticket, told.within.get()).await {
                    tracing::warn!(node = %node.id, error = %error, "the step could not be cancelled");
                }
            }
        }
    }
}

fn refused(error: PortError) -> Delivery {
    match error.kind {
        ErrorKind::Unreachable => Delivery::Unreachable(error.message),
        _ => Delivery::Undelivered(error.message),
    }
}
