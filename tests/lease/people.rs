//! What people and their programs do to tags: delete them, put nodes on hold, write something of their own into them.

use crate::model::{Act, Search};
use crate::world::{Op, State, Wrong};

/// What stands in a tag that somebody else has written.
const FOREIGN: &str = "v9 by somebody else";

impl Search {
    /// What people may do to a node now.
    pub(crate) fn people_acts(&self, state: &State, node: u8, acts: &mut Vec<Act>) {
        let budget = state.budget;
        let locked = state.registers[usize::from(self.scenario.register(node, "lock"))].now != 0;
        acts.extend((locked && budget.wipes > 0).then_some(Act::Wiped(node)));
        acts.extend((locked && budget.strips > 0).then_some(Act::Stripped(node)));
        acts.extend((budget.holds > 0).then_some(Act::Held(node)));
        if budget.spoils > 0 {
            acts.extend(self.registers_of(node).map(Act::Spoilt));
        }
    }

    fn registers_of(&self, node: u8) -> impl Iterator<Item = u8> {
        let keys = u8::try_from(self.scenario.keys.len()).expect("few");
        node * keys..(node + 1) * keys
    }

    /// What people do to a node's tags.
    pub(crate) fn of_people(&self, state: &mut State, act: Act) {
        let at = state.at;
        match act {
            Act::Wiped(node) => {
                state.budget.wipes -= 1;
                let lock = self.scenario.register(node, "lock");
                state.registers[usize::from(lock)].put(0, at);
            }
            Act::Stripped(node) => {
                state.budget.strips -= 1;
                for index in self.registers_of(node) {
                    state.registers[usize::from(index)].put(0, at);
                }
                state.nodes[usize::from(node)].robbed = true;
            }
            Act::Held(node) => {
                state.budget.holds -= 1;
                let hold = self.number("yes");
                let register = self.scenario.register(node, "hold");
                state.registers[usize::from(register)].put(hold, at);
                state.nodes[usize::from(node)].hold_at = Some(at);
            }
            Act::Spoilt(index) => {
                state.budget.spoils -= 1;
                let foreign = self.number(FOREIGN);
                state.registers[usize::from(index)].put(foreign, at);
                let keys = self.scenario.keys.len();
                let node = &mut state.nodes[usize::from(index) / keys];
                match self.scenario.keys[usize::from(index) % keys].as_str() {
                    "lock" => node.spoilt_at = Some(at),
                    "hold" => node.hold_at = Some(at),
                    _ => node.robbed = true,
                }
            }
            _ => unreachable!("no act of people: {act:?}"),
        }
    }

    fn number(&self, text: &str) -> u32 {
        self.cast.lock().expect("one thread").texts.number(text)
    }

    /// A contender writes: not over a lock that nobody can read, once its reads cannot have missed that.
    pub(crate) fn check_spoilt(&self, state: &mut State, ops: &[(u8, Op)]) {
        let keys = self.scenario.keys.len();
        let world = self.scenario.world;
        for (index, op) in ops {
            let index = usize::from(*index);
            let node = &state.nodes[index / keys];
            let foreign = node.spoilt_at.filter(|_| {
                let text = state.registers[index].now;
                let cast = self.cast.lock().expect("one thread");
                self.scenario.keys[index % keys] == "lock" && cast.texts.text(text) == Some(FOREIGN)
            });
            // A read is stale by P, and a write is justified for G.
            let seen = |since| since + world.stale + world.answers < state.at;
            if foreign.is_some_and(seen) && !matches!(op, Op::Delete(_)) {
                state.wrong = state.wrong.or(Some(Wrong::Overwritten));
            }
        }
    }
}
