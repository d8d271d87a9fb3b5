//! Durations as people write them: `7d`, `3h 12m 5s`.

use std::time::Duration;

/// Reads a duration with units (`90s`, `1h 30m`, `7d`).
///
/// # Errors
/// A sentence that says what is wrong and what a duration looks like.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|error| match error {
        humantime::DurationError::Empty => {
            "a duration is missing, such as `90s`, `1h 30m` or `7d`".to_owned()
        }
        humantime::DurationError::NumberExpected(_)
        | humantime::DurationError::InvalidCharacter(_) => {
            format!("`{text}` is no duration; write one like `90s`, `1h 30m` or `7d`")
        }
        humantime::DurationError::UnknownUnit { unit, value, .. } if unit.is_empty() => {
            format!("`{text}` has no unit; write one like `{value}s` or `{value}h`")
        }
        humantime::DurationError::UnknownUnit { unit, .. } => {
            format!("`{text}` has the unknown unit `{unit}`; units are `s`, `m`, `h`, `d` and `w`")
        }
        humantime::DurationError::NumberOverflow => {
            format!("`{text}` is too long for a duration")
        }
    })
}

/// Writes a duration in whole seconds, as tags and messages have it: `3h 12m 5s`.
pub fn format_span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

/// Writes a duration to the millisecond, in units that [`parse_span`] reads: `1s 500ms`. For settings.
pub fn exact_span(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

/// Writes a measured duration with three figures, or in its two largest units from a minute on: `48ms`, `1.24s`,
/// `1m 3s`.
pub fn fine_span(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        0 => "0ms".to_owned(),
        1..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{}.{:02}s", ms / 1_000, ms % 1_000 / 10),
        10_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => short_span(span),
    }
}

/// Writes a duration in its two largest units: `3h 12m`, `2d 4h`. For people, to whom the seconds of a week tell
/// nothing; days are the largest unit, since months differ.
pub fn short_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let from = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let parts = units.iter().skip(from).take(2);
    let words: Vec<String> = parts
        .enumerate()
        .filter(|(place, (count, _))| *place == 0 || *count > 0)
        .map(|(_, (count, unit))| format!("{count}{unit}"))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_with_units() {
        assert_eq!(parse_span("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_span("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(format_span(Duration::from_millis(11_525_900)), "3h 12m 5s");
    }

    #[test]
    fn people_are_told_the_two_largest_units() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (63, "1m 3s"),
            (3_600, "1h"),
            (3_659, "1h"),
            (11_525, "3h 12m"),
            (187_200, "2d 4h"),
            (40 * 86_400 + 60, "40d"),
        ];
        for (seconds, text) in table {
            assert_eq!(short_span(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn measured_times_are_told_as_finely_as_they_are_worth() {
        let table = [
            (0, "0ms", "0s"),
            (48, "48ms", "48ms"),
            (1_249, "1.24s", "1s 249ms"),
            (12_499, "12.4s", "12s 499ms"),
            (63_900, "1m 3s", "1m 3s 900ms"),
        ];
        for (ms, fine, exact) in table {
            let span = Duration::from_millis(ms);
            assert_eq!(
                (fine_span(span).as_str(), exact_span(span).as_str()),
                (fine, exact)
            );
            assert_eq!(parse_span(exact), Ok(span));
        }
    }

    #[test]
    fn a_bare_number_and_nonsense_are_told_apart() {
        assert!(parse_span("90").is_err_and(|message| message.contains("no unit")));
        assert!(parse_span("soon").is_err_and(|message| message.contains("no duration")));
        assert!(parse_span("-5m").is_err());
        assert!(parse_span("").is_err());
    }
}
