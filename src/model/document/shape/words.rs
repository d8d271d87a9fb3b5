//! How shapes are called in messages to people.

use serde_json::Value;
use toml::de::DeValue;

use super::tables::Part;

/// Where a table is: `in [fleet]`, `in [[step]]`, `at the top of the file`.
pub(super) fn place(path: &[Part]) -> String {
    let Some(last) = path.last() else {
        return "at the top of the file".to_owned();
    };
    let keys: Vec<&str> = path.iter().map(|part| part.key.as_str()).collect();
    let keys = keys.join(".");
    if last.many {
        format!("in `[[{keys}]]`")
    } else {
        format!("in `[{keys}]`")
    }
}

/// The type that a schema asks for.
pub(super) fn kind(schema: &Value) -> Option<&str> {
    if choices(schema).is_some() {
        return Some("string");
    }
    schema.get("type").and_then(Value::as_str)
}

/// The words of which a schema asks for one.
pub(super) fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let each = schema.get("oneOf").and_then(Value::as_array)?;
    each.iter()
        .map(|each| each.get("const").and_then(Value::as_str))
        .collect()
}

/// The type of a value, in JSON Schema's words.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// What stands there instead of what should, with its article.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What a schema asks for, with its article.
pub(super) fn expected(schema: &Value) -> String {
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let each: Vec<String> = any.iter().map(expected).collect();
        return each.join(" or ");
    }
    match (kind(schema), schema.get("items")) {
        (Some("string"), _) if is_span(schema) => "a duration in quotes".to_owned(),
        (Some("string"), _) => "a text in quotes".to_owned(),
        (Some("integer"), _) => "a whole number".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some("object"), _) => "a table".to_owned(),
        (Some("array"), Some(items)) => match kind(items) {
            Some("object") => "a list of tables".to_owned(),
            Some("string") => "a list of texts".to_owned(),
            _ => "a list".to_owned(),
        },
        _ => "something else".to_owned(),
    }
}

fn is_span(schema: &Value) -> bool {
    schema.get("format").and_then(Value::as_str) == Some("humantime")
}

/// How to write what was probably meant; empty when that cannot be guessed.
pub(super) fn mend(
    schema: &Value,
    value: &DeValue<'_>,
    raw: &str,
    key: &str,
    path: &[Part],
) -> String {
    let header = |key: &str| {
        let mut keys: Vec<&str> = path.iter().map(|part| part.key.as_str()).collect();
        keys.push(key);
        keys.join(".")
    };
    let of_tables = schema.get("items").and_then(kind) == Some("object");
    match (kind(schema), value) {
        (Some("string"), DeValue::Integer(_)) if is_span(schema) => {
            format!("give it a unit: `\"{raw}s\"`, `\"{raw}m\"`, `\"{raw}h\"` or `\"{raw}d\"`")
        }
        (
            Some("string"),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_),
        ) => format!("put it in quotes: `\"{raw}\"`"),
        (Some("string"), DeValue::Array(list)) if list.len() == 1 => {
            "leave out the brackets".to_owned()
        }
        (Some("integer"), DeValue::String(text)) if text.trim().parse::<i64>().is_ok() => {
            format!("leave out the quotes: `{}`", text.trim())
        }
        (Some("boolean"), DeValue::String(text)) if matches!(text.as_ref(), "true" | "false") => {
            format!("leave out the quotes: `{text}`")
        }
        (Some("array"), DeValue::Table(_)) if of_tables => {
            format!("write `[[{}]]`, with two brackets", header(key))
        }
        (Some("array"), DeValue::String(_)) if !of_tables => {
            format!("put it in brackets: `[{}]`", raw.trim())
        }
        (Some("object"), DeValue::Array(_)) => {
            format!("write `[{}]`, with one bracket, and once", header(key))
        }
        (Some("object"), _) => format!("write `[{}]` above its keys", header(key)),
        _ => String::new(),
    }
}

/// Words in a sentence: `` `a`, `b` or `c` ``.
pub(super) fn words_of(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}
