//! Chance by seed, so that what it did can be done again.

/// Whether the larger sets are wanted: `WIRE_LARGE`, whatever its value.
pub(crate) fn large() -> bool {
    std::env::var_os("WIRE_LARGE").is_some()
}

/// A row of lots; the same seed gives the same row.
#[derive(Debug, Clone)]
pub(crate) struct Lots(u64);

impl Lots {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of this run of a test: `WIRE_SEED`, or anew each time. Printed, since a failure needs it.
    pub(crate) fn seed(test: &str) -> u64 {
        let given = std::env::var("WIRE_SEED").ok();
        let seed = given.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.map_or(1, |since| u64::from(since.subsec_nanos()))
        });
        println!("{test}: WIRE_SEED={seed}");
        seed
    }

    /// The next lot, below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut lot = self.0;
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        lot ^= lot >> 31;
        usize::try_from(lot % u64::try_from(count.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
