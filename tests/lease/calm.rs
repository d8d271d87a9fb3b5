//! From any state on, nothing bad happens any more: what is under way is done, reads are fresh, nobody dies, and the
//! job is invoked again and again. Then every node has to be served, and nobody may wait for ever.

use roundsman::model::decide::{Wish, decide};
use roundsman::model::lock::LockState;
use roundsman::model::record::Last;
use roundsman::model::time::later;
use roundsman::model::view::Rules;
use stateright::Model;

use crate::contender::{Awaited, Contender, Phase};
use crate::happen::evidence;
use crate::model::{Act, Search};
use crate::trace::trace;
use crate::world::{Budget, Stage, State, Tick};

/// In which order those take turns who may act in the same tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Everybody reads before anything lands: whoever begins in the same tick crosses.
    pub(crate) crossing: bool,
    /// The last contender goes first.
    pub(crate) backwards: bool,
    /// What nobody waits for is never done.
    pub(crate) vanish: bool,
}

impl Pace {
    pub(crate) const EASY: Self = Self {
        crossing: false,
        backwards: false,
        vanish: false,
    };
    pub(crate) const ALL: [Self; 3] = [
        Self::EASY,
        Self {
            crossing: true,
            ..Self::EASY
        },
        Self {
            crossing: false,
            backwards: true,
            vanish: true,
        },
    ];
}

/// What the calm came to.
#[derive(Debug)]
pub(crate) struct Calm {
    /// After how many ticks everything was served; or why it was not.
    pub(crate) served: Result<Tick, String>,
    /// The longest that any claim waited before it was held or given up.
    pub(crate) longest_wait: Tick,
    steps: Vec<(State, Option<Act>)>,
}

impl Calm {
    /// All of it in words.
    pub(crate) fn trace(&self, search: &Search) -> String {
        trace(search, &self.steps)
    }

    /// The state that it ended in.
    pub(crate) fn last(&self) -> &State {
        &self.steps.last().expect("the first at least").0
    }
}

/// The most acts in one tick.
const BUSTLE: u32 = 300;

/// A claim that is waiting: whose, since when.
type Waits = Vec<Option<(roundsman::model::id::ClaimId, Tick)>>;

impl Search {
    /// Lets calm return, and waits for so many ticks at most.
    pub(crate) fn calm(&self, from: &State, pace: Pace, bound: Tick) -> Calm {
        self.calm_until(from, pace, bound, |state| self.is_served(state))
    }

    /// The same, until something is so.
    pub(crate) fn calm_until(
        &self,
        from: &State,
        pace: Pace,
        bound: Tick,
        is: impl Fn(&State) -> bool,
    ) -> Calm {
        let mut state = self.quiet(from, pace);
        let began = state.at;
        let mut steps = vec![(state.clone(), None)];
        let mut waits: Waits = Vec::new();
        let mut longest_wait = 0;
        let (mut acts, mut pause) = (0, 1);
        let served = loop {
            longest_wait = longest_wait.max(self.waited(&state, &mut waits));
            if let Some(wrong) = state.wrong {
                break Err(format!("{wrong:?}"));
            }
            if is(&state) {
                break Ok(state.at - began);
            }
            self.invoke(&mut state);
            if let Some((act, next)) = self.next(&state, pace) {
                steps.last_mut().expect("one").1 = Some(act);
                steps.push((next.clone(), None));
                state = next;
                (acts, pause) = (acts + 1, 1);
                if acts > BUSTLE {
                    break Err("it spins".to_owned());
                }
                continue;
            }
            acts = 0;
            let Some(at) = self.next_tick(&state, began + bound, &mut pause) else {
                break Err(self.why(&state));
            };
            state.at = at;
            for register in &mut state.registers {
                register.forget(at, self.scenario.world.stale);
            }
            steps.last_mut().expect("one").1 = Some(Act::Tick);
            steps.push((state.clone(), None));
        };
        Calm {
            served,
            longest_wait,
            steps,
        }
    }

    /// The same state with nothing bad to come, and somebody alive for every job.
    fn quiet(&self, from: &State, pace: Pace) -> State {
        let mut state = from.clone();
        state.budget = Budget::default();
        if pace.vanish {
            state.flying.retain(|flying| flying.awaited);
        }
        for kind in 0..self.scenario.kinds.len() {
            // Nobody stops anything in a calm who has not begun to.
            if self.scenario.kinds[kind].stops {
                continue;
            }
            let kind = u8::try_from(kind).expect("few");
            let mut contends = self.scenario.contenders.iter();
            let mut all = 0..u8::try_from(state.contenders.len()).expect("few");
            let alive = all.any(|who| {
                let contender = self.contender(&state, who);
                contender.kind == kind && !contender.dead
            });
            if !alive && contends.any(|(of, ..)| *of == kind) {
                let mut cast = self.cast.lock().expect("one thread");
                let number = cast.number(Contender::new(kind, 0, 1));
                state.contenders.push(number);
            }
        }
        state
    }

    /// Whoever is idle is invoked again.
    fn invoke(&self, state: &mut State) {
        for who in 0..u8::try_from(state.contenders.len()).expect("few") {
            let contender = self.contender(state, who);
            let stops = self.scenario.kinds[usize::from(contender.kind)].stops;
            let idle = contender.phase == Phase::Idle && !contender.dead && !stops;
            if idle && contender.starts == 0 {
                let mut contender = Contender::clone(&contender);
                contender.starts = 1;
                let mut cast = self.cast.lock().expect("one thread");
                state.contenders[usize::from(who)] = cast.number(contender);
            }
        }
    }

    /// No node bears a lock, and none is due for any job that is invoked.
    fn is_served(&self, state: &State) -> bool {
        let value = |node, key| state.registers[usize::from(self.scenario.register(node, key))].now;
        let nodes = 0..self.scenario.nodes;
        if nodes.clone().any(|node| value(node, "lock") != 0) {
            return false;
        }
        let now = self.scenario.wall(state.at, self.scenario.world.ahead);
        let cast = self.cast.lock().expect("one thread");
        self.invoked().all(|rules| {
            nodes.clone().all(|node| {
                let text = cast.texts.text(value(node, rules.keys.last.as_str()));
                let last = Last::read(text, now, rules.lease.skew);
                last.at().is_some_and(|at| now < later(at, rules.job.every))
            })
        })
    }

    /// The rules of the jobs that are invoked.
    fn invoked(&self) -> impl Iterator<Item = &Rules> {
        let jobs = self.scenario.kinds.iter().enumerate().filter(|(kind, _)| {
            let mut contenders = self.scenario.contenders.iter();
            contenders.any(|(of, ..)| usize::from(*of) == *kind)
        });
        jobs.map(|(_, kind)| &kind.rules)
    }

    /// The next thing that happens without time passing.
    fn next(&self, state: &State, pace: Pace) -> Option<(Act, State)> {
        let mut acts = Vec::new();
        self.actions(state, &mut acts);
        acts.retain(|act| !self.is_early(state, *act));
        let mut ranked: Vec<(u8, u8, Act)> = acts
            .into_iter()
            .filter_map(|act| rank(act, pace).map(|(rank, who)| (rank, who, act)))
            .collect();
        ranked.sort_by_key(|(rank, who, _)| (*rank, *who));
        let mut follows = ranked.into_iter().map(|(_, _, act)| act);
        follows.find_map(|act| {
            let next = self.follow(state, act)?;
            (next != *state).then_some((act, next))
        })
    }

    /// A step works as long as it may.
    fn is_early(&self, state: &State, act: Act) -> bool {
        let Act::Ends(node, index, _) = act else {
            return false;
        };
        let (_, stage) = state.nodes[usize::from(node)].sends[usize::from(index)];
        matches!(stage, Stage::Running(since) if state.at < since.saturating_add(self.scenario.work))
    }

    /// When something may happen next: a contender wakes, a step has worked long enough, a row says that it changes;
    /// else ever later.
    fn next_tick(&self, state: &State, end: Tick, pause: &mut Tick) -> Option<Tick> {
        let mut all = 0..u8::try_from(state.contenders.len()).expect("few");
        let mut next: Vec<Tick> = Vec::new();
        let idle = all
            .clone()
            .any(|who| self.contender(state, who).phase == Phase::Idle);
        next.extend(all.by_ref().filter_map(|who| {
            let wake = self.contender(state, who).visit()?.wake;
            Some(self.scenario.tick_of_moment(wake))
        }));
        for (_, stage) in state.nodes.iter().flat_map(|node| &node.sends) {
            if let Stage::Running(since) = stage {
                next.push(since.saturating_add(self.scenario.work));
            }
        }
        if idle {
            next.extend(self.changes(state));
        }
        next.retain(|tick| *tick > state.at && *tick < Tick::MAX);
        let at = next.into_iter().min().unwrap_or_else(|| {
            *pause = pause.saturating_mul(2);
            state.at.saturating_add(*pause)
        });
        // Nothing comes after the end, so that is looked at once.
        (state.at < end).then(|| at.min(end))
    }

    /// When the rows say that they change.
    fn changes(&self, state: &State) -> Vec<Tick> {
        let tags: Vec<_> = state
            .registers
            .iter()
            .map(|register| register.now)
            .collect();
        let now = self.scenario.now(state.at, 0);
        let mut ticks = Vec::new();
        for rules in self.invoked() {
            let cast = self.cast.lock().expect("one thread");
            let view = self
                .scenario
                .view(&cast.texts, now, &tags, &evidence(state));
            let rows = decide(rules, &view, &Wish::default());
            // A time that is no tick has come in the next.
            let untils = rows.iter().filter_map(|row| row.until);
            ticks.extend(untils.flat_map(|until| {
                let tick = self.scenario.tick_of(until);
                [tick, tick.saturating_add(1)]
            }));
        }
        ticks
    }

    /// Why nothing is served, as everybody who looks is told.
    fn why(&self, state: &State) -> String {
        let tags: Vec<_> = state
            .registers
            .iter()
            .map(|register| register.now)
            .collect();
        let now = self.scenario.now(state.at, 0);
        let cast = self.cast.lock().expect("one thread");
        let view = self
            .scenario
            .view(&cast.texts, now, &tags, &evidence(state));
        let rows = decide(&self.scenario.kinds[0].rules, &view, &Wish::default());
        let each = rows
            .iter()
            .map(|row| format!("{}: {} ({})", row.node, row.reason, row.detail));
        each.collect::<Vec<_>>().join("; ")
    }

    /// How long the claim has waited that has waited longest.
    fn waited(&self, state: &State, waits: &mut Waits) -> Tick {
        waits.resize(state.contenders.len(), None);
        let mut longest = 0;
        for (who, wait) in (0..).zip(waits.iter_mut()) {
            let contender = self.contender(state, who);
            let claims = contender.visit().filter(|v| v.awaited == Awaited::Claim);
            let Some(visit) = claims else {
                *wait = None;
                continue;
            };
            let claim = visit.lease.claim_id();
            let since = match *wait {
                Some((known, since)) if known == claim => since,
                _ => self.written_at(&contender).unwrap_or(state.at),
            };
            *wait = Some((claim, since));
            longest = longest.max(state.at.saturating_sub(since));
        }
        longest
    }

    /// When a claim was written that still settles.
    fn written_at(&self, contender: &Contender) -> Option<Tick> {
        let lock = contender.visit()?.lease.lock();
        let lasts = self.scenario.kinds[usize::from(contender.kind)]
            .rules
            .lease
            .ttl;
        let lasts = Tick::try_from(lasts.as_nanos() / self.scenario.tick.as_nanos()).ok()?;
        let settles = lock.state == LockState::Settling && lock.seq > 0;
        let until = self.scenario.tick_of(lock.until);
        settles.then(|| until.saturating_sub(lasts + Tick::from(contender.ahead)))
    }
}

/// What happens first, and whose it is; `None`: nothing that happens by itself, or not in a calm.
fn rank(act: Act, pace: Pace) -> Option<(u8, u8)> {
    let (rank, who) = match act {
        Act::Resumes(who) => (0, who),
        Act::Strays(_) => (1, 0),
        Act::Arrives(..) => (3, 0),
        Act::Ends(_, _, true) => (4, 0),
        Act::Lands(who) if pace.crossing => (9, who),
        Act::Lands(who) => (2, who),
        Act::Learns(who) => (5, who),
        Act::Asks(who) => (6, who),
        Act::Wakes(who) => (7, who),
        Act::Reads(who, 0) => (8, who),
        _ => return None,
    };
    let who = if pace.backwards { u8::MAX - who } else { who };
    Some((rank, who))
}
