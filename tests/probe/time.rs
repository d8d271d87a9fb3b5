//! Virtual time: it stands still while anything can be done.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;
use roundsman::model::time::{Moment, later};
use roundsman::port::Clock;

/// No test waits for longer: what does, hangs.
const LONGEST: Duration = Duration::from_secs(7_200);

/// A clock that its clones share.
#[derive(Clone)]
pub(crate) struct VirtualClock(Rc<RefCell<State>>);

struct State {
    now: Duration,
    timers: BTreeMap<Duration, Vec<Waker>>,
    lots: u128,
}

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(State {
            now: Duration::from_secs(1_000),
            timers: BTreeMap::new(),
            lots: 0x9e37_79b9_7f4a_7c15,
        })))
    }

    /// Plays a future to its end.
    pub(crate) fn play<T>(&self, future: impl Future<Output = T>) -> T {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut future = pin!(future);
        loop {
            while woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return value;
                }
            }
            let first = self.0.borrow_mut().timers.pop_first();
            let (at, wakers) = first.expect("everything waits, and nothing will ever happen");
            self.0.borrow_mut().now = at;
            assert!(at < LONGEST, "it hangs");
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn wall(&self) -> Timestamp {
        later(
            Timestamp::from_second(1_795_392_600).unwrap_or_default(),
            self.0.borrow().now,
        )
    }

    fn boot(&self) -> Moment {
        Moment(self.0.borrow().now)
    }

    async fn sleep_until(&self, at: Moment) {
        std::future::poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.now >= at.0 {
                return Poll::Ready(());
            }
            let wakers = state.timers.entry(at.0).or_default();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn random(&self) -> u128 {
        let lots = &mut self.0.borrow_mut().lots;
        *lots = lots
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        *lots >> 32
    }
}
