//! How a visit ends.

use crate::engine::visit::step::Underway;
use crate::engine::visit::{Awaited, Visit, Visited};
use crate::event::{EventKind, ParkedFor};
use crate::model::job::On;
use crate::model::lease::{End, Next};
use crate::model::time::{format_stamp, later};
use crate::port::{ErrorKind, PortError, Ports};

impl<'a, P: Ports> Visit<'a, P> {
    /// Whether what the lease wants next can never succeed: the release was refused for good.
    ///
    /// A record is tried again until the lease ends: it is all that shows that the work was done.
    pub(super) fn hopeless(&self, next: &Next) -> Option<PortError> {
        let waiting = matches!(next, Next::Wait(_)) && self.awaited == Awaited::Release;
        self.error
            .clone()
            .filter(|error| waiting && self.trouble > 0 && for_good(error))
    }

    pub(super) async fn end(&mut self, end: End, underway: Option<Underway<'a>>) -> Visited {
        match end {
            End::Lost { why } | End::Withdrawn { why } => {
                self.tell(EventKind::ClaimLost { why: why.clone() });
                Visited::ClaimLost { why }
            }
            End::Late | End::Refused => {
                let slow = || {
                    let message = format!(
                        "claiming {} was not answered within `claim-within`; what was written is left to its own end",
                        self.node.id
                    );
                    PortError::new(crate::port::ErrorKind::Unreachable, message)
                        .with_help("run from nearer to the provider, or raise `[lease] claim-within` on every machine that runs this job")
                };
                let error = self.error.clone().unwrap_or_else(slow);
                self.tell(EventKind::ClaimLost {
                    why: error.message.clone(),
                });
                Visited::NotClaimed(error)
            }
            End::Released => {
                self.tell(EventKind::Released);
                match self.unrecorded.take() {
                    Some(error) => Visited::Outside(error),
                    None => Visited::Recorded(self.run.result()),
                }
            }
            End::Parked => {
                let why = match self.awaited {
                    Awaited::Parked(why) => why,
                    _ => ParkedFor::Signal,
                };
                let lock = self.lease.lock();
                self.tell(EventKind::Parked {
                    why,
                    step: lock.step,
                    until: lock.until,
                });
                Visited::Parked
            }
            End::LeaseLost { why } => {
                let error = self.error.clone().filter(|_| self.trouble > 0);
                let cause = error
                    .as_ref()
                    .map(|error| format!(" ({error})"))
                    .unwrap_or_default();
                self.tell(EventKind::LeaseLost {
                    why: format!("{why}{cause}"),
                });
                if let Some(underway) = underway {
                    // Nobody has taken the node over: the outside could not be reached in time.
                    if error.is_some() && underway.on() == On::Node {
                        self.tell_left();
                    }
                    underway.end_runner_step(self.terms.settings.margin).await;
                }
                Visited::LeaseLost(error)
            }
        }
    }

    /// Told to stop twice.
    pub(super) fn left(&mut self) -> Visited {
        if self.held_at.is_some() {
            self.tell_left();
        }
        Visited::Left
    }

    /// Says what goes on without anybody, and who takes it up when.
    fn tell_left(&self) {
        let lock = self.lease.lock();
        let until = later(lock.until, self.terms.settings.margin);
        let message = format!(
            "left {} as it is: its lease runs out {}, other runs leave it alone until {}, and then the next `run` of this job \
             takes it up",
            self.node.id,
            format_stamp(lock.until),
            format_stamp(until)
        );
        self.tell(EventKind::Warned { message });
    }
}

/// Whether waiting does not mend it.
pub(in crate::engine) fn for_good(error: &PortError) -> bool {
    match error.kind {
        ErrorKind::Throttled
        | ErrorKind::Conflict
        | ErrorKind::Unreachable
        | ErrorKind::Credentials => false,
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Other => true,
    }
}
