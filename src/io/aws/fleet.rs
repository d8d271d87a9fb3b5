//! The store: fleets out of groups and tags, and the tags of their nodes.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::Instance;
use jiff::Timestamp;

use crate::io::aws::asg::{self, Member};
use crate::io::aws::client::Clients;
use crate::io::aws::{agents, ec2};
use crate::model::id::{ClaimId, NodeId};
use crate::model::job::Selector;
use crate::model::node::{Agent, Node, Service};
use crate::model::tag::{TagKey, Tags};
use crate::port::{Consistency, ErrorKind, Grant, Offset, PortError, Put, Store, WriteError};

/// The tag by which EC2 shows an instance's group.
const GROUP_TAG: &str = "aws:autoscaling:groupName";

/// The tags of EC2 instances.
#[derive(Debug, Clone)]
pub struct AwsStore {
    clients: Clients,
    agents: bool,
}

impl AwsStore {
    /// A store that does not ask for SSM agents.
    pub fn new(clients: Clients) -> Self {
        Self {
            clients,
            agents: false,
        }
    }

    /// Whether reading a fleet also asks which nodes' SSM agents answer: for jobs with steps on nodes.
    ///
    /// Costs one more call for every 50 nodes.
    #[must_use]
    pub fn with_agents(mut self, agents: bool) -> Self {
        self.agents = agents;
        self
    }

    /// The clients, for their counts.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The nodes that `wanted` may mean, whatever fleet they belong to: the one with this id, else those with this
    /// `Name` tag, else those with this private address.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn find(&self, wanted: &str) -> Result<Vec<Node>, PortError> {
        let (none, name) = (
            BTreeMap::new(),
            BTreeMap::from([("Name".to_owned(), vec![wanted.to_owned()])]),
        );
        let instances = if wanted.starts_with("i-") {
            ec2::instances(&self.clients, Some(&[NodeId(wanted.to_owned())]), &none).await?
        } else if wanted.parse::<std::net::IpAddr>().is_ok() {
            ec2::at_address(&self.clients, wanted).await?
        } else {
            ec2::instances(&self.clients, None, &name).await?
        };
        Ok(instances
            .iter()
            .filter_map(|instance| node(instance, &BTreeMap::new()))
            .collect())
    }

    /// A store of the same account over connections of its own.
    ///
    /// # Errors
    /// When there is no region.
    pub fn apart(&self) -> Result<Self, PortError> {
        Ok(Self {
            clients: self.clients.apart()?,
            agents: self.agents,
        })
    }

    /// The account that a node belongs to, where EC2 says so. One call.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn account(&self, node: &NodeId) -> Result<Option<String>, PortError> {
        ec2::account(&self.clients, node).await
    }

    /// Whether the policy allows to write and to delete these tags on a node. Changes nothing; two calls.
    ///
    /// # Errors
    /// What is not allowed, or why it could not be asked.
    pub async fn may_tag(&self, node: &NodeId, put: &Put) -> Result<(), PortError> {
        ec2::may_tag(&self.clients, node, put).await
    }

    /// The instances that a selector picks, and what their groups say of them.
    async fn pick(
        &self,
        selector: &Selector,
    ) -> Result<(Vec<Instance>, BTreeMap<NodeId, Member>), PortError> {
        if selector.all || (selector.groups.is_empty() && selector.tags.is_empty()) {
            return Err(PortError::new(
                ErrorKind::Other,
                "the fleet has neither Auto Scaling groups nor tags, and AWS accounts are not served as a whole",
            )
            .with_help("name them: `[fleet] auto-scaling-groups = [...]` or `tags = { ... }`"));
        }
        if selector.groups.is_empty() {
            let instances = ec2::instances(&self.clients, None, &selector.tags).await?;
            let names: BTreeSet<String> = instances.iter().filter_map(group_tag).collect();
            let names: Vec<String> = names.into_iter().collect();
            // A group that was deleted a moment ago has no say any more.
            let groups = asg::groups(&self.clients, &names).await?;
            return Ok((instances, groups.members));
        }
        let members = asg::members(&self.clients, &selector.groups).await?;
        let ids: Vec<NodeId> = members.keys().cloned().collect();
        let instances = ec2::instances(&self.clients, Some(&ids), &selector.tags).await?;
        Ok((instances, members))
    }
}

impl Store for AwsStore {
    fn consistency(&self) -> Consistency {
        Consistency::Eventual
    }

    fn offset(&self) -> Offset {
        self.clients.offset()
    }

    /// Groups cost one call for 100 of them, instances one for 1000 (by group: 200), agents one for 50.
    ///
    /// A group's member that EC2 does not list is left out: it is gone, or not there yet.
    async fn read_fleet(&self, selector: &Selector) -> Result<Vec<Node>, PortError> {
        let (instances, members) = self.pick(selector).await?;
        // Pages of a list that changes may show one instance twice.
        let mut nodes: BTreeMap<NodeId, Node> = instances
            .iter()
            .filter_map(|instance| node(instance, &members))
            .filter(|node| ec2::matches(&node.tags, &selector.tags))
            .map(|node| (node.id.clone(), node))
            .collect();
        if self.agents {
            let ids: Vec<NodeId> = nodes.keys().cloned().collect();
            let online = agents::online(&self.clients, &ids).await?;
            for node in nodes.values_mut() {
                node.agent = if online.contains(&node.id) {
                    Agent::Online
                } else {
                    Agent::Offline
                };
            }
        }
        Ok(nodes.into_values().collect())
    }

    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        ec2::tag_of(&self.clients, nodes, key).await
    }

    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError> {
        ec2::tags_of(&self.clients, node).await
    }

    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        _only_if: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        ec2::create_tags(&self.clients, node, put).await
    }

    async fn delete(&self, node: &NodeId, pairs: &Put) -> Result<(), WriteError> {
        ec2::delete_tags(&self.clients, node, pairs).await
    }

    async fn transact<T>(
        &self,
        _: &Selector,
        _: ClaimId,
        _: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        Err(PortError::new(
            ErrorKind::Other,
            "EC2 tags have no transactions: claims on AWS settle instead",
        ))
    }
}

fn node(instance: &Instance, members: &BTreeMap<NodeId, Member>) -> Option<Node> {
    let id = NodeId(instance.instance_id()?.to_owned());
    let state = instance
        .state()
        .and_then(|state| state.name())
        .map_or("unknown", |name| name.as_str());
    if matches!(state, "terminated" | "shutting-down") {
        return None;
    }
    let tags: Tags = instance
        .tags()
        .iter()
        .filter_map(|tag| {
            Some((
                tag.key()?.to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            ))
        })
        .collect();
    let member = members.get(&id);
    Some(Node {
        name: tags.get("Name").filter(|name| !name.is_empty()).cloned(),
        address: instance.private_ip_address().map(str::to_owned),
        zone: instance
            .placement()
            .and_then(|placement| placement.availability_zone())
            .map(str::to_owned),
        group: member
            .map(|member| member.group.clone())
            .or_else(|| tags.get(GROUP_TAG).cloned()),
        launched: instance
            .launch_time()
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
        service: service(state, hibernated(instance), member),
        agent: Agent::NotAsked,
        tags,
        id,
    })
}

/// The instance's own state has the first say, then its group's.
fn service(state: &str, hibernated: bool, member: Option<&Member>) -> Service {
    if state == "running" {
        return match member.and_then(|member| member.out.clone()) {
            None => Service::In,
            Some(why) => Service::Out {
                why,
                stopped: false,
            },
        };
    }
    Service::Out {
        why: if hibernated {
            format!("instance is {state} (hibernated)")
        } else {
            format!("instance is {state}")
        },
        // What is hibernated goes on with its processes when it is started again.
        stopped: state == "stopped" && !hibernated,
    }
}

fn hibernated(instance: &Instance) -> bool {
    instance
        .state_reason()
        .and_then(|reason| reason.code())
        .is_some_and(|code| code.contains("Hibernat"))
}

fn group_tag(instance: &Instance) -> Option<String> {
    instance
        .tags()
        .iter()
        .find(|tag| tag.key() == Some(GROUP_TAG))
        .and_then(|tag| tag.value())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(why: &str, stopped: bool) -> Service {
        let why = why.to_owned();
        Service::Out { why, stopped }
    }

    #[test]
    fn only_a_stopped_instance_surely_runs_nothing() {
        assert_eq!(
            service("stopped", false, None),
            out("instance is stopped", true)
        );
        assert_eq!(
            service("stopped", true, None),
            out("instance is stopped (hibernated)", false)
        );
        assert_eq!(
            service("stopping", false, None),
            out("instance is stopping", false)
        );
        assert_eq!(
            service("pending", false, None),
            out("instance is pending", false)
        );
        assert_eq!(
            service("melting", false, None),
            out("instance is melting", false)
        );
    }

    #[test]
    fn a_group_has_a_say_over_running_instances_only() {
        let standby = Member {
            group: "g".to_owned(),
            out: Some("lifecycle state is Standby".to_owned()),
        };
        assert_eq!(service("running", false, None), Service::In);
        assert_eq!(
            service("running", false, Some(&standby)),
            out("lifecycle state is Standby", false)
        );
        assert_eq!(
            service("stopped", false, Some(&standby)),
            out("instance is stopped", true)
        );
    }
}
