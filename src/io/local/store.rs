//! Tags of a local inventory in one `SQLite` file, for any number of processes on one machine.
//!
//! What `SQLite` promises, this store passes on: a write is one transaction, durable when it is answered, and
//! [`Store::transact`] reads, decides and writes while nobody else writes. Calls are answered by the file system and
//! block; they wait for another writer at most [`PATIENCE`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::io::local::schema::{self, explain};
use crate::model::id::{ClaimId, NodeId};
use crate::model::job::Selector;
use crate::model::node::{Agent, Node, Service};
use crate::model::tag::{TAGS_MAX, TagKey, Tags, VALUE_MAX};
use crate::port::{Consistency, ErrorKind, Grant, Offset, PortError, Put, Store, WriteError};

/// How long a call waits while others write.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// One entry of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalNode {
    /// Its id, the only one of that spelling.
    pub id: NodeId,
    /// Its name, where no `Name` tag says another.
    pub name: Option<String>,
    /// Where it can be reached.
    pub address: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// The tags that the inventory gives it. What is written at run time lies over them.
    pub tags: Tags,
}

/// A store that has been opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: LocalStore,
    /// The full path of the file, when there was none and it was made: people should hear of it.
    pub created: Option<PathBuf>,
}

/// The tags of a local inventory.
#[derive(Debug)]
pub struct LocalStore {
    path: PathBuf,
    connection: RefCell<Connection>,
    inventory: BTreeMap<NodeId, LocalNode>,
}

impl LocalStore {
    /// Opens the file at `path`, making it and the directories above it where they are missing.
    ///
    /// # Errors
    /// A sentence with the path: no permission, no database, one of a newer version, a full disk; or two nodes of one id.
    pub fn open(path: &Path, nodes: Vec<LocalNode>) -> Result<Opened, PortError> {
        let inventory = inventory(nodes)?;
        let (connection, path, created) = schema::open(path)?;
        let created = created.then(|| path.clone());
        let connection = RefCell::new(connection);
        Ok(Opened {
            store: Self {
                path,
                connection,
                inventory,
            },
            created,
        })
    }

    /// Opens the file at `path` for looks only: where there is none, none is made, and nothing has been stored yet.
    ///
    /// # Errors
    /// As [`LocalStore::open`].
    pub fn open_to_look(path: &Path, nodes: Vec<LocalNode>) -> Result<Opened, PortError> {
        if path.exists() {
            return Self::open(path, nodes);
        }
        let (connection, inventory) = (RefCell::new(schema::nothing()?), inventory(nodes)?);
        Ok(Opened {
            store: Self {
                path: path.to_owned(),
                connection,
                inventory,
            },
            created: None,
        })
    }

    /// The file's full path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Turns a proposed claim id into one above all that were given out: itself, or the last one plus one.
    fn next_claim(
        &self,
        transaction: &Transaction<'_>,
        proposed: ClaimId,
    ) -> Result<ClaimId, PortError> {
        let last: Option<String> = transaction
            .query_row(
                "SELECT value FROM fact WHERE name = 'last-claim'",
                [],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| explain(&self.path, &error))?;
        let next = match last {
            None => Some(proposed),
            Some(text) => match text.parse::<ClaimId>() {
                Ok(last) if last < proposed => Some(proposed),
                Ok(last) => last.next(),
                Err(_) => {
                    let message = format!(
                        "{}: the last claim id stored there is `{text}`, which is none",
                        self.path.display()
                    );
                    return Err(PortError::new(ErrorKind::Other, message));
                }
            },
        };
        next.ok_or_else(|| {
            let message = format!(
                "{}: the last claim id there can be has been given out",
                self.path.display()
            );
            PortError::new(ErrorKind::Other, message)
                .with_help("a clock far in the future was at work; restore the file from a backup")
        })
    }

    /// Keeps the claim id that was given out, so that the next one is higher.
    fn keep_claim(&self, transaction: &Transaction<'_>, claim: ClaimId) -> Result<(), PortError> {
        transaction
            .execute(
                "INSERT INTO fact (name, value) VALUES ('last-claim', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [claim.to_string()],
            )
            .map_err(|error| explain(&self.path, &error))?;
        Ok(())
    }

    fn entry(&self, node: &NodeId) -> Result<&LocalNode, PortError> {
        self.inventory.get(node).ok_or_else(|| {
            PortError::new(
                ErrorKind::NotFound,
                format!("no node `{node}` in the local inventory"),
            )
            .with_help("its ids stand in [[provider.local.node]]")
        })
    }

    fn fleet_in(
        &self,
        connection: &Connection,
        selector: &Selector,
    ) -> rusqlite::Result<Vec<Node>> {
        let mut fleet = Vec::new();
        for entry in self.inventory.values() {
            let node = node_of(entry, tags_in(connection, entry)?);
            if selects(selector, &node) {
                fleet.push(node);
            }
        }
        Ok(fleet)
    }

    /// Writes within a transaction, by EC2's rules for tags.
    fn put_in(
        &self,
        transaction: &Transaction<'_>,
        node: &NodeId,
        put: &Put,
    ) -> Result<(), PortError> {
        let error = |error| explain(&self.path, &error);
        let mut tags = tags_in(transaction, self.entry(node)?).map_err(error)?;
        let mut statement = transaction
            .prepare_cached(
                "INSERT INTO tag (node, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node, key) DO UPDATE SET value = excluded.value",
            )
            .map_err(error)?;
        for (key, value) in put.iter() {
            let length = value.chars().count();
            if length > VALUE_MAX {
                let message = format!(
                    "node {node}: the value of tag `{key}` has {length} characters, at most {VALUE_MAX} are allowed"
                );
                return Err(PortError::new(ErrorKind::Other, message));
            }
            statement
                .execute(params![node.as_str(), key.as_str(), value])
                .map_err(error)?;
            tags.insert(key.as_str().to_owned(), value.clone());
        }
        let count = tags.keys().filter(|key| !key.starts_with("aws:")).count();
        if count > TAGS_MAX {
            let message =
                format!("node {node} would have {count} tags, at most {TAGS_MAX} are allowed");
            return Err(PortError::new(ErrorKind::Other, message)
                .with_help("remove tags that nobody needs"));
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn consistency(&self) -> Consistency {
        Consistency::Transactional
    }

    fn offset(&self) -> Offset {
        Offset::default()
    }

    async fn read_fleet(&self, selector: &Selector) -> Result<Vec<Node>, PortError> {
        let error = |error| explain(&self.path, &error);
        let mut connection = self.connection.borrow_mut();
        // One moment for all nodes.
        let snapshot = connection.transaction().map_err(error)?;
        self.fleet_in(&snapshot, selector).map_err(error)
    }

    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        let error = |error| explain(&self.path, &error);
        let mut connection = self.connection.borrow_mut();
        let snapshot = connection.transaction().map_err(error)?;
        let mut found = BTreeMap::new();
        for node in nodes {
            let mut tags = tags_in(&snapshot, self.entry(node)?).map_err(error)?;
            if let Some(value) = tags.remove(key.as_str()) {
                found.insert(node.clone(), value);
            }
        }
        Ok(found)
    }

    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError> {
        let entry = self.entry(node)?;
        tags_in(&self.connection.borrow(), entry).map_err(|error| explain(&self.path, &error))
    }

    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        only_if: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        let error = |error| WriteError::Refused(explain(&self.path, &error));
        let entry = self.entry(node).map_err(WriteError::Refused)?;
        let mut connection = self.connection.borrow_mut();
        let transaction = begin(&mut connection).map_err(error)?;
        if let Some((key, expected)) = only_if {
            let tags = tags_in(&transaction, entry).map_err(error)?;
            if tags.get(key.as_str()).map(String::as_str) != expected {
                return Err(WriteError::Changed);
            }
        }
        self.put_in(&transaction, node, put)
            .map_err(WriteError::Refused)?;
        commit(&self.path, transaction)
    }

    async fn delete(&self, node: &NodeId, pairs: &Put) -> Result<(), WriteError> {
        let error = |error| WriteError::Refused(explain(&self.path, &error));
        let entry = self.entry(node).map_err(WriteError::Refused)?;
        let mut connection = self.connection.borrow_mut();
        let transaction = begin(&mut connection).map_err(error)?;
        for (key, value) in pairs.iter() {
            let gone = transaction
                .execute(
                    "DELETE FROM tag WHERE node = ?1 AND key = ?2 AND value = ?3",
                    params![node.as_str(), key.as_str(), value],
                )
                .map_err(error)?;
            // What shows from the inventory's file is not ours to delete, and must not seem deleted.
            let tags = tags_in(&transaction, entry).map_err(error)?;
            if gone == 0 && tags.get(key.as_str()) == Some(value) {
                let message = format!("tag `{key}` of node {node} stands in the inventory itself");
                let help = "take it out of `tags` in its [[provider.local.node]]";
                return Err(WriteError::Refused(
                    PortError::new(ErrorKind::Denied, message).with_help(help),
                ));
            }
        }
        commit(&self.path, transaction)
    }

    async fn transact<T>(
        &self,
        selector: &Selector,
        proposed: ClaimId,
        decide: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        let error = |error| explain(&self.path, &error);
        let mut connection = self.connection.borrow_mut();
        let transaction = begin(&mut connection).map_err(error)?;
        let claim = self.next_claim(&transaction, proposed)?;
        let (grant, answer) = decide(self.fleet_in(&transaction, selector).map_err(error)?, claim);
        if let Some((node, put)) = grant {
            self.put_in(&transaction, &node, &put)?;
            self.keep_claim(&transaction, claim)?;
            transaction.commit().map_err(error)?;
        }
        Ok(answer)
    }
}

/// The nodes by their ids.
fn inventory(nodes: Vec<LocalNode>) -> Result<BTreeMap<NodeId, LocalNode>, PortError> {
    let mut inventory = BTreeMap::new();
    for node in nodes {
        let id = node.id.clone();
        if inventory.insert(id.clone(), node).is_some() {
            let message = format!("the inventory has two nodes with the id `{id}`");
            return Err(PortError::new(ErrorKind::Other, message)
                .with_help("give each [[provider.local.node]] an id of its own"));
        }
    }
    Ok(inventory)
}

/// Begins to write: from here on nobody else does.
fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Commits a write. An I/O error at that point leaves open what the disk holds.
fn commit(path: &Path, transaction: Transaction<'_>) -> Result<(), WriteError> {
    transaction.commit().map_err(|error| {
        let explained = explain(path, &error);
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) => WriteError::Unknown(explained),
            _ => WriteError::Refused(explained),
        }
    })
}

/// The entry's tags, and over them the stored ones.
fn tags_in(connection: &Connection, entry: &LocalNode) -> rusqlite::Result<Tags> {
    let mut tags = entry.tags.clone();
    let mut statement = connection.prepare_cached("SELECT key, value FROM tag WHERE node = ?1")?;
    let rows = statement.query_map([entry.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (key, value): (String, String) = row?;
        tags.insert(key, value);
    }
    Ok(tags)
}

fn node_of(entry: &LocalNode, tags: Tags) -> Node {
    Node {
        id: entry.id.clone(),
        name: tags.get("Name").cloned().or_else(|| entry.name.clone()),
        address: entry.address.clone(),
        zone: entry.zone.clone(),
        group: None,
        launched: None,
        service: Service::In,
        agent: Agent::NotAsked,
        tags,
    }
}

/// Whether a node is of the fleet. There are no groups here, so a selector that names some finds nobody.
fn selects(selector: &Selector, node: &Node) -> bool {
    let has = |key: &str, wanted: &[String]| {
        let value = match key {
            "Name" => node.name.as_ref(),
            _ => node.tags.get(key),
        };
        value.is_some_and(|value| wanted.contains(value))
    };
    selector.groups.is_empty()
        && (selector.all || !selector.tags.is_empty())
        && selector.tags.iter().all(|(key, wanted)| has(key, wanted))
}
