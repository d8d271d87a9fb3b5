//! Tag keys and values: which characters they may have, how long they may be, and the names that ours bear.
//!
//! EC2 allows 50 tags a resource (`aws:` ones not counted), keys of 127 characters and values of 256. Where
//! instance metadata exposes tags, keys have only letters, digits and `+ - = . , _ : @`. (EC2 user guide,
//! "Tag your Amazon EC2 resources".)

use std::collections::BTreeMap;
use std::fmt;

use crate::model::id::Name;

/// The tags of one node, as read.
pub type Tags = BTreeMap<String, String>;

/// The most characters of a key.
pub const KEY_MAX: usize = 127;
/// The most characters of a value.
pub const VALUE_MAX: usize = 256;
/// The most tags of a node, `aws:` ones not counted.
pub const TAGS_MAX: usize = 50;

/// A tag key that EC2 takes, also with tags in instance metadata.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagKey(String);

impl TagKey {
    /// Checks a key.
    ///
    /// # Errors
    /// When it is empty, too long, has a character that keys may not have, or begins with `aws:`.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        if text.is_empty() {
            return Err(BadKey::Empty);
        }
        if text
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
        {
            return Err(BadKey::Reserved);
        }
        if let Some(bad) = text.chars().find(|&c| !key_character(c)) {
            return Err(BadKey::Character(bad));
        }
        if text.len() > KEY_MAX {
            return Err(BadKey::Long(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no tag key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Nothing at all.
    #[error("a tag key needs at least one character")]
    Empty,
    /// AWS keeps `aws:` for itself.
    #[error("tag keys that begin with `aws:` belong to AWS")]
    Reserved,
    /// A character that keys may not have.
    #[error("a tag key has only letters, digits and `+ - = . , _ : @`, not {0:?}")]
    Character(char),
    /// Too many characters.
    #[error("a tag key has at most 127 characters, this one has {0}")]
    Long(usize),
}

fn key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '=' | '.' | ',' | '_' | ':' | '@')
}

/// Whether a value that we write may hold this character.
pub fn value_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
}

/// Makes any text fit for the last field of a value: other characters become `-`, runs of spaces one, and it is
/// cut to `max` characters.
pub fn clean_text(text: &str, max: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if value_character(c) {
                c
            } else if c.is_whitespace() {
                ' '
            } else {
                '-'
            }
        })
        .collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .chars()
        .take(max)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// Makes any text fit for the last field of a value of ours: as [`clean_text`], and without `=`, after which a reader
/// would take it for another field.
pub fn clean_last(text: &str, max: usize) -> String {
    clean_text(&text.replace('=', "-"), max)
}

/// Makes any text fit for a field that may not hold spaces.
pub fn clean_word(text: &str, max: usize) -> String {
    clean_text(text, max).replace([' ', '='], "-")
}

/// The keys that one job uses on its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The lease.
    pub lock: TagKey,
    /// When the task was last completed.
    pub last: TagKey,
    /// How long that took.
    pub took: TagKey,
    /// How it failed since.
    pub fail: TagKey,
    /// An operator's stop.
    pub hold: TagKey,
    prefix: String,
}

impl Keys {
    /// The keys of `task`, each after `prefix`; `last` instead of `<prefix>last-<task>` where a job adopts a tag.
    ///
    /// # Errors
    /// When the prefix makes a key that EC2 would refuse.
    pub fn new(prefix: &str, task: &Name, last: Option<&TagKey>) -> Result<Self, BadKey> {
        let key = |name: String| TagKey::new(&format!("{prefix}{name}"));
        Ok(Self {
            lock: key("lock".to_owned())?,
            last: match last {
                Some(last) => last.clone(),
                None => key(format!("last-{task}"))?,
            },
            took: key(format!("took-{task}"))?,
            fail: key(format!("fail-{task}"))?,
            hold: key("hold".to_owned())?,
            prefix: prefix.to_owned(),
        })
    }

    /// The key under which another task keeps its failures.
    ///
    /// # Errors
    /// When the key would be one that EC2 refuses.
    pub fn fail_of(&self, task: &Name) -> Result<TagKey, BadKey> {
        TagKey::new(&format!("{}fail-{task}", self.prefix))
    }

    /// The key under which another task keeps its last completion.
    ///
    /// # Errors
    /// When the key would be one that EC2 refuses.
    pub fn last_of(&self, task: &Name) -> Result<TagKey, BadKey> {
        TagKey::new(&format!("{}last-{task}", self.prefix))
    }
}

/// The key under which `probe` writes: nothing else reads or writes it.
///
/// # Errors
/// When the prefix makes a key that EC2 would refuse.
pub fn probe_key(prefix: &str) -> Result<TagKey, BadKey> {
    TagKey::new(&format!("{prefix}roundsman-probe"))
}

/// How many tags a node would have to gain before `needed` keys could all be there, beyond what it may have.
///
/// `aws:` tags are not counted by EC2. Zero: there is room.
pub fn tags_missing_room(tags: &Tags, needed: &[&TagKey]) -> usize {
    let present = tags.keys().filter(|key| !key.starts_with("aws:")).count();
    let new = needed
        .iter()
        .filter(|key| !tags.contains_key(key.as_str()))
        .count();
    (present + new).saturating_sub(TAGS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_ec2_would_refuse_are_refused_here() {
        assert_eq!(TagKey::new(""), Err(BadKey::Empty));
        assert_eq!(TagKey::new("last repaired"), Err(BadKey::Character(' ')));
        assert_eq!(TagKey::new("a/b"), Err(BadKey::Character('/')));
        assert_eq!(TagKey::new("AWS:x"), Err(BadKey::Reserved));
        assert_eq!(TagKey::new(&"k".repeat(128)), Err(BadKey::Long(128)));
        assert!(TagKey::new("roundsman:last-repair").is_ok());
    }

    #[test]
    fn a_prefix_stands_before_every_key_but_an_adopted_one() {
        let task = Name::new("repair").expect("a name");
        let last = TagKey::new("last-repaired").expect("a key");
        let keys = Keys::new("roundsman:", &task, Some(&last)).expect("keys");
        assert_eq!(keys.lock.as_str(), "roundsman:lock");
        assert_eq!(keys.fail.as_str(), "roundsman:fail-repair");
        assert_eq!(keys.last.as_str(), "last-repaired");
    }

    #[test]
    fn aws_tags_take_no_room() {
        let key = |n: usize| TagKey::new(&format!("k{n}")).expect("a key");
        let mut tags: Tags = (0..48).map(|n| (format!("k{n}"), String::new())).collect();
        tags.insert("aws:autoscaling:groupName".to_owned(), "g".to_owned());
        assert_eq!(
            tags_missing_room(&tags, &[&key(1), &key(100), &key(101)]),
            0
        );
        assert_eq!(
            tags_missing_room(&tags, &[&key(100), &key(101), &key(102)]),
            1
        );
    }

    #[test]
    fn any_text_becomes_a_value_that_ec2_takes() {
        assert_eq!(
            clean_text("disk\tfull; (see #12)  é", 40),
            "disk full- -see -12- -"
        );
        assert_eq!(clean_word("a b=c", 40), "a-b-c");
        assert_eq!(clean_text("abcdef", 3), "abc");
    }
}
