//! Leaves out of a text what would keep the parser from reading the rest of it.
//!
//! The parser recovers from many mistakes, but after a key without a value it reads nothing more, and after a bracket
//! or a quote that is not closed it takes what follows for something else. Such lines become spaces, so that all else
//! keeps its place, and the text is parsed again.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Error};

use crate::model::document::Findings;

/// How often the text is parsed anew at most. One round finds most; lines left out can bring others to light, and
/// somewhere it has to end.
const ROUNDS: usize = 16;

/// The text in which every line that cannot be read is blank; what is wrong with them goes into `findings`.
pub(super) fn readable(findings: &mut Findings) -> String {
    let mut text = findings.text().to_owned();
    for _ in 0..ROUNDS {
        let (document, errors) = DeTable::parse_recoverable(&text);
        if let Some((bracket, from)) = unclosed(document.get_ref(), &errors, &text) {
            findings.unclosed(bracket, from..next_entry(&text, from));
        } else {
            let stops: Vec<Error> = errors.into_iter().filter(stops).collect();
            if stops.is_empty() {
                break;
            }
            findings.syntax(&stops, true);
        }
        for span in findings.unsure() {
            blank(&mut text, span);
        }
    }
    text
}

/// Whether what stands behind this error is lost or misread.
fn stops(error: &Error) -> bool {
    [
        "key with no value",
        "unclosed table",
        "unclosed array table",
        "invalid basic string",
        "invalid literal string",
    ]
    .iter()
    .any(|start| error.message().starts_with(start))
}

/// The first bracket that is not closed, and where it stands.
fn unclosed(document: &DeTable<'_>, errors: &[Error], text: &str) -> Option<(char, usize)> {
    // A quote that is not closed hides brackets behind it: first the quotes.
    if errors.iter().any(stops) {
        return None;
    }
    errors
        .iter()
        .filter(|error| {
            let message = error.message();
            (message.starts_with("unclosed array,") || message == "unclosed array")
                || message.starts_with("unclosed inline table")
        })
        .filter_map(|error| in_table(document, error.span()?.start, text))
        .min_by_key(|(_, at)| *at)
}

fn in_table(table: &DeTable<'_>, at: usize, text: &str) -> Option<(char, usize)> {
    table.values().find_map(|value| in_value(value, at, text))
}

fn in_list(list: &DeArray<'_>, at: usize, text: &str) -> Option<(char, usize)> {
    list.iter().find_map(|value| in_value(value, at, text))
}

/// The outermost bracket of `value` that is still open at byte `at`.
fn in_value(value: &Spanned<DeValue<'_>>, at: usize, text: &str) -> Option<(char, usize)> {
    let span = value.span();
    let first = text.get(span.clone()).and_then(|raw| raw.chars().next());
    let reaches = span.start < at && at <= span.end;
    match (value.get_ref(), first) {
        (DeValue::Array(_), Some('[')) | (DeValue::Table(_), Some('{')) if reaches => {
            first.map(|bracket| (bracket, span.start))
        }
        (DeValue::Array(list), _) => in_list(list, at, text),
        (DeValue::Table(table), _) => in_table(table, at, text),
        _ => None,
    }
}

/// Where the line before the next key or table ends, as seen from byte `from`.
fn next_entry(text: &str, from: usize) -> usize {
    let mut end = from;
    for (number, line) in text
        .get(from..)
        .unwrap_or_default()
        .split_inclusive('\n')
        .enumerate()
    {
        if number > 0 && (begins_table(line) || begins_entry(line)) {
            break;
        }
        end += line.len();
    }
    // The line's own end is not part of it.
    let taken = text.get(from..end).unwrap_or_default();
    from + taken.trim_end_matches(['\n', '\r']).len()
}

fn begins_table(line: &str) -> bool {
    let line = line.trim();
    let header = line
        .strip_prefix("[[")
        .and_then(|rest| rest.strip_suffix("]]"))
        .or_else(|| {
            line.strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
        });
    header.is_some_and(|header| {
        !header.is_empty() && header.chars().all(|c| key_letter(c) || c == '.')
    })
}

fn begins_entry(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        !key.is_empty() && key.chars().all(|c| key_letter(c) || c == '.')
    })
}

fn key_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn blank(text: &mut String, span: &Range<usize>) {
    let spaces: String = text
        .get(span.clone())
        .unwrap_or_default()
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    // Only where it takes exactly as many bytes.
    if spaces.len() == span.len() {
        text.replace_range(span.clone(), &spaces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a text, without blank lines, and the errors found on the way.
    fn left(text: &str) -> (String, Vec<String>) {
        let mut findings = Findings::new(text);
        let left = readable(&mut findings);
        assert_eq!(left.len(), text.len());
        let lines: Vec<&str> = left
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let messages = findings.finish().0.into_iter().map(|error| error.message);
        (lines.join("|"), messages.collect())
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_the_rest_stays() {
        let table = [
            ("a: 1\nb = 2\n", "b = 2", 1),
            ("a\nb\nc = 3\n", "c = 3", 2),
            ("[x\na = 1\n[y]\nb = 2\n", "[y]|b = 2", 1),
            ("a = [1, 2\nb = 2\n[y]\n", "b = 2|[y]", 1),
            ("a = [\n  'x',\n  'y',\n[y]\nb = 2\n", "[y]|b = 2", 1),
            ("a = { b = 1\nc = 2\n", "c = 2", 1),
            ("[f]\na = { b = \"x }\n[y]\nb = 2\n", "[f]|[y]|b = 2", 1),
            ("a = 'x\nb = 'y'\n", "b = 'y'", 1),
            ("a = [1\nb: 3\n[y\n[z]\nc = 1", "[z]|c = 1", 1),
            ("[[x]\na = 1\n[y]\nb = 2\n", "[y]|b = 2", 1),
            ("é = [\nb = 1", "b = 1", 1),
        ];
        for (text, rest, errors) in table {
            let (left, messages) = left(text);
            assert_eq!(
                (left.as_str(), messages.len()),
                (rest, errors),
                "{text:?} {messages:?}"
            );
        }
    }

    #[test]
    fn a_text_without_mistakes_stays_as_it_is() {
        let text = include_str!("../job/file/example.toml");
        assert_eq!(readable(&mut Findings::new(text)), text);
    }
}
