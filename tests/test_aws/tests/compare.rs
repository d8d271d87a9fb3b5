//! Where two answers differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// A difference: where, and what. The places of a list are one place (`Instances[]`), since their order is not promised.
pub(crate) fn differences(ours: &Value, moto: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    compare("", ours, moto, &mut found);
    found
}

fn compare(at: &str, ours: &Value, moto: &Value, found: &mut BTreeSet<String>) {
    match (ours, moto) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let place = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => compare(&place, left, right, found),
                    (Some(_), None) => {
                        found.insert(format!("{place}: only here"));
                    }
                    _ => {
                        found.insert(format!("{place}: only at moto"));
                    }
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let sorted = |list: &[Value]| {
                let mut list = list.to_vec();
                list.sort_by_key(key);
                list
            };
            for (left, right) in sorted(left).iter().zip(&sorted(right)) {
                compare(&format!("{at}[]"), left, right, found);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            let (here, there) = (left.len(), right.len());
            found.insert(format!("{at}: {here} here, {there} at moto"));
        }
        _ if ours == moto => {}
        _ => {
            found.insert(format!("{at}: {ours} here, {moto} at moto"));
        }
    }
}

/// By what entries of a list are put side by side: what names them, and else all of them.
fn key(entry: &Value) -> String {
    if let Some(instance) = entry.pointer("/Instances/0") {
        return key(instance);
    }
    let names = ["ResourceId", "InstanceId", "CommandId", "Key"];
    let found: Vec<String> = names
        .iter()
        .filter_map(|name| Some(entry.get(name)?.to_string()))
        .collect();
    if found.is_empty() {
        entry.to_string()
    } else {
        found.concat()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differences;

    fn told(ours: &serde_json::Value, moto: &serde_json::Value) -> Vec<String> {
        differences(ours, moto).into_iter().collect()
    }

    #[test]
    fn every_difference_is_told_with_its_place() {
        let ours = json!({"a": [{"Key": "x", "v": 1}, {"Key": "y", "v": 2}], "b": true, "c": [1]});
        let moto = json!({"a": [{"Key": "y", "v": 3}, {"Key": "x", "v": 1}], "d": null, "c": []});
        assert_eq!(
            told(&ours, &moto),
            [
                "a[].v: 2 here, 3 at moto",
                "b: only here",
                "c: 1 here, 0 at moto",
                "d: only at moto"
            ]
        );
        assert!(told(&ours, &ours).is_empty());
    }
}
