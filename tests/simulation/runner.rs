//! Steps beside roundsman itself: they live and die with its machine, and no fence guards them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roundsman::model::job::On;
use roundsman::model::node::{Evidence, Node};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::port::{Clock, Order, PortError, Shell, Ticket, WriteError};

use crate::cloud::Cloud;
use crate::fact::{Execution, What};
use crate::faults::Class;
use crate::process::{Handle, Machine};
use crate::ssm::takes;

/// Those that run, and how those ended that have.
#[derive(Debug, Default)]
pub(crate) struct RunnerSteps(RefCell<BTreeMap<u64, RunnerStep>>);

#[derive(Debug)]
struct RunnerStep {
    process: u64,
    machine: Rc<Machine>,
    delivery: Option<Delivery>,
    waker: Option<std::task::Waker>,
}

fn exited(status: i32) -> Delivery {
    Delivery::Ended {
        status: Some(status),
        stdout: String::new(),
        stderr: String::new(),
    }
}

impl Cloud {
    /// A step ends, or is ended; not while its machine is suspended.
    fn end_runner_step(self: &Rc<Self>, execution: u64, delivery: Delivery, outcome: Outcome) {
        let mut all = self.runner_steps.0.borrow_mut();
        let Some(step) = all.get_mut(&execution) else {
            return;
        };
        if step.delivery.is_some() {
            return;
        }
        let until = step.machine.suspended_until.get();
        if self.clock.boot() < until {
            let cloud = Rc::clone(self);
            self.clock.call_at(until, move || {
                cloud.end_runner_step(execution, delivery, outcome);
            });
            return;
        }
        step.delivery = Some(delivery);
        let waker = step.waker.take();
        drop(all);
        self.tell(What::Ended { execution, outcome });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runners stand still, those for which `whose` says so of their process and machine.
    pub(crate) fn stand_still(&self, span: Duration, whose: impl Fn(u64, &Machine) -> bool) {
        if span < self.lease.margin / 3 {
            return;
        }
        let all = self.runner_steps.0.borrow();
        let runs = |step: &&RunnerStep| step.delivery.is_none();
        let still: Vec<u64> = all
            .iter()
            .filter(|(_, step)| runs(step) && whose(step.process, &step.machine))
            .map(|(execution, _)| *execution)
            .collect();
        drop(all);
        for execution in still {
            self.tell(What::StoodStill { execution });
        }
    }

    /// A process has crashed: what it ran beside itself goes with it.
    pub(crate) fn end_runner_steps(self: &Rc<Self>, process: u64) {
        let mut gone = Vec::new();
        self.runner_steps.0.borrow_mut().retain(|id, step| {
            let stays = step.process != process;
            if !stays && step.delivery.is_none() {
                gone.push(*id);
            }
            stays
        });
        for execution in gone {
            self.tell(What::Ended {
                execution,
                outcome: Outcome::Interrupted,
            });
        }
    }
}

/// What runs steps beside one process.
#[derive(Debug, Clone)]
pub(crate) struct RunnerHandle(pub(crate) Handle);

impl Shell for RunnerHandle {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        let handle = &self.0;
        handle.depart(Duration::MAX).await;
        let cloud = &handle.cloud;
        let execution = cloud.number();
        let step = RunnerStep {
            process: handle.process.id,
            machine: Rc::clone(&handle.process.machine),
            delivery: None,
            waker: None,
        };
        cloud.runner_steps.0.borrow_mut().insert(execution, step);
        handle.tell(What::Began(Execution {
            id: execution,
            node: node.id.clone(),
            job: order.job.clone(),
            run: order.run,
            claim: order.claim,
            step: order.step,
            attempt: order.attempt,
            on: On::Runner,
        }));
        let failed = cloud.faults.borrow().step_failed;
        let most = takes(&order.script);
        let span = cloud.lots.between(most / 4, most);
        let (delivery, outcome) = if cloud.lots.chance(failed) {
            cloud.fired.count(Class::StepFailed);
            (exited(1), Outcome::Failed)
        } else {
            (exited(0), Outcome::Ok)
        };
        cloud.after(span, move |cloud| {
            cloud.end_runner_step(execution, delivery, outcome);
        });
        Ok(Ticket(execution.to_string()))
    }

    async fn wait(&self, _: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        let execution: u64 = ticket.0.parse().unwrap_or(0);
        let cloud = &self.0.cloud;
        let delivery = std::future::poll_fn(|context| {
            let mut all = cloud.runner_steps.0.borrow_mut();
            let Some(step) = all.get_mut(&execution) else {
                return std::task::Poll::Ready(Delivery::Unknown("no such step".to_owned()));
            };
            let Some(delivery) = step.delivery.clone() else {
                step.waker = Some(context.waker().clone());
                return std::task::Poll::Pending;
            };
            all.remove(&execution);
            std::task::Poll::Ready(delivery)
        });
        Ok(delivery.await)
    }

    async fn cancel(&self, _: &Node, ticket: &Ticket, grace: Duration) -> Result<(), PortError> {
        let execution: u64 = ticket.0.parse().unwrap_or(0);
        let cloud = &self.0.cloud;
        let takes = cloud.lots.between(Duration::ZERO, grace);
        cloud.after(takes, move |cloud| {
            let ended = Delivery::Interrupted("ended".to_owned());
            cloud.end_runner_step(execution, ended, Outcome::Interrupted);
        });
        Ok(())
    }

    async fn evidence(&self, _: &Node, _: Duration) -> Result<Evidence, PortError> {
        Ok(Evidence::None)
    }
}
