//! Tags and their past: the last writer wins, and a read may see any value of the last while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lots::Lots;

/// How long the past is kept at least.
const KEPT: Duration = Duration::from_secs(120);

/// A value from some moment on; `None`: deleted.
type Version = (Instant, Option<String>);

/// What one read sees.
#[derive(Debug)]
pub(crate) enum View<'l> {
    /// What is true now.
    Fresh,
    /// What was true so long ago.
    Back(Duration),
    /// For each tag, what was true at a moment of its own, at most so long ago.
    Drawn(Duration, &'l mut Lots),
}

/// The tags of one resource by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// All tags of all resources.
#[derive(Debug, Default)]
pub(crate) struct Past {
    resources: BTreeMap<String, BTreeMap<String, Vec<Version>>>,
}

impl Past {
    /// The tags of a resource as a read sees them.
    pub(crate) fn seen(&self, resource: &str, now: Instant, view: &mut View<'_>) -> Tags {
        let Some(tags) = self.resources.get(resource) else {
            return Tags::new();
        };
        let mut seen = Tags::new();
        for (key, versions) in tags {
            let lag = match view {
                View::Fresh => Duration::ZERO,
                View::Back(lag) => *lag,
                View::Drawn(most, lots) => lots.up_to(*most),
            };
            let at = now.checked_sub(lag).unwrap_or(now);
            let version = versions.iter().rev().find(|(since, _)| *since <= at);
            if let Some((_, Some(value))) = version {
                seen.insert(key.clone(), value.clone());
            }
        }
        seen
    }

    /// The tags of a resource.
    pub(crate) fn now(&self, resource: &str, now: Instant) -> Tags {
        self.seen(resource, now, &mut View::Fresh)
    }

    /// Writes a tag, or deletes it.
    pub(crate) fn put(&mut self, resource: &str, key: &str, value: Option<&str>, now: Instant) {
        let tags = self.resources.entry(resource.to_owned()).or_default();
        let versions = tags.entry(key.to_owned()).or_default();
        versions.push((now, value.map(str::to_owned)));
        // What was true when the past that is kept began is needed too.
        let begin = now.checked_sub(KEPT).unwrap_or(now);
        let old = versions.iter().filter(|(since, _)| *since <= begin).count();
        versions.drain(..old.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some moment to count from")]
    fn a_read_sees_what_was_true_and_the_last_writer_wins() {
        let begun = Instant::now();
        let at = |s| begun + Duration::from_secs(s);
        let mut past = Past::default();
        past.put("i-1", "k", Some("a"), at(0));
        past.put("i-1", "k", Some("b"), at(10));
        past.put("i-1", "k", None, at(20));
        let value = |now, lag| {
            let seen = past.seen("i-1", at(now), &mut View::Back(Duration::from_secs(lag)));
            seen.get("k").cloned()
        };
        assert_eq!(value(9, 0).as_deref(), Some("a"));
        assert_eq!(value(12, 0).as_deref(), Some("b"));
        assert_eq!(value(12, 3).as_deref(), Some("a"));
        assert_eq!(value(25, 0), None);
        assert_eq!(value(25, 6).as_deref(), Some("b"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some moment to count from")]
    fn drawn_reads_go_back_and_forth_within_the_bound() {
        let begun = Instant::now();
        let mut past = Past::default();
        past.put("i-1", "k", Some("old"), begun);
        let written = begun + Duration::from_secs(60);
        past.put("i-1", "k", Some("new"), written);
        let mut lots = Lots::new(3);
        let mut read = |after_ms| {
            let mut view = View::Drawn(Duration::from_secs(1), &mut lots);
            let seen = past.seen("i-1", written + Duration::from_millis(after_ms), &mut view);
            seen["k"] == "new"
        };
        let seen: Vec<bool> = (0..64).map(|_| read(500)).collect();
        assert!(seen.windows(2).any(|two| two == [true, false]), "{seen:?}");
        assert!(seen.windows(2).any(|two| two == [false, true]), "{seen:?}");
        assert!((0..64).all(|_| read(1_001)));
    }
}
