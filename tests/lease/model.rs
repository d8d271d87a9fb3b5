//! Everything that can happen next in a state of the world: the model that is searched.

use std::sync::Mutex;

use roundsman::model::lease::Look;
use roundsman::model::rule::Rule;
use stateright::{Model, Property};

use crate::cast::Cast;
use crate::contender::{Contender, Doing, Phase, Visit};
use crate::reached::Reached;
use crate::scenario::Scenario;
use crate::world::{Budget, Node, Register, Stage, State, Tick};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Time passes.
    Tick,
    /// A contender reads tags; which of what may be seen.
    Reads(u8, u16),
    /// A contender reads the evidence that judges the tags it has read.
    Asks(u8),
    /// A contender wakes.
    Wakes(u8),
    /// A contender's write lands and is answered.
    Lands(u8),
    /// The same, and a twin of it is on its way still.
    LandsTwice(u8),
    /// A contender's write is never done.
    Lost(u8),
    /// Nobody answers a contender's write, which lands when it lands.
    Late(u8),
    /// A contender's write takes longer than it may.
    Slow(u8),
    /// A write that nobody waits for lands.
    Strays(u8),
    Crashes(u8),
    Pauses(u8),
    Resumes(u8),
    /// A contender's clock steps ahead.
    Steps(u8),
    /// A contender's clock steps back.
    StepsBack(u8),
    /// A contender is told to stop.
    Told(u8),
    /// A node's lock is deleted by hand.
    Wiped(u8),
    /// A node is put on hold.
    Held(u8),
    /// All tags of a node are deleted.
    Stripped(u8),
    /// Something that is not ours is written into a tag.
    Spoilt(u8),
    /// A send arrives.
    Arrives(u8, u8),
    /// The same, and will again.
    ArrivesTwice(u8, u8),
    /// A send will arrive when it arrives.
    Dawdles(u8, u8),
    /// What executes on a node ends, well or not.
    Ends(u8, u8, bool),
    /// A contender learns how its step ended.
    Learns(u8),
    /// It will never learn.
    Unknown(u8),
}

/// A scenario to be searched.
pub(crate) struct Search {
    pub(crate) scenario: Scenario,
    pub(crate) cast: Mutex<Cast>,
    pub(crate) reached: Reached,
}

impl Search {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            cast: Mutex::new(Cast::new()),
            reached: Reached::default(),
        }
    }

    /// Where it begins.
    pub(crate) fn first(&self) -> State {
        let scenario = &self.scenario;
        let mut cast = self.cast.lock().expect("one thread");
        let count = usize::from(scenario.nodes) * scenario.keys.len();
        let mut registers = vec![Register::default(); count];
        for (node, key, text) in &scenario.tags {
            let index = usize::from(scenario.register(*node, key));
            registers[index] = Register::holding(cast.texts.number(text));
        }
        let mut nodes = vec![Node::default(); usize::from(scenario.nodes)];
        for (node, order, stage) in &scenario.sent {
            let node = &mut nodes[usize::from(*node)];
            if !matches!(stage, Stage::Pending(_)) {
                node.mark = node.mark.max(Some(order.claim));
            }
            node.sends.push((*order, *stage));
        }
        let contenders = scenario
            .contenders
            .iter()
            .map(|(kind, ahead, starts)| cast.number(Contender::new(*kind, *ahead, *starts)))
            .collect();
        let mut state = State {
            at: 0,
            registers,
            flying: Vec::new(),
            nodes,
            contenders,
            budget: scenario.budget,
            wrong: None,
        };
        for (text, lands_by) in &scenario.strays {
            let put = crate::world::Op::Put(cast.texts.number(text));
            state.flying.push(crate::world::Flying {
                by: u8::MAX,
                began: 0,
                lands_by: *lands_by,
                awaited: false,
                ops: vec![(scenario.register(0, "lock"), put)],
            });
        }
        drop(cast);
        if scenario.holder {
            self.hold(&mut state);
        }
        state
    }

    /// The first contender has held the first node since tick 0; its step executes.
    fn hold(&self, state: &mut State) {
        let mut cast = self.cast.lock().expect("one thread");
        let contender = Contender::clone(cast.contender(state.contenders[0]));
        let (contender, order, value, renewal) = contender.holding(&self.scenario);
        state.contenders[0] = cast.number(contender);
        let lock = usize::from(self.scenario.register(0, "lock"));
        state.registers[lock] = Register::holding(cast.texts.number(&value));
        if let Some(renewal) = renewal {
            state.flying.push(crate::world::Flying {
                by: 0,
                began: 0,
                lands_by: self.scenario.world.life,
                awaited: false,
                ops: vec![(
                    self.scenario.register(0, "lock"),
                    crate::world::Op::Put(cast.texts.number(&renewal)),
                )],
            });
        }
        state.nodes[0] = Node {
            mark: Some(order.claim),
            held: Some(order.claim),
            sends: vec![(order, Stage::Running(0))],
            ..Node::default()
        };
    }

    /// Whether a moment has come by the clock that all share.
    pub(crate) fn has_come(&self, moment: roundsman::model::time::Moment, at: Tick) -> bool {
        self.scenario.tick_of_moment(moment) <= at
    }

    /// Whether what is rationed may happen to a contender.
    fn suffers(&self, who: u8) -> bool {
        self.scenario.victim.is_none_or(|victim| victim == who)
    }

    /// How many different answers a read of these registers may give.
    fn samples(state: &State, registers: impl Iterator<Item = u8>) -> u16 {
        registers
            .map(|index| state.registers[usize::from(index)].visible().count())
            .fold(1, |all, n| all * u16::try_from(n).expect("few"))
    }

    /// What one contender may do by itself now.
    fn own_acts(&self, state: &State, who: u8, contender: &Contender, acts: &mut Vec<Act>) {
        let all = 0..u8::try_from(state.registers.len()).expect("few");
        let lock = |node| std::iter::once(self.scenario.register(node, "lock"));
        let kind = &self.scenario.kinds[usize::from(contender.kind)];
        let samples = match (&contender.phase, contender.doing()) {
            // A transaction reads what is there.
            (Phase::Idle, _) if contender.starts > 0 && kind.transactional => 1,
            (Phase::Idle, _) if contender.starts > 0 => Self::samples(state, all),
            (_, Some(Doing::Looks(Look::Fleet))) => Self::samples(state, all),
            (Phase::Removes(node, ..), Some(Doing::Looks(_))) => Self::samples(state, lock(*node)),
            (Phase::Visits(visit), Some(Doing::Looks(_))) => Self::samples(state, lock(visit.node)),
            _ => 0,
        };
        acts.extend((0..samples).map(|n| Act::Reads(who, n)));
        if matches!(contender.phase, Phase::Chooses(_))
            || matches!(contender.doing(), Some(Doing::Judges(_)))
        {
            acts.push(Act::Asks(who));
        }
        let Some(visit) = contender.visit() else {
            return;
        };
        if self.scenario.claims_only && self.holds(state, contender.kind, visit) {
            return;
        }
        if self.has_come(visit.wake, state.at) {
            acts.push(Act::Wakes(who));
        }
        if Self::learns(state, visit).is_some() {
            acts.push(Act::Learns(who));
        } else if visit.waits_for.is_some() && state.budget.unknown > 0 {
            acts.push(Act::Unknown(who));
        }
        if state.budget.signals > 0 && self.suffers(who) && self.may_be_told(visit) {
            acts.push(Act::Told(who));
        }
    }

    /// A claim may be given up, and a run parked whose step is under way.
    fn may_be_told(&self, visit: &Visit) -> bool {
        let held = visit.lease.own_end(&self.scenario.terms(0)).is_some();
        !held || visit.waits_for.is_some() && !visit.parking
    }

    fn write_acts(&self, state: &State, who: u8, acts: &mut Vec<Act>) {
        let awaited = state.flying.iter().find(|f| f.by == who && f.awaited);
        let Some(flying) = awaited else {
            return;
        };
        acts.push(Act::Lands(who));
        let may_twin = state.budget.twins > 0 && !self.scenario.out().keeps(Rule::OneAttempt);
        acts.extend(may_twin.then_some(Act::LandsTwice(who)));
        let prompt = flying.lands_by <= flying.began + self.scenario.world.answers;
        if state.budget.late > 0 && prompt && self.suffers(who) {
            acts.extend([Act::Lost(who), Act::Late(who), Act::Slow(who)]);
        }
    }

    fn contender_acts(&self, state: &State, acts: &mut Vec<Act>) {
        let cast = self.cast.lock().expect("one thread");
        for (who, number) in (0..).zip(&state.contenders) {
            let contender = cast.contender(*number);
            if contender.dead {
                continue;
            }
            if contender.paused {
                acts.push(Act::Resumes(who));
                continue;
            }
            self.own_acts(state, who, contender, acts);
            self.write_acts(state, who, acts);
            let busy = contender.phase != Phase::Idle && self.suffers(who);
            acts.extend((busy && state.budget.crashes > 0).then_some(Act::Crashes(who)));
            // One that stands still while its write is under way gets its answer late: that is `Slow`.
            let writes = state.flying.iter().any(|f| f.by == who && f.awaited);
            let may_pause = busy && !writes && state.budget.pauses > 0;
            acts.extend(may_pause.then_some(Act::Pauses(who)));
            let behind = contender.ahead < self.scenario.world.ahead;
            acts.extend((behind && state.budget.steps > 0).then_some(Act::Steps(who)));
            let ahead = contender.ahead > 0;
            acts.extend((ahead && state.budget.backs > 0).then_some(Act::StepsBack(who)));
        }
    }

    fn node_acts(&self, state: &State, acts: &mut Vec<Act>) {
        let Budget {
            slow_sends,
            twin_sends,
            ..
        } = state.budget;
        for (n, node) in (0..).zip(&state.nodes) {
            for (i, (_, stage)) in (0..).zip(&node.sends) {
                match stage {
                    Stage::Pending(since) => {
                        acts.push(Act::Arrives(n, i));
                        acts.extend((twin_sends > 0).then_some(Act::ArrivesTwice(n, i)));
                        let prompt = *since != Tick::MAX;
                        acts.extend((prompt && slow_sends > 0).then_some(Act::Dawdles(n, i)));
                    }
                    Stage::Running(_) if !self.scenario.ends => {}
                    Stage::Running(_) => {
                        acts.push(Act::Ends(n, i, true));
                        acts.extend(self.scenario.fails.then_some(Act::Ends(n, i, false)));
                    }
                    Stage::Ended(_) | Stage::Refused(_) => {}
                }
            }
            self.people_acts(state, n, acts);
        }
    }

    fn nobody_began(&self, state: &State) -> bool {
        let cast = self.cast.lock().expect("one thread");
        let fresh = |(number, (_, _, starts)): (&u32, &(u8, u8, u8))| {
            let contender = cast.contender(*number);
            contender.phase == Phase::Idle && contender.starts == *starts
        };
        state
            .contenders
            .iter()
            .zip(&self.scenario.contenders)
            .all(fresh)
    }

    /// Whether nothing has to happen before time passes.
    fn may_tick(&self, state: &State) -> bool {
        let world = self.scenario.world;
        let at = state.at;
        let lands = |f: &crate::world::Flying| at < f.lands_by;
        let nodes = state.nodes.iter().flat_map(|node| &node.sends);
        let mut sends = nodes.map(|(_, stage)| *stage);
        let steps = sends.all(|stage| match stage {
            Stage::Pending(Tick::MAX) | Stage::Ended(_) | Stage::Refused(_) => true,
            Stage::Pending(since) => at < since + world.arrives,
            Stage::Running(since) => !self.scenario.ends || at < since + self.scenario.work,
        });
        // Until somebody begins nothing changes that could matter to anybody.
        let quiet_world = state.flying.is_empty() && self.nobody_began(state);
        let cast = self.cast.lock().expect("one thread");
        let quiet = |(who, number): (u8, &u32)| {
            let contender = cast.contender(*number);
            if contender.dead || contender.paused || contender.phase == Phase::Idle {
                return true;
            }
            let mut acts = Vec::new();
            self.own_acts(state, who, contender, &mut acts);
            let may_lag = state.budget.lags > 0;
            acts.iter().all(|act| match act {
                Act::Told(_) | Act::Unknown(_) => true,
                Act::Asks(_) => may_lag,
                _ => false,
            })
        };
        at < self.scenario.horizon
            && !(quiet_world && self.scenario.from_zero)
            && steps
            && state.flying.iter().all(lands)
            && (0..).zip(&state.contenders).all(quiet)
    }
}

impl Model for Search {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        if state.wrong.is_some() {
            return;
        }
        self.contender_acts(state, acts);
        let strays = (0..).zip(&state.flying).filter(|(_, f)| !f.awaited);
        acts.extend(strays.map(|(index, _)| Act::Strays(index)));
        self.node_acts(state, acts);
        acts.extend(self.may_tick(state).then_some(Act::Tick));
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        self.follow(state, act)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("right", |_, state: &State| {
            state.wrong.is_none()
        })]
    }
}
