//! EC2: instances and tags.

mod filter;
mod instances;
mod tagging;

pub(crate) use tagging::done;

use std::time::Instant;

use super::call::{Answer, Refusal};
use super::query::Form;
use super::state::State;
use super::tags::View;

pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
/// A page at least and at most (API reference, `MaxResults`).
const PAGE: std::ops::RangeInclusive<usize> = 5..=1_000;

/// Whether a call goes by the larger of two token buckets: it is paginated or filtered.
pub(crate) fn is_narrowed(form: &Form) -> bool {
    ["MaxResults", "Filter.1.Name", "InstanceId.1"]
        .iter()
        .any(|name| form.get(name).is_some())
}

/// `stale`: reads show the tags as they were so long ago; otherwise as the settings have it.
pub(crate) fn answer(
    state: &mut State,
    action: &str,
    form: Form,
    stale: Option<std::time::Duration>,
    now: Instant,
) -> Result<Answer, Refusal> {
    match action {
        "DescribeInstances" => instances::describe(state, form, stale, now),
        "DescribeTags" => tagging::describe(state, form, stale, now),
        "CreateTags" => tagging::create(state, form, now),
        "DeleteTags" => tagging::delete(state, form, now),
        _ => Err(Refusal::new(
            "InvalidAction",
            format!("The test AWS has no EC2 action {action}"),
        )),
    }
}

/// How a read looks at tags.
fn view(
    lots: &mut super::lots::Lots,
    staleness: std::time::Duration,
    stale: Option<std::time::Duration>,
) -> View<'_> {
    match stale {
        Some(lag) => View::Back(lag),
        None if staleness.is_zero() => View::Fresh,
        None => View::Drawn(staleness, lots),
    }
}

/// `MaxResults` and `NextToken`.
fn paging(form: &mut Form) -> Result<(Option<usize>, Option<String>), Refusal> {
    let size = form.number("MaxResults")?;
    if let Some(size) = size.filter(|size| !PAGE.contains(size)) {
        let why = format!(
            "Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        );
        return Err(Refusal::new("InvalidParameterValue", why));
    }
    Ok((size, form.take("NextToken")))
}

/// "Common client error codes", API reference.
fn bad_token() -> Refusal {
    Refusal::new(
        "InvalidPaginationToken",
        "The specified pagination token is not valid or is expired.",
    )
}

/// What a dry run is answered that would have succeeded.
fn would_have() -> Refusal {
    Refusal::new(
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
    .with_status(412)
}

/// Refuses ids of instances that there are not.
fn known(state: &State, ids: &[String]) -> Result<(), Refusal> {
    let form = |id: &&String| {
        let digits = id.strip_prefix("i-").unwrap_or_default();
        matches!(digits.len(), 8 | 17) && digits.chars().all(|c| c.is_ascii_hexdigit())
    };
    if let Some(id) = ids.iter().find(|id| !form(id)) {
        let why = format!("Invalid id: \"{id}\"");
        return Err(Refusal::new("InvalidInstanceID.Malformed", why));
    }
    let missing: Vec<&str> = ids
        .iter()
        .filter(|id| state.fleet.get(id).is_none())
        .map(String::as_str)
        .collect();
    let why = match missing.as_slice() {
        [] => return Ok(()),
        [one] => format!("The instance ID '{one}' does not exist"),
        many => format!("The instance IDs '{}' do not exist", many.join(", ")),
    };
    Err(Refusal::new("InvalidInstanceID.NotFound", why))
}
