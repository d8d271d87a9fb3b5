//! Lots: every chance of a world comes from one seed.

use std::cell::Cell;
use std::time::Duration;

/// A stream of lots. The same seed draws the same lots.
#[derive(Debug)]
pub struct Lots(Cell<u64>);

impl Lots {
    /// A stream from this seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next 64 bits: `SplitMix64` (Steele, Lea, Flood 2014).
    pub fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 128 bits.
    pub fn draw_wide(&self) -> u128 {
        (u128::from(self.draw()) << 64) | u128::from(self.draw())
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&self, end: u64) -> u64 {
        // The bias of a remainder over 64 bits is nothing that a world could notice.
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// Whether a chance of `ppm` in a million came up. A chance of 0 draws nothing.
    pub fn chance(&self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < u64::from(ppm)
    }

    /// A span from `least` to `most`, in whole milliseconds.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let width = most.saturating_sub(least).as_millis();
        let width = u64::try_from(width).unwrap_or(u64::MAX - 1);
        least + Duration::from_millis(self.below(width + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_lots_and_another_one_others() {
        let drawn = |seed| {
            let lots = Lots::new(seed);
            [lots.draw(), lots.draw(), lots.below(1_000)]
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn chances_come_up_as_often_as_they_say() {
        let lots = Lots::new(1);
        let came = (0..100_000).filter(|_| lots.chance(10_000)).count();
        assert!((900..1_100).contains(&came), "{came}");
        assert!(!lots.chance(0) && lots.chance(1_000_000));
    }

    #[test]
    fn spans_lie_between_their_ends() {
        let lots = Lots::new(1);
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(8));
        let drawn: std::collections::BTreeSet<_> =
            (0..200).map(|_| lots.between(least, most)).collect();
        assert_eq!(drawn.first(), Some(&least));
        assert_eq!(drawn.last(), Some(&most));
        assert_eq!(lots.between(most, least), most);
    }
}
