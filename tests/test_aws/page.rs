//! Pages: a part of a list, and a token for the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where the next page begins, in a form that nobody is tempted to read. It is good for the same action only.
fn token(action: &str, start: usize) -> String {
    STANDARD.encode(format!("{action} {start}"))
}

fn start(action: &str, token: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    text.strip_prefix(action)?.trim().parse().ok()
}

/// A page of at most `size` entries, and the token for the next one; `None`: the token is none of ours.
pub(crate) fn page<T>(
    action: &str,
    items: Vec<T>,
    from: Option<&str>,
    size: Option<usize>,
) -> Option<(Vec<T>, Option<String>)> {
    let first = match from {
        None | Some("") => 0,
        Some(from) => start(action, from)?,
    };
    let all = items.len();
    let size = size.unwrap_or(all).max(1);
    let page: Vec<T> = items.into_iter().skip(first).take(size).collect();
    let end = first + page.len();
    Some((page, (end < all).then(|| token(action, end))))
}
