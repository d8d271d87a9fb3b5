//! Virtual time, and the executor that moves it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;

use crate::io::memory::Lots;
use crate::model::time::{Moment, later};
use crate::port::Clock;

/// A clock that stands still while anything can be done.
#[derive(Debug, Clone)]
pub struct MemoryClock(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    state: RefCell<State>,
    lots: Lots,
}

#[derive(Debug)]
struct State {
    now: Duration,
    timers: BTreeMap<Key, Timer>,
    next_timer: u64,
}

/// When, and which: what waits for the same moment comes in the order in which it began to.
type Key = (Duration, u64);

/// What happens at a moment.
enum Timer {
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Call(_) => "Call",
        })
    }
}

/// Where virtual time begins.
const EPOCH: i64 = 1_795_392_600;

impl MemoryClock {
    /// A clock whose lots are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = RefCell::new(State {
            now: Duration::from_secs(1_000),
            timers: BTreeMap::new(),
            next_timer: 0,
        });
        let lots = Lots::new(seed);
        Self(Rc::new(Shared { state, lots }))
    }

    /// Moves the clock by hand, for what happens between two invocations.
    pub fn pass(&self, span: Duration) {
        self.0.state.borrow_mut().now += span;
    }

    /// A moment as wall time.
    pub fn wall_at(moment: Moment) -> Timestamp {
        later(Timestamp::from_second(EPOCH).unwrap_or_default(), moment.0)
    }

    /// Has `call` made at a moment, or as soon as time moves on when that has passed.
    ///
    /// For what happens in the world whoever waits for it, or no longer does.
    pub fn call_at(&self, at: Moment, call: impl FnOnce() + 'static) {
        self.insert(at, Timer::Call(Box::new(call)));
    }

    /// Forgets every call that is still to be made. A call that holds this clock keeps both alive for ever.
    pub fn clear(&self) {
        let timers = std::mem::take(&mut self.0.state.borrow_mut().timers);
        drop(timers);
    }

    /// Plays a future to its end in virtual time.
    ///
    /// # Panics
    /// When everything waits and nothing will ever happen: a deadlock in what is played.
    pub fn play<T>(&self, future: impl Future<Output = T>) -> T {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            while woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    return value;
                }
            }
            let first = self.0.state.borrow_mut().timers.pop_first();
            let Some(((at, _), timer)) = first else {
                panic!("everything waits, and nothing will ever happen");
            };
            let mut state = self.0.state.borrow_mut();
            state.now = state.now.max(at);
            drop(state);
            match timer {
                Timer::Wake(waker) => waker.wake(),
                Timer::Call(call) => call(),
            }
        }
    }

    fn insert(&self, at: Moment, timer: Timer) -> Key {
        let mut state = self.0.state.borrow_mut();
        let key = (at.0, state.next_timer);
        state.next_timer += 1;
        state.timers.insert(key, timer);
        key
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Clock for MemoryClock {
    fn wall(&self) -> Timestamp {
        Self::wall_at(self.boot())
    }

    fn boot(&self) -> Moment {
        Moment(self.0.state.borrow().now)
    }

    async fn sleep_until(&self, at: Moment) {
        let sleep = Sleep {
            clock: self,
            at,
            timer: None,
        };
        sleep.await;
    }

    fn random(&self) -> u128 {
        self.0.lots.draw_wide()
    }
}

/// A wait for a moment. Dropped, it wakes nobody any more.
struct Sleep<'a> {
    clock: &'a MemoryClock,
    at: Moment,
    timer: Option<Key>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock;
        if clock.boot() >= self.at {
            return Poll::Ready(());
        }
        // Nobody waits for the end of time: such a sleep never wakes anybody.
        if self.at == Moment::MAX {
            return Poll::Pending;
        }
        let waker = context.waker();
        match self.timer {
            None => self.timer = Some(clock.insert(self.at, Timer::Wake(waker.clone()))),
            Some(key) => {
                if let Some(Timer::Wake(known)) = clock.0.state.borrow_mut().timers.get_mut(&key) {
                    known.clone_from(waker);
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            let timer = self.clock.0.state.borrow_mut().timers.remove(&key);
            drop(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_same_moment_comes_in_order_and_a_dropped_wait_never() {
        let clock = MemoryClock::new(1);
        let at = clock.boot().plus(Duration::from_secs(5));
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["a", "b"] {
            let order = Rc::clone(&order);
            clock.call_at(at, move || order.borrow_mut().push(name));
        }
        clock.play(async {
            {
                let mut early = pin!(clock.sleep_until(clock.boot().plus(Duration::from_secs(1))));
                let polled = std::future::poll_fn(|context| {
                    Poll::Ready(early.as_mut().poll(context).is_pending())
                });
                assert!(polled.await);
            }
            clock.sleep_until(at).await;
        });
        assert_eq!(*order.borrow(), ["a", "b"]);
        assert_eq!(clock.boot(), at);
        assert!(clock.0.state.borrow().timers.is_empty());
    }
}
