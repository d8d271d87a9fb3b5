//! Instances and Auto Scaling groups: what there is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::lots::Lots;

/// The region, and the account.
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";
/// Instances of one reservation, which share a zone.
const RESERVATION: usize = 4;

/// An instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation: String,
    pub(crate) zone: String,
    pub(crate) address: String,
    pub(crate) launched: Timestamp,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// What SSM says of its agent (`Online`, `ConnectionLost`); `None`: SSM does not know it.
    pub(crate) agent: Option<String>,
}

impl Instance {
    /// The number that goes with a state.
    pub(crate) fn state_code(&self) -> u16 {
        match self.state.as_str() {
            "pending" => 0,
            "running" => 16,
            "shutting-down" => 32,
            "terminated" => 48,
            "stopping" => 64,
            _ => 80,
        }
    }
}

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance: String,
    pub(crate) lifecycle: String,
    pub(crate) health: String,
}

/// What is wanted of new instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) group: Option<String>,
    pub(crate) nodes: usize,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub(crate) agents: bool,
}

fn yes() -> bool {
    true
}

/// What an instance is from now on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) state: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) lifecycle: Option<String>,
    pub(crate) health: Option<String>,
    /// `gone`: SSM does not know it any more.
    pub(crate) agent: Option<String>,
}

/// All instances, in the order of their launch, and all groups by name.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Instance>,
    index: BTreeMap<String, usize>,
    pub(crate) groups: BTreeMap<String, Vec<Member>>,
}

impl Fleet {
    pub(crate) fn get(&self, id: &str) -> Option<&Instance> {
        self.instances.get(*self.index.get(id)?)
    }

    /// Launches instances, in zones by turns; gives back their ids.
    pub(crate) fn launch(
        &mut self,
        wanted: &Wanted,
        now: Timestamp,
        lots: &mut Lots,
    ) -> Vec<String> {
        let mut ids = Vec::new();
        let mut reservation = String::new();
        for n in 0..wanted.nodes {
            if n % RESERVATION == 0 {
                reservation = lots.id("r");
            }
            let id = lots.id("i");
            let number = self.instances.len();
            let zone = ["a", "b", "c"][n / RESERVATION % 3];
            self.index.insert(id.clone(), number);
            self.instances.push(Instance {
                id: id.clone(),
                reservation: reservation.clone(),
                zone: format!("{REGION}{zone}"),
                address: format!(
                    "10.{}.{}.{}",
                    number / 62_500 % 250,
                    number / 250 % 250,
                    number % 250 + 4
                ),
                launched: now,
                state: "running".to_owned(),
                reason: None,
                agent: wanted.agents.then(|| "Online".to_owned()),
            });
            ids.push(id);
        }
        if let Some(group) = &wanted.group {
            let members = self.groups.entry(group.clone()).or_default();
            members.extend(ids.iter().map(|id| Member {
                instance: id.clone(),
                lifecycle: "InService".to_owned(),
                health: "Healthy".to_owned(),
            }));
        }
        ids
    }

    /// Changes an instance; one that is terminated leaves its group, and SSM forgets it. `false`: there is none.
    pub(crate) fn change(&mut self, id: &str, change: &Change) -> bool {
        let Some(&at) = self.index.get(id) else {
            return false;
        };
        let instance = &mut self.instances[at];
        if let Some(state) = &change.state {
            instance.state.clone_from(state);
        }
        if change.reason.is_some() {
            instance.reason.clone_from(&change.reason);
        }
        if let Some(agent) = &change.agent {
            instance.agent = (agent != "gone").then(|| agent.clone());
        }
        let gone = instance.state == "terminated";
        if gone {
            instance.agent = None;
        }
        for members in self.groups.values_mut() {
            members.retain(|member| !(gone && member.instance == id));
            for member in members.iter_mut().filter(|member| member.instance == id) {
                if let Some(lifecycle) = &change.lifecycle {
                    member.lifecycle.clone_from(lifecycle);
                }
                if let Some(health) = &change.health {
                    member.health.clone_from(health);
                }
            }
        }
        true
    }
}
