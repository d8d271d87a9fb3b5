//! From the log to figures.

use std::time::Duration;

use crate::model::probe::spread::Spread;
use crate::model::probe::{Answer, Log, Read, Way, Write};
use crate::model::time::{Moment, Offset};

/// A figure that is known to lie between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// It is surely this much.
    pub at_least: Duration,
    /// It is surely not more.
    pub at_most: Duration,
}

impl Bounds {
    fn or(self, other: Self) -> Self {
        Self {
            at_least: self.at_least.max(other.at_least),
            at_most: self.at_most.max(other.at_most),
        }
    }
}

/// What the reads by one call showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayFound {
    /// By which call.
    pub way: Way,
    /// How many reads are known to be stale.
    pub stale: usize,
    /// How many show a write that was not answered: nobody can say whether they are stale.
    pub unclear: usize,
    /// How many went backwards.
    pub backwards: usize,
    /// How many showed what stood there before the probe, begun after the second write was answered: very stale, or
    /// somebody has removed the tag meanwhile.
    pub bare: usize,
    /// How old they were, at least. All reads but the unclear ones are samples.
    pub age: Option<Spread>,
    /// The worst of them.
    pub worst: Bounds,
    /// How long they took.
    pub took: Option<Spread>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Of each call.
    pub ways: Vec<WayFound>,
    /// How many reads went backwards, all calls taken together.
    pub backwards: usize,
    /// From the start of a read to the answer of the write that it justifies; answered writes only.
    pub claims: Option<Spread>,
    /// How long writes took; answered ones only.
    pub writes: Option<Spread>,
    /// From a write's answer to the end of the first read that shows it.
    pub first_seen: Option<Spread>,
    /// From a write's answer to the start of the last read that does not show it.
    pub last_missed: Option<Spread>,
    /// Writes that were refused.
    pub refused: usize,
    /// Writes that were not answered.
    pub unanswered: usize,
    /// How far the provider's clocks and this machine's differ.
    pub clock: Bounds,
    /// How many claims took longer than the `claim-within` in effect.
    pub late: usize,
}

impl Found {
    /// The worst of all reads.
    pub fn staleness(&self) -> Bounds {
        self.ways
            .iter()
            .fold(Bounds::default(), |worst, way| worst.or(way.worst))
    }

    /// Reads by all calls.
    pub fn reads(&self) -> usize {
        self.ways.iter().map(WayFound::reads).sum()
    }
}

impl WayFound {
    /// How many reads were answered.
    pub fn reads(&self) -> usize {
        self.took.map_or(0, |took| took.samples)
    }
}

/// Works out what a log shows. `offsets`: provider time less this machine's, as each connection told it.
pub fn find(log: &Log, offsets: &[Offset], claim_within: Duration) -> Found {
    let writes = Writes::of(&log.writes);
    let done = || {
        log.writes
            .iter()
            .filter(|write| write.answer == Answer::Done)
    };
    let count = |answer| {
        log.writes
            .iter()
            .filter(|write| write.answer == answer)
            .count()
    };
    let (first_seen, last_missed) = seen(log, &writes);
    let claim = |write: &Write| write.ended.since(write.read);
    Found {
        ways: Way::ALL.map(|way| of_way(way, log, &writes)).to_vec(),
        backwards: backwards(&log.reads.iter().collect::<Vec<_>>(), &writes),
        claims: Spread::of(done().map(claim).collect()),
        writes: Spread::of(done().map(|write| write.ended.since(write.began)).collect()),
        first_seen: Spread::of(first_seen),
        last_missed: Spread::of(last_missed),
        refused: count(Answer::Refused),
        unanswered: count(Answer::Unanswered),
        clock: offsets
            .iter()
            .fold(Bounds::default(), |worst, offset| worst.or(apart(*offset))),
        late: done().filter(|write| claim(write) > claim_within).count(),
    }
}

/// For each version, what came after it.
struct Writes<'a> {
    all: &'a [Write],
    /// When the first later write was answered.
    answered: Vec<Option<Moment>>,
    /// When the first later write that was not refused was begun.
    begun: Vec<Option<Moment>>,
}

impl<'a> Writes<'a> {
    fn of(writes: &'a [Write]) -> Self {
        let mut answered = vec![None; writes.len() + 1];
        let mut begun = vec![None; writes.len() + 1];
        for (before, write) in writes.iter().enumerate().rev() {
            answered[before] = answered[before + 1];
            begun[before] = begun[before + 1];
            if write.answer == Answer::Done {
                answered[before] = Some(write.ended);
            }
            if write.answer != Answer::Refused {
                begun[before] = Some(write.began);
            }
        }
        Self {
            all: writes,
            answered,
            begun,
        }
    }

    /// Whether this version's write was not answered, so that it may have landed at any time.
    fn is_unclear(&self, version: usize) -> bool {
        version
            .checked_sub(1)
            .and_then(|at| self.all.get(at))
            .is_some_and(|write| write.answer == Answer::Unanswered)
    }

    /// How old what a read shows was; `None`: it is not known to be stale.
    fn age(&self, read: &Read) -> Option<Bounds> {
        let answered = self.answered.get(read.version).copied().flatten()?;
        let begun = self.begun.get(read.version).copied().flatten()?;
        (answered < read.began).then(|| Bounds {
            at_least: read.began.since(answered),
            at_most: read.began.since(begun),
        })
    }
}

fn of_way(way: Way, log: &Log, writes: &Writes<'_>) -> WayFound {
    let reads: Vec<&Read> = log.reads.iter().filter(|read| read.way == way).collect();
    let clear: Vec<&Read> = reads
        .iter()
        .copied()
        .filter(|read| !writes.is_unclear(read.version))
        .collect();
    let ages: Vec<Option<Bounds>> = clear.iter().map(|read| writes.age(read)).collect();
    let stale = || ages.iter().flatten();
    let second = writes.answered.get(1).copied().flatten();
    WayFound {
        way,
        stale: stale().count(),
        unclear: reads.len() - clear.len(),
        backwards: backwards(&reads, writes),
        bare: reads
            .iter()
            .filter(|read| read.version == 0 && second.is_some_and(|second| second < read.began))
            .count(),
        age: Spread::of(
            ages.iter()
                .map(|age| age.unwrap_or_default().at_least)
                .collect(),
        ),
        worst: stale().fold(Bounds::default(), |worst, age| worst.or(*age)),
        took: Spread::of(
            reads
                .iter()
                .map(|read| read.ended.since(read.began))
                .collect(),
        ),
    }
}

/// How many reads show a lower version than a read that had ended when they began.
fn backwards(reads: &[&Read], writes: &Writes<'_>) -> usize {
    let mut by_end = reads.to_vec();
    by_end.sort_by_key(|read| read.ended);
    let mut by_start = reads.to_vec();
    by_start.sort_by_key(|read| read.began);
    let mut ended = by_end.into_iter().peekable();
    let (mut highest, mut count) = (0, 0);
    for read in by_start {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended <= read.began) {
            highest = highest.max(earlier.version);
        }
        if read.version < highest && !writes.is_unclear(read.version) {
            count += 1;
        }
    }
    count
}

/// For every answered write that was followed by a read: how long after its answer the first read that shows it ended,
/// and the last that does not show it began.
fn seen(log: &Log, writes: &Writes<'_>) -> (Vec<Duration>, Vec<Duration>) {
    let versions = log.writes.len() + 1;
    // Of reads that show this version or a later one, the first end; of those that show an earlier one, the last start.
    let mut first_end: Vec<Option<Moment>> = vec![None; versions + 1];
    let mut last_start: Vec<Option<Moment>> = vec![None; versions + 1];
    for read in log.reads.iter().filter(|read| read.version < versions) {
        let first = &mut first_end[read.version];
        *first = Some(first.map_or(read.ended, |end| end.min(read.ended)));
        if !writes.is_unclear(read.version) {
            let last = &mut last_start[read.version + 1];
            *last = (*last).max(Some(read.began));
        }
    }
    for version in (0..versions).rev() {
        let later = first_end[version + 1];
        let first = &mut first_end[version];
        *first = match (*first, later) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    for version in 1..=versions {
        last_start[version] = last_start[version].max(last_start[version - 1]);
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for (index, write) in log.writes.iter().enumerate() {
        let (first, last) = (first_end[index + 1], last_start[index + 1]);
        if write.answer == Answer::Done
            && let Some(first) = first
        {
            firsts.push(first.since(write.ended));
            lasts.push(last.map_or(Duration::ZERO, |last| last.since(write.ended)));
        }
    }
    (firsts, lasts)
}

/// How far two clocks are apart when one less the other lies in this interval.
fn apart(offset: Offset) -> Bounds {
    let (least, most) = (offset.least_ms, offset.most_ms);
    let nearest = if least > 0 {
        least.unsigned_abs()
    } else if most < 0 {
        most.unsigned_abs()
    } else {
        0
    };
    Bounds {
        at_least: Duration::from_millis(nearest),
        at_most: Duration::from_millis(least.unsigned_abs().max(most.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests;
