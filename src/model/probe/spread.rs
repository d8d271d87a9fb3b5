//! A distribution in few figures.

use std::time::Duration;

/// What is told of many durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// How many there were; at least one.
    pub samples: usize,
    /// Half of them are at most this.
    pub p50: Duration,
    /// 99 of 100 are at most this. Of fewer than 100 it is the longest.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Spread {
    /// By the nearest rank: every figure is one of the durations. `None` of none.
    pub fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let rank = |percent: usize| {
            let place = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(place).copied()
        };
        Some(Self {
            samples: all.len(),
            p50: rank(50)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

/// The share, in percent, below which something lies with 95 % confidence that did not happen once in `samples`
/// independent cases: the rule of three. `None` for none.
pub fn rule_of_three(samples: usize) -> Option<f64> {
    let samples = u32::try_from(samples).ok().filter(|samples| *samples > 0)?;
    Some((300.0 / f64::from(samples)).min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(ms: impl IntoIterator<Item = u64>) -> Option<(usize, u128, u128, u128)> {
        let spread = Spread::of(ms.into_iter().map(Duration::from_millis).collect())?;
        let ms = |span: Duration| span.as_millis();
        Some((
            spread.samples,
            ms(spread.p50),
            ms(spread.p99),
            ms(spread.max),
        ))
    }

    #[test]
    fn every_figure_is_one_of_the_samples() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([7]), Some((1, 7, 7, 7)));
        assert_eq!(spread([30, 10, 20]), Some((3, 20, 30, 30)));
        assert_eq!(spread([4, 3, 2, 1]), Some((4, 2, 4, 4)));
        assert_eq!(spread((1..=100).rev()), Some((100, 50, 99, 100)));
        assert_eq!(spread(1..=1_000), Some((1_000, 500, 990, 1_000)));
    }

    #[test]
    fn what_never_happened_is_rarer_the_more_was_looked_at() {
        assert_eq!(rule_of_three(0), None);
        assert_eq!(rule_of_three(2), Some(100.0));
        assert_eq!(rule_of_three(300), Some(1.0));
        assert_eq!(rule_of_three(3_000), Some(0.1));
    }
}
