//! What happens to nodes, clocks and credentials, and what people do who know nothing of roundsman.

use std::rc::Rc;
use std::time::Duration;

use roundsman::model::id::NodeId;
use roundsman::model::node::{Agent, Service};
use roundsman::model::outcome::Outcome;
use roundsman::model::tag::TAGS_MAX;
use roundsman::model::time::Moment;
use roundsman::port::Clock;

use crate::cloud::Cloud;
use crate::fact::What;
use crate::faults::Class;
use crate::world::World;

/// The keys by which a node's tags are filled up.
const FILLING: &str = "filling-";

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

impl Cloud {
    /// Takes a node down; what runs there is gone.
    fn take_down(self: &Rc<Self>, id: &NodeId) -> Vec<u64> {
        let (executions, sends) = {
            let mut nodes = self.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(id) else {
                return Vec::new();
            };
            node.up = false;
            node.fence.kill_all()
        };
        for execution in executions {
            self.tell(What::Ended {
                execution,
                outcome: Outcome::Interrupted,
            });
        }
        sends
    }

    fn bring_up(self: &Rc<Self>, id: &NodeId, sends: &[u64]) {
        let boot = self.number();
        {
            let mut nodes = self.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(id).filter(|node| !node.up) else {
                return;
            };
            node.up = true;
            node.boot = boot;
            node.node.service = Service::In;
        }
        self.tell_fate(id.as_str(), || "is up".to_owned());
        self.repeat_after_boot(sends);
    }

    fn stop_node(self: &Rc<Self>, id: &NodeId, for_: Duration) {
        let sends = self.take_down(id);
        if let Some(node) = self.nodes.borrow_mut().get_mut(id) {
            node.node.service = Service::Out {
                why: "instance is stopped".to_owned(),
                stopped: true,
            };
        }
        self.tell(What::NodeStopped(id.clone()));
        let id = id.clone();
        self.after(for_, move |cloud| cloud.bring_up(&id, &sends));
    }

    /// A reboot leaves the instance running in the provider's eyes.
    pub(crate) fn reboot_node(self: &Rc<Self>, id: &NodeId) {
        let sends = self.take_down(id);
        self.tell_fate(id.as_str(), || "reboots".to_owned());
        let takes = self
            .lots
            .between(Duration::from_secs(20), Duration::from_secs(300));
        let id = id.clone();
        self.after(takes, move |cloud| cloud.bring_up(&id, &sends));
    }

    fn replace_node(self: &Rc<Self>, id: &NodeId) {
        self.take_down(id);
        let gone = self.nodes.borrow_mut().remove(id);
        let zone = gone.and_then(|node| node.node.zone);
        self.tell(What::NodeGone(id.clone()));
        self.add_node(zone.as_deref().unwrap_or("a"));
    }

    fn set_agent(&self, id: &NodeId, online: bool) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(id) {
            node.agent_online = online;
            node.node.agent = if online {
                Agent::Online
            } else {
                Agent::Offline
            };
        }
    }

    fn set_node_clock(&self, id: &NodeId, most: Duration) {
        let off_ms = self.off_within(i64::try_from(most.as_millis()).unwrap_or(0));
        if let Some(node) = self.nodes.borrow_mut().get_mut(id) {
            node.clock_off_ms = off_ms;
        }
    }

    /// Removes all that roundsman has written, as a tool does that knows which tags there should be.
    fn wipe_tags(&self, id: &NodeId) {
        let ours = self.true_tags(id).unwrap_or_default();
        let gone: Vec<_> = ours
            .into_keys()
            .filter(|key| is_ours(key))
            .map(|key| (key, None))
            .collect();
        self.meddle(id, &gone);
    }

    fn fill_tags(&self, id: &NodeId) {
        let there = self.true_tags(id).unwrap_or_default().len();
        let more: Vec<_> = (there..TAGS_MAX)
            .map(|n| (format!("{FILLING}{n}"), Some("x".to_owned())))
            .collect();
        self.meddle(id, &more);
    }

    fn empty_tags(&self, id: &NodeId) {
        let tags = self.true_tags(id).unwrap_or_default();
        let gone: Vec<_> = tags
            .into_keys()
            .filter(|key| key.starts_with(FILLING))
            .map(|key| (key, None))
            .collect();
        self.meddle(id, &gone);
    }

    /// Somebody types something over one of our tags, and takes it back later when it still stands.
    fn type_garbage(self: &Rc<Self>, id: &NodeId, key: &str) {
        let texts = [
            "yes",
            "v1 run=soon",
            "2099-01-01T00:00:00Z",
            "locked by bob",
        ];
        let text = texts[usize::try_from(self.lots.below(4)).unwrap_or(0)];
        self.meddle(id, &[(key.to_owned(), Some(text.to_owned()))]);
        let (id, key) = (id.clone(), key.to_owned());
        let stays = self.lots.between(minutes(5), minutes(360));
        self.after(stays, move |cloud| {
            let stands = cloud
                .true_tags(&id)
                .is_some_and(|tags| tags.get(&key).is_some_and(|value| value == text));
            if stands {
                cloud.meddle(&id, &[(key.clone(), None)]);
            }
        });
    }

    /// Everything that keeps a fleet from being served is put right, by people.
    pub(crate) fn put_right(self: &Rc<Self>) {
        let ids: Vec<NodeId> = self.nodes.borrow().keys().cloned().collect();
        for id in ids {
            self.bring_up(&id, &[]);
            self.set_agent(&id, true);
            self.set_node_clock(&id, self.lease.skew / 2);
            self.empty_tags(&id);
            let tags = self.true_tags(&id).unwrap_or_default();
            let unreadable = tags.iter().filter(|(key, value)| {
                *key == "hold" || (is_ours(key) && roundsman_cannot_read(key, value))
            });
            let gone: Vec<_> = unreadable.map(|(key, _)| (key.clone(), None)).collect();
            self.meddle(&id, &gone);
        }
    }
}

/// Whether roundsman writes tags of this key.
pub(crate) fn is_ours(key: &str) -> bool {
    key == "lock"
        || key == "hold"
        || ["last-", "took-", "fail-"]
            .iter()
            .any(|start| key.starts_with(start))
}

fn roundsman_cannot_read(key: &str, value: &str) -> bool {
    match key {
        "lock" => roundsman::model::lock::Lock::parse(value).is_none(),
        key if key.starts_with("last-") => {
            roundsman::model::time::parse_stamp(value).is_none() || value.starts_with("2099")
        }
        key if key.starts_with("fail-") => roundsman::model::record::Fail::parse(value).is_none(),
        _ => false,
    }
}

impl World {
    /// Things happen to the fleet, one after the other.
    pub(crate) async fn chaos(&self) {
        let cloud = &self.cloud;
        loop {
            let between = cloud.faults.borrow().between_events;
            if between == Duration::MAX {
                self.sleep(minutes(60)).await;
                continue;
            }
            let span = cloud.lots.between(Duration::ZERO, between * 2);
            self.sleep(span).await;
            if let Some(node) = cloud.any_node() {
                self.happen(&node);
            }
        }
    }

    fn happen(&self, node: &NodeId) {
        let cloud = &self.cloud;
        let fired = |class| cloud.fired.count(class);
        match cloud.lots.below(22) {
            0..2 => {
                fired(Class::NodeStopped);
                let for_ = cloud.lots.between(minutes(2), minutes(240));
                cloud.stop_node(node, for_);
            }
            2..4 => {
                fired(Class::NodeRebooted);
                cloud.reboot_node(node);
            }
            4 => {
                fired(Class::NodeReplaced);
                cloud.replace_node(node);
            }
            5..7 => {
                fired(Class::AgentOffline);
                cloud.set_agent(node, false);
                let for_ = cloud.lots.between(minutes(2), minutes(120));
                let node = node.clone();
                cloud.after(for_, move |cloud| cloud.set_agent(&node, true));
            }
            7 => {
                fired(Class::TagsWiped);
                cloud.wipe_tags(node);
            }
            8 => {
                fired(Class::TagsFull);
                cloud.fill_tags(node);
                let for_ = cloud.lots.between(minutes(5), minutes(240));
                let node = node.clone();
                cloud.after(for_, move |cloud| cloud.empty_tags(&node));
            }
            9..11 => {
                fired(Class::Garbage);
                let keys = self.keys();
                let which = cloud.lots.below(keys.len() as u64);
                let key = &keys[usize::try_from(which).unwrap_or(0)];
                cloud.type_garbage(node, key);
            }
            11..14 => self.step_clock(),
            14..16 => {
                fired(Class::ClockOffset);
                let most = cloud.faults.borrow().clock_off;
                cloud.set_node_clock(node, most);
            }
            16..18 => {
                let machine = self.any_machine();
                let for_ = cloud.lots.between(minutes(1), minutes(90));
                machine
                    .no_credentials_until
                    .set(Moment(cloud.clock.boot().0 + for_));
            }
            // The rest of what happens is done by operators.
            _ => {}
        }
    }

    fn step_clock(&self) {
        let cloud = &self.cloud;
        let machine = self.any_machine();
        let most = i64::try_from(cloud.faults.borrow().clock_off.as_millis()).unwrap_or(0);
        machine.off_ms.set(cloud.off_within(most));
        cloud.fired.count(Class::ClockStep);
        cloud.tell_fate(&machine.name, || {
            format!("its clock is set {} ms off", machine.off_ms.get())
        });
    }
}
