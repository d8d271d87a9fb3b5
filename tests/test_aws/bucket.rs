//! Token buckets, as large and as fast as AWS publishes them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Action, capacity, tokens a second ("Request throttling for the Amazon EC2 API", resource-intensive and
/// non-mutating actions). For Auto Scaling and SSM no rates are published.
const PUBLISHED: [(&str, f64, f64); 5] = [
    ("CreateTags", 100.0, 10.0),
    ("DeleteTags", 100.0, 10.0),
    ("DescribeTags", 100.0, 20.0),
    ("DescribeInstances", 100.0, 20.0),
    (UNFILTERED, 50.0, 10.0),
];
/// `DescribeInstances` with neither pages nor filters.
const UNFILTERED: &str = "DescribeInstances unfiltered and unpaginated";

/// The buckets of one account and region.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<&'static str, (f64, Instant)>);

impl Buckets {
    /// Takes a token for a call; `false`: there is none.
    pub(crate) fn take(&mut self, action: &str, narrowed: bool, now: Instant) -> bool {
        let name = if action == "DescribeInstances" && !narrowed {
            UNFILTERED
        } else {
            action
        };
        let Some(&(name, capacity, rate)) = PUBLISHED.iter().find(|(each, ..)| *each == name)
        else {
            return true;
        };
        let (tokens, since) = self.0.entry(name).or_insert((capacity, now));
        let passed = now.saturating_duration_since(*since);
        *tokens = (*tokens + Duration::as_secs_f64(&passed) * rate).min(capacity);
        *since = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}
