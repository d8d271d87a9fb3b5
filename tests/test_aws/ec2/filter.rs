//! Filters: every one must be met, by any of its values, in which `*` and `?` are wildcards.

use crate::test_aws::call::Refusal;
use crate::test_aws::query::Form;

/// The most filters of a call, and the most values of one (EC2 user guide, "Filtering").
const FILTERS: usize = 50;
const VALUES: usize = 200;

/// The filters of a call: names and values.
pub(super) fn filters(form: &mut Form) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    let found: Vec<(String, Vec<String>)> = form
        .items("Filter", &["Name", "Value"])
        .iter()
        .map(|item| (item.one("Name").unwrap_or_default(), item.all("Value")))
        .collect();
    if found.len() > FILTERS || found.iter().any(|(_, values)| values.len() > VALUES) {
        return Err(Refusal::new(
            "FilterLimitExceeded",
            "The maximum number of filters or filter values has been exceeded",
        ));
    }
    Ok(found)
}

pub(super) fn unknown(name: &str) -> Refusal {
    Refusal::new(
        "InvalidParameterValue",
        format!("The filter '{name}' is invalid"),
    )
}

/// Whether any of the values matches the text.
pub(super) fn any(values: &[String], text: &str) -> bool {
    values.iter().any(|value| matches(value, text))
}

/// Whether a pattern matches all of a text: `*` any characters, `?` one, `\` takes that from the next one.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    rest(&pattern, &text)
}

fn rest(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        (['*', after @ ..], _) => (0..=text.len()).any(|skip| rest(after, &text[skip..])),
        (['?', after @ ..], [_, more @ ..]) => rest(after, more),
        (['\\', wanted, after @ ..] | [wanted, after @ ..], [c, more @ ..]) => {
            wanted == c && rest(after, more)
        }
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_and_escaped_ones_do_not() {
        for (pattern, text, is) in [
            ("prod", "prod", true),
            ("prod", "production", false),
            ("prod*", "production", true),
            ("*", "", true),
            ("p?od", "prod", true),
            ("p?od", "pod", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("Prod", "prod", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
