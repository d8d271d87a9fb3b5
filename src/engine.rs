//! Floor 3: order and waiting. Observe, decide, act, and again; the rules are the model's.
//!
//! [`round`] is one invocation: it looks at the fleet, takes what may be taken and keeps at most so many nodes in
//! hand. [`visit`] is one node from the claim to the release: one loop that owns renewing, stepping and releasing.
//! [`operate`] is what operators do by hand, [`probe`] measures the store. All are generic over the ports and tell what happened as events.

pub mod halt;
pub mod leave;
pub mod observe;
pub mod operate;
pub mod probe;
pub mod round;
pub mod stop;
pub mod variables;
pub mod visit;

use crate::event::{Event, EventKind};
use crate::model::id::{NodeId, RunId};
use crate::model::time::{Moment, Now};
use crate::model::view::Rules;
use crate::port::{Clock, Ports, Store};

/// What one invocation acts with.
pub struct Engine<'a, P: Ports> {
    /// The world.
    pub ports: &'a P,
    /// The job and what binds it.
    pub rules: &'a Rules,
    /// Who claims: `[lease] owner`, by default user@host.
    pub owner: &'a str,
    /// Who is told what happened.
    pub report: &'a dyn Fn(Event),
}

impl<P: Ports> std::fmt::Debug for Engine<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("rules", self.rules)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<P: Ports> Engine<'_, P> {
    /// Both clocks, the wall clock corrected to the provider's time.
    pub fn now(&self) -> Now {
        now(self.ports)
    }

    fn tell(&self, run: Option<RunId>, node: Option<&NodeId>, kind: EventKind) {
        (self.report)(Event {
            at: self.now().wall,
            run,
            node: node.cloned(),
            kind,
        });
    }

    async fn sleep_until(&self, at: Moment) {
        self.ports.clock().sleep_until(at).await;
    }
}

/// Both clocks, the wall clock corrected to the provider's time.
pub fn now<P: Ports>(ports: &P) -> Now {
    let clock = ports.clock();
    Now {
        wall: ports.store().offset().correct(clock.wall()),
        boot: clock.boot(),
    }
}
