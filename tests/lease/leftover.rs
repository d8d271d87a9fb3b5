//! Whatever stands on a node, some rule frees it in the end.

use std::time::Duration;

use roundsman::model::decide::{Wish, decide};
use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::node::Evidence;
use roundsman::model::reason::Reason;
use roundsman::model::record::{Fail, FailReason};
use roundsman::model::settings::LeaseSettings;
use roundsman::model::time::{Moment, Now, format_stamp};

use crate::calm::Pace;
use crate::model::Search;
use crate::scenario::{Kind, Scenario, World, job, ms};
use crate::search::search;
use crate::world::{Order, Stage, Tick};

/// A tick, in seconds.
const TICK: u64 = 10;

/// A node is due so many seconds after it was served.
const EVERY: u64 = 2 * 86_400;

/// Nodes on which runners of two jobs may have left something, under the settings that are the default.
pub(crate) fn fleet(nodes: u8, contenders: &[(u8, u8, u8)]) -> Scenario {
    let lease = LeaseSettings::default();
    Scenario::new("leftovers", (1, 1, 1), &[]).with(|s| {
        s.tick = Duration::from_secs(TICK);
        s.kinds = vec![Kind::new(job("a", 1), lease), Kind::new(job("b", 1), lease)];
        s.contenders = contenders.to_vec();
        s.nodes = nodes;
        s.keys = ["lock", "hold", "last-a", "fail-a", "last-b", "fail-b"]
            .map(str::to_owned)
            .into();
        for kind in &mut s.kinds {
            kind.rules.job.every = Duration::from_secs(EVERY);
        }
        s.limit = usize::from(nodes);
        s.world = World {
            answers: 0,
            stale: 0,
            ahead: 0,
            life: 90,
            arrives: 0,
        };
        s.work = 3;
    })
}

/// Who says what about the commands on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Nobody keeps a record.
    NoRecord,
    Nothing,
    /// A step of the run that the lock names; whether it still runs.
    Named(bool),
    /// A step of a later run of this kind of job; whether it still runs.
    Hidden(u8, bool),
}

const SHOWS: [Shows; 8] = [
    Shows::NoRecord,
    Shows::Nothing,
    Shows::Named(false),
    Shows::Named(true),
    Shows::Hidden(0, false),
    Shows::Hidden(0, true),
    Shows::Hidden(1, false),
    Shows::Hidden(1, true),
];

/// What tells that the run which the lock names is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Not,
    ByLast,
    ByFail,
}

/// What was left on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// State, and what it says that it found; `None`: no lock.
    lock: Option<(LockState, Option<LockState>)>,
    /// Whose: 0 is the own job.
    kind: u8,
    other_set: bool,
    /// Its end, in seconds after now.
    until: i64,
    step: u32,
    over: Over,
    /// Whether the own job was here long ago.
    old: bool,
    /// Whether another run of the own job failed before.
    failed: bool,
    shows: Shows,
}

const STATES: [Option<(LockState, Option<LockState>)>; 8] = [
    None,
    Some((LockState::Settling, None)),
    Some((LockState::Settling, Some(LockState::Held))),
    Some((LockState::Settling, Some(LockState::Parked))),
    Some((LockState::Settling, Some(LockState::Stopping))),
    Some((LockState::Held, None)),
    Some((LockState::Parked, None)),
    Some((LockState::Stopping, None)),
];

/// Ends long ago, within a day, within the hour, just now, and to come.
const UNTIL: [i64; 5] = [-100_000, -85_000, -3_000, -5, 1_190];

/// All that one node may bear.
fn all() -> Vec<Left> {
    let mut all = Vec::new();
    for lock in STATES {
        for (kind, other_set) in [(0, false), (0, true), (1, false), (1, true)] {
            for until in UNTIL {
                for step in [0, 1] {
                    for over in [Over::Not, Over::ByLast, Over::ByFail] {
                        for (old, failed) in [(false, false), (true, true)] {
                            all.extend(SHOWS.map(|shows| Left {
                                lock,
                                kind,
                                other_set,
                                until,
                                step,
                                over,
                                old,
                                failed,
                                shows,
                            }));
                        }
                    }
                }
            }
        }
    }
    all.retain(Left::is_distinct);
    all
}

impl Left {
    /// Not the same as another one.
    fn is_distinct(&self) -> bool {
        let shows = !matches!(self.shows, Shows::NoRecord | Shows::Nothing);
        if self.lock.is_none() {
            let first = !self.other_set && self.until == UNTIL[0] && self.step == 0;
            return first && self.kind == 0 && self.over == Over::Not && !shows;
        }
        let a_day = self.until == -85_000;
        let an_hour = self.until == -3_000;
        (!a_day || self.keeps_a_day()) && (!an_hour || self.other_set) && !(shows && self.step == 0)
    }

    /// Whether it is the run of another job of which a step is known.
    fn keeps_a_day(&self) -> bool {
        match self.shows {
            Shows::Named(_) => self.kind == 1,
            Shows::Hidden(kind, _) => kind == 1,
            Shows::NoRecord | Shows::Nothing => false,
        }
    }

    fn run(&self) -> RunId {
        RunId::new(ms(self.until - 1_200), 1)
    }

    /// The latest time at which some rule has let go of it, in seconds after now.
    fn freed_by(&self) -> u64 {
        let settings = LeaseSettings::default();
        let after = |span: u64| self.until.saturating_add_unsigned(span);
        let hour = after(if self.other_set { 3_600 } else { 0 });
        let others = self.keeps_a_day();
        let day = after(if others { 86_400 } else { 0 });
        // What another job left is given up when the node is due, or gone on with by that job.
        let served = self.kind == 0 && self.over == Over::ByLast;
        let due = if others && served { EVERY } else { 0 };
        let due = self.until - 900 + i64::try_from(due).expect("short");
        let until = after(settings.margin.as_secs()).max(hour).max(day);
        let until = until.max(due).max(0);
        u64::try_from(until).expect("not negative")
    }

    /// Puts it on a node.
    fn put(&self, scenario: &mut Scenario, node: u8) {
        let run = self.run();
        let mut tag = |key: &'static str, value: String| scenario.tags.push((node, key, value));
        let (last, fail) = if self.kind == 0 {
            ("last-a", "fail-a")
        } else {
            ("last-b", "fail-b")
        };
        if self.old && (self.kind, self.over) != (0, Over::ByLast) {
            tag("last-a", format_stamp(Scenario::second(-2_592_000)));
        }
        if self.failed && (self.kind, self.over) != (0, Over::ByFail) {
            let before = RunId::new(ms(self.until - 9_000), 1);
            tag("fail-a", failure(before));
        }
        match self.over {
            Over::Not => {}
            Over::ByLast => tag(last, format_stamp(Scenario::second(self.until - 900))),
            Over::ByFail => tag(fail, failure(run)),
        }
        if let Some(value) = self.lock(scenario) {
            scenario.tags.push((node, "lock", value));
        }
        let (kind, run, runs) = match self.shows {
            Shows::NoRecord | Shows::Nothing => return,
            Shows::Named(runs) => (self.kind, run, runs),
            Shows::Hidden(kind, runs) => (kind, RunId::new(ms(self.until - 600), 3), runs),
        };
        let order = Order {
            kind,
            run,
            claim: ClaimId::new(run.began_ms(), 5),
            step: 1,
            attempt: 1,
            not_after: Tick::MAX,
        };
        scenario.sent.push((node, order, Stage::begun(runs)));
    }

    fn lock(&self, scenario: &Scenario) -> Option<String> {
        let (state, was) = self.lock?;
        let rules = &scenario.kinds[usize::from(self.kind)].rules;
        let other = LeaseSettings {
            skew: Duration::from_secs(11),
            ..rules.lease
        };
        let lock = Lock {
            run: self.run(),
            claim: ClaimId::new(self.run().began_ms(), 2),
            state,
            was,
            set: if self.other_set {
                other.set()
            } else {
                rules.lease.set()
            },
            job: rules.job.name.clone(),
            task: rules.job.task.clone(),
            step: self.step,
            until: Scenario::second(self.until),
            ..scenario.lock()
        };
        Some(lock.format())
    }
}

fn failure(run: RunId) -> String {
    let at = Scenario::second(-500);
    Fail::following(None, at, run, 1, FailReason::Failed).format()
}

/// One state of the world after another, all in one cast: most of what contenders do has been seen before.
fn drive(scenario: Scenario, search: &mut Option<Search>) {
    let same = |before: &Search| before.scenario.evidence == scenario.evidence;
    let cast = search.take().filter(same).map(|search| search.cast);
    *search = Some(match cast {
        Some(cast) => Search {
            cast,
            ..Search::new(scenario)
        },
        None => Search::new(scenario),
    });
}

fn ticks(seconds: u64) -> Tick {
    Tick::try_from(seconds.div_ceil(TICK)).expect("within a week")
}

/// From the moment a node may be claimed until it has been served, in ticks.
const SERVICE: Tick = 40;

#[test]
fn whatever_one_node_bears_it_is_served() {
    let mut search = None;
    let mut all = all();
    all.sort_by_key(|left| left.shows == Shows::NoRecord);
    assert!(all.len() > 6_000, "{}", all.len());
    for left in &all {
        let mut scenario = fleet(1, &[(0, 0, 1)]);
        scenario.evidence = left.shows != Shows::NoRecord;
        left.put(&mut scenario, 0);
        drive(scenario, &mut search);
        let search = search.as_ref().expect("one");
        let bound = ticks(left.freed_by()) + SERVICE;
        let calm = search.calm(&search.first(), Pace::EASY, bound);
        if let Err(why) = &calm.served {
            panic!("{left:?}: {why}\n{}", calm.trace(search));
        }
    }
}

/// What two nodes of a fleet may bear at once: a few of each kind.
fn some() -> Vec<Left> {
    let states = [STATES[1], STATES[2], STATES[5], STATES[6]];
    let mut some = all();
    some.retain(|left| {
        let alike = left.old && left.over == Over::Not && left.shows != Shows::NoRecord;
        let states = left.lock.is_none() || states.contains(&left.lock);
        let until = left.until == -100_000 && !(left.other_set && left.kind == 0)
            || left.until == 1_190 && !left.other_set && left.lock == STATES[5];
        let known = matches!(
            left.shows,
            Shows::Nothing | Shows::Named(true) | Shows::Hidden(1, false)
        );
        let begun = left.step == 1 || left.lock.is_none();
        alike && states && until && known && begun
    });
    some
}

#[test]
fn whatever_two_nodes_bear_both_are_served_one_after_the_other() {
    let some = some();
    assert!(some.len() > 40, "{}", some.len());
    // Only the one job is invoked, or that of the leftovers too.
    for contenders in [&[(0, 0, 1)][..], &[(0, 0, 1), (1, 0, 1)]] {
        let mut search = None;
        // A claim that was withdrawn has written back what it found, for as long as a lease lasts.
        let settings = LeaseSettings::default();
        let back = ticks((settings.ttl + settings.margin).as_secs());
        let back = if contenders.len() > 1 { back } else { 0 };
        for (i, one) in some.iter().enumerate() {
            for two in &some[..=i] {
                let mut scenario = fleet(2, contenders);
                one.put(&mut scenario, 0);
                two.put(&mut scenario, 1);
                drive(scenario, &mut search);
                let search = search.as_ref().expect("one");
                let bound = ticks(one.freed_by().max(two.freed_by())) + 2 * SERVICE + back;
                let calm = search.calm(&search.first(), Pace::EASY, bound);
                if let Err(why) = &calm.served {
                    panic!("{one:?}\n{two:?}: {why}\n{}", calm.trace(search));
                }
            }
        }
    }
}

/// Two nodes on which a job that is gone has left something, and two contenders of another with a limit of one.
#[test]
fn of_two_nodes_that_are_taken_over_only_one_is_at_work() {
    let scenario = Scenario::new("taken over", (1, 1, 1), &[(0, 1), (1, 1)]).with(|s| {
        s.kinds.push(Kind::new(job("b", 2), s.kinds[0].rules.lease));
        s.nodes = 2;
        s.keys = ["lock", "hold", "last-a", "fail-a", "last-b", "fail-b"]
            .map(str::to_owned)
            .into();
        s.horizon = 9;
        for node in [0, 1] {
            let left = Left {
                lock: STATES[5],
                kind: 1,
                other_set: false,
                until: -100_000,
                step: 1,
                over: Over::Not,
                old: false,
                failed: false,
                shows: Shows::Nothing,
            };
            left.put(s, node);
        }
    });
    let found = search(scenario);
    assert!(found.states > 10_000, "{}", found.states);
    assert!(
        found.wrong.is_none(),
        "{}",
        found.wrong.map(|(_, way)| way).unwrap_or_default()
    );
}

/// What keeps a node out, and until when that is known.
fn kept_out(tags: &[(&'static str, &str)], evidence: Option<&Evidence>) -> (Reason, bool, String) {
    let scenario = fleet(1, &[(0, 0, 1)]).with(|s| {
        s.tags = tags
            .iter()
            .map(|(key, value)| (0, *key, (*value).to_owned()))
            .collect();
    });
    let search = Search::new(scenario);
    let state = search.first();
    let cast = search.cast.lock().expect("one thread");
    let tags: Vec<_> = state
        .registers
        .iter()
        .map(|register| register.now)
        .collect();
    // In a thousand days as now.
    let days = [0, 1_000].map(|days| {
        let now = Now {
            wall: Scenario::second(days * 86_400),
            boot: Moment::default(),
        };
        let mut view = search.scenario.view(&cast.texts, now, &tags, &[]);
        if let Some(evidence) = evidence {
            let node = Scenario::node_id(0);
            view.evidence.insert(node, evidence.clone());
        }
        let rules = &search.scenario.kinds[0].rules;
        decide(rules, &view, &Wish::default()).remove(0)
    });
    assert!(
        days.iter()
            .all(|row| row.take.is_none() && row.remove.is_none()),
        "{days:?}"
    );
    let [now, later] = days;
    assert_eq!(
        (now.reason, now.until.is_some()),
        (later.reason, later.until.is_some())
    );
    (now.reason, now.until.is_some(), now.detail)
}

#[test]
fn only_people_free_a_lock_that_nobody_can_read_and_a_hold_without_end() {
    let (reason, ends, why) = kept_out(&[("lock", "v2 by somebody else")], None);
    assert_eq!((reason, ends), (Reason::UnreadableLock, false));
    assert_eq!(why, "its lock cannot be read: \"v2 by somebody else\"");
    for hold in [
        "v1 scope=node by=ann at=2026-11-23T00:00:00Z until=never reason=disk",
        "yes",
    ] {
        let (reason, ends, why) = kept_out(&[("hold", hold)], None);
        assert_eq!((reason, ends), (Reason::Hold, false));
        assert!(why.starts_with("it is on hold by "), "{why}");
    }
}

#[test]
fn where_nobody_can_say_what_runs_the_node_is_busy_and_says_why() {
    let left = Left {
        lock: STATES[5],
        until: -100_000,
        ..all()[0]
    };
    let lock = left.lock(&fleet(1, &[])).expect("a lock");
    let evidence = Evidence::Unavailable("access denied".to_owned());
    let (reason, ends, why) = kept_out(&[("lock", &lock)], Some(&evidence));
    assert_eq!((reason, ends), (Reason::Busy, false));
    assert_eq!(why, "what runs there could not be asked: access denied");
}
