//! What a node's own journal says: evidence, the wait for what somebody else has sent, and the end of all that runs there.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use super::LocalShell;
use crate::io::local::via;
use crate::io::process::Ended;
use crate::io::wrapper;
use crate::model::journal;
use crate::model::node::{Command, Evidence, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::port::{Clock, ErrorKind, Halt, PortError, Ticket};

/// How long a node may take to answer: TERM, 30 s, KILL, and the way there and back.
const ANSWER: Duration = Duration::from_secs(90);

/// The command that a ticket of evidence names.
pub(super) fn found(ticket: &Ticket) -> Result<Command, PortError> {
    journal::named(&ticket.0).ok_or_else(|| {
        PortError::new(
            ErrorKind::NotFound,
            format!("no step with the ticket `{}` was sent from here", ticket.0),
        )
    })
}

impl<C: Clock> LocalShell<C> {
    /// Reads the journal. A node that does not answer counts as busy until it does: what ran there may run on.
    pub(super) async fn look(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        let since = SignedDuration::try_from(within)
            .ok()
            .and_then(|within| self.clock.wall().checked_sub(within).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let text = wrapper::compose_look(since, &self.state_dir(node)?);
        let answer = match self.ask(node, text).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Unreachable => {
                return Ok(Evidence::Unavailable(error.message));
            }
            Err(error) => return Err(error),
        };
        Ok(match journal::read(&answer.stdout) {
            Some(journal) => Evidence::Commands(journal.commands()),
            None => Evidence::Unavailable(format!(
                "node {}: its journal cannot be read: {}",
                node.id,
                said(&answer)
            )),
        })
    }

    /// Waits for an attempt that the journal shows.
    ///
    /// # Errors
    /// When the node cannot be reached: whoever waits asks again.
    pub(super) async fn wait_for_found(
        &self,
        node: &Node,
        ticket: &Ticket,
    ) -> Result<Delivery, PortError> {
        let text = wrapper::compose_wait(&found(ticket)?, &self.state_dir(node)?);
        let asked = Asked(self.start(node, text)?);
        let answer = asked.0.ended().await;
        let answer = self.reached(node, answer)?;
        if answer.stdout.starts_with("roundsman v1 ") {
            return Ok(Delivery::Ended {
                status: answer.status,
                stdout: answer.stdout,
                stderr: answer.stderr,
            });
        }
        Ok(Delivery::Unknown(format!(
            "node {}: its journal does not say how the step ended: {}",
            node.id,
            said(&answer)
        )))
    }

    /// Ends what a run has under way on the node.
    pub(super) async fn stop_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        let text = wrapper::compose_stop_run(halt, &self.state_dir(node)?);
        let answer = self.ask(node, text).await?;
        journal::stopped(&answer.stdout, halt.claim).map_err(|why| {
            PortError::new(
                ErrorKind::Other,
                format!("node {}: {why}: {}", node.id, said(&answer)),
            )
        })
    }

    /// Forgets the mark.
    pub(super) async fn forget_mark(&self, node: &Node) -> Result<Option<String>, PortError> {
        let text = wrapper::compose_reset(&self.state_dir(node)?);
        let answer = self.ask(node, text).await?;
        journal::reset(&answer.stdout).map_err(|why| {
            PortError::new(
                ErrorKind::Other,
                format!("node {}: {why}: {}", node.id, said(&answer)),
            )
        })
    }

    /// Gives the node a text that soon ends, and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be reached, or does not answer in time.
    pub(super) async fn ask(&self, node: &Node, text: String) -> Result<Ended, PortError> {
        let asked = Asked(self.start(node, text)?);
        if !self
            .at_most(ANSWER, async { drop(asked.0.ended().await) })
            .await
        {
            let message = format!("node {} has not answered for {ANSWER:?}", node.id);
            return Err(PortError::new(ErrorKind::Unreachable, message));
        }
        self.reached(node, asked.0.result())
    }

    /// What came back, when a shell of the node has said it.
    fn reached(&self, node: &Node, answer: Option<Ended>) -> Result<Ended, PortError> {
        let away = |why: String| {
            PortError::new(ErrorKind::Unreachable, format!("node {}: {why}", node.id))
        };
        let answer = answer.ok_or_else(|| away("nobody watches its process".to_owned()))?;
        let lost = self.via.is_some()
            && matches!(answer.status, Some(255) | None)
            && !answer.stdout.starts_with("roundsman v1 ");
        if !answer.fed || lost {
            return Err(away(said(&answer)));
        }
        Ok(answer)
    }
}

/// A process that only asks: it goes when nobody waits for its answer any more.
struct Asked(crate::io::process::Process);

impl Drop for Asked {
    fn drop(&mut self) {
        if self.0.result().is_none() {
            self.0.signal(Signal::KILL);
        }
    }
}

/// What a shell or a transport had to say, else how it ended.
fn said(answer: &Ended) -> String {
    let texts = [answer.stderr.trim(), answer.stdout.trim()];
    let text = texts.into_iter().find(|text| !text.is_empty());
    text.map_or_else(
        || format!("it ended {}", via::ending(answer.status)),
        str::to_owned,
    )
}
