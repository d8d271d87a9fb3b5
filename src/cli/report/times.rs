//! Times and nodes as people read them.

use std::time::Duration;

use jiff::Timestamp;

use crate::cli::report::text::harmless_line;
use crate::model::span::short_span;
use crate::model::time::elapsed;

/// A time to the minute, UTC: `2026-11-23 00:30Z`.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A time to the second when it lies on the day of `now` (`00:30:00Z`), else with its date.
pub(super) fn near(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if day(at) == day(now) {
        at.strftime("%H:%M:%SZ").to_string()
    } else {
        minute(at)
    }
}

/// How a time lies to `now`: `in 3h 12m`, `2d 4h ago`, `now`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (elapsed(now, at), elapsed(at, now));
    if ahead >= Duration::from_secs(1) {
        format!("in {}", short_span(ahead))
    } else if behind >= Duration::from_secs(1) {
        format!("{} ago", short_span(behind))
    } else {
        "now".to_owned()
    }
}

/// Both: `2026-11-23 03:10Z (in 3h)`.
pub(super) fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", minute(at), relative(at, now))
}

/// A node as people are told of it: `name (id)`, or the id alone where that is the name too.
pub(super) fn label(id: &str, name: Option<&str>) -> String {
    let (id, name) = (harmless_line(id), name.map(harmless_line));
    match name.filter(|name| *name != id && !name.trim().is_empty()) {
        Some(name) => format!("{} ({id})", cut(&name, NAME_MAX)),
        None => id,
    }
}

/// The most characters of a node's name in a sentence. A name tag may have 256.
const NAME_MAX: usize = 40;

/// The text, cut to so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The text, broken at blanks so that no line is longer than `width` where it can be; each line ended. Later lines
/// are indented.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn times_are_told_by_the_clock_and_by_their_distance() {
        let now = at("2026-11-23T00:10:00Z");
        assert_eq!(
            both(at("2026-11-23T03:22:30Z"), now),
            "2026-11-23 03:22Z (in 3h 12m)"
        );
        assert_eq!(relative(at("2026-11-20T20:10:00Z"), now), "2d 4h ago");
        assert_eq!(relative(at("2026-11-23T00:10:00.4Z"), now), "now");
        assert_eq!(near(at("2026-11-23T00:30:00Z"), now), "00:30:00Z");
        assert_eq!(near(at("2026-11-24T00:30:00Z"), now), "2026-11-24 00:30Z");
    }

    #[test]
    fn a_long_line_is_broken_at_its_blanks() {
        assert_eq!(wrapped("one two three", 8), "one two\n  three\n");
        assert_eq!(wrapped("one-two-three", 8), "one-two-three\n");
    }

    #[test]
    fn a_node_is_named_once() {
        assert_eq!(label("i-1", Some("db-1")), "db-1 (i-1)");
        assert_eq!(label("i-1", Some("i-1")), "i-1");
        assert_eq!(label("i-1", Some(" ")), "i-1");
        assert_eq!(label("i-1", Some("a\u{1b}[2J\nb")), "a\u{fffd}[2J b (i-1)");
        assert_eq!(
            label("i-1", Some(&"n".repeat(256))).chars().count(),
            40 + " (i-1)".len()
        );
    }
}
