//! Values that several tables have: durations, and the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::document::field::SpanText;
use crate::model::document::{At, Field};
use crate::model::job::file::Check;
use crate::model::span::parse_span;

/// The longest duration that makes sense anywhere: a hundred years. Sums with it still fit all our clocks.
const SPAN_MAX: Duration = Duration::from_secs(100 * 31_557_600);

impl Check<'_, '_> {
    pub(super) fn env(
        &mut self,
        field: &Field<BTreeMap<At<String>, Field<String>>>,
    ) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (name, value) in self
            .found
            .get(field)
            .map(|env| &env.value)
            .into_iter()
            .flatten()
        {
            let word = name.value.as_str();
            let mut letters = word.chars();
            let fits = letters
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !fits {
                self.found.error(
                    &name.span,
                    format!("`{}` is no name of a variable", word.escape_debug()),
                    "a name has letters, digits and `_`, and does not begin with a digit",
                );
            } else if word.starts_with("ROUNDSMAN_") {
                self.found.error(
                    &name.span,
                    format!(
                        "`{word}` is not yours to set: roundsman sets what begins with `ROUNDSMAN_`"
                    ),
                    "give it another name",
                );
            }
            let Some(value) = self.found.get(value) else {
                continue;
            };
            if value.value.contains('\0') {
                self.found.error(
                    &value.span,
                    format!("the value of `{word}` holds a NUL character, which no variable can"),
                    "",
                );
            }
            env.insert(word.to_owned(), value.value.clone());
        }
        env
    }

    /// A duration that is at least a second and not absurd; `None` when it is not there or not one.
    pub(super) fn duration(&mut self, key: &str, field: &Field<SpanText>) -> Option<At<Duration>> {
        let text = self.found.get(field)?;
        self.span(key, text)
    }

    pub(super) fn span(&mut self, key: &str, text: &At<SpanText>) -> Option<At<Duration>> {
        let span = match parse_span(&text.value.0) {
            Ok(span) => span,
            Err(message) => {
                self.found.error(&text.span, message, "");
                return None;
            }
        };
        let message = if span.is_zero() {
            format!("`{key}` must be above zero")
        } else if span < Duration::from_secs(1) {
            format!("`{key}` must be at least a second")
        } else if span > SPAN_MAX {
            format!("`{key}` must be at most 100 years")
        } else {
            return Some(text.with(span));
        };
        self.found.error(&text.span, message, "");
        None
    }
}
