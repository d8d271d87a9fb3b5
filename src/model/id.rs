//! Identities: nodes, runs, claims, and the names that people give.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

/// A node's id: an EC2 instance id, or the `id` of a local inventory's entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub String);

impl NodeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// Makes an id from a time (milliseconds of the epoch) and 80 bits of randomness.
            pub fn new(epoch_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(epoch_ms, random & ((1 << 80) - 1)))
            }

            /// The time that went into the id, in milliseconds of the epoch.
            pub fn epoch_ms(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// The id that follows this one; `None` after the last there is.
            pub fn next(self) -> Option<Self> {
                self.0.0.checked_add(1).map(|id| Self(Ulid(id)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let ulid = Ulid::from_string(text).map_err(|_| NotAnId)?;
                // One id, one spelling: a tag value is compared letter by letter.
                if ulid.to_string() == text { Ok(Self(ulid)) } else { Err(NotAnId) }
            }
        }
    };
}

ulid_id! {
    /// One execution of a job's steps on one node, from first claim to commit; it stays through adoptions.
    RunId
}

ulid_id! {
    /// One taking of a node. Ids order the fence: a later claim has a higher id.
    ClaimId
}
ulid_id! {
    /// One invocation of `probe`.
    ProbeId
}

impl RunId {
    /// When the run began, from its id (milliseconds of the epoch).
    pub fn began_ms(self) -> u64 {
        self.epoch_ms()
    }
}

/// A text that is no id in its one spelling (26 characters of Crockford's base 32, upper case).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ULID")]
pub struct NotAnId;

/// The name of a job or a task: 1 to 40 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The most characters a name may have.
    pub const MAX: usize = 40;

    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, longer than [`Name::MAX`], or holds another character.
    pub fn new(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if let Some(bad) = text
            .chars()
            .find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
        {
            return Err(BadName::Character(bad));
        }
        if text.len() > Self::MAX {
            return Err(BadName::Long(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing at all.
    #[error("a name needs at least one character")]
    Empty,
    /// A character that names do not have.
    #[error("a name has only letters, digits, `.`, `_` and `-`, not {0:?}")]
    Character(char),
    /// Too many characters.
    #[error("a name has at most 40 characters, this one has {0}")]
    Long(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling_and_rise_with_time() {
        let early = ClaimId::new(1_000, u128::MAX);
        let late = ClaimId::new(1_001, 0);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<ClaimId>(), Ok(early));
        assert!(early.to_string().to_lowercase().parse::<ClaimId>().is_err());
        assert_eq!(early.epoch_ms(), 1_000);
        assert!(early.next() > Some(early));
    }

    #[test]
    fn names_are_refused_with_the_reason() {
        assert_eq!(Name::new(""), Err(BadName::Empty));
        assert_eq!(Name::new("a b"), Err(BadName::Character(' ')));
        assert_eq!(Name::new(&"x".repeat(41)), Err(BadName::Long(41)));
        assert!(Name::new(&"x".repeat(40)).is_ok());
    }
}
