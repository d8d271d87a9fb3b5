//! What carries steps to nodes, and keeps a history of it, as SSM does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundsman::io::memory::MemoryClock;
use roundsman::model::id::{Name, NodeId};
use roundsman::model::node::{self as model, Activity, Command, Evidence, Node};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::model::time::{Moment, elapsed, later};
use roundsman::port::{Clock, ErrorKind, Order, PortError, Shell, Ticket, WriteError};

use crate::cloud::Cloud;
use crate::faults::Class;
use crate::process::Handle;
use crate::store::{CALL_TIMEOUT, unreachable};
use crate::wrapper::{Payload, line};

/// What the executor grants beyond the step's own time-out.
const EXECUTION_SLACK: Duration = Duration::from_secs(120);
const DELIVERY_MAX: Duration = Duration::from_secs(600);
const DELIVERY_MIN: Duration = Duration::from_secs(30);

/// Every send that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Ssm(RefCell<BTreeMap<u64, Sent>>);

#[derive(Debug)]
struct Sent {
    node: NodeId,
    payload: Payload,
    requested: Moment,
    /// Delivery is tried until then.
    tried_until: Moment,
    latest_end: jiff::Timestamp,
    stage: Stage,
    wakers: Vec<Waker>,
}

#[derive(Debug, Clone)]
enum Stage {
    Waiting,
    Running,
    /// The executor heard of its end.
    Ended(Delivery),
    /// It never reached the node, for certain.
    Undelivered,
    /// The executor gave up on hearing of it.
    Lost,
    Cancelled,
}

impl Sent {
    /// As it stands in the executor's history.
    fn command(&self, send: u64, now: jiff::Timestamp) -> Command {
        let latest_end = self.latest_end;
        let activity = match self.stage {
            Stage::Waiting | Stage::Running if now <= latest_end => Activity::InProgress,
            Stage::Ended(_) | Stage::Undelivered => Activity::Finished,
            Stage::Waiting | Stage::Running | Stage::Lost | Stage::Cancelled => {
                Activity::Unknown { latest_end }
            }
        };
        Command {
            job: self.payload.job.clone(),
            run: self.payload.run,
            step: self.payload.step,
            attempt: self.payload.attempt,
            activity,
            handle: Some(model::Handle {
                ticket: send.to_string(),
                sent: MemoryClock::wall_at(self.requested),
                latest_end,
            }),
        }
    }
}

impl Stage {
    fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// Which nodes' history is this old is forgotten; evidence is asked for 49 hours.
const FORGOTTEN: Duration = Duration::from_secs(50 * 3_600);

/// How long a step of this script takes at most: the script is that number of seconds.
pub(crate) fn takes(script: &str) -> Duration {
    let seconds = script.rsplit(' ').next().and_then(|word| word.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

fn payload(order: &Order) -> Payload {
    Payload {
        job: order.job.clone(),
        run: order.run,
        claim: order.claim,
        step: order.step,
        attempt: order.attempt,
        timeout: order.timeout,
        not_after: order.not_after,
        takes: takes(&order.script),
    }
}

impl Cloud {
    /// The executor takes a send, and tries to deliver it.
    fn take_send(self: &Rc<Self>, id: &NodeId, payload: &Payload) -> Option<u64> {
        let now = self.clock.wall();
        let delivery = elapsed(now, payload.not_after).clamp(DELIVERY_MIN, DELIVERY_MAX);
        let execution = payload.timeout + EXECUTION_SLACK;
        let requested = self.clock.boot();
        let send = self.number();
        {
            let mut nodes = self.nodes.borrow_mut();
            let node = nodes.get_mut(id)?;
            let mut all = self.ssm.0.borrow_mut();
            while let Some(oldest) = node.sends.front()
                && all
                    .get(oldest)
                    .is_none_or(|sent| sent.requested.plus(FORGOTTEN) < requested)
            {
                all.remove(oldest);
                node.sends.pop_front();
            }
            let sent = Sent {
                node: id.clone(),
                payload: payload.clone(),
                requested,
                tried_until: requested.plus(delivery),
                latest_end: later(now, delivery + execution),
                stage: Stage::Waiting,
                wakers: Vec::new(),
            };
            all.insert(send, sent);
            node.sends.push_back(send);
        }
        // At the end of both times SSM says `DeliveryTimedOut`, whatever is true.
        self.after(delivery + execution, move |cloud| {
            cloud.set_stage(send, Stage::Lost);
        });
        let faults = self.faults.borrow().clone();
        let chance = |class, ppm| {
            let came = self.lots.chance(ppm);
            if came {
                self.fired.count(class);
            }
            came
        };
        let seconds = Duration::from_secs;
        let quick = self.lots.between(Duration::from_millis(100), seconds(2));
        if chance(Class::DeliveryLost, faults.delivery_lost) {
            return Some(send);
        }
        let takes = if chance(Class::DeliverySlow, faults.delivery_slow) {
            self.lots.between(seconds(5), seconds(120))
        } else if chance(Class::DeliveryLate, faults.delivery_late) {
            self.lots.between(seconds(120), seconds(4 * 3_600))
        } else {
            quick
        };
        self.after(takes, move |cloud| cloud.deliver(send));
        if chance(Class::DeliveryTwice, faults.delivery_twice) {
            let again = takes + self.lots.between(Duration::ZERO, seconds(2 * 3_600));
            self.after(again, move |cloud| cloud.deliver(send));
        }
        Some(send)
    }

    /// A send reaches its node, when that is up and its agent answers.
    pub(crate) fn deliver(self: &Rc<Self>, send: u64) {
        let (id, payload, tried_until, over) = {
            let all = self.ssm.0.borrow();
            let Some(sent) = all.get(&send) else {
                return;
            };
            // What the executor says of these two is for certain, as the design takes it, unless it is not.
            let heeded = !self.lots.chance(self.faults.borrow().cancel_unheeded);
            if matches!(sent.stage, Stage::Undelivered)
                || (matches!(sent.stage, Stage::Cancelled) && heeded)
            {
                return;
            }
            let over = sent.stage.is_over();
            (
                sent.node.clone(),
                sent.payload.clone(),
                sent.tried_until,
                over,
            )
        };
        let reachable = {
            let nodes = self.nodes.borrow();
            nodes
                .get(&id)
                .is_some_and(|node| node.up && node.agent_online)
        };
        if !reachable {
            if self.clock.boot() < tried_until {
                self.after(Duration::from_secs(20), move |cloud| cloud.deliver(send));
            } else if !over {
                self.set_stage(send, Stage::Undelivered);
            }
            return;
        }
        if !over {
            self.set_stage(send, Stage::Running);
        }
        if let Some(outcome) = self.exec(&id, send, &payload) {
            self.report(send, line(&payload, outcome));
        }
    }

    /// The agent reports an end, some time later, or never.
    pub(crate) fn report(self: &Rc<Self>, send: u64, delivery: Delivery) {
        let lost = self.faults.borrow().report_lost;
        if self.lots.chance(lost) {
            self.fired.count(Class::ReportLost);
            return;
        }
        let takes = self
            .lots
            .between(Duration::from_millis(100), Duration::from_secs(4));
        self.after(takes, move |cloud| {
            cloud.set_stage(send, Stage::Ended(delivery));
        });
    }

    /// What ended stays ended, but what the executor had given up may yet be heard of.
    fn set_stage(&self, send: u64, stage: Stage) {
        let mut all = self.ssm.0.borrow_mut();
        let Some(sent) = all.get_mut(&send) else {
            return;
        };
        let heard_late = matches!((&sent.stage, &stage), (Stage::Lost, Stage::Ended(_)));
        if sent.stage.is_over() && !heard_late {
            return;
        }
        sent.stage = stage;
        if sent.stage.is_over() {
            sent.wakers.drain(..).for_each(Waker::wake);
        }
    }

    /// The agents of a node that is up again repeat what they were at, or forget it.
    pub(crate) fn repeat_after_boot(self: &Rc<Self>, sends: &[u64]) {
        for &send in sends {
            if self.lots.chance(600_000) {
                let takes = self
                    .lots
                    .between(Duration::from_secs(5), Duration::from_secs(60));
                self.after(takes, move |cloud| cloud.deliver(send));
            }
        }
    }

    fn evidence_of(&self, id: &NodeId, within: Duration) -> Vec<Command> {
        let (now, wall) = (self.clock.boot(), self.clock.wall());
        let nodes = self.nodes.borrow();
        let all = self.ssm.0.borrow();
        let Some(node) = nodes.get(id) else {
            return Vec::new();
        };
        let known = |send: &u64| all.get(send).map(|sent| (*send, sent));
        node.sends
            .iter()
            .filter_map(known)
            .filter(|(_, sent)| sent.requested.plus(within) >= now)
            .map(|(send, sent)| sent.command(send, wall))
            .collect()
    }

    /// Everything that runs on the node as the executor sees it: what a careful operator asks before breaking a lease.
    pub(crate) fn executor_sees_work(&self, id: &NodeId) -> bool {
        self.evidence_of(id, FORGOTTEN)
            .iter()
            .any(|command| command.activity != Activity::Finished)
    }
}

impl Handle {
    /// How the send ended, as soon as the executor knows.
    async fn over(&self, send: u64) -> Option<(Stage, Name)> {
        std::future::poll_fn(|context| {
            let mut all = self.cloud.ssm.0.borrow_mut();
            let Some(sent) = all.get_mut(&send) else {
                return Poll::Ready(None);
            };
            if sent.stage.is_over() {
                return Poll::Ready(Some((sent.stage.clone(), sent.payload.job.clone())));
            }
            if !sent
                .wakers
                .iter()
                .any(|known| known.will_wake(context.waker()))
            {
                sent.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

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
    async fn wait(&self, _: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        self.sleep(Duration::from_secs(1)).await;
        let stage = self.over(number(ticket)).await.map(|(stage, _)| stage);
        let until_next_look = self
            .cloud
            .lots
            .between(Duration::from_millis(100), Duration::from_secs(10));
        self.sleep(until_next_look).await;
        self.refused(Duration::MAX).await?;
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
        self.ask(move |cloud, _| {
            let (stage, payload) = {
                let all = cloud.ssm.0.borrow();
                let Some(sent) = all.get(&send) else {
                    return;
                };
                (sent.stage.clone(), sent.payload.clone())
            };
            match stage {
                Stage::Running => {
                    let takes = cloud
                        .lots
                        .between(Duration::from_millis(100), Duration::from_secs(5));
                    cloud.after(takes, move |cloud| cloud.stop_step(&id, &payload));
                }
                Stage::Waiting => cloud.set_stage(send, Stage::Cancelled),
                _ => {}
            }
        })
        .await
    }

    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        let away = self.cloud.faults.borrow().evidence_away;
        if self.cloud.lots.chance(away) {
            self.cloud.fired.count(Class::EvidenceAway);
            self.sleep(Duration::from_millis(200)).await;
            return Ok(Evidence::Unavailable("ThrottlingException".to_owned()));
        }
        let id = node.id.clone();
        self.ask(move |cloud, _| cloud.evidence_of(&id, within))
            .await
            .map(Evidence::Commands)
            .or_else(|error| match error.kind {
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
