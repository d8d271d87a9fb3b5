//! Virtual time, and the executor that moves it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;

use crate::model::time::{Moment, later};
use crate::port::Clock;

/// A clock that stands still while anything can be done.
#[derive(Debug, Clone)]
pub struct MemoryClock(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    now: Duration,
    timers: BTreeMap<(Duration, u64), Waker>,
    next_timer: u64,
    lots: u64,
}

/// Where virtual time begins.
const EPOCH: i64 = 1_795_392_600;

impl MemoryClock {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::from_secs(1_000),
            timers: BTreeMap::new(),
            next_timer: 0,
            lots: seed,
        };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Moves the clock by hand, for what happens between two invocations.
    pub fn pass(&self, span: Duration) {
        self.0.borrow_mut().now += span;
    }

    /// A moment as wall time.
    pub(super) fn wall_at(moment: Moment) -> Timestamp {
        later(Timestamp::from_second(EPOCH).unwrap_or_default(), moment.0)
    }

    pub(super) fn play<T>(&self, future: impl Future<Output = T>) -> T {
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
            let first = self.0.borrow_mut().timers.pop_first();
            let Some(((at, _), waker)) = first else {
                panic!("everything waits, and nothing will ever happen");
            };
            let mut state = self.0.borrow_mut();
            state.now = state.now.max(at);
            drop(state);
            waker.wake();
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Clock for MemoryClock {
    fn wall(&self) -> Timestamp {
        Self::wall_at(self.boot())
    }

    fn boot(&self) -> Moment {
        Moment(self.0.borrow().now)
    }

    async fn sleep_until(&self, at: Moment) {
        // Once for each waker: a sleep that is looked at again and again must not wake again and again.
        let mut known: Option<Waker> = None;
        std::future::poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.now >= at.0 {
                return Poll::Ready(());
            }
            // Nobody waits for the end of time: such a sleep never wakes anybody.
            let waker = context.waker();
            let is_known = known.as_ref().is_some_and(|known| known.will_wake(waker));
            if at < Moment::MAX && !is_known {
                known = Some(waker.clone());
                let id = state.next_timer;
                state.next_timer += 1;
                state.timers.insert((at.0, id), waker.clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014), twice.
    fn random(&self) -> u128 {
        let draw = || {
            let mut state = self.0.borrow_mut();
            state.lots = state.lots.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state.lots;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u128::from(z ^ (z >> 31))
        };
        (draw() << 64) | draw()
    }
}
