//! What a text must be to be a setting.

use crate::model::tag::TagKey;

/// Why a text cannot be a value, and what would be right.
pub(super) type Bad = Option<(String, &'static str)>;

pub(super) fn bad_prefix(prefix: &str) -> Bad {
    if prefix.is_empty() {
        return None;
    }
    // The shortest key that it would make.
    TagKey::new(&format!("{prefix}lock")).err().map(|bad| {
        (
            format!("`{}` begins no tag key: {bad}", prefix.escape_debug()),
            "",
        )
    })
}

pub(super) fn bad_region(region: &str) -> Bad {
    let help = "a region is called like `eu-west-1`";
    let letters = region
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if region.is_empty() || !letters || !region.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some((format!("`{}` is no region", region.escape_debug()), help));
    }
    let zone = region.strip_suffix(|c: char| c.is_ascii_lowercase());
    if zone.is_some_and(|zone| zone.ends_with(|c: char| c.is_ascii_digit()) && zone.contains('-')) {
        return Some((
            format!("`{region}` is an availability zone, not a region"),
            "leave out the last letter",
        ));
    }
    None
}

pub(super) fn bad_document(document: &str) -> Bad {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-');
    let good = document.chars().all(letter) && (3..=200).contains(&document.len());
    (!good).then(|| {
        (
            format!("`{}` is no name of an SSM document", document.escape_debug()),
            "it has 3 to 200 letters, digits and `_ - . : /`, such as `AWS-RunShellScript` or an ARN",
        )
    })
}

pub(super) fn bad_endpoint(endpoint: &str) -> Bad {
    let host = endpoint
        .strip_prefix("http://")
        .or_else(|| endpoint.strip_prefix("https://"));
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let good =
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(odd));
    (!good).then(|| {
        (
            format!("`{}` is no endpoint", endpoint.escape_debug()),
            "write it with its scheme, such as `http://127.0.0.1:5000`",
        )
    })
}

/// Why a text cannot be a node's id. It is a directory's name too (`<store>.d/<node>`).
pub(super) fn bad_id(id: &str) -> Option<String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '@');
    if id.is_empty() {
        Some("a node's id is empty".to_owned())
    } else if id.len() > 128 {
        Some("a node's id has at most 128 characters".to_owned())
    } else if let Some(bad) = id.chars().find(|c| !letter(*c)) {
        Some(format!(
            "a node's id has only letters, digits and `. _ - : @`, not {bad:?}"
        ))
    } else if id.starts_with(['-', '.']) {
        Some("a node's id begins with neither `-` nor `.`".to_owned())
    } else {
        None
    }
}
