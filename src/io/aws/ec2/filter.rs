//! Filters: what narrows an answer of EC2, and the rule by which it is judged again here.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;

use crate::model::tag::Tags;

/// The most values of one filter (EC2 user guide, "Filtering").
pub(super) const FILTER_VALUES: usize = 200;
/// The most tag filters that are sent; EC2 takes 50 filters a call, and two are ours.
const TAG_FILTERS: usize = 40;

/// Whether an instance has, for every key, one of its values.
pub(in crate::io::aws) fn matches(tags: &Tags, wanted: &BTreeMap<String, Vec<String>>) -> bool {
    wanted
        .iter()
        .all(|(key, values)| tags.get(key).is_some_and(|value| values.contains(value)))
}

pub(super) fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().map(str::to_owned).collect()))
        .build()
}

/// Filters that narrow the answer. What they let through is judged again by [`matches`], so that they may be fewer
/// or wider than the selector where EC2 has no room for all of it.
pub(super) fn tag_filters(tags: &BTreeMap<String, Vec<String>>) -> Vec<Filter> {
    tags.iter()
        .take(TAG_FILTERS)
        .map(|(key, values)| {
            if values.len() > FILTER_VALUES {
                return filter("tag-key", [literal(key).as_str()]);
            }
            let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
            filter(&format!("tag:{key}"), values.iter().map(String::as_str))
        })
        .collect()
}

/// A text that a filter takes literally: `*` and `?` are wildcards there, `\` takes that from them.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(key: &str, values: &[&str]) -> BTreeMap<String, Vec<String>> {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        BTreeMap::from([(key.to_owned(), values)])
    }

    #[test]
    fn a_list_of_values_means_any_of_them_and_no_wildcards() {
        let tags: Tags = [("env".to_owned(), "prod".to_owned())].into();
        assert!(matches(&tags, &wanted("env", &["canary", "prod"])));
        assert!(!matches(&tags, &wanted("env", &["pro*"])));
        assert!(!matches(&tags, &wanted("role", &["prod"])));
    }

    #[test]
    fn wildcards_in_values_are_escaped() {
        let filters = tag_filters(&wanted("name", &["a*b?c\\d"]));
        assert_eq!(filters[0].name(), Some("tag:name"));
        assert_eq!(filters[0].values(), ["a\\*b\\?c\\\\d"]);
    }

    #[test]
    fn more_values_than_a_filter_takes_become_a_wider_filter() {
        let many: Vec<String> = (0..=FILTER_VALUES).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let filters = tag_filters(&wanted("name", &many));
        assert_eq!(
            (filters[0].name(), filters[0].values()),
            (Some("tag-key"), &["name".to_owned()][..])
        );
    }
}
