//! Contenders by number, and what each does on each event at each moment: worked out once by the program's own code.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use crate::contender::{Contender, Deed, Event, Turn};
use crate::scenario::Scenario;
use crate::texts::Texts;
use crate::world::Tick;

/// A table that is asked more often than anything else. Its keys are compared, so that a poor hash costs time only.
type Table<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Words, rotated and multiplied.
#[derive(Debug, Default)]
struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.add(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

/// Things by number.
#[derive(Debug)]
struct Numbers<T> {
    all: Vec<Arc<T>>,
    by_thing: Table<Arc<T>, u32>,
}

impl<T: Hash + Eq> Numbers<T> {
    fn new() -> Self {
        Self {
            all: Vec::new(),
            by_thing: Table::default(),
        }
    }

    fn number(&mut self, thing: T) -> u32 {
        if let Some(number) = self.by_thing.get(&thing) {
            return *number;
        }
        let thing = Arc::new(thing);
        let number = u32::try_from(self.all.len()).expect("fewer than 2^32");
        self.all.push(Arc::clone(&thing));
        self.by_thing.insert(thing, number);
        number
    }
}

/// What one event led to.
pub(crate) type Outcome = (u32, Arc<[Deed]>);

/// All that contenders were, and did.
#[derive(Debug)]
pub(crate) struct Cast {
    contenders: Numbers<Contender>,
    events: Numbers<Event>,
    done: Table<(u32, u8, Tick, u32), Outcome>,
    pub(crate) texts: Texts,
}

impl Cast {
    pub(crate) fn new() -> Self {
        Self {
            contenders: Numbers::new(),
            events: Numbers::new(),
            done: Table::default(),
            texts: Texts::default(),
        }
    }

    pub(crate) fn number(&mut self, contender: Contender) -> u32 {
        self.contenders.number(contender)
    }

    pub(crate) fn contender(&self, number: u32) -> &Arc<Contender> {
        &self.contenders.all[number as usize]
    }

    /// What contender `who` does on an event at a tick.
    pub(crate) fn turn(
        &mut self,
        scenario: &Scenario,
        who: u8,
        before: u32,
        at: Tick,
        event: Event,
    ) -> Outcome {
        let number = self.events.number(event);
        let key = (before, who, at, number);
        if let Some(outcome) = self.done.get(&key) {
            return outcome.clone();
        }
        let contender = Arc::clone(self.contender(before));
        let event = Arc::clone(&self.events.all[number as usize]);
        let mut turn = Turn {
            scenario,
            texts: &mut self.texts,
            who,
            at,
            deeds: Vec::new(),
        };
        let after = turn.take(&contender, &event);
        let deeds: Arc<[Deed]> = turn.deeds.into();
        let outcome = (self.number(after), deeds);
        self.done.insert(key, outcome.clone());
        outcome
    }
}
