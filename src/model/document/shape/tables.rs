//! The tables of a schema and the ways to them.

use serde_json::Value;

/// One step of the way from the top of the file to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) key: String,
    /// Whether the key has a list of tables (`[[step]]`).
    pub(super) many: bool,
}

pub(super) fn part(key: &str, many: bool) -> Part {
    Part {
        key: key.to_owned(),
        many,
    }
}

/// The keys that a table of the schema has.
pub(super) fn keys_of(schema: &Value) -> Vec<&str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|known| known.keys().map(String::as_str))
        .collect()
}

/// Every table of the schema that has keys of its own, the top first.
pub(super) fn tables_of<'s>(
    schema: &'s Value,
    path: &mut Vec<Part>,
    tables: &mut Vec<(Vec<Part>, &'s Value)>,
) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    tables.push((path.clone(), schema));
    for (key, property) in properties {
        let items = property.get("items");
        path.push(part(key, items.is_some()));
        tables_of(items.unwrap_or(property), path, tables);
        path.pop();
    }
}
