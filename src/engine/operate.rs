//! What operators do by hand: hold, unhold, release, mark. Each says what it did, and refuses with a reason.

use jiff::Timestamp;

use crate::engine::now;
use crate::model::id::{NodeId, RunId};
use crate::model::lock::Seen;
use crate::model::node::{Activity, Evidence, Node};
use crate::model::record::Hold;
use crate::model::tag::{TagKey, Tags};
use crate::model::time::{format_stamp, parse_stamp};
use crate::port::{Consistency, PortError, Ports, Put, Shell, Store, WriteError};

/// Why something by hand was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would not be right: a sentence, and what to do instead.
    #[error("{message}")]
    NotRight {
        /// What stands in the way.
        message: String,
        /// What to do.
        help: String,
    },
    /// The outside failed.
    #[error(transparent)]
    Outside(#[from] PortError),
}

fn not_right(message: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal::NotRight {
        message: message.into(),
        help: help.into(),
    }
}

fn written(result: Result<(), WriteError>, what: &str) -> Result<(), Refusal> {
    result.map_err(|error| match error {
        WriteError::Changed => not_right(
            format!("{what} has changed meanwhile"),
            "look again with `status`",
        ),
        WriteError::Refused(error) => error.into(),
        WriteError::Unknown(error) => PortError {
            message: format!(
                "it is not known whether {what} was written: {}",
                error.message
            ),
            ..error
        }
        .into(),
    })
}

/// Sets a hold on a node, over whatever hold is there; tells the value that it replaced.
pub async fn hold<P: Ports>(
    ports: &P,
    node: &NodeId,
    key: &TagKey,
    hold: &Hold,
) -> Result<Option<String>, Refusal> {
    let before = ports
        .store()
        .read_tags(node)
        .await?
        .get(key.as_str())
        .cloned();
    written(
        ports
            .store()
            .write(node, &Put::one(key.clone(), hold.format()), None)
            .await,
        "the hold",
    )?;
    Ok(before)
}

/// Removes the hold of a node, if it has one; tells the value that was there.
pub async fn unhold<P: Ports>(
    ports: &P,
    node: &NodeId,
    key: &TagKey,
) -> Result<Option<String>, Refusal> {
    let tags = ports.store().read_tags(node).await?;
    let Some(value) = tags.get(key.as_str()).cloned() else {
        return Ok(None);
    };
    written(
        ports
            .store()
            .delete(node, &Put::one(key.clone(), value.clone()))
            .await,
        "the hold",
    )?;
    let left = ports
        .store()
        .read_tags(node)
        .await?
        .get(key.as_str())
        .cloned();
    // A read may be stale: only another value says that somebody has set a new hold.
    match left {
        Some(other) if other != value => Err(not_right(
            format!("somebody has set another hold meanwhile: {other:?}"),
            "run `unhold` again to remove that one too",
        )),
        _ => Ok(Some(value)),
    }
}

/// Which lock a release means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// That of this run.
    Run(RunId),
    /// The unreadable one with exactly this value.
    Value(String),
    /// Whatever readable lock is there.
    Any,
}

/// What a release did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The value that was removed.
    pub value: String,
    /// What still runs on the node, in sentences.
    pub running: Vec<String>,
}

/// Forgets a node's mark, which keeps claims with lower ids out; tells what it was, if there was one.
///
/// # Errors
/// When the node has a lock: whoever holds it is kept apart from earlier claims by the mark.
pub async fn reset_mark<P: Ports>(
    ports: &P,
    node: &Node,
    key: &TagKey,
) -> Result<Option<String>, Refusal> {
    let tags = ports.store().read_tags(&node.id).await?;
    if let Some(value) = tags.get(key.as_str()) {
        return Err(not_right(
            format!("{} has a lock: {value:?}", node.id),
            "its mark keeps superseded claims away from whoever holds it; wait for its end, or `release` it first",
        ));
    }
    Ok(ports.node().reset_mark(node).await?)
}

/// Breaks the lease on a node: compare-and-delete. Says what still runs there.
///
/// # Errors
/// When there is no lock, or it is not the one that is meant.
pub async fn release<P: Ports>(
    ports: &P,
    node: &Node,
    key: &TagKey,
    which: &Which,
) -> Result<Released, Refusal> {
    let tags = ports.store().read_tags(&node.id).await?;
    let id = &node.id;
    let value = match (
        Seen::read(tags.get(key.as_str()).map(String::as_str)),
        which,
    ) {
        (Seen::Free, _) => {
            return Err(not_right(
                format!("{id} has no lock"),
                "nothing needs to be done",
            ));
        }
        (Seen::Unreadable(text), Which::Value(value)) if text == *value => text,
        (Seen::Unreadable(text), _) => {
            let help = format!(
                "if nothing runs there, `release {id} --value {text:?}` removes exactly this one"
            );
            return Err(not_right(
                format!("the lock of {id} cannot be read: {text:?}"),
                help,
            ));
        }
        (Seen::Lock(lock), Which::Run(run)) if lock.run != *run => {
            return Err(not_right(
                format!("the lock of {id} is that of run {}, not of {run}", lock.run),
                "look with `status` whose it is",
            ));
        }
        (Seen::Lock(_), Which::Value(_)) => {
            return Err(not_right(
                format!("the lock of {id} can be read: `--value` is for locks that cannot"),
                "name its run with `--run`",
            ));
        }
        (Seen::Lock(lock), Which::Run(_) | Which::Any) => tags
            .get(key.as_str())
            .cloned()
            .unwrap_or_else(|| lock.format()),
    };
    let running = running(ports, node).await;
    written(
        ports
            .store()
            .delete(id, &Put::one(key.clone(), value.clone()))
            .await,
        "the lock",
    )?;
    match ports.store().read_tags(id).await?.get(key.as_str()) {
        Some(other) if *other != value && ports.store().consistency() == Consistency::Eventual => {
            Err(not_right(
                format!("its holder has written the lock of {id} anew: {other:?}"),
                "it is alive: stop it, or hold the node",
            ))
        }
        _ => Ok(Released { value, running }),
    }
}

async fn running<P: Ports>(ports: &P, node: &Node) -> Vec<String> {
    let within = std::time::Duration::from_secs(49 * 3_600);
    match ports.node().evidence(node, within).await {
        Ok(Evidence::Commands(commands)) => commands
            .iter()
            .filter(|command| command.activity != Activity::Finished)
            .map(|command| {
                format!(
                    "step {} of {} (run {}) may still run on {}",
                    command.step, command.job, command.run, node.id
                )
            })
            .collect(),
        Ok(Evidence::None) => vec![format!(
            "nobody can tell what still runs on {}: look there",
            node.id
        )],
        Ok(Evidence::Unavailable(why)) => vec![format!(
            "what still runs on {} could not be asked: {why}",
            node.id
        )],
        Err(error) => vec![format!(
            "what still runs on {} could not be asked: {error}",
            node.id
        )],
    }
}

/// Records work that was done elsewhere.
///
/// # Errors
/// On a locked node, for a time in the future, or one before what is recorded already.
pub async fn mark<P: Ports>(
    ports: &P,
    node: &NodeId,
    keys: (&TagKey, &TagKey),
    at: Timestamp,
) -> Result<Option<String>, Refusal> {
    let (lock, last) = keys;
    let now = now(ports).wall;
    if at > now {
        return Err(not_right(
            format!("{} lies in the future", format_stamp(at)),
            "only work that is done can be recorded",
        ));
    }
    let tags = ports.store().read_tags(node).await?;
    if let Some(value) = tags.get(lock.as_str()) {
        return Err(not_right(
            format!("{node} is locked: {value}"),
            "wait until its run has ended, or break the lease with `release`",
        ));
    }
    let before = last_of(&tags, last);
    if let Some((text, Some(recorded))) = &before
        && at < *recorded
        && *recorded <= now
    {
        return Err(not_right(
            format!("{last} of {node} says {text}, which is later"),
            "a completion is never dated back",
        ));
    }
    let text = before.map(|(text, _)| text);
    written(
        ports
            .store()
            .write(
                node,
                &Put::one(last.clone(), format_stamp(at)),
                Some((lock, None)),
            )
            .await,
        "the mark",
    )?;
    Ok(text)
}

fn last_of(tags: &Tags, key: &TagKey) -> Option<(String, Option<Timestamp>)> {
    tags.get(key.as_str())
        .map(|text| (text.clone(), parse_stamp(text)))
}
