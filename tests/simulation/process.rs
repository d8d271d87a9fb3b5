//! Machines that runners run on, and the runners: processes that freeze, and die at any await.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use roundsman::io::memory::MemoryClock;
use roundsman::model::id::{ClaimId, Name, NodeId, RunId};
use roundsman::model::time::Moment;
use roundsman::port::{Clock, Offset};

use crate::cloud::Cloud;
use crate::fact::{By, What};
use crate::faults::Class;

/// A machine with clocks of its own.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    /// What its wall clock shows beyond the provider's, in milliseconds.
    pub(crate) off_ms: Cell<i64>,
    /// What its clock that counts suspend shows beyond virtual time.
    base: Duration,
    pub(crate) suspended_until: Cell<Moment>,
    /// Its credentials are refused until then.
    pub(crate) no_credentials_until: Cell<Moment>,
}

impl Machine {
    pub(crate) fn new(name: &str, off_ms: i64, base: Duration) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_owned(),
            off_ms: Cell::new(off_ms),
            base,
            suspended_until: Cell::default(),
            no_credentials_until: Cell::default(),
        })
    }

    pub(crate) fn wall(&self, clock: &MemoryClock) -> Timestamp {
        clock
            .wall()
            .saturating_add(SignedDuration::from_millis(self.off_ms.get()))
            .expect("a time in range")
    }
}

/// How many answers the offset is taken from, as the AWS floor does.
const OFFSETS_KEPT: usize = 8;

/// One invocation.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) machine: Rc<Machine>,
    pub(crate) job: Option<Name>,
    pub(crate) frozen_until: Cell<Moment>,
    offsets: RefCell<VecDeque<Offset>>,
    offset: Cell<Offset>,
    /// What its latest lock on each node says: whom it writes for.
    pub(crate) own: RefCell<BTreeMap<NodeId, (RunId, ClaimId)>>,
}

impl Process {
    pub(crate) fn new(id: u64, machine: &Rc<Machine>, job: Option<Name>) -> Rc<Self> {
        Rc::new(Self {
            id,
            machine: Rc::clone(machine),
            job,
            frozen_until: Cell::default(),
            offsets: RefCell::default(),
            offset: Cell::default(),
            own: RefCell::default(),
        })
    }

    pub(crate) fn by(&self, node: &NodeId) -> By {
        match &self.job {
            Some(job) => By::Runner {
                process: self.id,
                job: job.clone(),
                own: self.own.borrow().get(node).copied(),
            },
            None => By::Operator,
        }
    }

    pub(crate) fn offset(&self) -> Offset {
        self.offset.get()
    }

    /// An answer has told the provider's time, in whole seconds.
    pub(crate) fn answered(&self, date: Timestamp, begun: Timestamp, ended: Timestamp) {
        let theirs = date.as_second() * 1_000;
        let mut offsets = self.offsets.borrow_mut();
        offsets.push_front(Offset {
            least_ms: theirs - ended.as_millisecond(),
            most_ms: theirs + 1_000 - begun.as_millisecond(),
        });
        offsets.truncate(OFFSETS_KEPT);
        let mut narrowed = offsets[0];
        for offset in offsets.iter().skip(1) {
            let (least_ms, most_ms) = (
                narrowed.least_ms.max(offset.least_ms),
                narrowed.most_ms.min(offset.most_ms),
            );
            if least_ms > most_ms {
                break;
            }
            narrowed = Offset { least_ms, most_ms };
        }
        self.offset.set(narrowed);
    }

    fn wakes(&self) -> Moment {
        self.frozen_until
            .get()
            .max(self.machine.suspended_until.get())
    }
}

impl Cloud {
    /// A process may be frozen from here on, for so long at most: alone, or with its machine.
    pub(crate) fn may_freeze(&self, process: &Process, most: Duration) {
        let (pause, suspend) = {
            let faults = self.faults.borrow();
            (faults.pause, faults.suspend)
        };
        let now = self.clock.boot();
        if self.lots.chance(pause) {
            let until = now.plus(self.freeze_for().min(most));
            self.fired.count(Class::Pause);
            process.frozen_until.set(until);
            self.tell_fate(&format!("runner {}", process.id), || {
                format!("paused for {:?}", until.since(now))
            });
            self.stand_still(until.since(now), |step, _| step == process.id);
        } else if self.lots.chance(suspend) {
            let until = now.plus(self.freeze_for().min(most));
            self.fired.count(Class::Suspend);
            process.machine.suspended_until.set(until);
            self.tell_fate(&process.machine.name, || {
                format!("suspended for {:?}", until.since(now))
            });
            self.stand_still(until.since(now), |_, machine| {
                machine.name == process.machine.name
            });
        }
    }

    /// Moments, minutes about a lease's length, or hours.
    fn freeze_for(&self) -> Duration {
        let lease = self.lease;
        let most = match self.lots.below(10) {
            0..4 => Duration::from_secs(8),
            4..8 => (lease.ttl + lease.margin) * 2,
            _ => Duration::from_secs(8 * 3_600),
        };
        self.lots.between(Duration::from_millis(10), most)
    }
}

/// A future that runs as a process does: not while it is frozen, and no longer once it has crashed.
pub(crate) struct Fragile<F> {
    inner: Option<Pin<Box<F>>>,
    process: Rc<Process>,
    cloud: Rc<Cloud>,
    nap: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<F> Fragile<F> {
    pub(crate) fn new(cloud: &Rc<Cloud>, process: &Rc<Process>, inner: F) -> Self {
        Self {
            inner: Some(Box::pin(inner)),
            process: Rc::clone(process),
            cloud: Rc::clone(cloud),
            nap: None,
        }
    }

    /// Whether it is frozen; then it is woken when it no longer is.
    fn frozen(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            let until = self.process.wakes();
            if self.cloud.clock.boot() >= until {
                self.nap = None;
                return false;
            }
            let nap = self.nap.get_or_insert_with(|| {
                let clock = self.cloud.clock.clone();
                Box::pin(async move { clock.sleep_until(until).await })
            });
            if nap.as_mut().poll(context).is_pending() {
                return true;
            }
            self.nap = None;
        }
    }
}

impl<F: Future> Future for Fragile<F> {
    /// `None`: it crashed.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.frozen(context) {
            return Poll::Pending;
        }
        let crash = this.cloud.faults.borrow().crash;
        if this.cloud.lots.chance(crash) {
            this.cloud.fired.count(Class::Crash);
            this.inner = None;
            this.cloud.end_runner_steps(this.process.id);
            return Poll::Ready(None);
        }
        this.cloud.may_freeze(&this.process, Duration::MAX);
        if this.frozen(context) {
            return Poll::Pending;
        }
        match &mut this.inner {
            Some(inner) => inner.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// What one process sees and acts through.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) cloud: Rc<Cloud>,
    pub(crate) process: Rc<Process>,
}

impl Handle {
    pub(crate) fn new(cloud: &Rc<Cloud>, process: &Rc<Process>) -> Self {
        Self {
            cloud: Rc::clone(cloud),
            process: Rc::clone(process),
        }
    }

    /// Between what justifies a call and the call itself a process may be frozen.
    pub(crate) async fn depart(&self, most: Duration) {
        self.cloud.may_freeze(&self.process, most);
        let until = self.process.wakes();
        if self.cloud.clock.boot() < until {
            self.cloud.clock.sleep_until(until).await;
        }
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        let at = self.cloud.clock.boot().plus(span);
        self.cloud.clock.sleep_until(at).await;
    }

    pub(crate) fn tell(&self, what: What) {
        self.cloud.tell(what);
    }
}

impl Clock for Handle {
    fn wall(&self) -> Timestamp {
        self.process.machine.wall(&self.cloud.clock)
    }

    fn boot(&self) -> Moment {
        self.cloud.clock.boot().plus(self.process.machine.base)
    }

    async fn sleep_until(&self, at: Moment) {
        let at = if at == Moment::MAX {
            at
        } else {
            Moment(at.0.saturating_sub(self.process.machine.base))
        };
        self.cloud.clock.sleep_until(at).await;
    }

    fn random(&self) -> u128 {
        self.cloud.lots.draw_wide()
    }
}
