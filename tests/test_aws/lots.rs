//! Chance by seed.

use std::time::Duration;

/// A row of lots (splitmix64); the same seed gives the same row.
#[derive(Debug, Clone)]
pub(crate) struct Lots(u64);

impl Lots {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next lot.
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut lot = self.0;
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        lot ^ (lot >> 31)
    }

    /// From zero to `most`, both included.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        if most == 0 {
            return Duration::ZERO;
        }
        Duration::from_micros(self.draw() % (most + 1))
    }

    /// Whether something of this share (0 to 1) happens.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        // 32 bits are enough of chance, and fit a float exactly.
        let lot = u32::try_from(self.draw() >> 32).unwrap_or(u32::MAX);
        f64::from(lot) < share * f64::from(u32::MAX)
    }

    /// A UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    /// An id as EC2 makes them: `i-` and 17 digits.
    pub(crate) fn id(&mut self, kind: &str) -> String {
        format!("{kind}-0{:016x}", self.draw())
    }
}
