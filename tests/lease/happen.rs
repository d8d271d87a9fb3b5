//! What one act makes of a state.

use std::sync::Arc;
use std::time::Duration;

use roundsman::model::lease::{Answer, Look};
use roundsman::model::node::Activity;
use roundsman::model::outcome::Outcome;
use roundsman::model::rule::Rule;

use crate::cast::Cast;
use crate::contender::{Contender, Deed, Doing, Event, Phase, Visit};
use crate::model::{Act, Search};
use crate::world::{Budget, Flying, Op, Order, Stage, State, Tick, Val, Wrong};

impl Search {
    pub(crate) fn follow(&self, before: &State, act: Act) -> Option<State> {
        let mut state = before.clone();
        match act {
            Act::Tick => self.tick(&mut state),
            Act::Reads(who, _) | Act::Asks(who) => {
                match act {
                    Act::Reads(_, n) => self.reads(&mut state, who, n),
                    _ => self.asks(&mut state, who),
                }
                // An invocation that found nothing to do is as if it had not begun.
                let idle = self.contender(&state, who).phase == Phase::Idle;
                let began = matches!(
                    self.contender(before, who).phase,
                    Phase::Idle | Phase::Chooses(_)
                );
                if idle && began {
                    return None;
                }
            }
            Act::Wakes(who) => self.tell(&mut state, who, Event::Woke),
            Act::Lands(who)
            | Act::LandsTwice(who)
            | Act::Lost(who)
            | Act::Late(who)
            | Act::Slow(who) => self.of_write(&mut state, who, act)?,
            Act::Strays(index) => {
                let flying = state.flying.remove(usize::from(index));
                self.land(&mut state, &flying);
            }
            Act::Crashes(who)
            | Act::Pauses(who)
            | Act::Resumes(who)
            | Act::Steps(who)
            | Act::StepsBack(who) => self.of_machine(&mut state, who, act),
            Act::Told(who) => {
                state.budget.signals -= 1;
                self.tell(&mut state, who, Event::Signal);
            }
            Act::Wiped(_) | Act::Held(_) | Act::Stripped(_) | Act::Spoilt(_) => {
                self.of_people(&mut state, act);
            }
            Act::Arrives(node, index) => self.arrives(&mut state, node, index, false),
            Act::ArrivesTwice(node, index) => self.arrives(&mut state, node, index, true),
            Act::Dawdles(node, index) => {
                state.budget.slow_sends -= 1;
                let node = &mut state.nodes[usize::from(node)];
                node.sends[usize::from(index)].1 = Stage::Pending(Tick::MAX);
            }
            Act::Ends(node, index, well) => {
                let node = &mut state.nodes[usize::from(node)];
                node.sends[usize::from(index)].1 = Stage::Ended(well);
            }
            Act::Learns(who) => {
                let contender = self.contender(&state, who);
                let outcome = contender.visit().and_then(|v| Self::learns(&state, v))?;
                self.tell(&mut state, who, Event::Ended(outcome));
            }
            Act::Unknown(who) => self.never_learns(&mut state, who),
        }
        state.flying.sort();
        Some(state)
    }

    /// What becomes of a contender's write.
    fn of_write(&self, state: &mut State, who: u8, act: Act) -> Option<()> {
        match act {
            Act::Lost(_) | Act::Late(_) => {
                state.budget.late -= 1;
                self.unanswered(state, who, act == Act::Late(who));
            }
            Act::Slow(_) => {
                state.budget.late -= 1;
                let life = self.scenario.world.life;
                let mut flying = state.flying.iter_mut();
                let flying = flying.find(|f| f.by == who && f.awaited)?;
                flying.lands_by = flying.began + life;
            }
            _ => self.lands(state, who, act == Act::LandsTwice(who)),
        }
        Some(())
    }

    /// What becomes of the machine that a contender runs on.
    fn of_machine(&self, state: &mut State, who: u8, act: Act) {
        match act {
            Act::Crashes(_) => {
                state.budget.crashes -= 1;
                self.change(state, who, |contender| {
                    contender.dead = true;
                    contender.phase = Phase::Idle;
                });
                Self::drop_flights(state, who);
            }
            Act::Pauses(_) => {
                state.budget.pauses -= 1;
                self.change(state, who, |contender| contender.paused = true);
            }
            Act::Steps(_) => {
                state.budget.steps -= 1;
                self.change(state, who, |contender| contender.ahead += 1);
            }
            Act::StepsBack(_) => {
                state.budget.backs -= 1;
                self.change(state, who, |contender| contender.ahead -= 1);
            }
            _ => self.change(state, who, |contender| contender.paused = false),
        }
    }

    fn never_learns(&self, state: &mut State, who: u8) {
        state.budget.unknown -= 1;
        // Without the rule an outcome that nobody knows is taken for a failure.
        let knows = self.scenario.out().keeps(Rule::UnknownKeeps);
        let outcome = if knows {
            Outcome::Unknown
        } else {
            Outcome::Failed
        };
        self.tell(state, who, Event::Ended(outcome));
    }

    pub(crate) fn contender(&self, state: &State, who: u8) -> Arc<Contender> {
        let cast = self.cast.lock().expect("one thread");
        Arc::clone(cast.contender(state.contenders[usize::from(who)]))
    }

    fn change(&self, state: &mut State, who: u8, change: impl FnOnce(&mut Contender)) {
        let mut contender = Contender::clone(&self.contender(state, who));
        change(&mut contender);
        let mut cast = self.cast.lock().expect("one thread");
        state.contenders[usize::from(who)] = cast.number(contender);
    }

    fn tick(&self, state: &mut State) {
        if self.someone_asks(state) {
            state.budget.lags -= 1;
        }
        state.at += 1;
        let stale = self.scenario.world.stale;
        for register in &mut state.registers {
            register.forget(state.at, stale);
        }
    }

    /// A read shows the n-th of what it may.
    fn reads(&self, state: &mut State, who: u8, n: u16) {
        let contender = self.contender(state, who);
        let of_fleet = contender.phase == Phase::Idle
            || matches!(contender.doing(), Some(Doing::Looks(Look::Fleet)));
        let node = match &contender.phase {
            Phase::Removes(node, ..) => *node,
            Phase::Visits(visit) => visit.node,
            Phase::Idle | Phase::Chooses(_) => 0,
        };
        let event = if of_fleet {
            Event::Tags(Self::sample(state, n))
        } else {
            let lock = usize::from(self.scenario.register(node, "lock"));
            let shown = state.registers[lock].visible().nth(usize::from(n));
            Event::Lock(shown.unwrap_or_default())
        };
        self.tell(state, who, event);
        // Where nobody stands still and no answer takes long, the evidence is read at the same moment.
        let kind = &self.scenario.kinds[usize::from(contender.kind)];
        let split = kind.transactional && !kind.rules.without.keeps(Rule::OneTransaction);
        let Budget { pauses, .. } = state.budget;
        if of_fleet && pauses == 0 && self.scenario.budget.lags == 0 && !split {
            self.asks(state, who);
        }
    }

    /// The n-th of what a read of everything may show.
    pub(crate) fn sample(state: &State, n: u16) -> Vec<Val> {
        let mut rest = usize::from(n);
        let tags = state.registers.iter().map(|register| {
            let shown: Vec<Val> = register.visible().collect();
            let val = shown[rest % shown.len()];
            rest /= shown.len();
            val
        });
        tags.collect()
    }

    fn asks(&self, state: &mut State, who: u8) {
        let evidence = evidence(state);
        self.tell(state, who, Event::Evidence(evidence));
    }

    /// A contender takes in an event, and its deeds are done.
    fn tell(&self, state: &mut State, who: u8, event: Event) {
        let slot = usize::from(who);
        let was_held = self.is_held(state, who);
        let decides = self.decides_again(state, who, &event);
        let gave_back = self.gives_back(state, who);
        let (after, deeds) = {
            let mut cast = self.cast.lock().expect("one thread");
            let cast: &mut Cast = &mut cast;
            cast.turn(&self.scenario, who, state.contenders[slot], state.at, event)
        };
        state.contenders[slot] = after;
        let writes = deeds.iter().any(|deed| matches!(deed, Deed::Write(_)));
        let waits = matches!(
            self.contender(state, who).doing(),
            Some(Doing::Writes | Doing::Records | Doing::Deletes)
        );
        if gave_back && self.contender(state, who).phase == Phase::Idle {
            self.check_given_back(state, who);
        }
        if writes || !waits {
            Self::drop_flights(state, who);
        }
        for deed in deeds.iter() {
            self.perform(state, who, deed);
        }
        if !was_held && self.is_held(state, who) {
            self.check_held(state, who);
        }
        if decides {
            self.note_decision(state, who);
        }
        if self.scenario.claims_only && self.is_held(state, who) {
            // It stands still from here: what it asked for last is not done.
            state
                .flying
                .retain(|flying| flying.by != who || !flying.awaited);
        }
    }

    fn perform(&self, state: &mut State, who: u8, deed: &Deed) {
        match deed {
            Deed::Write(ops) => {
                self.check_act(state, who);
                self.check_record(state, who, ops);
                self.check_spoilt(state, ops);
                state.flying.push(Flying {
                    by: who,
                    began: state.at,
                    lands_by: state.at + self.scenario.world.answers,
                    awaited: true,
                    ops: ops.clone(),
                });
            }
            Deed::Send(node, order) => {
                self.check_act(state, who);
                self.check_send(state, who, *node);
                let at = state.at;
                let sends = &mut state.nodes[usize::from(*node)].sends;
                sends.push((*order, Stage::Pending(at)));
            }
            Deed::Halt(node, claim) => {
                self.check_act(state, who);
                let node = &mut state.nodes[usize::from(*node)];
                if node.mark > Some(*claim) {
                    return;
                }
                if self.scenario.out().keeps(Rule::Mark) {
                    node.mark = Some(*claim);
                }
                for (_, stage) in &mut node.sends {
                    if matches!(stage, Stage::Running(_)) {
                        *stage = Stage::Ended(false);
                    }
                }
            }
            Deed::Grant(node, was, granted) => {
                let lock = usize::from(self.scenario.register(*node, "lock"));
                if state.registers[lock].now == *was {
                    state.registers[lock].put(*granted, state.at);
                } else {
                    self.change(state, who, |contender| contender.phase = Phase::Idle);
                }
            }
        }
    }

    /// What a contender does not wait for any more lands within its time, or at once.
    fn drop_flights(state: &mut State, who: u8) {
        for flying in &mut state.flying {
            flying.awaited &= flying.by != who;
        }
    }

    fn land(&self, state: &mut State, flying: &Flying) {
        self.note_landing(state, flying);
        for (index, op) in &flying.ops {
            let register = &mut state.registers[usize::from(*index)];
            match op {
                Op::Put(val) => register.put(*val, state.at),
                Op::Delete(val) if register.now != *val => {}
                Op::Delete(_) | Op::DeleteAny => {
                    register.put(0, state.at);
                    self.check_freed(state, flying.by, *index);
                }
            }
        }
    }

    fn take_flying(state: &mut State, who: u8) -> Option<Flying> {
        let index = state.flying.iter().position(|f| f.by == who && f.awaited)?;
        Some(state.flying.remove(index))
    }

    fn lands(&self, state: &mut State, who: u8, twice: bool) {
        let Some(flying) = Self::take_flying(state, who) else {
            return;
        };
        self.land(state, &flying);
        if twice {
            state.budget.twins -= 1;
            state.flying.push(Flying {
                awaited: false,
                lands_by: flying.began + self.scenario.world.life,
                ..flying
            });
        }
        self.answer(state, who, Answer::Done);
    }

    fn unanswered(&self, state: &mut State, who: u8, lands: bool) {
        let Some(flying) = Self::take_flying(state, who) else {
            return;
        };
        if lands {
            state.flying.push(Flying {
                awaited: false,
                lands_by: flying.began + self.scenario.world.life,
                ..flying
            });
        }
        let retry_in: Duration = self.scenario.tick;
        self.answer(state, who, Answer::Unknown { retry_in });
    }

    fn answer(&self, state: &mut State, who: u8, answer: Answer) {
        let event = match self.contender(state, who).doing() {
            Some(Doing::Records) => Event::Recorded(answer),
            Some(Doing::Deletes) => Event::Deleted(answer),
            _ => Event::Wrote(answer),
        };
        self.tell(state, who, event);
    }

    /// A send reaches its node, where the fence decides.
    fn arrives(&self, state: &mut State, n: u8, index: u8, twice: bool) {
        let keeps = |rule| self.scenario.out().keeps(rule);
        let at = state.at;
        let node = &mut state.nodes[usize::from(n)];
        let (order, _) = node.sends[usize::from(index)];
        if twice {
            state.budget.twin_sends -= 1;
            node.sends.push((order, Stage::Pending(at)));
        }
        let others = node
            .sends
            .iter()
            .filter(|(_, stage)| !matches!(stage, Stage::Pending(_)));
        let executed = |stage: &Stage| matches!(stage, Stage::Running(_) | Stage::Ended(_));
        let again = others
            .clone()
            .any(|(other, stage)| other.same_attempt(&order) && executed(stage));
        let beside = node.running() > 0;
        let superseded = node.mark > Some(order.claim);
        let late = at > order.not_after;
        let (stage, wrong) = if superseded && keeps(Rule::Mark) {
            (Stage::Refused(Outcome::Superseded), None)
        } else if late && keeps(Rule::NotAfter) {
            (Stage::Refused(Outcome::TooLate), None)
        } else if again && keeps(Rule::Journal) {
            // It is answered from the journal, or attaches to what runs: there is nothing more to be known of it.
            node.sends.remove(usize::from(index));
            return;
        } else if beside && keeps(Rule::KernelLock) {
            (Stage::Refused(Outcome::Busy), None)
        } else {
            let wrongs = [
                (beside, Wrong::Overlap),
                (again, Wrong::Twice),
                (superseded, Wrong::Superseded),
                (late, Wrong::TooLate),
            ];
            let wrong = wrongs.into_iter().find(|(is, _)| *is).map(|(_, w)| w);
            (Stage::Running(at), wrong)
        };
        if !matches!(stage, Stage::Refused(Outcome::Superseded)) {
            node.mark = node.mark.max(Some(order.claim));
        }
        node.sends[usize::from(index)].1 = stage;
        state.wrong = state.wrong.or(wrong);
        if stage == Stage::Running(at) {
            self.check_limit(state);
        }
    }

    /// How the attempt that a visit waits for ended, if it has.
    pub(crate) fn learns(state: &State, visit: &Visit) -> Option<Outcome> {
        let order = visit.waits_for?;
        let sends = &state.nodes[usize::from(visit.node)].sends;
        sends.iter().find_map(|(sent, stage)| match stage {
            Stage::Ended(true) if sent.same_attempt(&order) => Some(Outcome::Ok),
            Stage::Ended(false) if sent.same_attempt(&order) => Some(Outcome::Failed),
            Stage::Refused(outcome) if *sent == order => Some(*outcome),
            _ => None,
        })
    }
}

/// What everybody who asks is told of commands: all that was sent.
pub(crate) fn evidence(state: &State) -> Vec<(u8, Order, Activity)> {
    let mut all = Vec::new();
    for (n, node) in (0..).zip(&state.nodes) {
        for (order, stage) in &node.sends {
            let activity = match stage {
                Stage::Pending(_) | Stage::Running(_) => Activity::InProgress,
                Stage::Ended(_) => Activity::Finished,
                Stage::Refused(_) => continue,
            };
            all.push((n, *order, activity));
        }
    }
    all
}
