//! A contender that holds the first node when a search begins.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lease::{Answer, Input, Lease, Next, Terms, Want};
use roundsman::model::lock::Lock;
use roundsman::model::run::Run;
use roundsman::model::time::{Moment, Now};

use crate::contender::{Awaited, Contender, Doing, Left, Phase, Visit};
use crate::scenario::{Scenario, ms};
use crate::world::Order;

impl Contender {
    /// The same contender, holding the first node since tick 0, with its step under way there; and the lock's value.
    pub(crate) fn holding(mut self, scenario: &Scenario) -> (Self, Order, String, Option<String>) {
        let terms = scenario.terms(self.kind);
        let now = scenario.now(0, self.ahead);
        let own = Lock {
            run: RunId::new(ms(-10), 1),
            claim: ClaimId::new(ms(-10), 2),
            step: 1,
            ..scenario.lock()
        };
        let (lease, value) = Lease::granted(own, &terms, now);
        let order = Order {
            kind: self.kind,
            run: lease.lock().run,
            claim: lease.claim_id(),
            step: 1,
            attempt: 1,
            not_after: scenario.tick_of(lease.lock().until),
        };
        let mut visit = Visit {
            node: 0,
            lease,
            take: Left::Free,
            run: Run::new(),
            awaited: Awaited::Nothing,
            doing: Doing::Nothing,
            wake: Moment::MAX,
            waits_for: Some(order),
            shown: Vec::new(),
            attached: false,
            fail: 0,
            parking: false,
            stops: false,
        };
        let lease = &mut visit.lease;
        let renewal = scenario.renewed.then(|| renewal(lease, &terms, now));
        if let Next::Wait(until) = lease.on(&terms, now, Input::Want(Want::Keep)) {
            visit.wake = until;
        }
        self.phase = Phase::Visits(Box::new(visit));
        (self, order, value, renewal)
    }
}

/// A renewal of a lease that nobody answers: what it writes.
fn renewal(lease: &mut Lease, terms: &Terms, now: Now) -> String {
    let step = lease.lock().step;
    let next = lease.on(terms, now, Input::Want(Want::Step(step)));
    let Next::Write { value, .. } = next else {
        panic!("{next:?}");
    };
    let retry_in = std::time::Duration::from_secs(1);
    lease.on(terms, now, Input::Wrote(Answer::Unknown { retry_in }));
    value
}
