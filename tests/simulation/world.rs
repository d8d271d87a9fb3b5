//! A world: machines that invoke jobs, and seasons: a storm, and a calm in which everything has to come right.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use roundsman::engine::Engine;
use roundsman::engine::round::round;
use roundsman::engine::stop::{Bell, bell};
use roundsman::event::Event;
use roundsman::model::time::Moment;
use roundsman::port::{Clock, Ports};

use crate::cloud::{Cloud, Witness};
use crate::fact::What;
use crate::faults::{Class, Faults, Totals};
use crate::process::{Fragile, Handle, Machine, Process};
use crate::runner::RunnerHandle;
use crate::site::{SimJob, Site};

/// How long it storms, and how long it is calm.
pub(crate) const STORM: Duration = Duration::from_secs(21 * 43_200);
pub(crate) const CALM: Duration = Duration::from_secs(7 * 43_200);

/// Everything that one process acts through.
#[derive(Debug)]
pub(crate) struct Actor(pub(crate) Handle, pub(crate) RunnerHandle);

impl Ports for Actor {
    type Store = Handle;
    type Node = Handle;
    type Runner = RunnerHandle;
    type Clock = Handle;

    fn store(&self) -> &Handle {
        &self.0
    }

    fn node(&self) -> &Handle {
        &self.0
    }

    fn runner(&self) -> &RunnerHandle {
        &self.1
    }

    fn clock(&self) -> &Handle {
        &self.0
    }
}

/// One world while it is played.
pub(crate) struct World {
    pub(crate) cloud: Rc<Cloud>,
    pub(crate) machines: Vec<Rc<Machine>>,
    pub(crate) jobs: Vec<SimJob>,
}

impl World {
    /// Plays so many seasons of a site; every fact goes to the witness. Tells how often each fault has happened.
    ///
    /// It is over sooner when `enough` says so.
    pub(crate) fn play(
        site: &Site,
        (storm, seasons): (&Faults, u32),
        witness: Witness,
        traced: bool,
        enough: &Cell<bool>,
    ) -> Totals {
        let cloud = Cloud::new(site.seed, site.lease, site.without, witness, traced);
        cloud.looks.set(site.looks);
        for zone in &site.zones {
            cloud.add_node(zone);
        }
        let off = i64::try_from(site.lease.skew.as_millis() / 2).unwrap_or(0);
        let machines = (0..site.machines).map(|n| {
            let base = cloud
                .lots
                .between(Duration::ZERO, Duration::from_secs(1_000_000));
            Machine::new(&format!("machine {n}"), cloud.off_within(off), base)
        });
        let world = Self {
            machines: machines.collect(),
            jobs: site.jobs.clone(),
            cloud: Rc::clone(&cloud),
        };
        cloud.clock.play(world.live((storm, seasons), enough));
        cloud.clock.clear();
        cloud.fired.totals()
    }

    async fn live(&self, (storm, seasons): (&Faults, u32), enough: &Cell<bool>) {
        let mut tasks: FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> =
            FuturesUnordered::new();
        for machine in &self.machines {
            for job in &self.jobs {
                tasks.push(Box::pin(self.invoke_for_ever(machine, job)));
            }
        }
        tasks.push(Box::pin(self.chaos()));
        tasks.push(Box::pin(self.operators()));
        tasks.push(Box::pin(self.stoppers()));
        tokio::select! {
            biased;
            () = self.seasons(storm, seasons) => {}
            () = self.until(enough) => {}
            () = async { while tasks.next().await.is_some() {} } => {}
        }
    }

    async fn until(&self, enough: &Cell<bool>) {
        while !enough.get() {
            self.sleep(Duration::from_secs(3_600)).await;
        }
    }

    async fn seasons(&self, storm: &Faults, seasons: u32) {
        let cloud = &self.cloud;
        for _ in 0..seasons {
            *cloud.faults.borrow_mut() = storm.clone();
            cloud.tell(What::Storm);
            self.sleep(STORM).await;
            *cloud.faults.borrow_mut() = Faults::calm(&cloud.lease);
            cloud.put_right();
            for machine in &self.machines {
                machine.no_credentials_until.set(Moment::default());
                let most = i64::try_from(cloud.lease.skew.as_millis() / 2).unwrap_or(0);
                machine.off_ms.set(cloud.off_within(most));
            }
            cloud.tell(What::Calm);
            self.sleep(CALM).await;
            let nodes = cloud.nodes.borrow();
            let tags = nodes
                .values()
                .map(|node| (node.node.id.clone(), node.node.tags.clone()))
                .collect();
            drop(nodes);
            cloud.tell(What::CalmEnds { nodes: tags });
        }
    }

    /// As a CI server does: all machines at about the same time, again and again, unless the last one still runs.
    async fn invoke_for_ever(&self, machine: &Rc<Machine>, job: &SimJob) {
        let cloud = &self.cloud;
        loop {
            let now = cloud.clock.boot().0;
            let periods = now.as_secs() / job.period.as_secs() + 1;
            let next = Duration::from_secs(periods * job.period.as_secs());
            let jitter = match cloud.lots.below(3) {
                0 => Duration::from_millis(50),
                1 => Duration::from_secs(20),
                _ => Duration::from_secs(1_800),
            };
            let at = next + cloud.lots.between(Duration::ZERO, jitter);
            cloud.clock.sleep_until(Moment(at)).await;
            self.invoke(machine, job).await;
        }
    }

    async fn invoke(&self, machine: &Rc<Machine>, job: &SimJob) {
        let cloud = &self.cloud;
        let name = &job.rules.job.name;
        let process = Process::new(cloud.number(), machine, Some(name.clone()));
        let id = process.id;
        cloud.tell(What::Invoked {
            process: id,
            job: name.clone(),
        });
        let actor = Actor::new(Handle::new(cloud, &process));
        let report = |event: Event| {
            cloud.tell(What::Told {
                process: id,
                event: Box::new(event),
            });
        };
        let engine = Engine {
            ports: &actor,
            rules: &job.rules,
            owner: &machine.name,
            report: &report,
        };
        let (bell, stop) = bell();
        let running = async {
            tokio::select! {
                biased;
                round = round(&engine, &job.orders, stop) => round,
                never = self.ring(&bell) => match never {},
            }
        };
        let round = Fragile::new(cloud, &process, running).await;
        cloud.end_runner_steps(id);
        cloud.tell(What::Over {
            process: id,
            crashed: round.is_none(),
        });
    }

    /// Tells an invocation to stop, some time; perhaps twice; mostly never.
    async fn ring(&self, bell: &Bell) -> std::convert::Infallible {
        let cloud = &self.cloud;
        let signal = cloud.faults.borrow().signal;
        if cloud.lots.chance(signal) {
            let most = Duration::from_secs(if cloud.lots.chance(500_000) {
                40
            } else {
                1_200
            });
            self.sleep(cloud.lots.between(Duration::ZERO, most)).await;
            cloud.fired.count(Class::Signal);
            bell.ring();
            if cloud.lots.chance(950_000) {
                let soon = cloud.lots.chance(500_000);
                let most = Duration::from_secs(if soon { 2 } else { 60 });
                self.sleep(cloud.lots.between(Duration::ZERO, most)).await;
                cloud.fired.count(Class::SecondSignal);
                bell.ring();
            }
        }
        std::future::pending().await
    }

    /// Waits for the next time that somebody does something, at most so many times as long as a storm has between its
    /// events. In a calm nobody does.
    pub(crate) async fn next_event(&self, most: u32) {
        loop {
            let between = self.cloud.faults.borrow().between_events;
            if between < Duration::MAX {
                let span = self.cloud.lots.between(Duration::ZERO, between * most);
                return self.sleep(span).await;
            }
            self.sleep(Duration::from_secs(3_600)).await;
        }
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        let at = self.cloud.clock.boot().plus(span);
        self.cloud.clock.sleep_until(at).await;
    }

    pub(crate) fn any_machine(&self) -> Rc<Machine> {
        let which = self.cloud.lots.below(self.machines.len() as u64);
        Rc::clone(&self.machines[usize::try_from(which).unwrap_or(0)])
    }

    /// Every key that the jobs write, and the operators.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = vec!["lock".to_owned(), "lock".to_owned(), "hold".to_owned()];
        for job in &self.jobs {
            let own = &job.rules.keys;
            keys.extend([&own.last, &own.fail].map(|key| key.as_str().to_owned()));
        }
        keys
    }
}
