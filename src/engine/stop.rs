//! Being told to stop: once to end in order, twice to leave at once.

use tokio::sync::watch;

/// How urgently an invocation has been told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Not at all.
    #[default]
    Go,
    /// Claim nothing more, and end what is under way in order.
    InOrder,
    /// Leave.
    AtOnce,
}

/// What an invocation listens to.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Urgency>);

/// What tells it.
#[derive(Debug)]
pub struct Bell(watch::Sender<Urgency>);

/// A bell and what listens to it.
pub fn bell() -> (Bell, Stop) {
    let (sender, receiver) = watch::channel(Urgency::Go);
    (Bell(sender), Stop(receiver))
}

impl Bell {
    /// Rings once: in order the first time, at once the second.
    pub fn ring(&self) -> Urgency {
        self.0.send_modify(|urgency| {
            *urgency = if *urgency == Urgency::Go {
                Urgency::InOrder
            } else {
                Urgency::AtOnce
            }
        });
        *self.0.borrow()
    }
}

impl Stop {
    /// How urgent it is now.
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Waits until it is more urgent than `known`. For ever, when nobody can ring any more.
    pub async fn more_than(&mut self, known: Urgency) -> Urgency {
        match self.0.wait_for(|urgency| *urgency > known).await {
            Ok(urgency) => *urgency,
            Err(_) => std::future::pending().await,
        }
    }
}
