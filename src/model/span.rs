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
        other => format!("`{text}` is no duration: {other}"),
    })
}

/// Writes a duration in whole seconds, as tags and messages have it: `3h 12m 5s`.
pub fn format_span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

/// Writes a duration in its two largest units: `3h 12m`. For tables, where the seconds of a week tell nothing.
pub fn short_span(span: Duration) -> String {
    let full = format_span(span);
    full.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_with_units() {
        assert_eq!(parse_span("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_span("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(format_span(Duration::from_millis(11_525_900)), "3h 12m 5s");
        assert_eq!(short_span(Duration::from_secs(11_525)), "3h 12m");
    }

    #[test]
    fn a_bare_number_and_nonsense_are_told_apart() {
        assert!(parse_span("90").is_err_and(|message| message.contains("no unit")));
        assert!(parse_span("soon").is_err_and(|message| message.contains("no duration")));
        assert!(parse_span("-5m").is_err());
        assert!(parse_span("").is_err());
    }
}
