//! Compares a TOML tree with a JSON Schema: unknown keys, wrong types, words and numbers out of range, what is missing.
//!
//! Only the part of JSON Schema that our own structs make is known here: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `enum`, `oneOf` of constants, `anyOf`, `minimum`, `maximum`, `examples`.

mod tables;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use schemars::Schema;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::model::document::Findings;
use crate::model::problem::{nearest, nearly};
use tables::{Part, keys_of, part, tables_of};
use words::{choices, expected, found, kind, mend, place, words_of};

/// Notes in `findings` everything in which `document` differs from `schema`.
///
/// A key that was clearly meant to be another one, which is not there, gets that one's name, so that its value is
/// judged too and nobody is told that the key is missing.
pub fn check(document: &mut DeTable<'_>, schema: &Schema, findings: &mut Findings) {
    let root = schema.as_value();
    let mut walk = Walk {
        root,
        findings,
        misplaced: Vec::new(),
    };
    walk.table(document, root, &[], None);
}

struct Walk<'s, 'f, 't> {
    root: &'s Value,
    findings: &'f mut Findings<'t>,
    /// Keys that stand in a wrong table, with the table in which they belong.
    misplaced: Vec<(Vec<Part>, String)>,
}

impl Walk<'_, '_, '_> {
    fn table(
        &mut self,
        table: &mut DeTable<'_>,
        schema: &Value,
        path: &[Part],
        header: Option<&Range<usize>>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        let unknown: Vec<(String, Range<usize>)> = table
            .keys()
            .filter(|key| {
                !properties.is_some_and(|known| known.contains_key(key.get_ref().as_ref()))
            })
            .map(|key| (key.get_ref().to_string(), key.span()))
            .collect();
        if others.is_none() {
            for (key, span) in unknown {
                self.unknown(table, schema, path, &key, &span);
            }
        }
        for (key, value) in table.iter_mut() {
            let key = key.get_ref().to_string();
            let known = properties.and_then(|known| known.get(&key)).or(others);
            if let Some(known) = known {
                self.value(value, known, path, &key);
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            let elsewhere = |(home, word): &(Vec<Part>, String)| home == path && word == key;
            if !table.contains_key(key) && !self.misplaced.iter().any(elsewhere) {
                self.missing(schema, path, header, key);
            }
        }
    }

    fn unknown(
        &mut self,
        table: &mut DeTable<'_>,
        schema: &Value,
        path: &[Part],
        key: &str,
        span: &Range<usize>,
    ) {
        let known = keys_of(schema);
        let free = known
            .iter()
            .copied()
            .filter(|word| !table.contains_key(*word));
        let near = nearest(key, free).map(ToOwned::to_owned);
        let homes = self.homes_of(key, path);
        let here = place(path);
        let message = format!("unknown key `{key}` {here}");
        if let Some(near) = near.filter(|near| homes.is_empty() || nearly(key, near)) {
            self.findings
                .error(span, message, &format!("did you mean `{near}`?"));
            if let Some((_, value)) = table.remove_entry(key) {
                table.insert(Spanned::new(span.clone(), Cow::Owned(near)), value);
            }
        } else if !homes.is_empty() {
            let places: Vec<String> = homes.iter().map(|home| place(home)).collect();
            let help = format!("`{key}` belongs {}", places.join(" or "));
            self.findings.error(span, message, &help);
            let homes = homes.into_iter().map(|home| (home, key.to_owned()));
            self.misplaced.extend(homes);
        } else if let Some(near) = nearest(key, known.iter().copied()) {
            let help = format!("did you mean `{near}`, which stands here already?");
            self.findings.error(span, message, &help);
        } else {
            let list = words_of(&known, "and");
            self.findings
                .error(span, message, &format!("known here: {list}"));
        }
    }

    /// The tables other than `path` that have this key.
    fn homes_of(&self, key: &str, path: &[Part]) -> Vec<Vec<Part>> {
        let mut tables = Vec::new();
        tables_of(self.root, &mut Vec::new(), &mut tables);
        tables
            .into_iter()
            .filter(|(home, schema)| home != path && keys_of(schema).contains(&key))
            .map(|(home, _)| home)
            .collect()
    }

    fn missing(&mut self, schema: &Value, path: &[Part], header: Option<&Range<usize>>, key: &str) {
        let property = schema.get("properties").and_then(|known| known.get(key));
        let nested = property.and_then(|property| kind(property));
        let many = property
            .and_then(|property| property.get("items"))
            .and_then(kind)
            == Some("object");
        let mut inner = path.to_vec();
        inner.push(Part {
            key: key.to_owned(),
            many,
        });
        let example = property
            .and_then(|property| property.get("examples"))
            .and_then(|examples| examples.get(0));
        let (message, help) = match (nested, example) {
            _ if many => (
                format!("there is no `[[{key}]]`"),
                format!("add at least one `[[{key}]]`"),
            ),
            (Some("object"), _) => (
                format!("the table `[{key}]` is missing"),
                format!("add `[{key}]`"),
            ),
            (_, Some(example)) => (
                format!("`{key}` is missing {}", place(path)),
                format!("add it, such as `{key} = {example}`"),
            ),
            _ => (format!("`{key}` is missing {}", place(path)), String::new()),
        };
        self.findings.missing(header, &[key], message, &help);
    }

    fn value(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        schema: &Value,
        path: &[Part],
        key: &str,
    ) {
        let span = value.span();
        let value = value.get_mut();
        let schema = match schema.get("anyOf").and_then(Value::as_array) {
            Some(any) => any
                .iter()
                .find(|each| kind(each) == Some(found(value)))
                .unwrap_or(schema),
            None => schema,
        };
        if let (None, Some(words)) = (value.as_str(), choices(schema)) {
            let message = format!("`{key}` takes {}", words_of(&words, "or"));
            return self.findings.error(&span, message, "");
        }
        if kind(schema) != Some(found(value)) {
            let message = format!(
                "`{key}` takes {}, not {}",
                expected(schema),
                words::article(value)
            );
            let raw = self.findings.text().get(span.clone()).unwrap_or_default();
            let help = mend(schema, value, raw, key, path);
            return self.findings.error(&span, message, &help);
        }
        match value {
            DeValue::String(text) => self.word(text, schema, key, &span),
            DeValue::Integer(number) => self.number(number, schema, key, &span),
            DeValue::Array(list) => {
                let Some(items) = schema.get("items") else {
                    return;
                };
                for item in list.iter_mut() {
                    self.item(item, items, path, key);
                }
            }
            DeValue::Table(table) => {
                let inner = [path, &[part(key, false)]].concat();
                self.table(table, schema, &inner, Some(&span));
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn item(&mut self, item: &mut Spanned<DeValue<'_>>, schema: &Value, path: &[Part], key: &str) {
        let span = item.span();
        if let DeValue::Table(table) = item.get_mut()
            && kind(schema) == Some("object")
        {
            let inner = [path, &[part(key, true)]].concat();
            self.table(table, schema, &inner, Some(&span));
        } else if kind(schema) == Some("object") {
            let message = format!(
                "`{key}` takes tables, not {}",
                words::article(item.get_ref())
            );
            let help = format!("write `[[{key}]]` above the keys of each");
            self.findings.error(&span, message, &help);
        } else {
            self.value(item, schema, path, key);
        }
    }

    fn word(&mut self, text: &str, schema: &Value, key: &str, span: &Range<usize>) {
        let Some(words) = choices(schema).filter(|words| !words.contains(&text)) else {
            return;
        };
        let list = words_of(&words, "or");
        let help = match nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `\"{near}\"`?"),
            None => String::new(),
        };
        self.findings
            .error(span, format!("`{key}` takes {list}, not `{text}`"), &help);
    }

    fn number(&mut self, number: &DeInteger<'_>, schema: &Value, key: &str, span: &Range<usize>) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        // A number that not even 128 bits hold is out of every range.
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let low = bound("minimum");
        let high = bound("maximum");
        let within = value.is_some_and(|value| {
            low.is_none_or(|low| i128::from(low) <= value)
                && high.is_none_or(|high| value <= i128::from(high))
        });
        if within {
            return;
        }
        let range = match (low, high) {
            (Some(low), Some(high)) => format!("from {low} to {high}"),
            (Some(low), None) => format!("from {low} on"),
            (None, Some(high)) => format!("up to {high}"),
            (None, None) => "of a usual size".to_owned(),
        };
        let message = format!("`{key}` takes a number {range}, not {number}");
        self.findings.error(span, message, "");
    }
}
