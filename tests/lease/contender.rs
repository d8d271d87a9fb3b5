//! A contender: one runner with its invocations, driving the program's own machines.
//!
//! Everything that decides is the program's: `decide`, `choose`, `standing`, the lease, the removal, the run. What is
//! here is what the engine does between them, without waiting.

use roundsman::model::choose::{Choice, Claimant, choose};
use roundsman::model::decide::standing::{Mine, Standing, standing};
use roundsman::model::decide::{Take, Wish, decide};
use roundsman::model::id::{ClaimId, NodeId, RunId};
use roundsman::model::lease::remove::{Removal, Removing};
use roundsman::model::lease::{Answer, Input, Lease, Look, Next, Terms, Want};
use roundsman::model::lock::Seen;
use roundsman::model::node::Activity;
use roundsman::model::outcome::Outcome;
use roundsman::model::rule::Rule;
use roundsman::model::run::Run;
use roundsman::model::suspect::LeftRun;
use roundsman::model::time::{Moment, Now};
use roundsman::model::view::{Rules, View};

use crate::scenario::{Kind, Scenario};
use crate::texts::Texts;
use crate::world::{Op, Order, Tick, Val};

/// One runner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Contender {
    pub(crate) kind: u8,
    /// How many ticks its wall clock is ahead of the true one.
    pub(crate) ahead: u8,
    pub(crate) paused: bool,
    pub(crate) dead: bool,
    /// How many invocations it may begin yet.
    pub(crate) starts: u8,
    /// How many claims it has made: its ids.
    claims: u8,
    pub(crate) phase: Phase,
}

/// What it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Between invocations.
    Idle,
    /// It has read the fleet's tags, and reads the evidence next.
    Chooses(Vec<Val>),
    /// It removes what somebody left.
    Removes(u8, Removal, Doing),
    /// It claims or holds.
    Visits(Box<Visit>),
}

/// The read or write under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Nothing,
    /// It reads.
    Looks(Look),
    /// It has read the fleet's tags, and reads the evidence next.
    Judges(Vec<Val>),
    /// It writes, records, deletes.
    Writes,
    Records,
    Deletes,
}

/// One node from claim to release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Visit {
    pub(crate) node: u8,
    pub(crate) lease: Lease,
    pub(crate) take: Left,
    pub(crate) run: Run,
    pub(crate) awaited: Awaited,
    pub(crate) doing: Doing,
    /// When it wakes by itself.
    pub(crate) wake: Moment,
    /// The attempt that it waits for.
    pub(crate) waits_for: Option<Order>,
    /// What evidence showed of attempts on its node.
    pub(crate) shown: Vec<(Order, Activity)>,
    /// Whether what it waits for was sent by an earlier claim.
    pub(crate) attached: bool,
    /// The task's `fail-` as it was read last: a success deletes it with the lock.
    pub(crate) fail: Val,
    pub(crate) parking: bool,
    /// Whether it ends the run that it found.
    pub(crate) stops: bool,
}

/// [`Take`], as something that can be hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Left {
    Free,
    Adopt(String, LeftRun),
    Over(String, LeftRun),
}

impl Left {
    fn of(take: &Take) -> Self {
        match take {
            Take::Free | Take::Remove { .. } => Self::Free,
            Take::Adopt { found, run } => Self::Adopt(found.clone(), run.clone()),
            Take::Over { found, run } => Self::Over(found.clone(), run.clone()),
        }
    }

    fn take(&self) -> Take {
        match self.clone() {
            Self::Free => Take::Free,
            Self::Adopt(found, run) => Take::Adopt { found, run },
            Self::Over(found, run) => Take::Over { found, run },
        }
    }
}

/// What the next `Go` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Awaited {
    Nothing,
    Claim,
    Step(u32, u32),
    Held,
    Abandoned,
    Record,
    Release,
}

/// What happens to a contender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The fleet's tags were read.
    Tags(Vec<Val>),
    /// And then the evidence.
    Evidence(Vec<(u8, Order, Activity)>),
    /// The node's lock was read.
    Lock(Val),
    Wrote(Answer),
    Recorded(Answer),
    Deleted(Answer),
    Woke,
    /// The attempt it waits for has ended.
    Ended(Outcome),
    /// A signal: park, or give up.
    Signal,
}

/// What a contender does to the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    Write(Vec<(u8, Op)>),
    Send(u8, Order),
    /// Raises the node's mark, and ends what runs there.
    Halt(u8, ClaimId),
    /// On a local store: this value, if the lock still has that one.
    Grant(u8, Val, Val),
}

impl Contender {
    pub(crate) fn new(kind: u8, ahead: u8, starts: u8) -> Self {
        Self {
            kind,
            ahead,
            paused: false,
            dead: false,
            starts,
            claims: 0,
            phase: Phase::Idle,
        }
    }

    /// The visit, if it is in one.
    pub(crate) fn visit(&self) -> Option<&Visit> {
        match &self.phase {
            Phase::Visits(visit) if !self.dead => Some(visit),
            _ => None,
        }
    }

    /// What it waits for: its read, the end of a wait, or the answer to its write.
    pub(crate) fn doing(&self) -> Option<&Doing> {
        match &self.phase {
            Phase::Removes(_, _, doing) => Some(doing),
            Phase::Visits(visit) => Some(&visit.doing),
            Phase::Idle | Phase::Chooses(_) => None,
        }
    }
}

/// One contender at one moment, taking in one event.
pub(crate) struct Turn<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) texts: &'a mut Texts,
    pub(crate) who: u8,
    pub(crate) at: Tick,
    pub(crate) deeds: Vec<Deed>,
}

impl Turn<'_> {
    pub(crate) fn take(&mut self, before: &Contender, event: &Event) -> Contender {
        let mut after = before.clone();
        let now = self.scenario.now(self.at, before.ahead);
        match (std::mem::replace(&mut after.phase, Phase::Idle), event) {
            (Phase::Idle, Event::Tags(tags)) => {
                after.starts -= 1;
                after.phase = Phase::Chooses(tags.clone());
            }
            (Phase::Chooses(tags), Event::Evidence(evidence)) if self.kind(before).stops => {
                self.stop(&mut after, now, &tags, evidence);
            }
            (Phase::Chooses(tags), Event::Evidence(evidence)) => {
                self.choose(&mut after, now, &tags, evidence);
            }
            (Phase::Removes(node, removal, doing), event) => {
                self.removes(&mut after, now, (node, removal, doing), event);
            }
            (Phase::Visits(visit), event) => self.visits(&mut after, now, *visit, event),
            (phase, _) => after.phase = phase,
        }
        after
    }

    pub(crate) fn kind(&self, contender: &Contender) -> &Kind {
        &self.scenario.kinds[usize::from(contender.kind)]
    }

    pub(crate) fn rules(&self, contender: &Contender) -> &Rules {
        &self.kind(contender).rules
    }

    pub(crate) fn terms(&self, contender: &Contender) -> Terms {
        let kind = self.kind(contender);
        Terms::of(&kind.rules, kind.transactional)
    }

    pub(crate) fn fail_of(&self, contender: &Contender, tags: &[Val], node: u8) -> Val {
        let key = self.rules(contender).keys.fail.as_str();
        tags[usize::from(self.scenario.register(node, key))]
    }

    /// The fleet as it was read.
    pub(crate) fn view(&self, now: Now, tags: &[Val], evidence: &[(u8, Order, Activity)]) -> View {
        self.scenario.view(self.texts, now, tags, evidence)
    }

    fn choose(
        &mut self,
        after: &mut Contender,
        now: Now,
        tags: &[Val],
        evidence: &[(u8, Order, Activity)],
    ) {
        let view = self.view(now, tags, evidence);
        let rules = self.rules(after).clone();
        let rows = decide(&rules, &view, &Wish::default());
        let (claim, run) = self.ids(after, now);
        let claimant = Claimant {
            accept_changed: false,
            owner: &self.kind(after).owner.clone(),
            claim,
            run,
            lot: self.scenario.by_lot.then_some(u128::from(self.who)),
        };
        match choose(&rules, &view, &rows, &claimant) {
            Choice::Nothing => after.phase = Phase::Idle,
            Choice::Remove { node, found } => {
                let removal = Removal::new(found);
                let doing = Doing::Nothing;
                let start = Input::Start;
                self.remove_on(after, now, (number(&node), removal, doing), &start);
            }
            Choice::Claim(chosen) => {
                let node = number(&chosen.node.id);
                let terms = self.terms(after);
                let mut visit = Visit {
                    node,
                    lease: Lease::claim(chosen.own.clone(), chosen.over.clone()),
                    take: Left::of(&chosen.take),
                    run: Run::new(),
                    awaited: Awaited::Claim,
                    doing: Doing::Nothing,
                    wake: Moment::MAX,
                    waits_for: None,
                    shown: shown(node, evidence),
                    attached: false,
                    fail: self.fail_of(after, tags, node),
                    parking: false,
                    stops: false,
                };
                let first = if terms.transactional {
                    let (lease, value) = Lease::granted(chosen.own, &terms, now);
                    visit.lease = lease;
                    let was = self.scenario.lock_of(tags, node);
                    let granted = self.texts.number(&value);
                    self.deeds.push(Deed::Grant(node, was, granted));
                    Next::Go
                } else {
                    visit.lease.on(&terms, now, Input::Start)
                };
                self.follow(after, now, visit, first);
            }
        }
    }

    /// A new claim's id and its run's. Without the rule a runner has one id for all of its attempts.
    pub(crate) fn ids(&self, after: &mut Contender, now: Now) -> (ClaimId, RunId) {
        after.claims += 1;
        let fresh = self.rules(after).without.keeps(Rule::FreshId);
        let n = u128::from(self.who) << 8 | u128::from(after.claims);
        let ms = u64::try_from(now.wall.as_millisecond()).expect("after 1970");
        let claim = if fresh {
            ClaimId::new(ms, n)
        } else {
            ClaimId::new(1, u128::from(self.who))
        };
        (claim, RunId::new(ms, n))
    }

    fn removes(
        &mut self,
        after: &mut Contender,
        now: Now,
        removing: (u8, Removal, Doing),
        event: &Event,
    ) {
        let input = match event {
            Event::Lock(val) => self.looked(*val, None),
            Event::Deleted(answer) => Input::Deleted(*answer),
            _ => {
                after.phase = Phase::Removes(removing.0, removing.1, removing.2);
                return;
            }
        };
        self.remove_on(after, now, removing, &input);
    }

    fn remove_on(
        &mut self,
        after: &mut Contender,
        now: Now,
        (node, mut removal, _): (u8, Removal, Doing),
        input: &Input,
    ) {
        let terms = self.terms(after);
        let doing = match removal.on(&terms, now, input) {
            Removing::Over => {
                // The fleet is looked at anew: that counts as an invocation of its own here.
                after.phase = Phase::Idle;
                return;
            }
            Removing::Do(Next::Delete(value)) => {
                self.delete(after, node, &value);
                Doing::Deletes
            }
            Removing::Do(_) => Doing::Looks(Look::Node),
        };
        after.phase = Phase::Removes(node, removal, doing);
    }

    pub(crate) fn delete(&mut self, contender: &Contender, node: u8, value: &str) {
        let register = self.scenario.register(node, "lock");
        let op = if self.rules(contender).without.keeps(Rule::ExactDelete) {
            Op::Delete(self.texts.number(value))
        } else {
            Op::DeleteAny
        };
        self.deeds.push(Deed::Write(vec![(register, op)]));
    }

    pub(crate) fn looked(&self, val: Val, standing: Option<Standing>) -> Input {
        let value = self.texts.text(val).map(str::to_owned);
        Input::Looked {
            shows: Seen::read(value.as_deref()),
            value,
            standing,
        }
    }

    fn visits(&mut self, after: &mut Contender, now: Now, mut visit: Visit, event: &Event) {
        let terms = self.terms(after);
        let input = match event {
            Event::Tags(tags) => {
                visit.doing = Doing::Judges(tags.clone());
                after.phase = Phase::Visits(Box::new(visit));
                return;
            }
            Event::Evidence(evidence) => self.judged(after, now, &mut visit, evidence),
            Event::Lock(val) => self.looked(*val, None),
            Event::Wrote(answer) => Input::Wrote(*answer),
            Event::Recorded(answer) => Input::Recorded(*answer),
            Event::Deleted(answer) => Input::Deleted(*answer),
            Event::Woke => Input::Woke,
            Event::Ended(outcome) => {
                self.ended(after, now, &mut visit, *outcome);
                Input::Woke
            }
            Event::Signal if visit.awaited == Awaited::Claim => Input::GiveUp,
            Event::Signal => {
                visit.parking = true;
                visit.awaited = Awaited::Nothing;
                Input::Want(Want::Park)
            }
        };
        if !matches!(event, Event::Woke | Event::Ended(_) | Event::Signal) {
            visit.doing = Doing::Nothing;
        }
        let mut next = visit.lease.on(&terms, now, input);
        let unanswered = matches!(event, Event::Wrote(Answer::Unknown { .. }));
        if visit.parking && unanswered && !terms.without.keeps(Rule::ParkOnly) {
            visit.parking = false;
            next = visit.lease.on(&terms, now, Input::Want(Want::Keep));
        }
        self.follow(after, now, visit, next);
    }

    fn judged(
        &mut self,
        after: &Contender,
        now: Now,
        visit: &mut Visit,
        evidence: &[(u8, Order, Activity)],
    ) -> Input {
        let Doing::Judges(tags) = visit.doing.clone() else {
            return Input::Woke;
        };
        let view = self.view(now, &tags, evidence);
        visit.shown = shown(visit.node, evidence);
        visit.fail = self.fail_of(after, &tags, visit.node);
        let take = visit.take.take();
        let mine = Mine {
            claim: visit.lease.claim_id(),
            over: visit.lease.over(),
            take: &take,
        };
        let node = Scenario::node_id(visit.node);
        let stands = if visit.stops {
            self.stop_stands(after, visit, &view)
        } else {
            standing(self.rules(after), &view, &Wish::default(), &node, mine)
        };
        self.looked(self.scenario.lock_of(&tags, visit.node), Some(stands))
    }
}

/// What evidence shows of attempts on a node.
pub(crate) fn shown(node: u8, evidence: &[(u8, Order, Activity)]) -> Vec<(Order, Activity)> {
    let here = evidence.iter().filter(|(on, ..)| *on == node);
    here.map(|(_, order, activity)| (*order, *activity))
        .collect()
}

/// The number of a node.
fn number(node: &NodeId) -> u8 {
    node.as_str()[1..].parse().expect("n0, n1, …")
}
