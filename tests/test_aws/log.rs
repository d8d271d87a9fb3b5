//! The log of calls.

use std::collections::BTreeMap;

use serde::Serialize;

/// One call, as it went.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Logged {
    /// From 1, since the last reset.
    pub(crate) number: u64,
    /// Milliseconds since the start.
    pub(crate) at_ms: u64,
    pub(crate) action: String,
    pub(crate) caller: String,
    pub(crate) nodes: Vec<String>,
    /// The fault that struck it.
    pub(crate) fault: Option<String>,
    /// `ok`, an error code, `lost` when no answer was given; `null` while it is under way.
    pub(crate) answer: Option<String>,
}

/// All calls since the last reset.
#[derive(Debug, Default)]
pub(crate) struct Log {
    calls: Vec<Logged>,
    /// How often it was emptied: an answer to a call from before is not written down.
    age: u64,
}

/// Where a call stands in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    age: u64,
    index: usize,
}

impl Log {
    pub(crate) fn begun(&mut self, mut call: Logged) -> Place {
        call.number = u64::try_from(self.calls.len()).unwrap_or(u64::MAX) + 1;
        self.calls.push(call);
        Place {
            age: self.age,
            index: self.calls.len() - 1,
        }
    }

    pub(crate) fn ended(&mut self, place: Place, answer: &str) {
        if place.age == self.age {
            self.calls[place.index].answer = Some(answer.to_owned());
        }
    }

    pub(crate) fn reset(&mut self) {
        self.calls.clear();
        self.age += 1;
    }

    pub(crate) fn calls(&self) -> &[Logged] {
        &self.calls
    }

    /// How many calls of each action there were.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for call in &self.calls {
            *counts.entry(call.action.clone()).or_default() += 1;
        }
        counts
    }
}
