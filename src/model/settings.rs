//! The lease settings: the assumptions on which the claim rests, and the relations that must hold between them.
//! Beside them [`Settings`]: where the nodes are, too.

mod provider;

pub use provider::{AwsSettings, InventoryNode, LocalSettings, Provider, ProviderKind, Settings};

use std::time::Duration;

use crate::model::digest::hash4;
use crate::model::lock::{Digest, SetDigest};
use crate::model::span::format_span;

/// The assumptions of the claim protocol (the head of `model/lease.rs`). Each is a promise about the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseSettings {
    /// G: a write counts only if it was answered within this of the start of the read that justifies it.
    pub claim_within: Duration,
    /// P: no read is older than this.
    pub staleness: Duration,
    /// S: no two clocks differ by more.
    pub skew: Duration,
    /// M: how long after its end a lease is left alone.
    pub margin: Duration,
    /// L: how long a lease lasts without renewal.
    pub ttl: Duration,
    /// Z: no write lands later than this after it was begun.
    pub request_life: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self {
            claim_within: Duration::from_secs(2),
            staleness: Duration::from_secs(5),
            skew: Duration::from_secs(10),
            margin: Duration::from_secs(300),
            ttl: Duration::from_secs(1_200),
            request_life: Duration::from_secs(900),
        }
    }
}

/// A relation between lease settings that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The key of the setting to change first (`margin`).
    pub key: &'static str,
    /// What must hold, and what is there.
    pub message: String,
}

impl LeaseSettings {
    /// D = max(G + 2P, S) + 1s: how long a claim waits before it believes what it reads. Derived, never set.
    pub fn settle(&self) -> Duration {
        (self
            .claim_within
            .saturating_add(self.staleness.saturating_mul(2)))
        .max(self.skew)
        .saturating_add(Duration::from_secs(1))
    }

    /// The digest that stands in every lock, so that runners with different assumptions notice each other.
    pub fn set(&self) -> SetDigest {
        let all = [
            self.claim_within,
            self.staleness,
            self.skew,
            self.margin,
            self.ttl,
            self.request_life,
        ];
        let text: Vec<String> = all.iter().map(|span| span.as_nanos().to_string()).collect();
        Digest::of(hash4(text.join(" ").as_bytes()))
    }

    /// Every relation that does not hold; none: the settings are sound.
    pub fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut require = |holds: bool, key: &'static str, message: String| {
            if !holds {
                broken.push(Broken { key, message });
            }
        };
        for (key, span) in [
            ("claim-within", self.claim_within),
            ("staleness", self.staleness),
            ("skew", self.skew),
            ("margin", self.margin),
            ("ttl", self.ttl),
            ("request-life", self.request_life),
        ] {
            require(!span.is_zero(), key, format!("`{key}` must be above zero"));
        }
        let hour = Duration::from_secs(3_600);
        let slack = self.skew.saturating_add(self.staleness);
        require(
            slack <= self.margin,
            "margin",
            format!(
                "`margin` must be at least `skew` + `staleness` ({}); it is {}",
                format_span(slack),
                format_span(self.margin)
            ),
        );
        require(
            self.margin <= hour,
            "margin",
            format!(
                "`margin` must be at most 1h; it is {}",
                format_span(self.margin)
            ),
        );
        let shortest = self
            .claim_within
            .saturating_add(self.settle())
            .saturating_add(Duration::from_secs(1))
            .saturating_mul(2);
        require(
            self.ttl >= shortest,
            "ttl",
            format!(
                "`ttl` must be at least 2 x (`claim-within` + settle time + 1s) = {}; it is {}",
                format_span(shortest),
                format_span(self.ttl)
            ),
        );
        let spent = self
            .claim_within
            .saturating_add(self.staleness)
            .saturating_add(self.skew);
        let longest = self.ttl.saturating_add(self.margin).saturating_sub(spent);
        require(
            self.request_life < longest,
            "request-life",
            format!(
                "`request-life` must be below `ttl` + `margin` - `claim-within` - `staleness` - `skew` ({}); it is {}",
                format_span(longest),
                format_span(self.request_life)
            ),
        );
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut LeaseSettings)) -> Vec<&'static str> {
        let mut settings = LeaseSettings::default();
        change(&mut settings);
        settings
            .broken()
            .into_iter()
            .map(|broken| broken.key)
            .collect()
    }

    #[test]
    fn the_defaults_are_sound_and_settle_in_13_seconds() {
        assert!(LeaseSettings::default().broken().is_empty());
        assert_eq!(LeaseSettings::default().settle(), Duration::from_secs(13));
    }

    #[test]
    fn skew_alone_can_decide_the_settle_time() {
        let settings = LeaseSettings {
            skew: Duration::from_secs(60),
            ..LeaseSettings::default()
        };
        assert_eq!(settings.settle(), Duration::from_secs(61));
    }

    #[test]
    fn each_relation_is_named_when_it_breaks() {
        let secs = Duration::from_secs;
        assert_eq!(with(|s| s.margin = secs(14)), ["margin"]);
        assert_eq!(with(|s| s.margin = secs(15)), [""; 0]);
        assert_eq!(with(|s| s.margin = secs(3_601)), ["margin"]);
        assert_eq!(
            with(|s| {
                s.ttl = secs(31);
                s.request_life = secs(1);
            }),
            ["ttl"]
        );
        assert_eq!(
            with(|s| {
                s.ttl = secs(32);
                s.request_life = secs(1);
            }),
            [""; 0]
        );
        assert_eq!(with(|s| s.request_life = secs(1_483)), ["request-life"]);
        assert_eq!(with(|s| s.request_life = secs(1_482)), [""; 0]);
        assert_eq!(with(|s| s.staleness = Duration::ZERO), ["staleness"]);
    }

    #[test]
    fn every_setting_is_in_the_digest() {
        let sets: std::collections::BTreeSet<_> = [0, 1, 2, 3, 4, 5, 6]
            .map(|which| {
                let mut s = LeaseSettings::default();
                let all = [
                    &mut s.claim_within,
                    &mut s.staleness,
                    &mut s.skew,
                    &mut s.margin,
                    &mut s.ttl,
                    &mut s.request_life,
                ];
                if let Some(span) = all.into_iter().nth(which) {
                    *span += Duration::from_millis(1);
                }
                s.set()
            })
            .into();
        assert_eq!(sets.len(), 7);
    }
}
