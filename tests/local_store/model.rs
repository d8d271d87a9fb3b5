//! The store against a map that does the same by definition.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::tag::Tags;
use roundsman::port::{Store as _, WriteError};
use tempfile::TempDir;

use crate::{all, fleet, id, key, open, put, wait};

#[derive(Debug, Clone)]
enum Act {
    Write {
        node: usize,
        key: usize,
        value: u8,
        only_if: Option<(usize, Option<u8>)>,
    },
    Delete {
        node: usize,
        key: usize,
        value: u8,
    },
    Transact {
        node: usize,
        key: usize,
        value: u8,
        grant: bool,
    },
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let (node, name, value) = (0..3_usize, 0..3_usize, 0..3_u8);
    let only_if = proptest::option::of((0..3_usize, proptest::option::of(0..3_u8)));
    prop_oneof![
        4 => (node.clone(), name.clone(), value.clone(), only_if)
            .prop_map(|(node, key, value, only_if)| Act::Write { node, key, value, only_if }),
        3 => (node.clone(), name.clone(), value.clone()).prop_map(|(node, key, value)| Act::Delete { node, key, value }),
        2 => (node, name, value, any::<bool>())
            .prop_map(|(node, key, value, grant)| Act::Transact { node, key, value, grant }),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_store_does_what_a_map_would(acts in proptest::collection::vec(act(), 1..25)) {
        let dir = TempDir::new().expect("a directory");
        let mut store = open(dir.path());
        let node = |number: usize| id(&format!("db-{}", number + 1));
        let name = |number: usize| format!("key-{number}");
        let mut map: BTreeMap<NodeId, Tags> = fleet().into_iter().map(|node| (node.id, node.tags)).collect();
        for act in acts {
            match act {
                Act::Write { node: at, key: k, value, only_if } => {
                    let tags = map.get_mut(&node(at)).expect("known");
                    let condition = only_if.map(|(k, value)| (key(&name(k)), value.map(|value| value.to_string())));
                    let holds = condition.as_ref().is_none_or(|(key, value)| tags.get(key.as_str()) == value.as_ref());
                    let only_if = condition.as_ref().map(|(key, value)| (key, value.as_deref()));
                    let result = wait(store.write(&node(at), &put(&name(k), &value.to_string()), only_if));
                    prop_assert_eq!(result, if holds { Ok(()) } else { Err(WriteError::Changed) });
                    if holds {
                        tags.insert(name(k), value.to_string());
                    }
                }
                Act::Delete { node: at, key: k, value } => {
                    prop_assert_eq!(wait(store.delete(&node(at), &put(&name(k), &value.to_string()))), Ok(()));
                    let tags = map.get_mut(&node(at)).expect("known");
                    if tags.get(&name(k)) == Some(&value.to_string()) {
                        tags.remove(&name(k));
                    }
                }
                Act::Transact { node: at, key: k, value, grant } => {
                    let write = (node(at), put(&name(k), &value.to_string()));
                    let seen = wait(store.transact(&all(), ClaimId::new(1, 1), |nodes, _| (grant.then_some(write), nodes))).expect("done");
                    let seen: BTreeMap<NodeId, Tags> = seen.into_iter().map(|node| (node.id, node.tags)).collect();
                    prop_assert_eq!(&seen, &map);
                    if grant {
                        map.get_mut(&node(at)).expect("known").insert(name(k), value.to_string());
                    }
                }
                Act::Reopen => store = open(dir.path()),
            }
        }
        for (node, tags) in &map {
            prop_assert_eq!(&wait(store.read_tags(node)).expect("read"), tags);
        }
    }
}
