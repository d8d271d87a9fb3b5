//! The parameters of a call: a form for EC2 and Auto Scaling, JSON for SSM.
//!
//! Each is taken by whoever understands it. What is left behind was not understood, and is refused: a test AWS that
//! passes over a parameter would say that it works.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::call::Refusal;

/// A form.
#[derive(Debug, Clone)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| value == "true")
    }

    /// A number; anything else is `InvalidParameterValue`.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<usize>, Refusal> {
        self.take(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    let why = format!("Value ({text}) for parameter {name} is invalid.");
                    Refusal::new("InvalidParameterValue", why)
                })
            })
            .transpose()
    }

    /// `<prefix>.1`, `<prefix>.2`, …
    pub(crate) fn list(&mut self, prefix: &str) -> Vec<String> {
        (1..)
            .map_while(|n| self.take(&format!("{prefix}.{n}")))
            .collect()
    }

    /// `<prefix>.1.<field>`, …: by field, for each number.
    pub(crate) fn items(&mut self, prefix: &str, fields: &[&str]) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            let item = format!("{prefix}.{}.", items.len() + 1);
            if !self.0.keys().any(|key| key.starts_with(&item)) {
                return items;
            }
            let mut found = Item::default();
            for field in fields {
                let name = format!("{item}{field}");
                if let Some(value) = self.take(&name) {
                    found.single.insert((*field).to_owned(), value);
                }
                found.many.insert((*field).to_owned(), self.list(&name));
            }
            if found.single.is_empty() && found.many.values().all(Vec::is_empty) {
                // Only fields that are not known: they stay, and are refused.
                return items;
            }
            items.push(found);
        }
    }

    /// Refuses what nobody has taken.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::new(
                "UnknownParameter",
                format!("The test AWS does not know the parameter {name}"),
            )),
        }
    }
}

/// One entry of a list of structures.
#[derive(Debug, Default)]
pub(crate) struct Item {
    single: BTreeMap<String, String>,
    many: BTreeMap<String, Vec<String>>,
}

impl Item {
    pub(crate) fn one(&self, field: &str) -> Option<String> {
        self.single.get(field).cloned()
    }

    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        self.many.get(field).cloned().unwrap_or_default()
    }
}

/// A JSON object.
#[derive(Debug, Clone)]
pub(crate) struct Json(Map<String, Value>);

impl Json {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let body: &[u8] = if body.is_empty() { b"{}" } else { body };
        serde_json::from_slice(body).ok().map(Self)
    }

    /// As a whole, for whoever only looks.
    pub(crate) fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        Some(self.take(name)?.as_str()?.to_owned())
    }

    fn values(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        texts(&self.values(name))
    }

    pub(crate) fn number(&mut self, name: &str) -> Option<i64> {
        self.take(name)?.as_i64()
    }

    /// A list of structures with two fields: a text, and one text or several.
    pub(crate) fn pairs(
        &mut self,
        name: &str,
        key: &str,
        value: &str,
    ) -> Vec<(String, Vec<String>)> {
        let list = self.values(name);
        let list = list.iter();
        list.filter_map(|each| {
            let values = match each.get(value)? {
                Value::String(one) => vec![one.clone()],
                many => texts(many.as_array()?),
            };
            Some((each.get(key)?.as_str()?.to_owned(), values))
        })
        .collect()
    }

    /// Refuses what nobody has taken.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::new(
                "ValidationException",
                format!("The test AWS does not know the parameter {name}"),
            )),
        }
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
