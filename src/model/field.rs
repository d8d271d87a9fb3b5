//! The one grammar of our tag values: `v1 key=value key=value last=may hold spaces`.
//!
//! A value's first word is its version. Readers ignore fields that they do not know; a field twice, a missing one
//! or another version makes the value unreadable, and what is unreadable is never overwritten silently.

/// The fields of one value, in the order in which they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    /// Splits a `v1` value into its fields; `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix("v1")?;
        let mut fields: Vec<(&str, &str)> = Vec::new();
        while !rest.is_empty() {
            rest = rest.strip_prefix(' ')?;
            let (key, after) = rest.split_once('=')?;
            if !is_key(key) || fields.iter().any(|(known, _)| *known == key) {
                return None;
            }
            let end = next_field(after).unwrap_or(after.len());
            let (value, remaining) = after.split_at(end);
            // A space inside a value belongs to it only when it is the last one.
            if value.contains(' ') && !remaining.is_empty() {
                return None;
            }
            fields.push((key, value));
            rest = remaining;
        }
        Some(Self(fields))
    }

    /// The value of a field that must be there.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| *value)
    }

    /// A field that must be there, read as `T`.
    pub fn read<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }
}

/// Where the next ` key=` begins in `text`.
fn next_field(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(' ')?;
        let (key, _) = text.get(at + 1..)?.split_once('=')?;
        if is_key(key) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn is_key(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    !text.is_empty() && text.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_last_field_holds_spaces() {
        let fields = Fields::parse("v1 a=1 b= reason=disk was full").expect("fields");
        assert_eq!(
            (fields.get("a"), fields.get("b"), fields.get("reason")),
            (Some("1"), Some(""), Some("disk was full"))
        );
        assert_eq!(Fields::parse("v1 a=1 2 b=3"), None);
    }

    #[test]
    fn other_versions_doubles_and_bare_words_are_unreadable() {
        for text in [
            "",
            "v2 a=1",
            "v1a=1",
            "v1 a=1 a=2",
            "v1 word",
            "yes",
            "v1  a=1",
            "v1 =x",
        ] {
            assert_eq!(Fields::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = Fields::parse(&text);
        }
    }
}
