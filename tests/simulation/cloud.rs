//! The cloud: nodes with tags that are read stale and written late, and what executes steps on them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use roundsman::io::memory::{Lots, MemoryClock};
use roundsman::model::id::NodeId;
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::rule::Without;
use roundsman::model::settings::LeaseSettings;
use roundsman::model::tag::Tags;
use roundsman::port::Clock;

use crate::fact::{Fact, What};
use crate::faults::{Faults, Fired};
use crate::fence::Fence;
use crate::register::Change;
use crate::runner::RunnerSteps;
use crate::ssm::Ssm;

/// Who is told every fact.
pub(crate) type Witness = Box<dyn FnMut(&Fact)>;

/// One world.
pub(crate) struct Cloud {
    pub(crate) clock: MemoryClock,
    pub(crate) lots: Lots,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) fired: Fired,
    pub(crate) lease: LeaseSettings,
    /// The rules that are taken out of store and wrapper.
    pub(crate) without: Without,
    pub(crate) nodes: RefCell<BTreeMap<NodeId, SimNode>>,
    pub(crate) ssm: Ssm,
    pub(crate) runner_steps: RunnerSteps,
    /// Whether nodes are asked for their journals.
    pub(crate) looks: Cell<bool>,
    next_id: Cell<u64>,
    witness: RefCell<Witness>,
    /// Whether facts that only people read are told too.
    pub(crate) traced: bool,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").finish_non_exhaustive()
    }
}

/// One instance.
pub(crate) struct SimNode {
    /// As it truly is.
    pub(crate) node: Node,
    /// What its tags were a short while ago.
    pub(crate) recent: VecDeque<Change>,
    pub(crate) writes_under_way: u32,
    pub(crate) up: bool,
    pub(crate) agent_online: bool,
    /// Its kernel's boot id.
    pub(crate) boot: u64,
    pub(crate) clock_off_ms: i64,
    pub(crate) fence: Fence,
    /// The sends that the executor lists for it, the oldest first.
    pub(crate) sends: VecDeque<u64>,
}

impl Cloud {
    pub(crate) fn new(
        seed: u64,
        lease: LeaseSettings,
        without: Without,
        witness: Witness,
        traced: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            clock: MemoryClock::new(seed),
            lots: Lots::new(seed),
            faults: RefCell::new(Faults::calm(&lease)),
            fired: Fired::default(),
            lease,
            without,
            nodes: RefCell::default(),
            ssm: Ssm::default(),
            runner_steps: RunnerSteps::default(),
            looks: Cell::new(false),
            next_id: Cell::new(1),
            witness: RefCell::new(witness),
            traced,
        })
    }

    /// A number that nothing else has.
    pub(crate) fn number(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    pub(crate) fn tell(&self, what: What) {
        let at = self.clock.boot();
        (self.witness.borrow_mut())(&Fact { at, what });
    }

    /// Something that only people read, in a trace.
    pub(crate) fn tell_fate(&self, whom: &str, what: impl FnOnce() -> String) {
        if self.traced {
            self.tell(What::Fate {
                whom: whom.to_owned(),
                what: what(),
            });
        }
    }

    pub(crate) fn after(self: &Rc<Self>, span: Duration, call: impl FnOnce(&Rc<Self>) + 'static) {
        let cloud = Rc::clone(self);
        let at = self.clock.boot().plus(span);
        self.clock.call_at(at, move || call(&cloud));
    }

    /// A new instance in service, with tags that are not ours.
    pub(crate) fn add_node(&self, zone: &str) -> NodeId {
        let id = NodeId(format!("i-{:03}", self.number()));
        let half_skew = i64::try_from(self.lease.skew.as_millis() / 2).expect("small");
        let node = Node {
            id: id.clone(),
            name: Some(format!("db {id}")),
            address: None,
            zone: Some(zone.to_owned()),
            group: None,
            launched: Some(self.clock.wall()),
            service: Service::In,
            agent: Agent::Online,
            tags: [
                ("Name".to_owned(), format!("db {id}")),
                ("team".to_owned(), "storage".to_owned()),
            ]
            .into(),
        };
        let sim = SimNode {
            node,
            recent: VecDeque::new(),
            writes_under_way: 0,
            up: true,
            agent_online: true,
            boot: self.number(),
            clock_off_ms: self.off_within(half_skew),
            fence: Fence::default(),
            sends: VecDeque::new(),
        };
        self.nodes.borrow_mut().insert(id.clone(), sim);
        self.tell(What::NodeAdded {
            node: id.clone(),
            zone: zone.to_owned(),
        });
        id
    }

    /// A number of milliseconds between minus `most` and `most`.
    pub(crate) fn off_within(&self, most: i64) -> i64 {
        let width = u64::try_from(2 * most + 1).unwrap_or(1);
        i64::try_from(self.lots.below(width)).unwrap_or(0) - most
    }

    pub(crate) fn any_node(&self) -> Option<NodeId> {
        let nodes = self.nodes.borrow();
        let count = u64::try_from(nodes.len()).ok()?;
        let which = usize::try_from(self.lots.below(count)).ok()?;
        nodes.keys().nth(which).cloned()
    }

    pub(crate) fn true_tags(&self, id: &NodeId) -> Option<Tags> {
        self.nodes
            .borrow()
            .get(id)
            .map(|node| node.node.tags.clone())
    }
}
