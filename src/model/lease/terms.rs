//! What a lease is bound by, and the spans that follow from it.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::rule::{Rule, Without};
use crate::model::settings::LeaseSettings;
use crate::model::time::{Now, ceil_second, floor_second, later};
use crate::model::view::Rules;

/// What the machine is bound by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The assumptions.
    pub settings: LeaseSettings,
    /// How long this job's leases last; at least the settings' `ttl`.
    pub ttl: Duration,
    /// Whether writes are conditional on the value that they replace (a local store): then nothing settles, and G
    /// and P are not used.
    pub transactional: bool,
    /// Nothing, but in a model checker or a simulator.
    pub without: Without,
}

impl Terms {
    /// What binds the claims of a job.
    pub fn of(rules: &Rules, transactional: bool) -> Self {
        Self {
            settings: rules.lease,
            ttl: rules.job.ttl(&rules.lease),
            transactional,
            without: rules.without,
        }
    }

    /// D: how long a claim waits before it believes what it reads.
    pub(super) fn settle(&self) -> Duration {
        let short = u64::from(!self.without.keeps(Rule::Settle));
        self.settings
            .settle()
            .saturating_sub(Duration::from_secs(short))
    }

    /// How long a holder goes without reading its lock: a third of L, and less where a write may land so late that
    /// its value could be taken over, and that claim be held, before the holder has read it.
    ///
    /// A late write is begun at w and lands over the lock by w + Z. The holder's next read to show it is begun at
    /// most P and this span later. The value is left alone until w + L + M, seen at most S too early, and whoever
    /// takes over then settles for D. So Z + P + this < L + M - S + D; G is left for the read itself.
    pub(super) fn look_every(&self) -> Duration {
        let lease = &self.settings;
        let over = lease.ttl + lease.margin + self.settle();
        let spent = lease.claim_within + lease.staleness + lease.skew + lease.request_life;
        let third = lease.ttl / 3;
        if self.without.keeps(Rule::LookInTime) {
            third.min(over.saturating_sub(spent))
        } else {
            third
        }
    }

    /// How long the first write of a claim lasts.
    pub(super) fn first_lasts(&self) -> Duration {
        if self.without.keeps(Rule::LastsL) {
            return self.settings.ttl;
        }
        self.settings.claim_within + self.settle() * 2
    }
}

/// The end of a write that lasts so long. Rounded up: what is cut off would be missing from the margin.
pub(super) fn until(terms: &Terms, now: Now, lasts: Duration) -> Timestamp {
    let end = later(now.wall, lasts);
    if terms.without.keeps(Rule::RoundUp) {
        ceil_second(end)
    } else {
        floor_second(end)
    }
}
