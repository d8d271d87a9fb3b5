//! How long to wait before trying again.

use std::time::Duration;

/// The wait after the first failure, before jitter.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before jitter.
const LONGEST: Duration = Duration::from_secs(60);

/// The wait after `attempt` failures (from 1): doubling from a second to a minute, of which between half and all is
/// taken, as `random` has it. Runners that failed together do not try again together.
pub fn backoff(attempt: u32, random: u128) -> Duration {
    let full = FIRST
        .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
        .min(LONGEST);
    let half_ms = full.as_millis() / 2;
    let ms = half_ms + random % (half_ms + 1);
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_minute_and_are_spread_over_half_of_it() {
        let ends = |attempt| {
            (
                backoff(attempt, 0).as_millis(),
                (0..5_000)
                    .map(|random| backoff(attempt, random * 37).as_millis())
                    .max(),
            )
        };
        assert_eq!(ends(1), (500, Some(1_000)));
        assert_eq!(ends(3), (2_000, Some(4_000)));
        assert_eq!(ends(40).0, 30_000);
        assert!(ends(u32::MAX).1 <= Some(60_000));
    }
}
