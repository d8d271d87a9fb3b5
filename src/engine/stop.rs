//! Being told to stop: once to end in order, twice to leave at once.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How urgently an invocation has been told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Not at all.
    #[default]
    Go,
    /// The right to act ends soon: claim nothing more, and leave what runs on nodes to the next invocation.
    Leave,
    /// Claim nothing more, and end what is under way in order.
    InOrder,
    /// Leave.
    AtOnce,
}

/// What an invocation listens to.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Mutex<State>>);

/// What tells it.
#[derive(Debug)]
pub struct Bell(Arc<Mutex<State>>);

/// Who listens is woken in the order in which they began to, so that a run can be played again: a channel of tokio's
/// wakes in an order of its own.
#[derive(Debug, Default)]
struct State {
    urgency: Urgency,
    listening: BTreeMap<u64, Waker>,
    next: u64,
}

/// A bell and what listens to it.
pub fn bell() -> (Bell, Stop) {
    let state = Arc::new(Mutex::new(State::default()));
    (Bell(Arc::clone(&state)), Stop(state))
}

/// The state stays meaningful when a holder of the lock panicked.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    /// Rings once: in order the first time, at once the second.
    pub fn ring(&self) -> Urgency {
        self.tell(|urgency| match urgency {
            Urgency::Go | Urgency::Leave => Urgency::InOrder,
            Urgency::InOrder | Urgency::AtOnce => Urgency::AtOnce,
        })
    }

    /// Tells that the right to act ends soon.
    pub fn leave(&self) -> Urgency {
        self.tell(|urgency| urgency.max(Urgency::Leave))
    }

    fn tell(&self, next: impl Fn(Urgency) -> Urgency) -> Urgency {
        let (urgency, woken) = {
            let mut state = lock(&self.0);
            state.urgency = next(state.urgency);
            (state.urgency, std::mem::take(&mut state.listening))
        };
        woken.into_values().for_each(Waker::wake);
        urgency
    }
}

impl Stop {
    /// How urgent it is now.
    pub fn urgency(&self) -> Urgency {
        lock(&self.0).urgency
    }

    /// Waits until it is more urgent than `known`. For ever, when nobody rings.
    pub async fn more_than(&mut self, known: Urgency) -> Urgency {
        let listen = Listen {
            state: &self.0,
            known,
            place: None,
        };
        listen.await
    }
}

struct Listen<'a> {
    state: &'a Mutex<State>,
    known: Urgency,
    /// Its place among those that listen.
    place: Option<u64>,
}

impl Future for Listen<'_> {
    type Output = Urgency;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Urgency> {
        let mut state = lock(self.state);
        if state.urgency > self.known {
            return Poll::Ready(state.urgency);
        }
        let place = self.place.unwrap_or(state.next);
        state.next = state.next.max(place + 1);
        state.listening.insert(place, context.waker().clone());
        drop(state);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Listen<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            lock(self.state).listening.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_listens_is_told_and_whoever_no_longer_does_is_forgotten() {
        let (bell, stop) = bell();
        let (mut one, mut two) = (stop.clone(), stop.clone());
        let waits = async { tokio::join!(one.more_than(Urgency::Go), two.more_than(Urgency::Go)) };
        let rings = async {
            assert_eq!(lock(&stop.0).listening.len(), 2);
            bell.ring()
        };
        let (told, rung) = tokio::join!(biased; waits, rings);
        assert_eq!(
            (told, rung),
            ((Urgency::InOrder, Urgency::InOrder), Urgency::InOrder)
        );
        let mut three = stop.clone();
        tokio::select! {
            biased;
            _ = three.more_than(Urgency::InOrder) => panic!("nobody has rung again"),
            () = std::future::ready(()) => {}
        }
        assert!(lock(&stop.0).listening.is_empty());
        assert_eq!(bell.ring(), Urgency::AtOnce);
        assert_eq!(three.more_than(Urgency::InOrder).await, Urgency::AtOnce);
    }
}
