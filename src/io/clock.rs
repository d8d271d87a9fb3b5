//! The one file that reads a clock, waits, or draws lots.
#![expect(
    clippy::disallowed_methods,
    reason = "the room of clocks and waiting (`.clippy.toml`)"
)]

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::model::digest::sha256_hex;
use crate::model::time::Moment;
use crate::port::Clock;

/// The longest sleep without a look at the clock: tokio's timer stands still while the machine is suspended, ours
/// does not, so this is how late a wait can end after waking up.
const SLICE: Duration = Duration::from_secs(5);

/// This machine's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot(&self) -> Moment {
        let at = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(at.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(at.tv_nsec).unwrap_or_default();
        Moment(Duration::new(seconds, nanos))
    }

    async fn sleep_until(&self, at: Moment) {
        loop {
            let left = at.since(self.boot());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes, flags) {
            Ok(16) => u128::from_le_bytes(bytes),
            // A kernel without getrandom (before 3.17): ids need to differ, not to be unguessable.
            _ => fallback_random(self.boot()),
        }
    }
}

fn fallback_random(boot: Moment) -> u128 {
    let process = rustix::process::getpid();
    let wall = Timestamp::now().as_nanosecond();
    let hash = sha256_hex(format!("{wall} {boot:?} {process:?}").as_bytes());
    hash.get(..32)
        .and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .unwrap_or_default()
}

/// Waits for `future` at most `limit` long; `None`: that was not enough.
///
/// For the few places in this floor that wait for the operating system and not for a time of the protocol.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_rises_and_counts_what_uptime_counts() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("linux");
        let up: f64 = uptime
            .split(' ')
            .next()
            .and_then(|s| s.parse().ok())
            .expect("seconds");
        let first = SystemClock.boot();
        let second = SystemClock.boot();
        assert!(second >= first);
        assert!((first.0.as_secs_f64() - up).abs() < 60.0);
    }

    #[test]
    fn the_wall_clock_is_the_file_systems() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let made = file
            .path()
            .metadata()
            .and_then(|data| data.modified())
            .expect("a time");
        let made = Timestamp::try_from(made).expect("a timestamp");
        assert!(SystemClock.wall().duration_since(made).abs().as_secs() < 60);
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_moment_and_not_before() {
        let at = SystemClock.boot().plus(Duration::from_millis(30));
        SystemClock.sleep_until(at).await;
        assert!(SystemClock.boot() >= at);
        SystemClock.sleep_until(Moment::default()).await;
    }

    #[test]
    fn lots_differ() {
        let lots: std::collections::BTreeSet<u128> =
            (0..100).map(|_| SystemClock.random()).collect();
        assert_eq!(lots.len(), 100);
        assert!(
            lots.iter().any(|lot| lot >> 100 != 0),
            "all the bits are drawn"
        );
        let boot = SystemClock.boot();
        assert_ne!(fallback_random(boot), fallback_random(boot));
    }
}
