//! What stands in tags, in a few words: claims as A1, A2, B1 (the first and second of A, the first of B), times as ticks.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lock::Lock;
use roundsman::model::record::Fail;
use roundsman::model::time::parse_stamp;

use crate::scenario::{Scenario, ms};
use crate::texts::Texts;
use crate::world::{Op, Order, Val};

use jiff::Timestamp;

/// Contenders have letters; who wrote before anything began has none.
pub(crate) fn letter(who: u8) -> char {
    if who == u8::MAX {
        return '?';
    }
    char::from(b'A' + who)
}

/// What a contender's ids are made of: its number, and how many claims it has made.
fn id(epoch_ms: u64, is: impl Fn(u128) -> bool) -> String {
    let Some(n) = (0..1 << 16).find(|n| is(*n)) else {
        return "?".to_owned();
    };
    let count = n & 0xff;
    let who = u8::try_from(n >> 8).expect("few");
    match epoch_ms {
        // Where a runner has one id for all of its attempts.
        1 => format!("{}'s one", letter(u8::try_from(count).expect("few"))),
        early if early < ms(0) => format!("old{n}"),
        _ => format!("{}{count}", letter(who)),
    }
}

/// Says things of one scenario.
#[derive(Clone, Copy)]
pub(crate) struct Short<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) texts: &'a Texts,
}

impl Short<'_> {
    /// The tick of a wall time, also before the first.
    fn tick(&self, time: Timestamp) -> i128 {
        let since = time.duration_since(Scenario::second(0)).as_nanos();
        let tick = i128::try_from(self.scenario.tick.as_nanos()).expect("short");
        since.div_euclid(tick)
    }

    pub(crate) fn claim(claim: ClaimId) -> String {
        let made = claim.epoch_ms();
        id(made, |n| ClaimId::new(made, n) == claim)
    }

    pub(crate) fn run(run: RunId) -> String {
        let made = run.epoch_ms();
        id(made, |n| RunId::new(made, n) == run)
    }

    pub(crate) fn order(order: &Order) -> String {
        let (run, claim) = (Self::run(order.run), Self::claim(order.claim));
        format!(
            "step {}.{} of run {run} (claim {claim})",
            order.step, order.attempt
        )
    }

    fn lock(&self, lock: &Lock) -> String {
        let (claim, run) = (Self::claim(lock.claim), Self::run(lock.run));
        let mut text = format!("{claim} {}", lock.state);
        if lock.step > 0 {
            text.push_str(&format!(" step {}", lock.step));
        }
        if run != claim {
            text.push_str(&format!(" run {run}"));
        }
        if let Some(was) = lock.was {
            text.push_str(&format!(" was {was}"));
        }
        let first = &self.scenario.kinds[0].rules;
        if lock.job != first.job.name {
            text.push_str(&format!(" of job {}", lock.job));
        }
        if lock.set != first.lease.set() {
            text.push_str(&format!(" set {}", lock.set));
        }
        format!("{text} until {}", self.tick(lock.until))
    }

    /// The value of a tag with this key.
    pub(crate) fn value(&self, key: &str, val: Val) -> String {
        let Some(text) = self.texts.text(val) else {
            return if key == "lock" { "free" } else { "none" }.to_owned();
        };
        if let Some(lock) = Lock::parse(text) {
            return self.lock(&lock);
        }
        if let Some(fail) = Fail::parse(text) {
            let (run, at) = (Self::run(fail.run), self.tick(fail.at));
            return format!("run {run} {} at {at}", fail.reason);
        }
        match parse_stamp(text).filter(|_| key.starts_with("last-")) {
            Some(at) => format!("served at {}", self.tick(at)),
            None => format!("{text:?}"),
        }
    }

    /// A register's node and key.
    pub(crate) fn place(&self, index: u8) -> (u8, &str) {
        let keys = self.scenario.keys.len();
        let index = usize::from(index);
        let node = u8::try_from(index / keys).expect("few");
        (node, &self.scenario.keys[index % keys])
    }

    /// What a write is to do.
    pub(crate) fn ops(&self, ops: &[(u8, Op)]) -> String {
        let each = ops.iter().map(|(index, op)| {
            let (node, key) = self.place(*index);
            match op {
                Op::Put(val) => format!("n{node} {key} = {}", self.value(key, *val)),
                Op::Delete(val) => {
                    format!("n{node} {key} deleted if it is {}", self.value(key, *val))
                }
                Op::DeleteAny => format!("n{node} {key} deleted, whatever it is"),
            }
        });
        each.collect::<Vec<_>>().join(", ")
    }
}
