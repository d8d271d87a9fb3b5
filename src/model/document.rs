//! A TOML text, read so that every mistake in it is found at once, and each in its place.
//!
//! Reading goes on after a mistake: the parser recovers from bad syntax, [`shape`] compares the tree with the JSON
//! Schema that the serde structs themselves make, and the structs then deserialize leniently ([`field`]): what has
//! the wrong shape is [`field::Field::Bad`], and the rest can still be judged.

pub mod field;
pub mod findings;
pub mod shape;
mod syntax;

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
    let text = syntax::readable(findings);
    let (mut document, errors) = DeTable::parse_recoverable(&text);
    findings.syntax(&errors, false);
    shape::check(document.get_mut(), schema, findings);
    T::deserialize(Deserializer::from(document)).unwrap_or_else(|error| {
        findings.doubt(error.message());
        T::default()
    })
}
