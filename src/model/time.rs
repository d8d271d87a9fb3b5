//! The two kinds of time, and the text forms of dates that tags hold.
//!
//! Wall time ([`Timestamp`]) is what stands in tags; it is always the provider's, as
//! anything stored is. A [`Moment`] measures: it is read from a clock that counts suspend, so a laptop
//! that slept does not believe that its lease is still young.

use std::time::Duration;

use jiff::{Timestamp, civil, tz::TimeZone};

/// A point on the clock that counts suspend (`CLOCK_BOOTTIME`), as the time since that clock began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// Later than every other moment: nothing to wait for.
    pub const MAX: Self = Self(Duration::MAX);

    /// The time from `earlier` to this moment; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that lies `span` after this one.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// Both clocks, read together: `wall` is the provider's time, `boot` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// The provider's time, as well as it is known.
    pub wall: Timestamp,
    /// This machine's clock that counts suspend.
    pub boot: Moment,
}

/// Provider time less this machine's, as an interval: answers carry whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offset {
    /// The least that it can be, in milliseconds.
    pub least_ms: i64,
    /// The most that it can be, in milliseconds.
    pub most_ms: i64,
}

impl Offset {
    /// The correction of this machine's time: the interval's value nearest to zero.
    pub fn correct(self, wall: Timestamp) -> Timestamp {
        let nearest = 0.clamp(self.least_ms, self.most_ms.max(self.least_ms));
        wall.saturating_add(jiff::SignedDuration::from_millis(nearest))
            .unwrap_or(wall)
    }

    /// Whether this machine's clock is certainly wrong by more than `skew`: all of the interval lies beyond it.
    pub fn beyond(self, skew: Duration) -> bool {
        let skew_ms = i64::try_from(skew.as_millis()).unwrap_or(i64::MAX);
        self.least_ms > skew_ms || self.most_ms < -skew_ms
    }
}

/// `at` and `span` later; the end of time when that lies beyond it.
pub fn later(at: Timestamp, span: Duration) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

/// How long after `earlier` the time `at` lies; zero when it lies before.
pub fn elapsed(earlier: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// The beginning of the second in which `at` lies.
pub fn floor_second(at: Timestamp) -> Timestamp {
    let second = at.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(second)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(at)
}

/// `at` itself when it is a whole second, else the next one.
///
/// An end that is cut to seconds would eat the margin, so ends are rounded up.
pub fn ceil_second(at: Timestamp) -> Timestamp {
    let floor = floor_second(at);
    if floor == at {
        at
    } else {
        later(floor, Duration::from_secs(1))
    }
}

/// Writes a time in the one form that tags get: RFC 3339, UTC, whole seconds (rounded down).
pub fn format_stamp(at: Timestamp) -> String {
    floor_second(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads a time as fleets have it in their tags.
///
/// RFC 3339 and ISO 8601 date-times (`T` or a space, with or without a fraction; without a zone: UTC), dates
/// (their first second, UTC), and epoch seconds. `None`: none of these.
pub fn parse_stamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() != 8 {
        return text
            .parse::<i64>()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = text.parse::<civil::DateTime>().or_else(|_| {
        text.parse::<civil::Date>()
            .map(|date| date.to_datetime(civil::Time::midnight()))
    });
    // An offset or zone that did not make a timestamp must not be passed over as if it were not there.
    let zoned = text
        .get(10..)
        .is_some_and(|rest| rest.contains(['+', '[', 'Z', 'z']));
    civil
        .ok()
        .filter(|_| !zoned)
        .and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_form_of_the_contract_is_read() {
        let table = [
            ("2026-11-23T00:10:00Z", "2026-11-23T00:10:00Z"),
            ("2026-11-23 00:10:00Z", "2026-11-23T00:10:00Z"),
            ("2026-11-23T02:10:00+02:00", "2026-11-23T00:10:00Z"),
            ("2026-11-23T00:10:00.750Z", "2026-11-23T00:10:00Z"),
            ("2026-11-23T00:10:00", "2026-11-23T00:10:00Z"),
            ("2026-11-23 00:10:00.123456", "2026-11-23T00:10:00Z"),
            ("2026-11-23 00:10", "2026-11-23T00:10:00Z"),
            ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("20261123", "2026-11-23T00:00:00Z"),
            ("1795392600", "2026-11-23T00:10:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(
                parse_stamp(text).map(format_stamp).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_date_is_not_read_as_one() {
        for text in [
            "",
            "never",
            "yesterday",
            "2026-13-01",
            "23.11.2026",
            "-5",
            "1795392600000",
            "2026-11-23T00:10:00[Nowhere/Atall]",
        ] {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_is_corrected_by_the_least_and_refused_only_when_it_is_certainly_wrong() {
        let at: Timestamp = "2026-11-23T00:10:00Z".parse().expect("a time");
        let corrected = |least_ms, most_ms| {
            Offset { least_ms, most_ms }
                .correct(at)
                .duration_since(at)
                .as_millis()
        };
        assert_eq!(
            (
                corrected(-400, 600),
                corrected(2_000, 3_000),
                corrected(-9_000, -8_000)
            ),
            (0, 2_000, -8_000)
        );
        let beyond =
            |least_ms, most_ms| Offset { least_ms, most_ms }.beyond(Duration::from_secs(10));
        assert!(
            !beyond(9_500, 10_500)
                && beyond(10_001, 11_000)
                && beyond(-12_000, -10_001)
                && !beyond(-11_000, -10_000)
        );
    }

    #[test]
    fn ends_are_rounded_up_and_beginnings_down() {
        let at: Timestamp = "2026-11-23T00:10:00.001Z".parse().expect("a time");
        assert_eq!(format_stamp(floor_second(at)), "2026-11-23T00:10:00Z");
        assert_eq!(format_stamp(ceil_second(at)), "2026-11-23T00:10:01Z");
        assert_eq!(ceil_second(floor_second(at)), floor_second(at));
    }
}
