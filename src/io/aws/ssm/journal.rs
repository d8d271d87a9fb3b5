//! What a node says of itself, asked by commands of our own: its journal, the end of an attempt that somebody else has
//! sent, and the end of all that runs there.
//!
//! These commands have comments that are not those of attempts: what asks for evidence is no evidence.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::io::aws::ssm::{DELIVERY_MIN, EXECUTION_MAX, EXECUTION_SLACK, SsmShell, output, poll};
use crate::model::id::NodeId;
use crate::model::journal::{self, Journal};
use crate::model::node::{Command, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::port::{Clock, ErrorKind, Halt, PortError, Ticket, WriteError};

/// How long a node may take to say what its journal has: an agent that sleeps is not waited for.
const LOOK_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to end all that runs there: TERM, 30 s, KILL, and the way there and back.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// Makes the texts by which a node is asked.
#[derive(Debug, Clone, Copy)]
pub struct Verbs {
    /// Prints the journal since then. `None`: nodes are not asked for it, and what SSM shows has to do.
    pub look: Option<fn(Timestamp) -> String>,
    /// Waits for an attempt, and prints how it ended.
    pub wait: fn(&Command) -> String,
    /// Ends one attempt.
    pub stop: fn(&Command) -> String,
    /// Raises the mark, and ends what a run has under way.
    pub stop_run: fn(&Halt) -> String,
    /// Forgets the mark.
    pub reset: fn() -> String,
}

impl<C: Clock> SsmShell<C> {
    /// The node's journal.
    ///
    /// # Errors
    /// When the node cannot be asked, or does not answer soon.
    pub(super) async fn look(
        &self,
        look: fn(Timestamp) -> String,
        node: &Node,
        within: Duration,
    ) -> Result<Journal, PortError> {
        let since = SignedDuration::try_from(within)
            .ok()
            .and_then(|within| self.clients.now().checked_sub(within).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let printed = self.ask(&node.id, look(since), "look", LOOK_WITHIN).await?;
        journal::read(&printed)
            .ok_or_else(|| silent(&node.id, "its journal cannot be read", &printed))
    }

    /// Waits for an attempt that the journal shows.
    pub(super) async fn wait_for_found(
        &self,
        verbs: Verbs,
        node: &NodeId,
        command: &Command,
    ) -> Result<Delivery, PortError> {
        let ticket = self
            .send_question(node, (verbs.wait)(command), "look", EXECUTION_MAX)
            .await?;
        let delivery = poll::wait(&self.clients, &self.clock, node, &ticket).await?;
        Ok(match delivery {
            // Who only asked was ended, or never arrived; that says nothing of the step.
            Delivery::Undelivered(why) | Delivery::Interrupted(why) => Delivery::Unknown(why),
            other => other,
        })
    }

    /// How an attempt ended that was sent from here and that the executor has lost sight of: the node may know. Where it
    /// does not, or cannot be asked, `lost` stands.
    pub(super) async fn or_found(
        &self,
        node: &NodeId,
        ticket: &Ticket,
        lost: Delivery,
    ) -> Delivery {
        let sent = poll::invocation(&self.clients, node, ticket).await;
        let sent = sent.ok().flatten();
        let comment = sent.as_ref().and_then(|sent| sent.comment());
        let command = comment.and_then(journal::named);
        let Some((verbs, command)) = self.verbs.zip(command) else {
            return lost;
        };
        match self.wait_for_found(verbs, node, &command).await {
            Ok(found @ Delivery::Ended { .. }) => found,
            Ok(_) => lost,
            Err(error) => {
                tracing::debug!(node = %node, error = %error, "what SSM shows has to do");
                lost
            }
        }
    }

    /// Ends what a run has under way on a node.
    pub(super) async fn stop_run(
        &self,
        verbs: Verbs,
        node: &NodeId,
        halt: &Halt,
    ) -> Result<Stopped, PortError> {
        let text = (verbs.stop_run)(halt);
        let printed = self.ask(node, text, "stop", STOP_WITHIN).await?;
        journal::stopped(&printed, halt.claim).map_err(|why| silent(node, &why, &printed))
    }

    /// Forgets a node's mark.
    pub(super) async fn forget_mark(
        &self,
        verbs: Verbs,
        node: &NodeId,
    ) -> Result<Option<String>, PortError> {
        let printed = self
            .ask(node, (verbs.reset)(), "reset", LOOK_WITHIN)
            .await?;
        journal::reset(&printed).map_err(|why| silent(node, &why, &printed))
    }

    /// Sends a text that soon ends, and returns what it printed.
    async fn ask(
        &self,
        node: &NodeId,
        text: String,
        word: &str,
        within: Duration,
    ) -> Result<String, PortError> {
        let ticket = self
            .send_question(node, text, word, EXECUTION_SLACK)
            .await?;
        let delivery = tokio::select! {
            biased;
            delivery = poll::wait(&self.clients, &self.clock, node, &ticket) => delivery?,
            () = self.clock.sleep_until(self.clock.boot().plus(within)) => {
                return Err(silent(node, "it has not answered in time", ""));
            }
        };
        let Delivery::Ended { stdout, .. } = delivery else {
            return Err(silent(node, "SSM did not bring an answer", ""));
        };
        // The short form may be cut short; the long one is asked for only where it is.
        match poll::invocation(&self.clients, node, &ticket).await {
            Ok(Some(found)) => Ok(output::full(&self.clients, node, &ticket, &found)
                .await
                .stdout),
            Ok(None) | Err(_) => Ok(stdout),
        }
    }

    async fn send_question(
        &self,
        node: &NodeId,
        text: String,
        word: &str,
        execution: Duration,
    ) -> Result<Ticket, PortError> {
        let comment = format!("roundsman-{word} {node}");
        let sent = self
            .send_text(node, text, comment, DELIVERY_MIN, execution)
            .await;
        sent.map_err(|error| match error {
            WriteError::Refused(error) | WriteError::Unknown(error) => error,
            WriteError::Changed => silent(node, "the send was refused", ""),
        })
    }
}

fn silent(node: &NodeId, why: &str, printed: &str) -> PortError {
    let line = printed.lines().next().unwrap_or_default();
    let message = format!("{node} could not be asked: {why} {line}");
    PortError::new(ErrorKind::Unreachable, message.trim_end())
}
