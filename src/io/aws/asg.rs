//! Auto Scaling groups: who belongs to them, and what they say of their members.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::Instance;

use crate::io::aws::client::Clients;
use crate::io::aws::error::Call;
use crate::model::id::NodeId;
use crate::port::{ErrorKind, PortError};

/// The most names in one call, and the most groups in one answer (API reference).
const PAGE: usize = 100;

/// A group's view of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The group.
    pub(super) group: String,
    /// Why it is out of service; `None`: in service and healthy.
    pub(super) out: Option<String>,
}

/// The members of groups, and which of the groups there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) known: BTreeSet<String>,
}

/// Reads groups by name. Names that there are no groups for are simply absent.
pub(super) async fn groups(clients: &Clients, names: &[String]) -> Result<Groups, PortError> {
    let mut groups = Groups::default();
    for chunk in names.chunks(PAGE) {
        let on = named(chunk);
        let mut pages = clients
            .asg
            .describe_auto_scaling_groups()
            .set_auto_scaling_group_names(Some(chunk.to_vec()))
            .into_paginator()
            .page_size(100)
            .items()
            .send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| {
                Call {
                    clients,
                    action: "autoscaling:DescribeAutoScalingGroups",
                    on: &on,
                }
                .failed(&error)
            })?;
            let name = group.auto_scaling_group_name().unwrap_or_default();
            groups.known.insert(name.to_owned());
            groups.members.extend(
                group
                    .instances()
                    .iter()
                    .filter_map(|each| member(name, each)),
            );
        }
    }
    Ok(groups)
}

/// The members of groups that must all exist.
pub(super) async fn members(
    clients: &Clients,
    names: &[String],
) -> Result<BTreeMap<NodeId, Member>, PortError> {
    let groups = groups(clients, names).await?;
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !groups.known.contains(*name))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(groups.members);
    }
    Err(PortError::new(
        ErrorKind::NotFound,
        format!("no {} in {}", named(&missing), clients.region),
    )
    .with_help("look at the spelling, the region and the account (`--region`, `--profile`)"))
}

fn named(names: &[String]) -> String {
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match list.as_slice() {
        [one] => format!("Auto Scaling group {one}"),
        many => format!("Auto Scaling groups {}", many.join(", ")),
    }
}

fn member(group: &str, instance: &Instance) -> Option<(NodeId, Member)> {
    let id = NodeId(instance.instance_id()?.to_owned());
    let lifecycle = instance
        .lifecycle_state()
        .map_or("unknown", |state| state.as_str());
    let health = instance.health_status().unwrap_or("unknown");
    // Auto Scaling writes `Healthy` and `HEALTHY`.
    let out = if lifecycle != "InService" {
        Some(format!("lifecycle state is {lifecycle}"))
    } else if !health.eq_ignore_ascii_case("healthy") {
        Some(format!("health status is {health}"))
    } else {
        None
    };
    let group = group.to_owned();
    Some((id, Member { group, out }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::LifecycleState;

    fn out(lifecycle: Option<&str>, health: Option<&str>) -> Option<String> {
        let instance = Instance::builder()
            .instance_id("i-1")
            .set_lifecycle_state(lifecycle.map(LifecycleState::from))
            .set_health_status(health.map(str::to_owned))
            .build();
        member("g", &instance).and_then(|(_, member)| member.out)
    }

    #[test]
    fn only_in_service_and_healthy_members_are_in_service() {
        assert_eq!(out(Some("InService"), Some("Healthy")), None);
        assert_eq!(out(Some("InService"), Some("HEALTHY")), None);
        assert_eq!(
            out(Some("InService"), Some("Unhealthy")).as_deref(),
            Some("health status is Unhealthy")
        );
        assert_eq!(
            out(Some("Standby"), Some("Healthy")).as_deref(),
            Some("lifecycle state is Standby")
        );
    }

    #[test]
    fn states_that_this_program_does_not_know_are_out_of_service() {
        assert_eq!(
            out(Some("Levitating"), Some("Healthy")).as_deref(),
            Some("lifecycle state is Levitating")
        );
        assert_eq!(
            out(None, Some("Healthy")).as_deref(),
            Some("lifecycle state is unknown")
        );
        assert_eq!(
            out(Some("InService"), None).as_deref(),
            Some("health status is unknown")
        );
    }

    #[test]
    fn every_missing_group_is_named() {
        assert_eq!(named(&["a".to_owned()]), "Auto Scaling group `a`");
        assert_eq!(
            named(&["a".to_owned(), "b".to_owned()]),
            "Auto Scaling groups `a`, `b`"
        );
    }
}
