//! Leaving in time: before the right to act ends, what runs on nodes is left to the next invocation.

use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::Engine;
use crate::engine::stop::Bell;
use crate::event::EventKind;
use crate::model::time::{elapsed, format_stamp};
use crate::port::{Clock, Ports};

/// How long before its end: enough for a send, a look and the write that says so.
const LEAVE_BEFORE: Duration = Duration::from_secs(120);

impl<P: Ports> Engine<'_, P> {
    /// Does some work, and rings before the right to act ends. `end` tells when that is, as of now; `None`: never, as far
    /// as anybody knows. It may be renewed at any time.
    pub async fn leaving_in_time<T>(
        &self,
        bell: &Bell,
        end: impl AsyncFn() -> Option<Timestamp>,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.ring_in_time(bell, end) => match never {},
        }
    }

    async fn ring_in_time(
        &self,
        bell: &Bell,
        end: impl AsyncFn() -> Option<Timestamp>,
    ) -> Infallible {
        let clock = self.ports.clock();
        while let Some(at) = end().await {
            let left = elapsed(clock.wall(), at).saturating_sub(LEAVE_BEFORE);
            self.sleep_until(clock.boot().plus(left)).await;
            if end().await.is_none_or(|again| again > at) {
                continue;
            }
            let message = format!(
                "the credentials end {}: nothing more is claimed, and what runs on nodes is left to the next run",
                format_stamp(at)
            );
            self.tell(None, None, EventKind::Warned { message });
            bell.leave();
            break;
        }
        std::future::pending().await
    }
}
