//! One node from the claim to the release: one loop that owns renewing, stepping and releasing.
//!
//! At every turn there is at most one read or write of the lease under way, at most one step, and one moment to
//! wake at. Whatever comes first is taken in, and the two machines of the model (the lease, the run) say what
//! follows.

mod act;
mod adopt;
mod deliver;
mod end;
mod halting;
mod park;
mod step;
mod stopping;
mod taken_in;

use std::pin::Pin;

use tokio::select;

use crate::engine::Engine;
use crate::engine::stop::{Stop, Urgency};
pub(in crate::engine) use crate::engine::visit::end::for_good;
use crate::engine::visit::halting::{Halt, Halting};
use crate::engine::visit::step::Underway;
use crate::event::{EventKind, ParkedFor};
use crate::model::decide::{Take, Wish};
use crate::model::id::NodeId;
use crate::model::lease::{End, Input, Lease, Next, Terms, Want};
use crate::model::lock::Lock;
use crate::model::node::{Command, Node, Stopped};
use crate::model::run::{Do, Result as RunResult, Run};
use crate::model::span::parse_span;
use crate::model::suspect::LeftRun;
use crate::model::tag::Tags;
use crate::model::time::{Moment, elapsed};
use crate::port::{PortError, Ports};

/// What a visit begins with.
#[derive(Debug)]
pub struct Begin {
    /// The node as it was decided on.
    pub node: Node,
    /// The claim: yet to be made, or granted by a transactional store.
    pub lease: Lease,
    /// Whether it was granted already.
    pub granted: bool,
    /// How it is taken: free, or with what its lock said.
    pub take: Take,
    /// The lock of the run that is to be ended, when the claim is a stop.
    pub stops: Option<Lock>,
    /// What is known to have been sent to it, as it was decided on.
    pub commands: Vec<Command>,
    /// All nodes of the fleet, for the reads of all locks.
    pub fleet: Vec<NodeId>,
    /// From then on what runs on the node is left to the next invocation.
    pub leave_at: Moment,
}

/// How a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visited {
    /// The run was recorded and the lock released: committed, or failed.
    Recorded(RunResult),
    /// The claim was lost or withdrawn: nothing was begun.
    ClaimLost {
        /// A sentence.
        why: String,
    },
    /// The claim's write was not answered in time, or was refused.
    NotClaimed(PortError),
    /// The lease was lost while running: nothing more was touched. With the outside's error, where that was why.
    LeaseLost(Option<PortError>),
    /// The outside failed in a way that waiting does not mend.
    Outside(PortError),
    /// The run is left to the next invocation.
    Parked,
    /// Told to stop twice: left as it is, until the lease runs out.
    Left,
}

/// A future that answers a lease's question.
type Flight<'a> = Pin<Box<dyn Future<Output = Landed> + 'a>>;

/// What came of a read or a write.
struct Landed {
    /// The lease's answer.
    input: Input,
    /// The node's tags, where they were read.
    tags: Option<Tags>,
    /// What evidence shows there, where it was asked for.
    commands: Option<Vec<Command>>,
    /// Why it did not succeed.
    error: Option<PortError>,
}

/// What the next [`Next::Go`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Claim,
    /// That the lock of an adopted run says `held`, before what runs is waited for.
    Held,
    Step {
        step: u32,
        attempt: u32,
    },
    Abandoned,
    Record,
    Stopping,
    Parked(ParkedFor),
    Release,
}

struct Visit<'a, P: Ports> {
    engine: &'a Engine<'a, P>,
    terms: Terms,
    wish: &'a Wish,
    node: Node,
    fleet: &'a [NodeId],
    lease: Lease,
    run: Run,
    awaited: Awaited,
    take: Take,
    /// What is to be stopped there, when the claim is a stop.
    halting: Option<Halting>,
    /// The run of another job that is given up by this claim, until that is recorded.
    abandoned: Option<LeftRun>,
    /// The latest own tags.
    tags: Tags,
    /// What evidence shows on the node, as of the look that confirmed the claim.
    commands: Vec<Command>,
    /// When the lease was first held.
    held_at: Option<Moment>,
    /// When the step under way, or the last one, was begun: a reboot is asked after by more than one send.
    began: Option<Moment>,
    /// When the last step had ended.
    done_at: Option<crate::model::time::Now>,
    urgency: Urgency,
    /// When the first signal came.
    told_at: Moment,
    /// From then on what runs on the node is left to the next invocation.
    leave_at: Moment,
    /// How many reads and writes in a row did not succeed, for the backoff.
    trouble: u32,
    /// The latest error from outside.
    error: Option<PortError>,
    /// Why it could not be recorded that a run of another job is given up: then nothing is begun.
    unrecorded: Option<PortError>,
}

/// What woke the loop.
enum Woken {
    Stop(Urgency),
    Flight(Landed),
    Step(step::Ended),
    Halted(Result<Stopped, PortError>),
    /// What is under way was sent, or time has passed.
    Time,
}

/// Visits one node: claims it unless that is done, runs the job's steps, records what came of them, lets go.
pub async fn visit<P: Ports>(
    engine: &Engine<'_, P>,
    terms: Terms,
    wish: &Wish,
    begin: Begin,
    mut stop: Stop,
) -> Visited {
    let (granted, fleet) = (begin.granted, begin.fleet.clone());
    let mut visit = Visit::new(engine, terms, wish, begin, &fleet);
    visit.tell_chosen();
    let mut hands = Hands {
        flight: None,
        underway: None,
        halt: None,
    };
    let mut next = if granted {
        Next::Go
    } else {
        visit.feed(Input::Start)
    };
    loop {
        let wake = match visit.follow(next, &mut hands) {
            Follow::On(on) => {
                next = on;
                continue;
            }
            Follow::Wait(wake) => wake,
            Follow::End(end) => return visit.end(end, hands.underway).await,
        };
        let (known, sent) = (visit.urgency, visit.waits_for_send(&hands));
        let woken = select! {
            biased;
            urgency = stop.more_than(known) => Woken::Stop(urgency),
            answer = landed(&mut hands.flight) => Woken::Flight(answer),
            ended = step::over(&mut hands.underway) => Woken::Step(ended),
            halted = landed(&mut hands.halt) => Woken::Halted(halted),
            () = step::sent(sent) => Woken::Time,
            () = engine.sleep_until(wake) => Woken::Time,
        };
        next = match woken {
            Woken::Stop(Urgency::AtOnce) => return visit.left(),
            Woken::Stop(urgency) => visit.told_to_stop(urgency, hands.underway.as_mut()),
            Woken::Flight(landed) => {
                hands.flight = None;
                visit.landed(landed)
            }
            Woken::Step(ended) => {
                hands.underway = None;
                visit.step_ended(&ended)
            }
            Woken::Halted(halted) => {
                hands.halt = None;
                visit.halted(halted)
            }
            Woken::Time => visit.feed(Input::Woke),
        };
        // Something may be under way still: then the machine waits for it whatever came in.
        if let Some(outside) = visit.hopeless(&next) {
            return Visited::Outside(outside);
        }
    }
}

/// What a visit has under way: at most one of each.
struct Hands<'a> {
    flight: Option<Flight<'a>>,
    underway: Option<Underway<'a>>,
    /// What ends what a stopped run has under way there.
    halt: Option<Halt<'a>>,
}

/// What follows from what the lease says.
enum Follow {
    /// The lease has been told something, and says this.
    On(Next),
    /// Wait until something comes in, at most until then.
    Wait(Moment),
    /// It is over.
    End(End),
}

async fn landed<T>(flight: &mut Option<Pin<Box<dyn Future<Output = T> + '_>>>) -> T {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

/// What the run wants of its lease now.
enum Pursuit {
    Want(Want),
    /// To wait for this, which an earlier claim has sent, and which is ended first or not.
    Attach(Command, bool),
    Until(Moment),
    /// To end what the run that is stopped has under way.
    Halt,
    Over,
}

impl<'a, P: Ports> Visit<'a, P> {
    fn new(
        engine: &'a Engine<'a, P>,
        terms: Terms,
        wish: &'a Wish,
        begin: Begin,
        fleet: &'a [NodeId],
    ) -> Self {
        let Begin {
            node, lease, take, ..
        } = begin;
        let abandoned = match &take {
            Take::Over { run, .. } => Some(run.clone()),
            Take::Free | Take::Adopt { .. } | Take::Remove { .. } => None,
        };
        Self {
            engine,
            terms,
            wish,
            tags: node.tags.clone(),
            commands: begin.commands,
            node,
            fleet,
            lease,
            run: Run::new(),
            awaited: Awaited::Claim,
            take,
            halting: begin.stops.map(Halting::new),
            abandoned,
            held_at: None,
            began: None,
            done_at: None,
            urgency: Urgency::Go,
            told_at: Moment::MAX,
            leave_at: begin.leave_at,
            trouble: 0,
            error: None,
            unrecorded: None,
        }
    }

    /// Does what the lease says; when nothing is under way, asks the run what it wants.
    fn follow(&mut self, next: Next, hands: &mut Hands<'a>) -> Follow {
        let mut wake = Moment::MAX;
        match next {
            Next::Go => return Follow::On(self.go(&mut hands.underway)),
            Next::End(end) => return Follow::End(end),
            Next::Wait(until) => wake = until,
            Next::Look(_) | Next::Write { .. } | Next::Record { .. } | Next::Delete(_) => {
                hands.flight = Some(self.perform(&next));
            }
        }
        if let Some(why) = self.parks_now(hands) {
            hands.underway = None;
            return Follow::On(self.park(why));
        }
        let wake = wake.min(self.parks_at(hands));
        let busy = hands.flight.is_some() || hands.underway.is_some() || hands.halt.is_some();
        if busy || self.awaited != Awaited::Nothing {
            return Follow::Wait(wake);
        }
        match self.pursue() {
            Pursuit::Want(want) => Follow::On(self.feed(Input::Want(want))),
            Pursuit::Attach(command, cancel) => {
                hands.underway = Some(self.attach(command, cancel));
                Follow::Wait(wake)
            }
            Pursuit::Until(at) => Follow::Wait(wake.min(at)),
            Pursuit::Halt => {
                hands.halt = Some(self.halt());
                Follow::Wait(wake)
            }
            Pursuit::Over => Follow::End(End::LeaseLost {
                why: "a later claim has been on the node".to_owned(),
            }),
        }
    }

    fn feed(&mut self, input: Input) -> Next {
        let now = self.engine.now();
        let before = self.lease.lock().until;
        let settling = matches!(input, Input::Wrote(crate::model::lease::Answer::Done))
            && self.held_at.is_none();
        let renewal = matches!(input, Input::Wrote(crate::model::lease::Answer::Done))
            && self.awaited == Awaited::Nothing;
        let next = self.lease.on(&self.terms, now, input);
        if let (true, Next::Wait(until)) = (settling, &next) {
            self.tell(EventKind::Settling {
                for_: until.since(now.boot),
            });
        }
        if renewal && !matches!(next, Next::End(_)) {
            self.tell(EventKind::Renewed { until: before });
        }
        next
    }

    fn tell(&self, kind: EventKind) {
        self.engine
            .tell(Some(self.lease.lock().run), Some(&self.node.id), kind);
    }

    fn tell_chosen(&self) {
        let took = self.node.tags.get(self.engine.rules.keys.took.as_str());
        let took_before = took.and_then(|took| parse_span(took).ok());
        self.tell(EventKind::Chosen {
            name: self.node.name.clone(),
            took_before,
        });
    }

    /// What was waited for has been granted.
    fn go(&mut self, underway: &mut Option<Underway<'a>>) -> Next {
        let now = self.engine.now();
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            Awaited::Claim => {
                self.held_at = Some(now.boot);
                self.take_up();
                if self.abandoned.is_some() {
                    self.awaited = Awaited::Abandoned;
                    return self.feed(Input::Want(Want::Record));
                }
            }
            Awaited::Step { .. } if self.is_to_park_for_hold() => {
                return self.park(ParkedFor::Hold);
            }
            Awaited::Step { step, attempt } => {
                *underway = self.begin_step(step, attempt);
                if underway.is_none() {
                    // The read became too old between the check and the send: ask again.
                    self.awaited = Awaited::Step { step, attempt };
                    return self.feed(Input::Want(self.says(step)));
                }
            }
            Awaited::Abandoned => {
                self.abandoned = None;
                if self.urgency > Urgency::Leave && self.parks_when_told().is_none() {
                    return self.begin_stopping(None);
                }
            }
            Awaited::Record => {
                self.report_record();
                self.run.recorded();
            }
            Awaited::Held
            | Awaited::Stopping
            | Awaited::Parked(_)
            | Awaited::Nothing
            | Awaited::Release => {}
        }
        self.feed(Input::Woke)
    }

    /// What the run does next, as a want of its lease.
    fn pursue(&mut self) -> Pursuit {
        let now = self.engine.now();
        if let Some(first) = self.halts_first(now) {
            return first;
        }
        let next = self.run.next(now.wall);
        if let Some(why) = self.parks_before(&next) {
            self.awaited = Awaited::Parked(why);
            return Pursuit::Want(Want::Park);
        }
        if let Some(first) = self.said_first(&next) {
            return Pursuit::Want(first);
        }
        match next {
            Do::Begin { not_before, .. } if now.boot < not_before => Pursuit::Until(not_before),
            Do::Begin { step, attempt, .. } => {
                self.awaited = Awaited::Step { step, attempt };
                Pursuit::Want(self.says(step))
            }
            Do::Attach { command, cancel } => Pursuit::Attach(command, cancel),
            Do::KeepUntil(until) => Pursuit::Until(now.boot.plus(elapsed(now.wall, until))),
            Do::Record(_) => {
                self.done_at.get_or_insert(now);
                self.tell_kept(now);
                self.awaited = Awaited::Record;
                Pursuit::Want(Want::Record)
            }
            Do::Release => {
                self.awaited = Awaited::Release;
                Pursuit::Want(Want::Release)
            }
            Do::Nothing => Pursuit::Over,
        }
    }

    /// The lock with which this visit's claims and records are compared.
    fn own(&self) -> &Lock {
        self.lease.lock()
    }
}
