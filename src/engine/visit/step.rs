//! One attempt at one step, from the send (or from where it is found) to its judged end.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::variables::variables;
use crate::engine::visit::Visit;
use crate::engine::visit::deliver::{GRACE, Told, attach, deliver};
use crate::event::EventKind;
use crate::model::job::{On, Step, StepAction};
use crate::model::node::{Activity, Command};
use crate::model::outcome::{Attempt, Judged, Outcome, judge};
use crate::model::time::{elapsed, later};
use crate::port::{Deed, Order, Ports};

/// The most of a step's output that an event carries, in characters: its end is what tells why it failed.
const TAIL: usize = 4_000;

/// What an attempt of which only its comment is known may take beyond the own lease's end.
pub(super) const UNTOLD: Duration = Duration::from_secs(48 * 3_600);

/// A step under way.
pub(super) struct Underway<'a> {
    future: Pin<Box<dyn Future<Output = Ended> + 'a>>,
    told: Rc<Told>,
    on: On,
    had_ended: bool,
}

/// Whose attempt it was.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// Sent by this visit, not to start after that time.
    Own { not_after: Timestamp },
    /// Sent by an earlier claim; it cannot run on after that time.
    Found { latest_end: Timestamp },
}

/// A step that has ended.
pub(super) struct Ended {
    pub(super) judged: Judged,
    pub(super) whose: Whose,
    pub(super) cancelled: bool,
    /// Nothing was sent, for certain, because the provider would not take it for now.
    pub(super) not_taken: bool,
    step: u32,
    attempt: u32,
    name: String,
    took: Option<Duration>,
}

impl Ended {
    /// What is told of it: it ended as `outcome`, which the run has made of it.
    pub(super) fn event(&self, outcome: Outcome) -> EventKind {
        EventKind::StepFinished {
            step: self.step,
            name: self.name.clone(),
            attempt: self.attempt,
            outcome,
            status: self.judged.status,
            took: self.took,
            output_tail: tail(&self.judged.output),
        }
    }
}

impl Underway<'_> {
    pub(super) fn on(&self) -> On {
        self.on
    }

    pub(super) fn told(&self) -> Rc<Told> {
        Rc::clone(&self.told)
    }

    /// Whether it is known to have been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.told.sent.get()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.told.cancelled.get()
    }

    /// Whether what became of it was known already when it was attached to: that is told in a moment.
    pub(super) fn had_ended(&self) -> bool {
        self.had_ended
    }

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

/// Waits until the send was answered; for ever, when there is none.
pub(super) async fn sent(told: Option<Rc<Told>>) {
    match told {
        Some(told) => told.answered.notified().await,
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
        let before = self.began.filter(|_| self.run.asks_after_reboot());
        if before.is_none() {
            self.tell(EventKind::StepStarted {
                step,
                name: name.clone(),
                attempt,
            });
        }
        let began = before.unwrap_or(now);
        self.began = Some(began);
        let told = Rc::new(Told::nothing());
        let (shared, node, on) = (Rc::clone(&told), self.node.clone(), definition.on);
        let future = Box::pin(async move {
            let clock = engine.ports.clock();
            let delivery = match on {
                On::Node => deliver(engine.ports.node(), clock, &node, &order, &shared).await,
                On::Runner => deliver(engine.ports.runner(), clock, &node, &order, &shared).await,
            };
            let judged = judge(
                &delivery,
                on,
                Attempt {
                    run: order.run,
                    claim: order.claim,
                    step,
                    number: attempt,
                },
            );
            let not_after = order.not_after;
            let (cancelled, took) = (shared.cancelled.get(), engine.now().boot.since(began));
            Ended {
                judged,
                whose: Whose::Own { not_after },
                cancelled,
                not_taken: shared.not_taken.get(),
                step,
                attempt,
                name,
                took: Some(took),
            }
        });
        Some(Underway {
            future,
            told,
            on,
            had_ended: false,
        })
    }

    /// Waits for what an earlier claim has sent, as if it had been sent now. Nothing is started.
    pub(super) fn attach(&self, command: Command, cancel: bool) -> Underway<'a> {
        let engine = self.engine;
        let (step, attempt) = (command.step, command.attempt);
        let named = engine.rules.job.step(step);
        let name = named.filter(|_| !self.run.has_other_file()).map_or_else(
            || format!("step-{step}"),
            |definition| definition.name.clone(),
        );
        let number = Attempt {
            run: command.run,
            claim: self.own().claim,
            step,
            number: attempt,
        };
        let latest_end = match &command.handle {
            Some(handle) => handle.latest_end,
            None => later(self.own().until, UNTOLD),
        };
        let told = Rc::new(Told::nothing());
        told.sent.set(true);
        let had_ended = command.activity.is_told_at_once();
        let reboots = named.is_some_and(Step::reboots);
        let (shared, node) = (Rc::clone(&told), self.node.clone());
        let future = Box::pin(async move {
            let (shell, clock) = (engine.ports.node(), engine.ports.clock());
            let handle = command.handle.as_ref();
            let delivery = attach(
                shell,
                clock,
                &node,
                (handle, reboots),
                engine.now(),
                &shared,
            )
            .await;
            let running = command.activity == Activity::InProgress;
            let took = handle
                .filter(|_| running)
                .map(|handle| elapsed(handle.sent, engine.now().wall));
            Ended {
                judged: judge(&delivery, On::Node, number),
                whose: Whose::Found { latest_end },
                cancelled: shared.cancelled.get(),
                not_taken: false,
                step,
                attempt,
                name,
                took,
            }
        });
        let underway = Underway {
            future,
            told,
            on: On::Node,
            had_ended,
        };
        if cancel {
            underway.cancel();
        }
        underway
    }

    /// The attempt as a shell takes it.
    fn order(&self, definition: &Step, step: u32, attempt: u32) -> Order {
        let begun = self.run.has_begun_reboot();
        let (deed, script) = match &definition.action {
            StepAction::Run(script) => (Deed::Run, script.clone()),
            StepAction::Reboot { ready } => {
                (Deed::Reboot { begun }, ready.clone().unwrap_or_default())
            }
        };
        let (rules, lock) = (self.engine.rules, self.own());
        let last = self.tags.get(rules.keys.last.as_str()).map(String::as_str);
        Order {
            job: rules.job.name.clone(),
            run: lock.run,
            claim: lock.claim,
            step,
            attempt,
            on: definition.on,
            deed,
            script,
            env: variables(&rules.job, &self.node, lock, step, attempt, last),
            timeout: definition.timeout,
            not_after: lock.until,
            fence: rules.job.fence,
        }
    }
}
