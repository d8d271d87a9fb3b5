//! Operators: `hold`, `unhold`, `release` and `mark`, by the real engine.

use std::time::Duration;

use roundsman::engine::observe::observe;
use roundsman::engine::operate::{Which, hold, mark, release, unhold};
use roundsman::model::record::{Hold, Scope};
use roundsman::model::time::later;
use roundsman::port::{Clock, Store};

use crate::faults::Class;
use crate::process::{Handle, Process};
use crate::world::{Actor, World};

impl World {
    /// One operator after the other does something.
    pub(crate) async fn operators(&self) {
        loop {
            self.next_event(2).await;
            self.operate().await;
        }
    }

    async fn operate(&self) {
        let cloud = &self.cloud;
        let process = Process::new(cloud.number(), &self.any_machine(), None);
        let actor = Actor::new(Handle::new(cloud, &process));
        let job =
            &self.jobs[usize::try_from(cloud.lots.below(self.jobs.len() as u64)).unwrap_or(0)];
        let Some(node) = cloud.any_node() else {
            return;
        };
        let keys = &job.rules.keys;
        match cloud.lots.below(8) {
            0..2 => {
                let scope = if cloud.lots.chance(400_000) {
                    Scope::Fleet
                } else {
                    Scope::Node
                };
                let now = actor.0.wall();
                let span = cloud
                    .lots
                    .between(Duration::from_secs(300), Duration::from_secs(4 * 3_600));
                let value = Hold {
                    scope,
                    by: "ops".to_owned(),
                    at: Some(now),
                    until: Some(later(now, span)),
                    reason: "looking into it".to_owned(),
                };
                if hold(&actor, &node, &keys.hold, &value).await.is_ok() {
                    cloud.fired.count(match scope {
                        Scope::Fleet => Class::HoldFleet,
                        Scope::Node => Class::HoldNode,
                    });
                }
            }
            2..4 => {
                let held = cloud.nodes.borrow().values().find_map(|node| {
                    let tags = &node.node.tags;
                    tags.contains_key("hold").then(|| node.node.id.clone())
                });
                if let Some(held) = held
                    && let Ok(Some(_)) = unhold(&actor, &held, &keys.hold).await
                {
                    cloud.fired.count(Class::Unhold);
                }
            }
            4..6 => self.release_one(&actor, job).await,
            _ => {
                let at = actor.0.store_time();
                if mark(&actor, &node, (&keys.lock, &keys.last), at)
                    .await
                    .is_ok()
                {
                    cloud.fired.count(Class::Mark);
                }
            }
        }
    }

    /// A careful operator breaks only a lease that is past its end, on a node where nothing is known to run. One that is
    /// not takes the first.
    async fn release_one(&self, actor: &Actor, job: &crate::site::SimJob) {
        let cloud = &self.cloud;
        let careless = cloud.faults.borrow().careless;
        let Ok(view) = observe(actor, &job.rules, None).await else {
            return;
        };
        let margin = job.rules.lease.margin;
        let broken = view.nodes.iter().find_map(|node| {
            let lock = job.rules.lock(node).lock().cloned()?;
            let past = later(lock.until, margin) < view.now;
            let may = careless || (past && !cloud.executor_sees_work(&node.id));
            may.then(|| (node.clone(), lock))
        });
        let Some((node, lock)) = broken else {
            return;
        };
        let which = Which::Run(lock.run);
        if release(actor, &node, &job.rules.keys.lock, &which)
            .await
            .is_ok()
        {
            cloud.fired.count(Class::Release);
        }
    }
}

impl Handle {
    /// The provider's time as this process knows it.
    fn store_time(&self) -> jiff::Timestamp {
        self.offset().correct(self.wall())
    }
}

impl Actor {
    pub(crate) fn new(handle: Handle) -> Self {
        Self(handle.clone(), crate::runner::RunnerHandle(handle))
    }
}
