//! `DescribeInstances`.

use std::time::{Duration, Instant};

use super::filter::{any, filters, unknown};
use super::{NAMESPACE, bad_token, known, paging, view};
use crate::test_aws::call::{Answer, Refusal};
use crate::test_aws::fleet::{ACCOUNT, Instance};
use crate::test_aws::page::page;
use crate::test_aws::query::Form;
use crate::test_aws::state::State;
use crate::test_aws::tags::Tags;
use crate::test_aws::xml::Xml;

/// An instance, and its tags as this read sees them.
type Seen<'s> = (&'s Instance, Tags);

pub(super) fn describe(
    state: &mut State,
    mut form: Form,
    stale: Option<Duration>,
    now: Instant,
) -> Result<Answer, Refusal> {
    let ids = form.list("InstanceId");
    let (size, token) = paging(&mut form)?;
    let filters = filters(&mut form)?;
    form.end()?;
    if !ids.is_empty() && size.is_some() {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    known(state, &ids)?;
    let size = state.pages.get("DescribeInstances").copied().or(size);
    let mut view = view(&mut state.lots, state.staleness, stale);
    let mut found = Vec::new();
    for instance in &state.fleet.instances {
        if !ids.is_empty() && !ids.contains(&instance.id) {
            continue;
        }
        let seen = (instance, state.tags.seen(&instance.id, now, &mut view));
        if meets(&seen, &filters)? {
            found.push(seen);
        }
    }
    let (found, next) = page("instances", found, token.as_deref(), size).ok_or_else(bad_token)?;
    let body = Xml::answer("DescribeInstances", NAMESPACE, |xml| {
        xml.text("requestId", "0f0f0f0f-1111-4222-8333-444444444444");
        let reservations: Vec<&[Seen<'_>]> = found
            .chunk_by(|one, other| one.0.reservation == other.0.reservation)
            .collect();
        xml.list("reservationSet", "item", reservations, |xml, seen| {
            xml.text("reservationId", &seen[0].0.reservation)
                .text("ownerId", ACCOUNT)
                .list("groupSet", "item", [(); 0], |_, ()| {})
                .list("instancesSet", "item", seen, instance);
        })
        .maybe("nextToken", next);
    });
    Ok(Answer::good(body))
}

fn meets((instance, tags): &Seen<'_>, filters: &[(String, Vec<String>)]) -> Result<bool, Refusal> {
    for (name, values) in filters {
        let met = if let Some(key) = name.strip_prefix("tag:") {
            tags.get(key).is_some_and(|value| any(values, value))
        } else {
            match name.as_str() {
                "tag-key" => tags.keys().any(|key| any(values, key)),
                "tag-value" => tags.values().any(|value| any(values, value)),
                "instance-id" => any(values, &instance.id),
                "instance-state-name" => any(values, &instance.state),
                "private-ip-address" => any(values, &instance.address),
                "availability-zone" => any(values, &instance.zone),
                _ => return Err(unknown(name)),
            }
        };
        if !met {
            return Ok(false);
        }
    }
    Ok(true)
}

fn instance(xml: &mut Xml, (instance, tags): &Seen<'_>) {
    let dashed = instance.address.replace('.', "-");
    xml.text("instanceId", &instance.id)
        .text("imageId", "ami-0f0f0f0f0f0f0f0f0")
        .within("instanceState", |xml| {
            xml.text("code", instance.state_code())
                .text("name", &instance.state);
        })
        .text(
            "privateDnsName",
            format!("ip-{dashed}.eu-west-1.compute.internal"),
        )
        .text("privateIpAddress", &instance.address)
        .text("instanceType", "t3.micro")
        .text(
            "launchTime",
            instance.launched.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        )
        .within("placement", |xml| {
            xml.text("availabilityZone", &instance.zone)
                .text("tenancy", "default");
        })
        .within("monitoring", |xml| {
            xml.text("state", "disabled");
        })
        .text("architecture", "x86_64");
    if let Some(reason) = &instance.reason {
        xml.within("stateReason", |xml| {
            xml.text("code", reason).text("message", reason);
        });
    }
    if !tags.is_empty() {
        xml.list("tagSet", "item", tags, |xml, (key, value)| {
            xml.text("key", key).text("value", value);
        });
    }
}
