//! What the simulator has found, and what its own wrapper has to do: each in a world of one node, without chance.

use std::rc::Rc;
use std::time::Duration;

use roundsman::model::id::{ClaimId, Name, NodeId, RunId};
use roundsman::model::outcome::Outcome;
use roundsman::model::rule::{Rule, Without};
use roundsman::model::settings::LeaseSettings;
use roundsman::model::time::later;
use roundsman::port::{Clock, Deed};

use crate::cloud::Cloud;
use crate::fence::Payload;

const RUN_1: RunIds = RunIds { run: 1, claim: 1 };
const RUN_2: RunIds = RunIds { run: 2, claim: 2 };

#[derive(Clone, Copy)]
struct RunIds {
    run: u64,
    claim: u64,
}

fn world(without: Without) -> (Rc<Cloud>, NodeId) {
    let cloud = Cloud::new(
        1,
        LeaseSettings::default(),
        without,
        Box::new(|_| {}),
        false,
    );
    let node = cloud.add_node("a");
    (cloud, node)
}

/// A step of ten minutes at least that may be begun within twenty.
fn payload(cloud: &Cloud, ids: RunIds, attempt: u32) -> Payload {
    Payload {
        job: Name::new("repair").expect("a name"),
        run: RunId::new(ids.run, 0),
        claim: ClaimId::new(ids.claim, 0),
        step: 1,
        attempt,
        timeout: Duration::from_secs(7_200),
        not_after: later(cloud.clock.wall(), Duration::from_secs(1_200)),
        takes: Duration::from_secs(2_400 * 4),
        deed: Deed::Run,
    }
}

fn pass(cloud: &Rc<Cloud>, seconds: u64) {
    let at = cloud.clock.boot().plus(Duration::from_secs(seconds));
    cloud.clock.play(cloud.clock.sleep_until(at));
}

/// Found by the simulator: told too late, the runner sent the step anew, was told busy eight times, and let go of the node
/// while the step was running there; the next node was begun beside it, beyond the limit.
#[test]
fn a_send_that_is_delivered_again_late_is_told_how_the_first_one_ends() {
    let (cloud, node) = world(Without::NOTHING);
    let step = payload(&cloud, RUN_1, 1);
    assert_eq!(cloud.exec(&node, 1, &step), None);
    pass(&cloud, 2_000);
    assert_eq!(
        cloud.exec(&node, 1, &step),
        None,
        "it is attached, and not too late"
    );
    pass(&cloud, 10_000);
    assert_eq!(cloud.exec(&node, 1, &step), Some(Outcome::Ok));
    cloud.clock.clear();
}

#[test]
fn what_would_begin_too_late_or_beside_another_or_after_a_later_claim_is_refused() {
    let (cloud, node) = world(Without::NOTHING);
    let (first, late) = (payload(&cloud, RUN_1, 1), payload(&cloud, RUN_1, 2));
    assert_eq!(cloud.exec(&node, 1, &first), None);
    assert_eq!(
        cloud.exec(&node, 2, &payload(&cloud, RUN_2, 1)),
        Some(Outcome::Busy)
    );
    assert_eq!(
        cloud.exec(&node, 3, &payload(&cloud, RUN_1, 1)),
        Some(Outcome::Superseded),
        "a busy node has taken note of the later claim all the same"
    );
    pass(&cloud, 12_000);
    let late = Payload {
        claim: ClaimId::new(3, 0),
        ..late
    };
    assert_eq!(cloud.exec(&node, 4, &late), Some(Outcome::TooLate));
    cloud.clock.clear();
}

#[test]
fn an_attempt_that_went_down_with_its_node_is_interrupted_and_not_begun_again() {
    let (cloud, node) = world(Without::NOTHING);
    let step = payload(&cloud, RUN_1, 1);
    assert_eq!(cloud.exec(&node, 1, &step), None);
    cloud.reboot_node(&node);
    pass(&cloud, 600);
    assert_eq!(cloud.exec(&node, 1, &step), Some(Outcome::Interrupted));
    assert_eq!(cloud.exec(&node, 2, &payload(&cloud, RUN_1, 2)), None);
    cloud.clock.clear();
}

#[test]
fn without_a_part_of_the_fence_what_it_refused_is_executed() {
    let parts = [
        (Rule::Mark, Outcome::Superseded),
        (Rule::NotAfter, Outcome::TooLate),
        (Rule::Journal, Outcome::Ok),
        (Rule::KernelLock, Outcome::Busy),
    ];
    for (rule, refusal) in parts {
        for out in [false, true] {
            let without = if out {
                Without::rule(rule)
            } else {
                Without::NOTHING
            };
            let (cloud, node) = world(without);
            let (first, second) = (payload(&cloud, RUN_1, 1), payload(&cloud, RUN_2, 1));
            let (before, sent) = match rule {
                Rule::Mark => (Some(second), payload(&cloud, RUN_1, 2)),
                Rule::NotAfter => (None, first),
                Rule::Journal => (Some(first.clone()), first),
                _ => (Some(first), second),
            };
            if let Some(before) = before {
                assert_eq!(cloud.exec(&node, 1, &before), None);
            }
            // All but the kernel's lock stand when what was there before has long ended.
            if rule != Rule::KernelLock {
                pass(&cloud, 12_000);
            }
            let sent = match rule {
                Rule::NotAfter => sent,
                _ => Payload {
                    not_after: later(cloud.clock.wall(), Duration::from_secs(60)),
                    ..sent
                },
            };
            let expected = (!out).then_some(refusal);
            let answer = cloud.exec(&node, 2, &sent);
            assert_eq!(answer, expected, "{rule:?}, taken out: {out}");
            cloud.clock.clear();
        }
    }
}
