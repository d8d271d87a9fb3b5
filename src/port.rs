//! Floor 2: the few things that the engine needs from outside. Three traits, no more.
//!
//! [`Store`] reads and writes tags, [`Shell`] runs steps, [`Clock`] tells the time, waits and draws lots.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::id::{ClaimId, Name, NodeId, RunId};
use crate::model::job::{Fence, On, Selector};
use crate::model::node::{Activity, Command, Evidence, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::model::tag::{TagKey, Tags};
use crate::model::time::Moment;
pub use crate::model::time::Offset;

/// What went wrong outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Too many calls: to be tried again later.
    Throttled,
    /// Two tag changes at once (`ConcurrentTagAccess`): to be tried again later.
    Conflict,
    /// Not allowed.
    Denied,
    /// Credentials are missing, wrong, or at their end.
    Credentials,
    /// No such group, node, document.
    NotFound,
    /// No connection, or no answer in time.
    Unreachable,
    /// Everything else.
    Other,
}

/// An error from outside, in the user's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What happened, to what, and why, with the provider's request id where there is one.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

impl PortError {
    /// An error without advice.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why a write may not have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The provider said no: nothing was written, now or later.
    #[error("{0}")]
    Refused(PortError),
    /// The value on which the write was conditional was not there: nothing was written. Only from stores that can
    /// compare and set.
    #[error("the value has changed")]
    Changed,
    /// No answer: it may have been written, or be written yet.
    #[error("{0}")]
    Unknown(PortError),
}

/// What a store promises of its reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Reads may be stale, writes late, the last one wins: claims settle (EC2).
    Eventual,
    /// Reading, deciding and writing are one transaction: [`Store::transact`]. Nothing settles (`SQLite`).
    Transactional,
}

/// Tags to write, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The first.
    pub first: (TagKey, String),
    /// The others.
    pub more: Vec<(TagKey, String)>,
}

impl Put {
    /// One tag.
    pub fn one(key: TagKey, value: String) -> Self {
        Self {
            first: (key, value),
            more: Vec::new(),
        }
    }

    /// One more tag in the same call.
    #[must_use]
    pub fn and(mut self, key: TagKey, value: String) -> Self {
        self.more.push((key, value));
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(TagKey, String)> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

/// A write within a transaction: these tags on that node.
pub type Grant = (NodeId, Put);

/// Where the tags are.
///
/// Every method is one attempt, or several only where a repetition cannot do harm (reads). A write is never
/// repeated by the store: a repetition is a write of its own, which the protocol has to know of.
pub trait Store {
    /// What it promises.
    fn consistency(&self) -> Consistency;

    /// Provider time less this machine's, as the latest answers told it.
    fn offset(&self) -> Offset;

    /// Reads the fleet: every node with all of its tags, in no particular order. Terminated nodes are not in it.
    async fn read_fleet(&self, selector: &Selector) -> Result<Vec<Node>, PortError>;

    /// Reads one key of some nodes. Nodes without the key are absent from the answer.
    async fn read_key(
        &self,
        nodes: &[NodeId],
        key: &TagKey,
    ) -> Result<BTreeMap<NodeId, String>, PortError>;

    /// Reads all tags of one node.
    async fn read_tags(&self, node: &NodeId) -> Result<Tags, PortError>;

    /// Writes tags on a node, overwriting what is there. `only_if` names a key and the value that it must have (or
    /// `None`: be absent); stores that cannot compare and set pass over it.
    async fn write(
        &self,
        node: &NodeId,
        put: &Put,
        only_if: Option<(&TagKey, Option<&str>)>,
    ) -> Result<(), WriteError>;

    /// Deletes tags that have exactly these values; others are left alone, and the answer does not tell which.
    async fn delete(&self, node: &NodeId, pairs: &Put) -> Result<(), WriteError>;

    /// Reads the fleet, lets `decide` look at it, and writes what that grants, in one transaction.
    ///
    /// `decide` gets the claim id to use: `proposed`, or the highest one ever used here plus one, whichever is
    /// higher, so that ids rise with claims. Only for [`Consistency::Transactional`] stores; others answer with an
    /// error.
    async fn transact<T>(
        &self,
        selector: &Selector,
        proposed: ClaimId,
        decide: impl FnOnce(Vec<Node>, ClaimId) -> (Option<Grant>, T),
    ) -> Result<T, PortError>;
}

/// What an order has its node do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Execute the script.
    Run,
    /// Reboot, and then execute the script until it succeeds; an empty one: only reboot. Sent again, it goes on where it
    /// is: a node that has begun the attempt does not reboot for it again.
    Reboot {
        /// Whether the node is known to have begun it: then one that does not know of it has lost its journal, and is
        /// not to reboot either.
        begun: bool,
    },
}

/// One attempt at one step, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The job.
    pub job: Name,
    /// The run.
    pub run: RunId,
    /// The claim: the fence's number.
    pub claim: ClaimId,
    /// The step's number.
    pub step: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Where it runs.
    pub on: On,
    /// What is done.
    pub deed: Deed,
    /// The script.
    pub script: String,
    /// What it finds in its environment: `ROUNDSMAN_…` and the job's own.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
    /// After this time of the provider's clock it does not start.
    pub not_after: jiff::Timestamp,
    /// Whether the node's kernel lock has to keep other runs out.
    pub fence: Fence,
}

impl Order {
    /// The attempt, as evidence names it.
    pub fn command(&self, activity: Activity) -> Command {
        Command {
            job: self.job.clone(),
            run: self.run,
            step: self.step,
            attempt: self.attempt,
            activity,
            handle: None,
        }
    }
}

/// What a stop ends on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The job.
    pub job: Name,
    /// The run.
    pub run: RunId,
    /// The claim that stops it: the fence's number.
    pub claim: ClaimId,
    /// Only steps up to this number: what comes after is clean-up, which is left to end by itself.
    pub steps: u32,
}

/// What an executor gave back for a send. Its meaning is the executor's own (an SSM command id, a process).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub String);

/// What runs steps.
pub trait Shell {
    /// Sends one attempt. Not repeated: there is no idempotency token.
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError>;

    /// Waits until the send has ended. May be dropped at any time and called again.
    async fn wait(&self, node: &Node, ticket: &Ticket) -> Result<Delivery, PortError>;

    /// Ends what was sent: TERM, and KILL after `grace` at most, which a node's own wrapper sets for itself. `wait` then
    /// tells what became of it.
    async fn cancel(&self, node: &Node, ticket: &Ticket, grace: Duration) -> Result<(), PortError>;

    /// Raises the node's mark to the claim, so that no earlier one starts anything there any more, and ends what the run
    /// has under way, whoever sent it: TERM, and KILL 30 s later.
    ///
    /// # Errors
    /// When the node cannot be told, or has no place to keep its mark. Then nobody can say what runs there.
    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        let message = format!("run {} on {} cannot be ended from here", halt.run, node.id);
        Err(PortError::new(ErrorKind::Other, message))
    }

    /// Forgets the node's mark, so that claims of any age may execute there again; tells what it was, if there was one.
    ///
    /// # Errors
    /// When the node cannot be told.
    async fn reset_mark(&self, node: &Node) -> Result<Option<String>, PortError> {
        let message = format!("nothing keeps a mark on {}", node.id);
        Err(PortError::new(ErrorKind::Other, message))
    }

    /// Every roundsman command on the node that was begun within the last `within`.
    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError>;
}

/// Time, waiting and chance.
pub trait Clock {
    /// This machine's wall clock; the provider's time is this and the store's offset.
    fn wall(&self) -> jiff::Timestamp;

    /// This machine's clock that counts suspend.
    fn boot(&self) -> Moment;

    /// Waits until that moment.
    async fn sleep_until(&self, at: Moment);

    /// 128 random bits.
    fn random(&self) -> u128;
}

/// All ports together: what one invocation acts through.
pub trait Ports {
    /// Where the tags are.
    type Store: Store;
    /// What runs steps on nodes.
    type Node: Shell;
    /// What runs steps beside roundsman itself.
    type Runner: Shell;
    /// Time, waiting and chance.
    type Clock: Clock;

    /// The tags.
    fn store(&self) -> &Self::Store;
    /// Steps on nodes.
    fn node(&self) -> &Self::Node;
    /// Steps beside roundsman itself.
    fn runner(&self) -> &Self::Runner;
    /// The time.
    fn clock(&self) -> &Self::Clock;
}
