//! A small working world in memory: a fleet whose calls take time, steps that take time, and a clock of its own.
//!
//! For tests. It is no recording: what is written is read, conditional writes compare, steps end when they do. Time
//! is virtual: [`World::play`] lets every task run until all of them wait, then moves the clock to the first moment
//! that one waits for. One seed draws all lots, so that a run can be played again.

mod clock;
mod lots;
mod shell;
mod store;

use std::rc::Rc;

pub use clock::MemoryClock;
pub use lots::Lots;
pub use shell::{MemoryShell, Plan};
pub use store::{MemoryStore, Weather};

use crate::model::node::Node;
use crate::port::{Consistency, Ports};

/// A world in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct World {
    /// The tags.
    pub store: Rc<MemoryStore>,
    /// What runs steps, on nodes and beside roundsman.
    pub shell: Rc<MemoryShell>,
    /// The time.
    pub clock: MemoryClock,
}

impl World {
    /// A world of these nodes, with its lots drawn from `seed`.
    pub fn new(nodes: Vec<Node>, consistency: Consistency, seed: u64) -> Self {
        let clock = MemoryClock::new(seed);
        let store = Rc::new(MemoryStore::new(nodes, consistency, clock.clone()));
        let shell = Rc::new(MemoryShell::new(clock.clone()));
        Self {
            store,
            shell,
            clock,
        }
    }

    /// Plays a future to its end in virtual time.
    ///
    /// # Panics
    /// When everything waits and nothing will ever happen: a deadlock in what is played.
    pub fn play<T>(&self, future: impl Future<Output = T>) -> T {
        self.clock.play(future)
    }
}

impl Ports for World {
    type Store = MemoryStore;
    type Node = MemoryShell;
    type Runner = MemoryShell;
    type Clock = MemoryClock;

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    fn node(&self) -> &MemoryShell {
        &self.shell
    }

    fn runner(&self) -> &MemoryShell {
        &self.shell
    }

    fn clock(&self) -> &MemoryClock {
        &self.clock
    }
}
