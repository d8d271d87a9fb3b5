//! Tag values by number, so that a state of the world is small.

use std::collections::HashMap;

use crate::world::Val;

/// Every text that was ever written.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    all: Vec<String>,
    by_text: HashMap<String, Val>,
}

impl Texts {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> Val {
        if let Some(val) = self.by_text.get(text) {
            return *val;
        }
        self.all.push(text.to_owned());
        let val = Val::try_from(self.all.len()).expect("fewer than 2^32 texts");
        self.by_text.insert(text.to_owned(), val);
        val
    }

    /// The number of a text that was written.
    pub(crate) fn find(&self, text: &str) -> Option<Val> {
        self.by_text.get(text).copied()
    }

    /// The text of a number; `None` for no tag.
    pub(crate) fn text(&self, val: Val) -> Option<&str> {
        let index = usize::try_from(val).ok()?.checked_sub(1)?;
        self.all.get(index).map(String::as_str)
    }
}
