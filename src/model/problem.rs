//! Mistakes in what people write, as values: where, what, and what would be right.

use std::ops::Range;

/// One mistake in a text: a job file, a settings file, a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The offending bytes of the text; `None` when the mistake is that something is not there at all.
    pub span: Option<Range<usize>>,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// A mistake that no single place in the text has.
    pub fn general(message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            span: None,
            message: message.into(),
            help,
        }
    }
}

/// The known word that was probably meant by `word`; `None` when nothing comes near.
///
/// Case, `_` and `-` make no difference. A third of the letters may differ, and a word may be a part of the known
/// one (`groups` for `auto-scaling-groups`).
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter_map(|known| Some((distance(&word, known, most)?, known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Whether `word` is `known` but for one letter, case, or `_` for `-`.
pub fn nearly(word: &str, known: &str) -> bool {
    strsim::osa_distance(&plain(word), &plain(known)) <= 1
}

fn distance(word: &str, known: &str, most: usize) -> Option<usize> {
    let known = plain(known);
    let letters = strsim::osa_distance(word, &known);
    // Two words of one or two letters are always near each other, which says nothing.
    if letters <= most && letters < known.chars().count().min(word.chars().count()).max(1) {
        return Some(letters);
    }
    let part = word.len() >= 4 && known.split('-').any(|part| part.starts_with(word));
    part.then_some(most + 1)
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_one_that_was_meant() {
        let known = ["every", "auto-scaling-groups", "tags", "task", "on"];
        let table = [
            ("evrey", Some("every")),
            ("Every", Some("every")),
            ("auto_scaling_groups", Some("auto-scaling-groups")),
            ("group", Some("auto-scaling-groups")),
            ("groups", Some("auto-scaling-groups")),
            ("tag", Some("tags")),
            ("command", None),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
