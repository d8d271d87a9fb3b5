//! What a contender does between the lease and the run: the engine's visit, without its waiting.

use roundsman::model::lease::{Input, Next, Want};
use roundsman::model::outcome::Outcome;
use roundsman::model::record::{Fail, FailReason};
use roundsman::model::rule::Rule;
use roundsman::model::run::{Do, Result as RunResult, Run};
use roundsman::model::time::{Moment, Now, floor_second, format_stamp};

use crate::contender::{Awaited, Contender, Deed, Doing, Left, Phase, Turn, Visit};
use crate::scenario::Scenario;
use crate::world::{Op, Order};

/// What the run wants of its lease now.
enum Pursuit {
    Want(Want),
    Wait,
    Over,
}

impl Turn<'_> {
    /// Does what the lease says; when nothing is under way, asks the run what it wants.
    pub(crate) fn follow(
        &mut self,
        after: &mut Contender,
        now: Now,
        mut visit: Visit,
        mut next: Next,
    ) {
        let terms = self.terms(after);
        loop {
            visit.wake = Moment::MAX;
            match next {
                Next::Go => {
                    next = self.go(after, now, &mut visit);
                    continue;
                }
                Next::End(_) => {
                    after.phase = Phase::Idle;
                    return;
                }
                Next::Wait(until) => visit.wake = until,
                Next::Look(look) => visit.doing = Doing::Looks(look),
                Next::Write { value, .. } => {
                    let val = self.texts.number(&value);
                    let register = self.scenario.register(visit.node, "lock");
                    self.deeds.push(Deed::Write(vec![(register, Op::Put(val))]));
                    visit.doing = Doing::Writes;
                }
                Next::Record { .. } => {
                    let ops = self.record(after, now, &visit);
                    self.deeds.push(Deed::Write(ops));
                    visit.doing = Doing::Records;
                }
                Next::Delete(value) => {
                    self.delete(after, visit.node, &value);
                    self.leave(after, &visit);
                    visit.doing = Doing::Deletes;
                }
            }
            let one = terms.without.keeps(Rule::OneAtATime);
            let busy = visit.doing != Doing::Nothing && one || visit.waits_for.is_some();
            if busy || visit.awaited != Awaited::Nothing || visit.parking {
                break;
            }
            match Self::pursue(now, &mut visit) {
                Pursuit::Want(want) => next = visit.lease.on(&terms, now, Input::Want(want)),
                Pursuit::Wait => break,
                Pursuit::Over => {
                    after.phase = Phase::Idle;
                    return;
                }
            }
        }
        after.phase = Phase::Visits(Box::new(visit));
    }

    /// What was waited for has been granted.
    fn go(&mut self, after: &Contender, now: Now, visit: &mut Visit) -> Next {
        let terms = self.terms(after);
        match std::mem::replace(&mut visit.awaited, Awaited::Nothing) {
            Awaited::Claim if matches!(visit.take, Left::Over(..)) => {
                visit.awaited = Awaited::Abandoned;
                return visit.lease.on(&terms, now, Input::Want(Want::Record));
            }
            Awaited::Claim => {
                if let Left::Adopt(_, left) = &visit.take {
                    let commands: Vec<_> = visit
                        .shown
                        .iter()
                        .map(|(order, activity)| self.scenario.command(order, *activity))
                        .collect();
                    visit.run = Run::adopted(&self.rules(after).job, left, &commands);
                    // The lock says at once that the claim stands.
                    visit.awaited = Awaited::Held;
                    let says = if visit.run.is_stopping() {
                        Want::Stopping
                    } else {
                        Want::Step(visit.lease.lock().step)
                    };
                    return visit.lease.on(&terms, now, Input::Want(says));
                }
            }
            Awaited::Step(step, attempt) => {
                let fresh = visit.lease.fresh_until(&terms);
                let may = fresh.is_some_and(|until| now.boot <= until)
                    && visit.lease.is_held(&terms, now.boot);
                if !may && terms.without.keeps(Rule::FreshRead) {
                    visit.awaited = Awaited::Step(step, attempt);
                    let says = step.max(visit.lease.lock().step);
                    return visit.lease.on(&terms, now, Input::Want(Want::Step(says)));
                }
                let lock = visit.lease.lock();
                let order = Order {
                    kind: after.kind,
                    run: lock.run,
                    claim: lock.claim,
                    step,
                    attempt,
                    not_after: self.scenario.tick_of(lock.until),
                };
                visit.waits_for = Some(order);
                self.deeds.push(Deed::Send(visit.node, order));
            }
            Awaited::Record => visit.run.recorded(),
            Awaited::Held if visit.run.is_stopping() => {
                let claim = visit.lease.claim_id();
                self.deeds.push(Deed::Halt(visit.node, claim));
            }
            Awaited::Held | Awaited::Abandoned | Awaited::Release | Awaited::Nothing => {}
        }
        visit.lease.on(&terms, now, Input::Woke)
    }

    fn pursue(now: Now, visit: &mut Visit) -> Pursuit {
        match visit.run.next(now.wall) {
            Do::Begin { not_before, .. } if now.boot < not_before => {
                visit.wake = visit.wake.min(not_before);
                Pursuit::Wait
            }
            Do::Begin { step, attempt, .. } => {
                visit.awaited = Awaited::Step(step, attempt);
                let says = step.max(visit.lease.lock().step);
                Pursuit::Want(Want::Step(says))
            }
            Do::Attach { command, .. } => {
                // It was sent before: it is watched, not sent again.
                let same = |order: &&Order| {
                    (order.run, order.step, order.attempt)
                        == (command.run, command.step, command.attempt)
                };
                visit.waits_for = visit
                    .shown
                    .iter()
                    .map(|(order, _)| order)
                    .find(same)
                    .copied();
                visit.attached = true;
                Pursuit::Wait
            }
            Do::KeepUntil(until) => {
                let at = Scenario::moment_of(now, until);
                visit.wake = visit.wake.min(at);
                Pursuit::Wait
            }
            Do::Record(_) => {
                visit.awaited = Awaited::Record;
                Pursuit::Want(Want::Record)
            }
            Do::Release => {
                visit.awaited = Awaited::Release;
                Pursuit::Want(Want::Release)
            }
            Do::Nothing => Pursuit::Over,
        }
    }

    /// An attempt has ended, or nobody knows.
    pub(crate) fn ended(
        &mut self,
        after: &Contender,
        now: Now,
        visit: &mut Visit,
        outcome: Outcome,
    ) {
        let order = visit.waits_for.take();
        let not_after = order.map_or(now.wall, |order| self.scenario.wall(order.not_after, 0));
        let job = self.rules(after).job.clone();
        if std::mem::take(&mut visit.attached) {
            visit.run.found(&job, outcome, not_after, false);
        } else {
            visit.run.ended(&job, now, outcome, not_after, 0);
        }
    }

    /// What goes with the lock at the release: `fail-`, on full success only.
    fn leave(&mut self, after: &Contender, visit: &Visit) {
        let done = visit.awaited == Awaited::Release && visit.run.result() == RunResult::Done;
        let fail = self.rules(after).keys.fail.clone();
        let register = self.scenario.register(visit.node, fail.as_str());
        if let Some(Deed::Write(ops)) = self.deeds.last_mut().filter(|_| done && visit.fail != 0) {
            ops.push((register, Op::Delete(visit.fail)));
        }
    }

    /// The tags that record what the run amounts to.
    fn record(&mut self, after: &Contender, now: Now, visit: &Visit) -> Vec<(u8, Op)> {
        let keys = self.rules(after).keys.clone();
        let fail = |run, step, reason| Fail::following(None, now.wall, run, step, reason).format();
        let (key, text) = match (visit.awaited, &visit.take, visit.run.result()) {
            (Awaited::Abandoned, Left::Over(_, left), _) => {
                let key = keys.fail_of(&left.task).expect("a key");
                (key, fail(left.run, left.step, FailReason::Abandoned))
            }
            (_, _, RunResult::Failed { step, reason }) => {
                (keys.fail, fail(visit.lease.lock().run, step, reason))
            }
            (_, _, RunResult::Done | RunResult::DoneUnclean { .. }) => {
                (keys.last, format_stamp(floor_second(now.wall)))
            }
        };
        let register = self.scenario.register(visit.node, key.as_str());
        vec![(register, Op::Put(self.texts.number(&text)))]
    }
}
