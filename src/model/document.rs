//! A TOML text, read so that every mistake in it is found at once, and each in its place.
//!
//! Reading goes on after a mistake: the parser recovers from bad syntax, [`shape`] compares the tree with the JSON
//! Schema that the serde structs themselves make, and the structs then deserialize leniently ([`field`]): what has
//! the wrong shape is [`field::Field::Bad`], and the rest can still be judged.

pub mod field;
pub mod findings;
pub mod shape;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, Deserializer};

pub use field::{At, Field};
pub use findings::Findings;

/// Reads `findings`' own text as a `T`, and notes what is wrong with its syntax and its shape.
///
/// The answer is there also after mistakes, with what could be understood; it is worth something only for finding
/// more of them, unless [`Findings::is_clean`] says so.
pub fn read<T: DeserializeOwned + Default>(
    schema: &schemars::Schema,
    findings: &mut Findings,
) -> T {
    let text = readable(findings);
    let (mut document, errors) = DeTable::parse_recoverable(&text);
    findings.syntax(&errors);
    shape::check(document.get_mut(), schema, findings);
    T::deserialize(Deserializer::from(document)).unwrap_or_else(|error| {
        findings.doubt(error.message());
        T::default()
    })
}

/// The text without the lines behind which the parser would read nothing more, and without tables whose header does
/// not end: they become spaces, so that all else keeps its place.
fn readable(findings: &mut Findings) -> String {
    let mut text = findings.text().to_owned();
    // One round finds them all; a line left out can bring another to light, and somewhere it has to end.
    for _ in 0..8 {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let stops: Vec<_> = errors
            .into_iter()
            .filter(|error| {
                let message = error.message();
                message.starts_with("key with no value") || message.starts_with("unclosed table")
            })
            .collect();
        if stops.is_empty() {
            break;
        }
        findings.syntax(&stops);
        for span in findings.unsure() {
            let spaces: String = text
                .get(span.clone())
                .unwrap_or_default()
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
                .collect();
            if spaces.len() == span.len() {
                text.replace_range(span.clone(), &spaces);
            }
        }
    }
    text
}
