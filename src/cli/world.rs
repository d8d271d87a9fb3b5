//! Joins the floors: which store and which shells the settings ask for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::failure::Failure;
use crate::io::clock::SystemClock;
use crate::io::environment;
use crate::io::local::shell::LocalShell;
use crate::io::local::store::{LocalNode, LocalStore};
use crate::io::runner::RunnerShell;
use crate::model::id::{ClaimId, NodeId};
use crate::model::job::Selector;
use crate::model::node::{Evidence, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::model::settings::{InventoryNode, LocalSettings, ProviderKind, Settings};
use crate::model::tag::{TagKey, Tags};
use crate::port::{
    Consistency, Grant, Halt, Offset, Order, PortError, Ports, Put, Shell, Store, Ticket,
    WriteError,
};

#[cfg(feature = "aws")]
mod aws;
mod lines;

pub use lines::Lines;

/// The world that the settings ask for.
#[derive(Debug)]
pub struct World {
    /// The tags.
    pub store: AnyStore,
    node: AnyShell,
    runner: RunnerShell<SystemClock>,
    clock: SystemClock,
    /// The store's file, when it was made just now.
    pub created: Option<PathBuf>,
}

/// One of the stores.
#[derive(Debug)]
pub enum AnyStore {
    /// SQLite.
    Local(Box<LocalStore>),
    /// EC2.
    #[cfg(feature = "aws")]
    Aws(Box<crate::io::aws::AwsStore>),
}

/// One of the shells for nodes.
#[derive(Debug)]
pub enum AnyShell {
    /// This machine, or a transport.
    Local(Box<LocalShell<SystemClock>>),
    /// SSM Run Command.
    #[cfg(feature = "aws")]
    Aws(Box<crate::io::aws::SsmShell<SystemClock>>),
}

/// What a world is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Only to look: nothing is made that is not there.
    Look,
    /// To act.
    Act,
}

/// Whether this build has the provider that the settings ask for.
///
/// # Errors
/// When it was built without it.
pub fn available(settings: &Settings) -> Result<(), Failure> {
    if settings.provider.kind == ProviderKind::Aws && !cfg!(feature = "aws") {
        return Err(Failure::usage(
            "this roundsman was built without AWS",
            "build it with the default features, or set `[provider] kind = \"local\"`",
        ));
    }
    Ok(())
}

/// Opens the world. `agents`: whether reading a fleet asks which nodes can execute steps.
#[cfg_attr(
    not(feature = "aws"),
    expect(clippy::unused_async, reason = "AWS has to be waited for")
)]
pub async fn open(settings: &Settings, purpose: Purpose, agents: bool) -> Result<World, Failure> {
    match settings.provider.kind {
        ProviderKind::Local => local(&settings.provider.local, purpose),
        #[cfg(feature = "aws")]
        ProviderKind::Aws => aws::open(&settings.provider.aws, purpose, agents).await,
        #[cfg(not(feature = "aws"))]
        ProviderKind::Aws => {
            let _ = agents;
            available(settings)?;
            Err(Failure::usage("there is no such provider", "this is a bug"))
        }
    }
}

impl World {
    /// When the right to act ends, as far as the provider's credentials say; they may be renewed before.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unused_async, reason = "AWS has to be waited for")
    )]
    pub async fn credentials_end(&self) -> Option<Timestamp> {
        match &self.store {
            AnyStore::Local(_) => None,
            #[cfg(feature = "aws")]
            AnyStore::Aws(store) => store.clients().credentials_end().await,
        }
    }
}

fn local(settings: &LocalSettings, purpose: Purpose) -> Result<World, Failure> {
    let path = settings
        .store
        .clone()
        .or_else(environment::default_store)
        .ok_or_else(|| {
            Failure::usage(
                "there is no place for the local store",
                "set `[provider.local] store`, or $HOME",
            )
        })?;
    let nodes = settings.nodes.iter().map(entry).collect();
    let opened = match purpose {
        Purpose::Look => LocalStore::open_to_look(&path, nodes)?,
        Purpose::Act => LocalStore::open(&path, nodes)?,
    };
    let shell = LocalShell::new(
        SystemClock,
        &path,
        settings.via.as_deref().unwrap_or_default(),
    );
    Ok(World {
        store: AnyStore::Local(Box::new(opened.store)),
        node: AnyShell::Local(Box::new(shell)),
        runner: RunnerShell::new(SystemClock),
        clock: SystemClock,
        created: opened.created,
    })
}

fn entry(node: &InventoryNode) -> LocalNode {
    LocalNode {
        id: NodeId(node.id.clone()),
        name: node.name.clone(),
        address: node.address.clone(),
        zone: node.zone.clone(),
        tags: node.tags.clone(),
    }
}

impl World {
    /// API calls so far, by action; empty where there are none to count.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        match &self.store {
            AnyStore::Local(_) => BTreeMap::new(),
            #[cfg(feature = "aws")]
            AnyStore::Aws(store) => store.clients().calls(),
        }
    }

    /// The nodes that `wanted` may mean by id, name or address, whatever job they belong to.
    pub async fn find(&self, wanted: &str) -> Result<Vec<Node>, PortError> {
        self.store.find(wanted).await
    }

    /// Whether the policy allows to write and delete these tags on a node, asked without changing anything.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unused_async, reason = "AWS has to be waited for")
    )]
    pub async fn may_tag(&self, node: &NodeId, put: &Put) -> Result<(), PortError> {
        match &self.store {
            AnyStore::Local(_) => {
                let _ = (node, put);
                Ok(())
            }
            #[cfg(feature = "aws")]
            AnyStore::Aws(store) => store.may_tag(node, put).await,
        }
    }
}

impl AnyStore {
    /// The nodes that `wanted` may mean by id, name or address, whatever job they belong to.
    pub async fn find(&self, wanted: &str) -> Result<Vec<Node>, PortError> {
        match self {
            Self::Local(store) => {
                let _ = wanted;
                store
                    .read_fleet(&Selector {
                        all: true,
                        ..Selector::default()
                    })
                    .await
            }
            #[cfg(feature = "aws")]
            Self::Aws(store) => store.find(wanted).await,
        }
    }
}

impl Ports for World {
    type Store = AnyStore;
    type Node = AnyShell;
    type Runner = RunnerShell<SystemClock>;
    type Clock = SystemClock;

    fn store(&self) -> &AnyStore {
        &self.store
    }

    fn node(&self) -> &AnyShell {
        &self.node
    }

    fn runner(&self) -> &RunnerShell<SystemClock> {
        &self.runner
    }

    fn clock(&self) -> &SystemClock {
        &self.clock
    }
}

/// Asks whichever store it is.
macro_rules! either {
    ($self:expr, $kind:ident, $inner:ident => $call:expr) => {
        match $self {
            $kind::Local($inner) => $call,
            #[cfg(feature = "aws")]
            $kind::Aws($inner) => $call,
        }
    };
}

impl Store for AnyStore {
    fn consistency(&self) -> Consistency {
        either!(self, AnyStore, store => store.consistency())
    }

    fn offset(&self) -> Offset {
        either!(self, AnyStore, store => store.offset())
    }

    async fn read_fleet(&self, selector: &Selector) -> Result<Vec<Node>, PortError> {
        either!(self, AnyStore, store => store.read_fleet(selector).await)
    }

    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError> {
        either!(self, AnyStore, store => store.read_key(nodes, key).await)
    }

    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError> {
        either!(self, AnyStore, store => store.read_tags(node).await)
    }

    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        only_if: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError> {
        either!(self, AnyStore, store => store.write(node, put, only_if).await)
    }

    async fn delete(&self, node: &NodeId, pairs: &Put) -> Result<(), WriteError> {
        either!(self, AnyStore, store => store.delete(node, pairs).await)
    }

    async fn transact<T>(
        &self,
        selector: &Selector,
        proposed: ClaimId,
        decide: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError> {
        either!(self, AnyStore, store => store.transact(selector, proposed, decide).await)
    }
}

impl Shell for AnyShell {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        either!(self, AnyShell, shell => shell.send(node, order).await)
    }

    async fn wait(&self, node: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        either!(self, AnyShell, shell => shell.wait(node, ticket).await)
    }

    async fn cancel(&self, node: &Node, ticket: &Ticket, grace: Duration) -> Result<(), PortError> {
        either!(self, AnyShell, shell => shell.cancel(node, ticket, grace).await)
    }

    async fn reset_mark(&self, node: &Node) -> Result<Option<String>, PortError> {
        either!(self, AnyShell, shell => shell.reset_mark(node).await)
    }

    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        either!(self, AnyShell, shell => shell.end_run(node, halt).await)
    }

    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        either!(self, AnyShell, shell => shell.evidence(node, within).await)
    }
}

/// The nodes that a person may mean: by id, or by a name or address that only one of them has.
pub async fn find_node(world: &World, selector: &Selector, wanted: &str) -> Result<Node, Failure> {
    let nodes = world.store().read_fleet(selector).await?;
    pick(nodes, wanted)
}

/// The node that `wanted` means among `nodes`.
pub fn pick(nodes: Vec<Node>, wanted: &str) -> Result<Node, Failure> {
    let known: Vec<String> = nodes
        .iter()
        .map(|node| node.id.to_string())
        .take(10)
        .collect();
    let (by_id, others): (Vec<Node>, Vec<Node>) = nodes
        .into_iter()
        .partition(|node| node.id.as_str() == wanted);
    if let Some(node) = by_id.into_iter().next() {
        return Ok(node);
    }
    let means = |node: &Node| {
        node.name.as_deref() == Some(wanted) || node.address.as_deref() == Some(wanted)
    };
    let mut meant: Vec<Node> = others.into_iter().filter(means).collect();
    match (meant.len(), meant.pop()) {
        (1, Some(node)) => Ok(node),
        (0, _) if known.is_empty() => Err(Failure::usage(
            format!("there is no node `{wanted}`"),
            "the fleet is empty",
        )),
        (0, _) => Err(Failure::usage(
            format!("there is no node `{wanted}`"),
            format!("there are {}", known.join(", ")),
        )),
        (count, _) => Err(Failure::usage(
            format!("{count} nodes are called `{wanted}`"),
            "say which one by its id",
        )),
    }
}
