//! What is searched: who contends for what, under which settings, in which world.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use roundsman::model::id::{Name, NodeId};
use roundsman::model::job::{Count, Job, Limits, On, Step, StepAction};
use roundsman::model::lease::Terms;
use roundsman::model::lock::Lock;
use roundsman::model::node::{Activity, Agent, Command, Evidence, Node, Service};
use roundsman::model::rule::Without;
use roundsman::model::settings::LeaseSettings;
use roundsman::model::tag::Keys;
use roundsman::model::time::{Moment, Now, elapsed, later};
use roundsman::model::view::{Rules, View};

use crate::reached::Reach;
use crate::texts::Texts;
use crate::world::{Budget, Order, Stage, Tick, Val};

/// A job with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) rules: Rules,
    pub(crate) owner: String,
    pub(crate) transactional: bool,
    /// Whether its contenders stop what is on the first node, instead of running the job.
    pub(crate) stops: bool,
}

/// One search.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing about the world"
)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// How long a tick is.
    pub(crate) tick: Duration,
    pub(crate) kinds: Vec<Kind>,
    /// Kind, ticks ahead, invocations.
    pub(crate) contenders: Vec<(u8, u8, u8)>,
    pub(crate) nodes: u8,
    /// The tag keys of a node.
    pub(crate) keys: Vec<String>,
    /// How many nodes may be held or at work.
    pub(crate) limit: usize,
    /// G, P, S and Z as the world has them, in ticks.
    pub(crate) world: World,
    /// The longest that a step works.
    pub(crate) work: Tick,
    /// Only this contender is paused, dies, writes late and is told to stop; `None`: any.
    pub(crate) victim: Option<u8>,
    /// Whether contenders choose by lot, each by its own number.
    pub(crate) by_lot: bool,
    /// Whether a step ends at all.
    pub(crate) ends: bool,
    /// Whether a step may fail.
    pub(crate) fails: bool,
    /// Whether anybody keeps a record of commands.
    pub(crate) evidence: bool,
    /// Whether nobody may even believe to hold a node that another holds. Only where no write lands so late, or nobody
    /// stands still: who was paused believes what it last read, and reads again before it acts.
    pub(crate) belief: bool,
    /// Values of the first node's lock that somebody wrote before tick 0, and when they land at the latest.
    pub(crate) strays: Vec<(String, Tick)>,
    /// Whether the first contender holds the first node from the beginning.
    pub(crate) holder: bool,
    /// Whether a renewal of that contender's is still on its way, which nobody has answered.
    pub(crate) renewed: bool,
    /// Whether a holder stands still: then only claims are searched.
    pub(crate) claims_only: bool,
    /// Whether the first invocation begins at tick 0: where nothing else stands or moves, that is all the same.
    pub(crate) from_zero: bool,
    /// Until when it is searched.
    pub(crate) horizon: Tick,
    pub(crate) budget: Budget,
    /// What has to come about on some way, or the search has shown less than it says.
    pub(crate) reaches: Vec<Reach>,
    /// What stands on nodes at the beginning.
    pub(crate) tags: Vec<(u8, &'static str, String)>,
    /// What was sent before tick 0, and where it stands.
    pub(crate) sent: Vec<(u8, Order, Stage)>,
}

/// What the world does, whatever the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct World {
    /// A write that is neither late nor lost is answered within this.
    pub(crate) answers: Tick,
    /// No read is older.
    pub(crate) stale: Tick,
    /// No clock is further ahead.
    pub(crate) ahead: u8,
    /// No write lands later.
    pub(crate) life: Tick,
    /// A send arrives within this.
    pub(crate) arrives: Tick,
}

/// The wall time of tick 0.
const EPOCH: i64 = 1_795_392_600;
/// The boot time of tick 0, in ticks.
const BOOT: u32 = 1_000;

pub(crate) fn settings(g: u64, p: u64, s: u64) -> LeaseSettings {
    let secs = Duration::from_secs;
    let mut settings = LeaseSettings {
        claim_within: secs(g),
        staleness: secs(p),
        skew: secs(s),
        margin: secs(s + p),
        ttl: secs(1),
        request_life: secs(1),
    };
    settings.ttl = (settings.claim_within + settings.settle() + secs(1)) * 2;
    let spent = secs(g + p + s + 1);
    settings.request_life = (settings.ttl + settings.margin).saturating_sub(spent);
    assert!(settings.broken().is_empty(), "{:?}", settings.broken());
    settings
}

pub(crate) fn job(name: &str, limit: u32) -> Job {
    let name = Name::new(name).expect("a name");
    Job {
        limits: Limits {
            nodes: limit,
            count: [Count::InWork, Count::Failed].into(),
            ..Limits::default()
        },
        steps: vec![Step {
            name: "work".to_owned(),
            action: StepAction::Run("true".to_owned()),
            on: On::Node,
            timeout: Duration::from_secs(1),
            retries: 0,
        }],
        ..Job::bare(name.clone(), name, Duration::from_secs(7 * 86_400))
    }
}

impl Kind {
    pub(crate) fn new(job: Job, lease: LeaseSettings) -> Self {
        let keys = Keys::new("", &job.task, None).expect("keys");
        Self {
            owner: "x".to_owned(),
            rules: Rules {
                job,
                keys,
                lease,
                without: Without::NOTHING,
            },
            transactional: false,
            stops: false,
        }
    }
}

impl Scenario {
    /// Contenders of one kind for free nodes, under these settings, in a world that is as bad as they allow.
    pub(crate) fn new(name: &str, (g, p, s): (u64, u64, u64), contenders: &[(u8, u8)]) -> Self {
        let lease = settings(g, p, s);
        let ticks = |n: u64| Tick::try_from(n).expect("small");
        Self {
            name: name.to_owned(),
            tick: Duration::from_secs(1),
            kinds: vec![Kind::new(job("a", 1), lease)],
            contenders: contenders
                .iter()
                .map(|(ahead, n)| (0, *ahead, *n))
                .collect(),
            nodes: 1,
            keys: ["lock", "hold", "last-a", "fail-a"]
                .map(str::to_owned)
                .into(),
            limit: 1,
            world: World {
                answers: ticks(g),
                stale: ticks(p),
                ahead: u8::try_from(s).expect("small"),
                life: ticks(lease.request_life.as_secs()),
                arrives: 0,
            },
            work: 1,
            victim: None,
            by_lot: false,
            ends: true,
            fails: false,
            evidence: true,
            belief: true,
            strays: Vec::new(),
            holder: false,
            renewed: false,
            claims_only: false,
            from_zero: true,
            horizon: ticks(2 * lease.settle().as_secs() + g + 6),
            budget: Budget::default(),
            reaches: Vec::new(),
            tags: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// The same with something changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The first contender holds the first node, and works on; leases last so many seconds.
    pub(crate) fn held(mut self, ttl: u64) -> Self {
        self.holder = true;
        self.from_zero = false;
        self.ends = false;
        self.victim = Some(0);
        self = self.ttl(ttl);
        self.horizon = self.lock_ticks() + 10;
        self
    }

    /// Leases last so many seconds.
    pub(crate) fn ttl(mut self, ttl: u64) -> Self {
        for kind in &mut self.kinds {
            let lease = &mut kind.rules.lease;
            let secs = Duration::from_secs;
            lease.ttl = secs(ttl);
            // So long that a holder still reads its lock every third of L only.
            let spent = lease.claim_within + lease.staleness + lease.skew + lease.ttl / 3;
            let lasts = lease.ttl + lease.margin + lease.settle();
            lease.request_life = lasts.saturating_sub(spent);
            assert!(lease.broken().is_empty(), "{:?}", lease.broken());
        }
        let life = self.kinds[0].rules.lease.request_life.as_nanos() / self.tick.as_nanos();
        self.world.life = Tick::try_from(life).expect("small");
        self
    }

    /// The same without some rules.
    pub(crate) fn without(mut self, rules: &[roundsman::model::rule::Rule]) -> Self {
        for kind in &mut self.kinds {
            for rule in rules {
                kind.rules.without = kind.rules.without.and(*rule);
            }
        }
        self
    }

    /// Whether any contender is one that stops.
    pub(crate) fn somebody_stops(&self) -> bool {
        let stops = |(kind, ..): &(u8, u8, u8)| self.kinds[usize::from(*kind)].stops;
        self.contenders.iter().any(stops)
    }

    /// What is taken out.
    pub(crate) fn out(&self) -> Without {
        self.kinds[0].rules.without
    }

    /// What binds a kind.
    pub(crate) fn terms(&self, kind: u8) -> Terms {
        let kind = &self.kinds[usize::from(kind)];
        Terms::of(&kind.rules, kind.transactional)
    }

    pub(crate) fn now(&self, at: Tick, ahead: u8) -> Now {
        Now {
            wall: self.wall(at, ahead),
            boot: self.boot(at),
        }
    }

    /// The moment of a tick, on the clock that all share.
    pub(crate) fn boot(&self, at: Tick) -> Moment {
        Moment(self.tick * (BOOT + u32::from(at)))
    }

    /// The wall time at a tick, on a clock that is so many ticks ahead.
    pub(crate) fn wall(&self, at: Tick, ahead: u8) -> Timestamp {
        let epoch = Timestamp::from_second(EPOCH).expect("a time");
        later(epoch, self.tick * (u32::from(at) + u32::from(ahead)))
    }

    /// The wall time so many seconds after (or before) tick 0.
    pub(crate) fn second(seconds: i64) -> Timestamp {
        Timestamp::from_second(EPOCH + seconds).expect("a time")
    }

    /// The last tick of the true clock at which a time has not passed; 0 when it passed before.
    pub(crate) fn tick_of(&self, time: Timestamp) -> Tick {
        let since = elapsed(Self::second(0), time).as_nanos() / self.tick.as_nanos();
        Tick::try_from(since).unwrap_or(Tick::MAX)
    }

    /// The first tick at which a moment has come.
    pub(crate) fn tick_of_moment(&self, moment: Moment) -> Tick {
        let since = moment.since(Moment(self.tick * BOOT)).as_nanos();
        Tick::try_from(since.div_ceil(self.tick.as_nanos())).unwrap_or(Tick::MAX)
    }

    pub(crate) fn moment_of(now: Now, time: Timestamp) -> Moment {
        now.boot.plus(elapsed(now.wall, time))
    }

    pub(crate) fn register(&self, node: u8, key: &str) -> u8 {
        let index = self.keys.iter().position(|k| k == key);
        let index = index.unwrap_or_else(|| panic!("no key {key}"));
        node * u8::try_from(self.keys.len()).expect("few") + u8::try_from(index).expect("few")
    }

    pub(crate) fn lock_of(&self, tags: &[Val], node: u8) -> Val {
        tags[usize::from(self.register(node, "lock"))]
    }

    pub(crate) fn node_id(node: u8) -> NodeId {
        NodeId(format!("n{node}"))
    }

    /// A fleet as a contender reads it.
    pub(crate) fn view(
        &self,
        texts: &Texts,
        now: Now,
        tags: &[Val],
        evidence: &[(u8, Order, Activity)],
    ) -> View {
        let node = |n: u8| Node {
            id: Self::node_id(n),
            name: None,
            address: None,
            zone: None,
            group: None,
            launched: None,
            service: Service::In,
            agent: Agent::NotAsked,
            tags: self
                .keys
                .iter()
                .filter_map(|key| {
                    let val = tags[usize::from(self.register(n, key))];
                    texts.text(val).map(|text| (key.clone(), text.to_owned()))
                })
                .collect(),
        };
        let mut view = View {
            now: now.wall,
            nodes: (0..self.nodes).map(node).collect(),
            evidence: BTreeMap::new(),
        };
        if !self.evidence {
            return view.without_evidence();
        }
        for n in 0..self.nodes {
            let here = evidence.iter().filter(|(on, ..)| *on == n);
            let commands = here.map(|(_, order, activity)| self.command(order, *activity));
            let commands = Evidence::Commands(commands.collect());
            view.evidence.insert(Self::node_id(n), commands);
        }
        view
    }

    /// How long a lease and its margin last, in ticks.
    pub(crate) fn lock_ticks(&self) -> Tick {
        let lease = &self.kinds[0].rules.lease;
        let ticks = (lease.ttl + lease.margin).as_nanos() / self.tick.as_nanos();
        Tick::try_from(ticks).expect("small")
    }

    /// A claim that crossed the holder's own, and lands when it lands: begun when a read could last show the node free
    /// before the holder's claim had settled.
    pub(crate) fn stray_claim(self) -> Self {
        let lease = self.kinds[0].rules.lease;
        self.stray_begun(lease.settle().saturating_sub(lease.staleness))
    }

    /// The same, begun so long before tick 0.
    pub(crate) fn stray_begun(mut self, began: Duration) -> Self {
        let lease = self.kinds[0].rules.lease;
        let lasts = if self.out().keeps(roundsman::model::rule::Rule::LastsL) {
            lease.ttl
        } else {
            lease.claim_within + lease.settle() * 2
        };
        let seconds = |span: Duration| i64::try_from(span.as_secs()).expect("small");
        let stray = Lock {
            run: roundsman::model::id::RunId::new(ms(-9), 3),
            claim: roundsman::model::id::ClaimId::new(ms(-9), 4),
            state: roundsman::model::lock::LockState::Settling,
            step: 0,
            owner: "stray".to_owned(),
            until: Self::second(seconds(lasts) - seconds(began)),
            ..self.lock()
        };
        let ticks = Tick::try_from(began.as_nanos() / self.tick.as_nanos()).expect("small");
        let lands_by = self.world.life.saturating_sub(ticks);
        self.strays.push((stray.format(), lands_by));
        self
    }

    /// A send as evidence shows it.
    pub(crate) fn command(&self, order: &Order, activity: Activity) -> Command {
        Command {
            job: self.kinds[usize::from(order.kind)].rules.job.name.clone(),
            run: order.run,
            step: order.step,
            attempt: order.attempt,
            activity,
            handle: None,
        }
    }

    /// The run that a lock names executes its step on the first node.
    pub(crate) fn executed_or_runs(mut self, lock: &Lock) -> Self {
        let order = Order {
            kind: 0,
            run: lock.run,
            claim: lock.claim,
            step: 1,
            attempt: 1,
            not_after: 0,
        };
        self.sent.push((0, order, Stage::Running(0)));
        self.work = 3;
        self.from_zero = false;
        self
    }

    /// A lock of the first kind, to be changed where something else is meant.
    pub(crate) fn lock(&self) -> Lock {
        let rules = &self.kinds[0].rules;
        Lock {
            run: roundsman::model::id::RunId::new(ms(-500), 1),
            claim: roundsman::model::id::ClaimId::new(ms(-500), 2),
            seq: 1,
            state: roundsman::model::lock::LockState::Held,
            set: rules.lease.set(),
            job: rules.job.name.clone(),
            task: rules.job.task.clone(),
            file: rules.job.file_digest(),
            step: 1,
            was: None,
            owner: "dead".to_owned(),
            until: Self::second(0),
        }
    }
}

/// Milliseconds of the epoch so many seconds after tick 0.
pub(crate) fn ms(seconds: i64) -> u64 {
    u64::try_from(Scenario::second(seconds).as_millisecond()).expect("after 1970")
}
