//! `DescribeTags`, `CreateTags`, `DeleteTags`.

use std::time::{Duration, Instant};

use super::filter::{any, filters, unknown};
use super::{NAMESPACE, bad_token, known, paging, view, would_have};
use crate::test_aws::call::{Answer, Refusal};
use crate::test_aws::page::page;
use crate::test_aws::query::Form;
use crate::test_aws::state::State;
use crate::test_aws::xml::Xml;

/// Tags of a resource, `aws:` ones not counted; characters of a key and of a value; resources of one call (EC2 user
/// guide, "Tag restrictions"; API reference, `CreateTags`).
const TAGS: usize = 50;
const KEY: usize = 127;
const VALUE: usize = 256;
const RESOURCES: usize = 1_000;

pub(super) fn describe(
    state: &mut State,
    mut form: Form,
    stale: Option<Duration>,
    now: Instant,
) -> Result<Answer, Refusal> {
    let (size, token) = paging(&mut form)?;
    let filters = filters(&mut form)?;
    form.end()?;
    let size = state.pages.get("DescribeTags").copied().or(size);
    let mut view = view(&mut state.lots, state.staleness, stale);
    let mut found = Vec::new();
    for instance in &state.fleet.instances {
        let id = &instance.id;
        if !meets(&filters, "resource-id", id)? || !meets(&filters, "resource-type", "instance")? {
            continue;
        }
        for (key, value) in state.tags.seen(id, now, &mut view) {
            if meets(&filters, "key", &key)?
                && meets(&filters, "value", &value)?
                && tag_filters_meet(&filters, &key, &value)
            {
                found.push((id, key, value));
            }
        }
    }
    let (found, next) = page("tags", found, token.as_deref(), size).ok_or_else(bad_token)?;
    let body = Xml::answer("DescribeTags", NAMESPACE, |xml| {
        xml.text("requestId", "0f0f0f0f-1111-4222-8333-444444444444")
            .list("tagSet", "item", found, |xml, (id, key, value)| {
                xml.text("resourceId", id)
                    .text("resourceType", "instance")
                    .text("key", key)
                    .text("value", value);
            })
            .maybe("nextToken", next);
    });
    Ok(Answer::good(body))
}

/// Whether every filter of this name is met.
fn meets(filters: &[(String, Vec<String>)], name: &str, text: &str) -> Result<bool, Refusal> {
    for (each, values) in filters {
        let known = matches!(
            each.as_str(),
            "resource-id" | "resource-type" | "key" | "value"
        ) || each.starts_with("tag:");
        if !known {
            return Err(unknown(each));
        }
        if each == name && !any(values, text) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `tag:<key>` is "the key/value combination of the tag" itself (API reference, `DescribeTags`).
fn tag_filters_meet(filters: &[(String, Vec<String>)], key: &str, value: &str) -> bool {
    filters.iter().all(|(name, values)| {
        name.strip_prefix("tag:")
            .is_none_or(|wanted| wanted == key && any(values, value))
    })
}

/// What a write asks for: resources, keys with values where they are given, and whether it is to be done.
struct Write {
    resources: Vec<String>,
    tags: Vec<(String, Option<String>)>,
    dry: bool,
}

impl Write {
    fn read(state: &State, mut form: Form) -> Result<Self, Refusal> {
        let resources = form.list("ResourceId");
        let tags: Vec<(String, Option<String>)> = form
            .items("Tag", &["Key", "Value"])
            .iter()
            .map(|item| (item.one("Key").unwrap_or_default(), item.one("Value")))
            .collect();
        let dry = form.flag("DryRun");
        form.end()?;
        if resources.is_empty() {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain the parameter resourceIdSet",
            ));
        }
        let invalid = |why: String| Err(Refusal::new("InvalidParameterValue", why));
        if resources.len() > RESOURCES {
            return invalid(format!("more than {RESOURCES} resources"));
        }
        for (key, value) in &tags {
            if key.is_empty() {
                return invalid("Tag key cannot be empty".to_owned());
            }
            if key.chars().count() > KEY {
                return invalid(format!(
                    "Tag key exceeds the maximum length of {KEY} characters"
                ));
            }
            if value
                .as_ref()
                .is_some_and(|value| value.chars().count() > VALUE)
            {
                return invalid(format!(
                    "Tag value exceeds the maximum length of {VALUE} characters"
                ));
            }
            if key.to_ascii_lowercase().starts_with("aws:") {
                return invalid(
                    "Tag keys starting with 'aws:' are reserved for internal use".to_owned(),
                );
            }
        }
        known(state, &resources)?;
        Ok(Self {
            resources,
            tags,
            dry,
        })
    }
}

pub(super) fn create(state: &mut State, form: Form, now: Instant) -> Result<Answer, Refusal> {
    let write = Write::read(state, form)?;
    if write.tags.is_empty() {
        return Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter Tag",
        ));
    }
    for resource in &write.resources {
        let mut tags = state.tags.now(resource, now);
        tags.extend(
            write
                .tags
                .iter()
                .map(|(key, _)| (key.clone(), String::new())),
        );
        if tags.keys().filter(|key| !key.starts_with("aws:")).count() > TAGS {
            return Err(Refusal::new(
                "TagLimitExceeded",
                format!("The maximum number of Tags for a resource has been reached: {TAGS}"),
            ));
        }
    }
    if write.dry {
        return Err(would_have());
    }
    for resource in &write.resources {
        for (key, value) in &write.tags {
            let value = value.as_deref().unwrap_or_default();
            state.tags.put(resource, key, Some(value), now);
        }
    }
    Ok(done("CreateTags"))
}

/// A key with a value goes only where it has that value; without tags all go, but those of AWS.
pub(super) fn delete(state: &mut State, form: Form, now: Instant) -> Result<Answer, Refusal> {
    let write = Write::read(state, form)?;
    if write.dry {
        return Err(would_have());
    }
    for resource in &write.resources {
        for (key, value) in state.tags.now(resource, now) {
            let named = write.tags.iter().any(|(wanted, only)| {
                *wanted == key && only.as_ref().is_none_or(|only| *only == value)
            });
            if (named || write.tags.is_empty()) && !key.starts_with("aws:") {
                state.tags.put(resource, &key, None, now);
            }
        }
    }
    Ok(done("DeleteTags"))
}

/// The answer to a write, which says nothing of what it found.
pub(crate) fn done(action: &str) -> Answer {
    Answer::good(Xml::answer(action, NAMESPACE, |xml| {
        xml.text("requestId", "0f0f0f0f-1111-4222-8333-444444444444")
            .text("return", true);
    }))
}
