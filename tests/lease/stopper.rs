//! A contender that stops: it ends the run on the first node, whoever holds it.

use roundsman::model::decide::standing::Standing;
use roundsman::model::lease::{Input, Lease, Next};
use roundsman::model::node::Activity;
use roundsman::model::run::Run;
use roundsman::model::stop;
use roundsman::model::time::{Moment, Now};
use roundsman::model::view::View;

use crate::contender::{Awaited, Contender, Deed, Doing, Left, Phase, Turn, Visit, shown};
use crate::world::{Order, Val};

impl Turn<'_> {
    /// Claims the first node for what is there to be stopped.
    pub(crate) fn stop(
        &mut self,
        after: &mut Contender,
        now: Now,
        tags: &[Val],
        evidence: &[(u8, Order, Activity)],
    ) {
        let view = self.view(now, tags, evidence);
        let rules = self.rules(after).clone();
        let Ok(target) = stop::target(&rules, &view, &view.nodes[0], None) else {
            after.phase = Phase::Idle;
            return;
        };
        let (claim, _) = self.ids(after, now);
        let owner = self.kind(after).owner.clone();
        let own = stop::own_lock(&rules, &target, &owner, claim);
        let terms = self.terms(after);
        let found = target.found.value.clone();
        let mut visit = Visit {
            node: 0,
            lease: Lease::stop(own.clone(), target.found),
            take: Left::Adopt(found, target.run),
            run: Run::new(),
            awaited: Awaited::Claim,
            doing: Doing::Nothing,
            wake: Moment::MAX,
            waits_for: None,
            shown: shown(0, evidence),
            attached: false,
            fail: self.fail_of(after, tags, 0),
            parking: false,
            stops: true,
        };
        let first = if terms.transactional {
            let (lease, value) = Lease::granted(stop::granted(own), &terms, now);
            visit.lease = lease;
            let was = self.scenario.lock_of(tags, 0);
            let granted = self.texts.number(&value);
            self.deeds.push(Deed::Grant(0, was, granted));
            Next::Go
        } else {
            visit.lease.on(&terms, now, Input::Start)
        };
        self.follow(after, now, visit, first);
    }

    /// Whether a stop that has settled still stands.
    pub(crate) fn stop_stands(&self, after: &Contender, visit: &Visit, view: &View) -> Standing {
        let over = visit.lease.over().expect("it was written over a lock");
        stop::stands(self.rules(after), view, &view.nodes[0], over)
    }
}
