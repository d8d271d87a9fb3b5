//! Operators who stop runs, by the real engine: an ordinary act, under which all promises hold.

use roundsman::engine::Engine;
use roundsman::engine::halt::halt;
use roundsman::engine::stop::bell;
use roundsman::event::Event;
use roundsman::model::id::NodeId;
use roundsman::model::lock::{Lock, Seen};

use crate::fact::What;
use crate::faults::Class;
use crate::process::{Fragile, Handle, Process};
use crate::site::SimJob;
use crate::world::{Actor, World};

impl World {
    /// Now and then the run on some node is stopped, whoever holds it; twice as often while one is held.
    pub(crate) async fn stoppers(&self) {
        let cloud = &self.cloud;
        loop {
            self.next_event(4).await;
            let found = self.locked();
            let count = u64::try_from(found.len()).unwrap_or(0);
            if count == 0 {
                continue;
            }
            let which = usize::try_from(cloud.lots.below(count)).unwrap_or(0);
            let (node, lock) = &found[which];
            if let Some(job) = self.jobs.iter().find(|job| job.rules.job.name == lock.job) {
                self.stop_one(node, lock, job).await;
            }
        }
    }

    /// The nodes that bear a lock, as somebody who asks for `status` sees them.
    fn locked(&self) -> Vec<(NodeId, Lock)> {
        let nodes = self.cloud.nodes.borrow();
        let locked = nodes.values().filter_map(|node| {
            let value = node.node.tags.get("lock").map(String::as_str);
            let lock = Seen::read(value).lock().cloned()?;
            Some((node.node.id.clone(), lock))
        });
        locked.collect()
    }

    async fn stop_one(&self, id: &NodeId, lock: &Lock, job: &SimJob) {
        let cloud = &self.cloud;
        let name = &job.rules.job.name;
        let node = cloud.nodes.borrow().get(id).map(|node| node.node.clone());
        let Some(node) = node else {
            return;
        };
        let process = Process::new(cloud.number(), &self.any_machine(), Some(name.clone()));
        let number = process.id;
        cloud.tell(What::Invoked {
            process: number,
            job: name.clone(),
        });
        let actor = Actor::new(Handle::new(cloud, &process));
        let report = |event: Event| {
            cloud.tell(What::Told {
                process: number,
                event: Box::new(event),
            });
        };
        let engine = Engine {
            ports: &actor,
            rules: &job.rules,
            owner: "ops",
            report: &report,
        };
        let (_bell, told) = bell();
        cloud.fired.count(Class::Stop);
        let halting = halt(&engine, &node, lock.run, told);
        let halted = Fragile::new(cloud, &process, halting).await;
        cloud.end_runner_steps(number);
        cloud.tell(What::Over {
            process: number,
            crashed: halted.is_none(),
        });
    }
}
