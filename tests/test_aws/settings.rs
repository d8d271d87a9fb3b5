//! What a test AWS is like from its start.

use std::time::Duration;

/// How it begins; `Settings::default()` is calm, `by_hand` is like the real one.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it listens, on 127.0.0.1; 0: wherever there is room.
    pub(crate) port: u16,
    /// All that is left to chance is drawn from this: ids, lags, delays, faults with a share.
    pub(crate) seed: u64,
    /// The most by which a read of a tag lags behind. Each tag of each read lags by its own lot, so that what one read
    /// shows the next one may not.
    pub(crate) staleness: Duration,
    /// The most that SSM takes to bring a command to its node.
    pub(crate) delivery: Duration,
    /// The most for which a command that was just sent is not listed.
    pub(crate) not_yet: Duration,
    /// Whether the token buckets of the published sizes are there.
    pub(crate) buckets: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            staleness: Duration::ZERO,
            delivery: Duration::ZERO,
            not_yet: Duration::ZERO,
            buckets: false,
        }
    }
}
