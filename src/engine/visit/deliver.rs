//! A send and what comes of it; and the wait for one that somebody else has sent.

use std::cell::Cell;
use std::time::Duration;

use crate::model::backoff::backoff;
use crate::model::node::{Handle, Node};
use crate::model::outcome::Delivery;
use crate::model::time::{Moment, Now, elapsed};
use crate::port::{Clock, Deed, ErrorKind, Order, PortError, Shell, Ticket, WriteError};

/// How long a step that is told to end has until it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// How long beyond its timeout a step is asked after, when the asking does not succeed.
const END_WITHIN: Duration = Duration::from_secs(60);

/// How long beyond the latest end of what somebody else has sent its executor may take to say how it ended.
const REPORT_WITHIN: Duration = Duration::from_secs(120);

/// How long a node that reboots is waited for until it is asked anew: an answer may be lost in the reboot, and the same
/// attempt may be sent again.
const REBOOT_ANSWER: Duration = Duration::from_secs(300);

/// What the loop and the step's future share.
pub(super) struct Told {
    pub(super) cancel: tokio::sync::Notify,
    /// The send was answered.
    pub(super) answered: tokio::sync::Notify,
    pub(super) sent: Cell<bool>,
    pub(super) cancelled: Cell<bool>,
    /// The provider would not take it for now.
    pub(super) not_taken: Cell<bool>,
    /// How long the step has to go by itself.
    pub(super) within: Cell<Duration>,
}

impl Told {
    pub(super) fn nothing() -> Self {
        Self {
            cancel: tokio::sync::Notify::new(),
            answered: tokio::sync::Notify::new(),
            sent: Cell::new(false),
            cancelled: Cell::new(false),
            not_taken: Cell::new(false),
            within: Cell::new(GRACE),
        }
    }
}

/// How long a send is waited for.
struct Patience {
    /// After the first time that it could not be asked after.
    in_trouble: Duration,
    /// Whatever is answered.
    at_most: Moment,
    /// What is said then.
    over: &'static str,
}

const NO_END: &str =
    "its executor has not said how it ended, long after the latest end that it can have";
const NO_ANSWER: &str = "the node has not answered since it was asked whether it is back";

impl Patience {
    fn of_reboot(self, now: Moment) -> Self {
        Self {
            in_trouble: self.in_trouble.min(REBOOT_ANSWER),
            at_most: self.at_most.min(now.plus(REBOOT_ANSWER)),
            over: NO_ANSWER,
        }
    }
}

/// Sends, waits, and cancels when told to.
pub(super) async fn deliver<S: Shell, C: Clock>(
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
    told.sent.set(true);
    told.answered.notify_one();
    let patience = Patience {
        in_trouble: order.timeout + END_WITHIN,
        at_most: Moment::MAX,
        over: NO_END,
    };
    let patience = match order.deed {
        Deed::Run => patience,
        Deed::Reboot { .. } => patience.of_reboot(clock.boot()),
    };
    watch(shell, clock, node, &ticket, patience, told).await
}

/// Waits for what an earlier claim has sent. Executors forget commands and show them in progress for ever, so this
/// ends some time after the latest end that it can have; and much sooner when it `reboots` its node.
pub(super) async fn attach<S: Shell, C: Clock>(
    shell: &S,
    clock: &C,
    node: &Node,
    (handle, reboots): (Option<&Handle>, bool),
    now: Now,
    told: &Told,
) -> Delivery {
    let Some(handle) = handle else {
        return Delivery::Unknown("its executor does not say how to wait for it".to_owned());
    };
    let left = elapsed(now.wall, handle.latest_end) + REPORT_WITHIN;
    let patience = Patience {
        in_trouble: left,
        at_most: now.boot.plus(left),
        over: NO_END,
    };
    let patience = if reboots {
        patience.of_reboot(now.boot)
    } else {
        patience
    };
    let ticket = Ticket(handle.ticket.clone());
    watch(shell, clock, node, &ticket, patience, told).await
}

async fn watch<S: Shell, C: Clock>(
    shell: &S,
    clock: &C,
    node: &Node,
    ticket: &Ticket,
    patience: Patience,
    told: &Told,
) -> Delivery {
    let mut trouble = 0;
    let mut give_up = Moment::MAX;
    loop {
        tokio::select! {
            biased;
            waited = shell.wait(node, ticket) => match waited {
                Ok(delivery) => return delivery,
                // What was sent goes on, whoever cannot ask: ask again until it has ended for certain.
                Err(error) => {
                    trouble += 1;
                    let now = clock.boot();
                    if trouble == 1 {
                        give_up = now.plus(patience.in_trouble);
                    }
                    if now >= give_up || matches!(error.kind, ErrorKind::NotFound) {
                        return Delivery::Unknown(error.message);
                    }
                    tracing::warn!(node = %node.id, error = %error, "the step could not be asked after");
                    clock.sleep_until(now.plus(backoff(trouble, clock.random()))).await;
                }
            },
            () = told.cancel.notified() => {
                if let Err(error) = shell.cancel(node, ticket, told.within.get()).await {
                    tracing::warn!(node = %node.id, error = %error, "the step could not be cancelled");
                }
            }
            () = clock.sleep_until(patience.at_most) => {
                return Delivery::Unknown(patience.over.to_owned());
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
