//! Which nodes' SSM agents answer.

use std::collections::BTreeSet;

use aws_sdk_ssm::types::{InstanceInformationStringFilter, PingStatus};

use crate::io::aws::client::Clients;
use crate::io::aws::error::Call;
use crate::io::aws::ssm::not_built;
use crate::model::id::NodeId;
use crate::port::PortError;

/// The most ids in one filter, and the most entries in one answer (API reference: 50).
const PAGE: usize = 50;

/// The nodes whose agent answered lately. A node that SSM does not know is not among them.
///
/// Costs one call for every 50 nodes. The answer can be five minutes old: an agent pings that often.
pub(super) async fn online(
    clients: &Clients,
    nodes: &[NodeId],
) -> Result<BTreeSet<NodeId>, PortError> {
    let call = Call {
        clients,
        action: "ssm:DescribeInstanceInformation",
        on: "the fleet",
    };
    let mut online = BTreeSet::new();
    for chunk in nodes.chunks(PAGE) {
        let ids: Vec<String> = chunk.iter().map(|id| id.0.clone()).collect();
        let filter = InstanceInformationStringFilter::builder()
            .key("InstanceIds")
            .set_values(Some(ids))
            .build()
            .map_err(|error| not_built(&error))?;
        let mut pages = clients
            .ssm
            .describe_instance_information()
            .filters(filter)
            .into_paginator()
            .page_size(50)
            .items()
            .send();
        while let Some(information) = pages.next().await {
            let information = information.map_err(|error| call.failed(&error))?;
            if information.ping_status() == Some(&PingStatus::Online) {
                online.extend(information.instance_id().map(|id| NodeId(id.to_owned())));
            }
        }
    }
    Ok(online)
}
