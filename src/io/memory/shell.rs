//! Steps in memory: each takes as long, and ends as, a plan says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::io::memory::MemoryClock;
use crate::model::id::NodeId;
use crate::model::job::On;
use crate::model::node::{Activity, Command, Evidence, Handle, Node, Stopped};
use crate::model::outcome::{Delivery, Outcome};
use crate::model::time::{Moment, later};
use crate::port::{Clock, ErrorKind, Halt, Order, PortError, Shell, Ticket, WriteError};

/// How one attempt at a step goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It ends like this after so long.
    Ends(Duration, Outcome),
    /// The transport says this after so long.
    Says(Duration, Delivery),
    /// The send itself is answered like this.
    Refused(WriteError),
    /// The node reboots when it is sent the attempt for the first time: it is away for a while, and then takes a while
    /// to end like this.
    Reboots {
        /// For how long nobody can reach it.
        away: Duration,
        /// How long its `ready` takes.
        ready: Duration,
        /// How that ends.
        outcome: Outcome,
    },
}

type Planner = Box<dyn Fn(&Node, &Order) -> Plan>;

/// Steps in memory. Without a plan every step takes a minute and succeeds.
pub struct MemoryShell {
    clock: MemoryClock,
    planner: RefCell<Planner>,
    sent: RefCell<Vec<Sent>>,
}

#[derive(Debug, Clone)]
struct Sent {
    node: NodeId,
    order: Order,
    began: Moment,
    ends: Moment,
    delivery: Delivery,
    /// It has its node go down, and that is up again then.
    down: Option<(Moment, Moment)>,
}

impl std::fmt::Debug for MemoryShell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryShell")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl MemoryShell {
    pub(super) fn new(clock: MemoryClock) -> Self {
        let calm = |_: &Node, _: &Order| Plan::Ends(Duration::from_secs(60), Outcome::Ok);
        Self {
            clock,
            planner: RefCell::new(Box::new(calm)),
            sent: RefCell::default(),
        }
    }

    /// Says how steps go from now on.
    pub fn plan(&self, planner: impl Fn(&Node, &Order) -> Plan + 'static) {
        *self.planner.borrow_mut() = Box::new(planner);
    }

    /// What was sent, in order: node, step, attempt.
    pub fn sent(&self) -> Vec<(String, u32, u32)> {
        self.sent
            .borrow()
            .iter()
            .map(|sent| (sent.node.to_string(), sent.order.step, sent.order.attempt))
            .collect()
    }

    /// The orders that were sent.
    pub fn orders(&self) -> Vec<Order> {
        self.sent
            .borrow()
            .iter()
            .map(|sent| sent.order.clone())
            .collect()
    }

    /// When each send ended, or will end, in order.
    pub fn ends(&self) -> Vec<Moment> {
        self.sent.borrow().iter().map(|sent| sent.ends).collect()
    }

    /// The most nodes that had a step running at one moment, and the most steps on one node.
    pub fn most_at_once(&self) -> (usize, usize) {
        let sent = self.sent.borrow();
        let at = |moment: Moment| {
            let mut running: BTreeMap<&NodeId, usize> = BTreeMap::new();
            for each in sent
                .iter()
                .filter(|each| each.began <= moment && moment < each.ends)
            {
                *running.entry(&each.node).or_default() += 1;
            }
            (running.len(), running.values().copied().max().unwrap_or(0))
        };
        let both = sent.iter().map(|each| at(each.began));
        both.fold((0, 0), |(nodes, steps), (n, s)| {
            (nodes.max(n), steps.max(s))
        })
    }
}

impl MemoryShell {
    /// When a node is away because a step has it reboot: from, to.
    pub fn downs(&self, node: &NodeId) -> Vec<(Moment, Moment)> {
        let sent = self.sent.borrow();
        let of_node = sent.iter().filter(|each| each.node == *node);
        of_node.filter_map(|each| each.down).collect()
    }

    /// When an attempt was sent to its node for the first time.
    fn first_of(&self, node: &Node, order: &Order) -> Option<Moment> {
        let key = |order: &Order| (order.run, order.step, order.attempt);
        let sent = self.sent.borrow();
        let mut all = sent.iter();
        let first = all.find(|each| each.node == node.id && key(&each.order) == key(order));
        first.map(|each| each.began)
    }

    /// What becomes of one send of a reboot, as the node's journal has it.
    fn rebooting(
        &self,
        node: &Node,
        order: &Order,
        away: Duration,
        (ready, outcome): (Duration, Outcome),
    ) -> Plan {
        let key = |order: &Order| (order.run, order.step, order.attempt);
        let sent = self.sent.borrow();
        let mut same = sent
            .iter()
            .filter(|each| each.node == node.id && key(&each.order) == key(order));
        let now = self.clock.boot();
        let Some(first) = same.next() else {
            return Plan::Says(GOES_DOWN / 10, line(order, Outcome::Rebooting));
        };
        let back = first.began.plus(GOES_DOWN).plus(away);
        if now < first.began.plus(GOES_DOWN) {
            return Plan::Says(Duration::ZERO, line(order, Outcome::Rebooting));
        } else if now < back {
            let error = PortError::new(ErrorKind::Unreachable, "no route to host");
            return Plan::Refused(WriteError::Refused(error));
        }
        // The first one after it is executed; those after that are attached to it.
        let begun = same.map(|each| each.began).find(|began| *began >= back);
        Plan::Ends(begun.unwrap_or(now).plus(ready).since(now), outcome)
    }
}

/// How long a node that is told to reboot is still there.
const GOES_DOWN: Duration = Duration::from_secs(10);

/// The result line of the wrapper.
fn line(order: &Order, outcome: Outcome) -> Delivery {
    let status = match outcome {
        Outcome::Ok => "0",
        Outcome::Failed => "3",
        _ => "",
    };
    let Order {
        run,
        claim,
        step,
        attempt,
        ..
    } = order;
    let stdout = format!(
        "roundsman v1 run={run} claim={claim} step={step} attempt={attempt} boot=b state={outcome} status={status}\n{outcome}\n"
    );
    Delivery::Ended {
        status: Some(i32::from(outcome != Outcome::Ok)),
        stdout,
        stderr: String::new(),
    }
}

impl Shell for MemoryShell {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        let mut down = None;
        let plan = match (self.planner.borrow())(node, order) {
            Plan::Reboots {
                away,
                ready,
                outcome,
            } => {
                let from = self.clock.boot().plus(GOES_DOWN);
                down = self
                    .first_of(node, order)
                    .is_none()
                    .then(|| (from, from.plus(away)));
                self.rebooting(node, order, away, (ready, outcome))
            }
            plan => plan,
        };
        let (takes, delivery) = match plan {
            Plan::Ends(takes, outcome) if order.on == On::Node => (takes, line(order, outcome)),
            Plan::Ends(takes, outcome) => {
                let status = Some(i32::from(outcome != Outcome::Ok) * 3);
                (
                    takes,
                    Delivery::Ended {
                        status,
                        stdout: String::new(),
                        stderr: String::new(),
                    },
                )
            }
            Plan::Says(takes, delivery) => (takes, delivery),
            Plan::Refused(error) => return Err(error),
            Plan::Reboots { .. } => (Duration::ZERO, line(order, Outcome::Rebooting)),
        };
        let began = self.clock.boot();
        let sent = Sent {
            node: node.id.clone(),
            order: order.clone(),
            began,
            ends: began.plus(takes),
            delivery,
            down,
        };
        self.sent.borrow_mut().push(sent);
        Ok(Ticket((self.sent.borrow().len() - 1).to_string()))
    }

    async fn wait(&self, _: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        let index: usize = ticket.0.parse().unwrap_or(usize::MAX);
        let ends = self.sent.borrow().get(index).map(|sent| sent.ends);
        self.clock.sleep_until(ends.unwrap_or_default()).await;
        let delivery = self
            .sent
            .borrow()
            .get(index)
            .map(|sent| sent.delivery.clone());
        Ok(delivery.unwrap_or_else(|| Delivery::Unknown("no such send".to_owned())))
    }

    async fn cancel(&self, _: &Node, ticket: &Ticket, _: Duration) -> Result<(), PortError> {
        let now = self.clock.boot();
        let mut all = self.sent.borrow_mut();
        if let Some(sent) = ticket
            .0
            .parse()
            .ok()
            .and_then(|index: usize| all.get_mut(index))
            .filter(|sent| now < sent.ends)
        {
            sent.ends = now;
            sent.delivery = match sent.order.on {
                On::Node => line(&sent.order, Outcome::Interrupted),
                On::Runner => Delivery::Interrupted("ended".to_owned()),
            };
        }
        Ok(())
    }

    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        let (now, mut ended) = (self.clock.boot(), 0);
        let mut away = self.downs(&node.id).into_iter();
        if away.any(|(from, to)| from <= now && now < to) {
            let error = PortError::new(ErrorKind::Unreachable, "no route to host");
            return Err(error);
        }
        for sent in self.sent.borrow_mut().iter_mut() {
            let order = &sent.order;
            let meant = sent.node == node.id && order.on == On::Node && order.run == halt.run;
            let meant = meant && order.step <= halt.steps;
            sent.down = sent.down.filter(|(from, _)| !meant || *from <= now);
            if meant && now < sent.ends {
                sent.ends = now;
                sent.delivery = line(&sent.order, Outcome::Interrupted);
                ended += 1;
            }
        }
        Ok(Stopped::Nothing { ended })
    }

    async fn evidence(&self, node: &Node, _: Duration) -> Result<Evidence, PortError> {
        let now = self.clock.boot();
        let of_node =
            |(_, sent): &(usize, &Sent)| sent.node == node.id && sent.order.on == On::Node;
        let handle = |ticket: usize, sent: &Sent| Handle {
            ticket: ticket.to_string(),
            sent: MemoryClock::wall_at(sent.began),
            latest_end: later(
                later(sent.order.not_after, sent.order.timeout),
                Duration::from_secs(60),
            ),
        };
        let command = |(ticket, sent): (usize, &Sent)| Command {
            job: sent.order.job.clone(),
            run: sent.order.run,
            step: sent.order.step,
            attempt: sent.order.attempt,
            activity: if now < sent.ends {
                Activity::InProgress
            } else {
                Activity::Finished
            },
            handle: Some(handle(ticket, sent)),
        };
        Ok(Evidence::Commands(
            self.sent
                .borrow()
                .iter()
                .enumerate()
                .filter(of_node)
                .map(command)
                .collect(),
        ))
    }
}
