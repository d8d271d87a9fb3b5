//! A write that lands as late as any may, over a living holder.

use std::time::Duration;

use roundsman::model::rule::Rule;

use crate::must_fail::falls;
use crate::scenario::Scenario;
use crate::world::Wrong;

#[test]
fn a_holder_that_reads_every_third_of_l_sees_the_latest_of_late_claims_too_late() {
    let scenario = Scenario::new("as late as may be", (1, 1, 1), &[(0, 0), (1, 1)])
        .held(36)
        .with(|s| {
            let lease = &mut s.kinds[0].rules.lease;
            let spent = lease.claim_within + lease.staleness + lease.skew;
            let bound = (lease.ttl + lease.margin).saturating_sub(spent);
            lease.request_life = bound.saturating_sub(Duration::from_secs(1));
            assert!(lease.broken().is_empty());
            s.world.life = u16::try_from(lease.request_life.as_secs()).expect("small");
            s.horizon = 50;
        })
        .stray_begun(Duration::from_secs(9));
    falls(&scenario, &[Rule::LookInTime], &[Wrong::TwoHolders]);
}
