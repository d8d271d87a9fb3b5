//! States that are reached: all of them, as far as they are few, or on many ways through.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use crate::model::Search;
use crate::world::State;

fn print(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Search {
    /// Up to `most` states, in the order in which they are found; each once.
    pub(crate) fn reach(&self, most: usize) -> Vec<State> {
        let first = self.first();
        let mut known = HashSet::from([print(&first)]);
        let mut all = Vec::new();
        let mut next = VecDeque::from([first]);
        let mut acts = Vec::new();
        while let Some(state) = next.pop_front() {
            acts.clear();
            self.actions(&state, &mut acts);
            for act in &acts {
                let after = self.follow(&state, *act);
                if let Some(after) = after.filter(|_| known.len() < most)
                    && known.insert(print(&after))
                {
                    next.push_back(after);
                }
            }
            all.push(state);
        }
        all
    }

    /// A way through, to the horizon: which act comes next is decided by lot, the same for the same seed.
    pub(crate) fn walk(&self, seed: u64) -> Vec<State> {
        let mut lot = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut way = vec![self.first()];
        let mut acts = Vec::new();
        loop {
            let state = way.last().expect("the first at least");
            acts.clear();
            self.actions(state, &mut acts);
            let mut next = None;
            while next.is_none() && !acts.is_empty() {
                lot ^= lot << 13;
                lot ^= lot >> 7;
                lot ^= lot << 17;
                let count = u64::try_from(acts.len()).expect("few");
                let index = usize::try_from(lot % count).expect("few");
                next = self.follow(state, acts.swap_remove(index));
            }
            let Some(next) = next else {
                return way;
            };
            way.push(next);
        }
    }
}
