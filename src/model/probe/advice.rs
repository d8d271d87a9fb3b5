//! Which lease settings a probe would choose. It never lowers one: a probe sees the store on one day.

use std::time::Duration;

use crate::model::probe::find::{Bounds, Found};
use crate::model::settings::LeaseSettings;

/// What was found is multiplied by this before it is advised: minutes on one day are no bad day.
pub const FACTOR: u32 = 3;

/// How a setting stands to what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is below what was found: the assumption is wrong.
    Below,
    /// What was found is within it, but not by enough.
    Thin,
    /// It stands.
    Enough,
}

impl Verdict {
    /// Its name in JSON and in tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Thin => "thin",
            Self::Enough => "enough",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its key in `[lease]`.
    pub key: &'static str,
    /// What it is.
    pub now: Duration,
    /// What was found, for certain.
    pub found: Duration,
    /// What the probe would choose.
    pub choose: Duration,
    /// How it stands.
    pub verdict: Verdict,
}

/// What follows from what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The three settings that a probe can say something of.
    pub rows: [Row; 3],
    /// All lease settings, with the chosen ones in them and the others raised as far as the relations between them ask.
    /// `None`: none would hold, since `margin` is at most an hour.
    pub settings: Option<LeaseSettings>,
}

impl Advice {
    /// Whether every setting stands.
    pub fn is_enough(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == Verdict::Enough)
    }
}

/// Chooses. `now`: the settings in effect.
///
/// - `claim-within`: three times what 99 of 100 claims took, and not less than the longest. A claim over it is no
///   danger, but its node stays locked until the lease has run out.
/// - `staleness`, `skew`: three times the worst, by its upper bound.
///
/// Each in whole seconds, never below its default, never below what it is now.
pub fn advise(found: &Found, now: &LeaseSettings) -> Advice {
    let floor = LeaseSettings::default();
    let claims = found
        .claims
        .map_or((Duration::ZERO, Duration::ZERO), |claims| {
            (
                claims.max,
                claims.max.max(claims.p99.saturating_mul(FACTOR)),
            )
        });
    let threefold = |worst: Bounds| (worst.at_least, worst.at_most.saturating_mul(FACTOR));
    let row = |key, now: Duration, floor: Duration, (found, wanted): (Duration, Duration)| {
        let choose = now.max(floor).max(up_to(wanted, Duration::from_secs(1)));
        let verdict = if now < found {
            Verdict::Below
        } else if now < choose {
            Verdict::Thin
        } else {
            Verdict::Enough
        };
        Row {
            key,
            now,
            found,
            choose,
            verdict,
        }
    };
    let rows = [
        row("claim-within", now.claim_within, floor.claim_within, claims),
        row(
            "staleness",
            now.staleness,
            floor.staleness,
            threefold(found.staleness()),
        ),
        row("skew", now.skew, floor.skew, threefold(found.clock)),
    ];
    let [within, staleness, skew] = rows.map(|row| row.choose);
    let chosen = LeaseSettings {
        claim_within: within,
        staleness,
        skew,
        ..*now
    };
    Advice {
        rows,
        settings: sound(chosen),
    }
}

/// The same settings with `margin` and `ttl` raised, by whole minutes, until every relation holds.
fn sound(mut settings: LeaseSettings) -> Option<LeaseSettings> {
    let minute = Duration::from_secs(60);
    let slack = settings.skew.saturating_add(settings.staleness);
    if settings.margin < slack {
        settings.margin = up_to(slack, minute);
    }
    let shortest = settings
        .claim_within
        .saturating_add(settings.settle())
        .saturating_add(Duration::from_secs(1))
        .saturating_mul(2);
    // Above, not at: the relation is a strict one.
    let outlives = settings
        .request_life
        .saturating_add(settings.claim_within)
        .saturating_add(slack)
        .saturating_sub(settings.margin)
        .saturating_add(Duration::from_nanos(1));
    let least = shortest.max(outlives);
    if settings.ttl < least {
        settings.ttl = up_to(least, minute);
    }
    settings.broken().is_empty().then_some(settings)
}

/// The least multiple of `unit`, in whole seconds, that is not below `span`.
fn up_to(span: Duration, unit: Duration) -> Duration {
    let seconds = span
        .as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0));
    let unit = unit.as_secs().max(1);
    Duration::from_secs(seconds.div_ceil(unit).saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::probe::spread::Spread;
    use crate::model::probe::{Way, find};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A probe with this p99 and longest claim, worst read and clock.
    fn found(p99: u64, max: u64, stale: (u64, u64), clock: (u64, u64)) -> Found {
        let bounds = |(least, most)| Bounds {
            at_least: ms(least),
            at_most: ms(most),
        };
        let claims = Spread {
            samples: 100,
            p50: ms(10),
            p99: ms(p99),
            max: ms(max),
        };
        let mut found = find::find(&crate::model::probe::Log::default(), &[], ms(2_000));
        found.claims = Some(claims);
        found.clock = bounds(clock);
        for way in &mut found.ways {
            if way.way == Way::Fleet {
                way.worst = bounds(stale);
            }
        }
        found
    }

    fn verdicts(found: &Found, now: &LeaseSettings) -> [(u64, Verdict); 3] {
        advise(found, now)
            .rows
            .map(|row| (row.choose.as_secs(), row.verdict))
    }

    #[test]
    fn the_defaults_stand_where_nothing_bad_was_found_and_are_never_lowered() {
        use Verdict::{Enough, Thin};
        let calm = found(40, 90, (0, 0), (0, 700));
        let now = LeaseSettings::default();
        let advice = advise(&calm, &now);
        assert!(advice.is_enough());
        assert_eq!(advice.settings, Some(now));
        let generous = LeaseSettings {
            staleness: ms(20_000),
            ..now
        };
        assert_eq!(
            verdicts(&calm, &generous),
            [(2, Enough), (20, Enough), (10, Enough)]
        );
        let tight = LeaseSettings {
            staleness: ms(200),
            ..now
        };
        assert_eq!(
            verdicts(&calm, &tight),
            [(2, Enough), (5, Thin), (10, Enough)]
        );
    }

    #[test]
    fn a_setting_is_below_thin_or_enough_on_each_side_of_its_borders() {
        use Verdict::{Below, Enough, Thin};
        let now = LeaseSettings::default();
        let table = [
            (
                found(600, 2_000, (0, 0), (0, 0)),
                [(2, Enough), (5, Enough), (10, Enough)],
            ),
            (
                found(667, 700, (0, 0), (0, 0)),
                [(3, Thin), (5, Enough), (10, Enough)],
            ),
            (
                found(600, 2_001, (0, 0), (0, 0)),
                [(3, Below), (5, Enough), (10, Enough)],
            ),
            (
                found(1, 1, (1_600, 1_666), (0, 0)),
                [(2, Enough), (5, Enough), (10, Enough)],
            ),
            (
                found(1, 1, (1_600, 1_667), (0, 0)),
                [(2, Enough), (6, Thin), (10, Enough)],
            ),
            (
                found(1, 1, (5_000, 5_100), (0, 0)),
                [(2, Enough), (16, Thin), (10, Enough)],
            ),
            (
                found(1, 1, (5_001, 5_100), (0, 0)),
                [(2, Enough), (16, Below), (10, Enough)],
            ),
            (
                found(1, 1, (0, 0), (4_000, 5_000)),
                [(2, Enough), (5, Enough), (15, Thin)],
            ),
            (
                found(1, 1, (0, 0), (10_001, 11_000)),
                [(2, Enough), (5, Enough), (33, Below)],
            ),
        ];
        for (found, expected) in table {
            assert_eq!(verdicts(&found, &now), expected, "{found:?}");
        }
    }

    #[test]
    fn every_advice_is_sound_and_none_is_given_where_none_can_be() {
        let now = LeaseSettings::default();
        for stale in [0, 1_000, 30_000, 90_000, 300_000, 700_000, 1_190_000] {
            for claim in [10, 3_000, 60_000, 400_000] {
                let advice = advise(&found(claim, claim, (stale, stale), (0, 900)), &now);
                let settings = advice.settings.expect("there are some");
                assert!(settings.broken().is_empty(), "{settings:?}");
                assert!(
                    settings.staleness >= ms(stale) * FACTOR && settings.claim_within >= ms(claim)
                );
                assert!(settings.margin >= now.margin && settings.ttl >= now.ttl);
                assert_eq!(settings.request_life, now.request_life);
            }
        }
        let hopeless = advise(&found(10, 10, (1_200_000, 1_200_000), (0, 900)), &now);
        assert_eq!(hopeless.settings, None);
        assert_eq!(hopeless.rows[1].verdict, Verdict::Below);
    }

    #[test]
    fn only_as_much_is_raised_as_the_relations_ask() {
        let now = LeaseSettings {
            margin: ms(15_000),
            ttl: ms(1_200_000),
            request_life: ms(1_000),
            ..LeaseSettings::default()
        };
        let advice = advise(&found(10, 10, (4_000, 4_000), (0, 0)), &now).settings;
        let raised = LeaseSettings {
            staleness: ms(12_000),
            margin: ms(60_000),
            ..now
        };
        assert_eq!(advice, Some(raised));
    }
}
