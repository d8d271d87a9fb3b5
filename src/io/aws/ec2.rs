//! EC2: instances and their tags.
//!
//! Reads are eventually consistent with no stated bound; `CreateTags` overwrites without a condition. What that
//! means for claims is the protocol's affair; here a read is a read and a write is one attempt.

mod filter;

use std::collections::BTreeMap;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{Filter, Instance, Reservation, Tag, TagDescription};

use crate::io::aws::client::{Clients, ec2_once};
pub(super) use crate::io::aws::ec2::filter::matches;
use crate::io::aws::ec2::filter::{FILTER_VALUES, filter, tag_filters};
use crate::io::aws::error::Call;
use crate::model::id::NodeId;
use crate::model::tag::{TagKey, Tags};
use crate::port::{PortError, Put, WriteError};

/// The most entries in one answer.
const PAGE: i32 = 1_000;

/// What EC2 answers to a dry run that would have succeeded.
const WOULD_HAVE: &str = "DryRunOperation";

/// Instances that are not terminated or going to be, by id, by tags, or by both.
///
/// By an `instance-id` filter, never by `InstanceIds`: one unknown id there fails the whole call.
pub(super) async fn instances(
    clients: &Clients,
    ids: Option<&[NodeId]>,
    tags: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<Instance>, PortError> {
    let chunks: Vec<Option<&[NodeId]>> = match ids {
        None => vec![None],
        Some(ids) => ids.chunks(FILTER_VALUES).map(Some).collect(),
    };
    let mut found = Vec::new();
    for chunk in chunks {
        let mut filters = tag_filters(tags);
        filters.extend(chunk.map(|ids| filter("instance-id", ids.iter().map(NodeId::as_str))));
        found.extend(described(clients, filters).await?);
    }
    Ok(found)
}

/// Instances that are not terminated or going to be, by their private address.
pub(super) async fn at_address(
    clients: &Clients,
    address: &str,
) -> Result<Vec<Instance>, PortError> {
    described(clients, vec![filter("private-ip-address", [address])]).await
}

/// All pages of one question.
async fn described(
    clients: &Clients,
    mut filters: Vec<Filter>,
) -> Result<Vec<Instance>, PortError> {
    filters.push(filter(
        "instance-state-name",
        ["pending", "running", "stopping", "stopped"],
    ));
    let reservations = reservations(clients, filters).await?;
    Ok(reservations
        .into_iter()
        .flat_map(|reservation| reservation.instances.unwrap_or_default())
        .collect())
}

/// The account that an instance belongs to, where EC2 says so.
pub(super) async fn account(clients: &Clients, node: &NodeId) -> Result<Option<String>, PortError> {
    let filters = vec![filter("instance-id", [node.as_str()])];
    let reservations = reservations(clients, filters).await?;
    Ok(reservations
        .into_iter()
        .find_map(|reservation| reservation.owner_id))
}

async fn reservations(
    clients: &Clients,
    filters: Vec<Filter>,
) -> Result<Vec<Reservation>, PortError> {
    let mut found = Vec::new();
    let mut pages = clients
        .ec2
        .describe_instances()
        .set_filters(Some(filters))
        .into_paginator()
        .page_size(PAGE)
        .send();
    while let Some(page) = pages.next().await {
        let call = Call {
            clients,
            action: "ec2:DescribeInstances",
            on: "the fleet",
        };
        let page = page.map_err(|error| call.failed(&error))?;
        found.extend(page.reservations.unwrap_or_default());
    }
    Ok(found)
}

/// One key of some instances.
pub(super) async fn tag_of(
    clients: &Clients,
    nodes: &[NodeId],
    key: &TagKey,
) -> Result<BTreeMap<NodeId, String>, PortError> {
    let mut values = BTreeMap::new();
    for chunk in nodes.chunks(FILTER_VALUES) {
        let on = match chunk {
            [one] => one.to_string(),
            many => format!("{} instances", many.len()),
        };
        let tags = describe_tags(clients, chunk, Some(key), &on).await?;
        values.extend(tags.into_iter().filter_map(|tag| {
            let same = tag.key.as_deref() == Some(key.as_str());
            let id = tag.resource_id.filter(|_| same)?;
            Some((NodeId(id), tag.value.unwrap_or_default()))
        }));
    }
    Ok(values)
}

/// All tags of one instance.
pub(super) async fn tags_of(clients: &Clients, node: &NodeId) -> Result<Tags, PortError> {
    let tags = describe_tags(clients, std::slice::from_ref(node), None, node.as_str()).await?;
    Ok(tags
        .into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .collect())
}

async fn describe_tags(
    clients: &Clients,
    nodes: &[NodeId],
    key: Option<&TagKey>,
    on: &str,
) -> Result<Vec<TagDescription>, PortError> {
    let mut filters = vec![
        filter("resource-type", ["instance"]),
        filter("resource-id", nodes.iter().map(NodeId::as_str)),
    ];
    filters.extend(key.map(|key| filter("key", [key.as_str()])));
    let mut pages = clients
        .ec2
        .describe_tags()
        .set_filters(Some(filters))
        .into_paginator()
        .page_size(PAGE)
        .items()
        .send();
    let mut tags = Vec::new();
    while let Some(tag) = pages.next().await {
        tags.push(tag.map_err(|error| {
            Call {
                clients,
                action: "ec2:DescribeTags",
                on,
            }
            .failed(&error)
        })?);
    }
    Ok(tags)
}

/// Writes tags: one call, one attempt.
pub(super) async fn create_tags(
    clients: &Clients,
    node: &NodeId,
    put: &Put,
) -> Result<(), WriteError> {
    clients
        .ec2
        .create_tags()
        .resources(node.as_str())
        .set_tags(Some(pairs(put)))
        .customize()
        .config_override(ec2_once())
        .send()
        .await
        .map(|_| ())
        .map_err(|error| {
            Call {
                clients,
                action: "ec2:CreateTags",
                on: node.as_str(),
            }
            .not_written(&error)
        })
}

/// Deletes tags that have exactly these values: one call, one attempt.
///
/// A call without tags would delete every tag of the instance; [`Put`] is never empty, and every pair has a value.
pub(super) async fn delete_tags(
    clients: &Clients,
    node: &NodeId,
    put: &Put,
) -> Result<(), WriteError> {
    clients
        .ec2
        .delete_tags()
        .resources(node.as_str())
        .set_tags(Some(pairs(put)))
        .customize()
        .config_override(ec2_once())
        .send()
        .await
        .map(|_| ())
        .map_err(|error| {
            Call {
                clients,
                action: "ec2:DeleteTags",
                on: node.as_str(),
            }
            .not_written(&error)
        })
}

/// Asks whether tags could be written and deleted, without doing either: `DryRun`.
pub(super) async fn may_tag(clients: &Clients, node: &NodeId, put: &Put) -> Result<(), PortError> {
    let call = |action| Call {
        clients,
        action,
        on: node.as_str(),
    };
    let create = clients
        .ec2
        .create_tags()
        .resources(node.as_str())
        .dry_run(true);
    if let Err(error) = create.set_tags(Some(pairs(put))).send().await
        && error.code() != Some(WOULD_HAVE)
    {
        return Err(call("ec2:CreateTags").failed(&error));
    }
    let delete = clients
        .ec2
        .delete_tags()
        .resources(node.as_str())
        .dry_run(true);
    if let Err(error) = delete.set_tags(Some(pairs(put))).send().await
        && error.code() != Some(WOULD_HAVE)
    {
        return Err(call("ec2:DeleteTags").failed(&error));
    }
    Ok(())
}

fn pairs(put: &Put) -> Vec<Tag> {
    put.iter()
        .map(|(key, value)| Tag::builder().key(key.as_str()).value(value).build())
        .collect()
}
