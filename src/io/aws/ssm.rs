//! The shell: steps go to nodes by SSM Run Command, one node a command.
//!
//! `SendCommand` has no idempotency token, so a send is never repeated here; what makes a repetition harmless is the
//! journal on the node. A command's comment names job, run, step and attempt, and is how whoever adopts finds it, and
//! how a send that was not answered is found.

mod evidence;
mod find;
mod journal;
mod output;
mod poll;
mod stage;

use std::time::Duration;

use aws_sdk_ssm::error::BuildError;
use jiff::Timestamp;

use crate::io::aws::client::{Clients, ssm_once};
use crate::io::aws::error::Call;
use crate::io::aws::ssm::stage::Stage;
use crate::model::id::NodeId;
use crate::model::job::On;
use crate::model::journal::named;
use crate::model::node::{Activity, Agent, Command, Evidence, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::model::time::elapsed;
use crate::port::{Clock, ErrorKind, Halt, Order, PortError, Shell, Ticket, WriteError};

/// The longest `executionTimeout` that AWS-RunShellScript takes: 48 h.
const EXECUTION_MAX: Duration = Duration::from_secs(172_800);
/// What the executor grants beyond the step's own time-out: a minute for its end, and one for starting and reporting.
/// The wrapper ends the step; the executor's time-out is for the case that the wrapper cannot.
const EXECUTION_SLACK: Duration = Duration::from_secs(120);
/// How long SSM tries to deliver, at most and at least, as `SendCommand` takes it. A step's delivery lasts until its
/// not-after, when the node refuses it: so the latest end that SSM tells of it is no earlier than the true one.
const DELIVERY_MAX: Duration = Duration::from_secs(2_592_000);
const DELIVERY_MIN: Duration = Duration::from_secs(30);
/// How long SSM tries to deliver what ends a step.
const STOP_WITHIN: Duration = Duration::from_secs(600);

/// Makes the text that SSM hands to `sh` for an order.
pub type Compose = fn(&Order) -> Result<String, String>;

pub use journal::Verbs;

/// Runs node steps by SSM Run Command.
#[derive(Debug, Clone)]
pub struct SsmShell<C> {
    clients: Clients,
    clock: C,
    document: String,
    compose: Compose,
    verbs: Option<Verbs>,
}

impl<C: Clock> SsmShell<C> {
    /// A shell that sends what `compose` makes as the `commands` of `document` (a command document with the parameters
    /// `commands` and `executionTimeout`, such as `AWS-RunShellScript`).
    pub fn new(clients: Clients, clock: C, document: impl Into<String>, compose: Compose) -> Self {
        Self {
            clients,
            clock,
            document: document.into(),
            compose,
            verbs: None,
        }
    }

    /// Asks nodes for their journals, and ends steps there, by what `verbs` make, sent as commands of their own.
    ///
    /// A step is detached from its transport: it survives `CancelCommand`, which kills what SSM itself started.
    #[must_use]
    pub fn with_verbs(mut self, verbs: Verbs) -> Self {
        self.verbs = Some(verbs);
        self
    }

    async fn send_text(
        &self,
        node: &NodeId,
        text: String,
        comment: String,
        delivery: Duration,
        execution: Duration,
    ) -> Result<Ticket, WriteError> {
        let call = Call {
            clients: &self.clients,
            action: "ssm:SendCommand",
            on: &format!("{node} (document `{}`)", self.document),
        };
        let sent = self
            .clients
            .ssm
            .send_command()
            .instance_ids(node.as_str())
            .document_name(&self.document)
            .parameters("commands", vec![text])
            .parameters("executionTimeout", vec![execution.as_secs().to_string()])
            .timeout_seconds(i32::try_from(delivery.as_secs()).unwrap_or(i32::MAX))
            .comment(comment)
            .customize()
            .config_override(ssm_once())
            .send()
            .await
            .map_err(|error| call.not_written(&error))?;
        let id = sent.command.and_then(|command| command.command_id);
        id.map(Ticket).ok_or_else(|| {
            WriteError::Unknown(PortError::new(
                ErrorKind::Other,
                format!("ssm:SendCommand on {node}: the answer names no command"),
            ))
        })
    }

    /// Ends a delivered command by the wrapper's `stop`; `false`: there is nothing to compose it from.
    async fn stop_step(&self, node: &NodeId, comment: &str) -> Result<bool, PortError> {
        let command = Command::parse_comment(comment, Activity::InProgress);
        let (Some(verbs), Some(command)) = (self.verbs, command) else {
            return Ok(false);
        };
        let text = (verbs.stop)(&command);
        // Not the comment of an attempt: what stops one is no evidence of one.
        let comment = format!(
            "roundsman-stop {} {} {}.{}",
            command.job, command.run, command.step, command.attempt
        );
        let sent = self
            .send_text(node, text, comment, STOP_WITHIN, EXECUTION_SLACK)
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(WriteError::Refused(error) | WriteError::Unknown(error)) => Err(error),
            Err(WriteError::Changed) => Ok(false),
        }
    }
}

impl<C: Clock> Shell for SsmShell<C> {
    /// Delivery is tried until the order's not-after; SSM's minimum is 30 s, so a send in the last
    /// half minute may be delivered late, where the fence refuses it. One call; when it is not answered, one call every
    /// two seconds for half a minute, which look for what was sent.
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        let refused = |why: String| WriteError::Refused(PortError::new(ErrorKind::Other, why));
        if order.on == On::Runner {
            return Err(refused(format!(
                "step {} runs beside roundsman, not on {}",
                order.step, node.id
            )));
        }
        let text = (self.compose)(order).map_err(refused)?;
        let comment = Command::comment(&order.job, order.run, order.step, order.attempt);
        let begun = self.clients.now();
        let delivery = delivery(order.not_after, begun);
        let execution = execution(order.timeout);
        let sent = self
            .send_text(&node.id, text, comment.clone(), delivery, execution)
            .await;
        match sent {
            Err(WriteError::Unknown(error)) => {
                find::sent(&self.clients, &self.clock, &node.id, &comment, begun)
                    .await
                    .ok_or(WriteError::Unknown(error))
            }
            sent => sent,
        }
    }

    /// Polls at first every second, in the end every ten; one or two calls a poll when something ended, else one. The
    /// first poll is a second after the call: nothing has ended sooner. Of what SSM has lost sight of the node is asked.
    ///
    /// # Errors
    /// What AWS refuses; and what it fails to answer for two minutes on end.
    async fn wait(&self, node: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        if let (Some(verbs), Some(command)) = (self.verbs, named(&ticket.0)) {
            return self.wait_for_found(verbs, &node.id, &command).await;
        }
        match poll::wait(&self.clients, &self.clock, &node.id, ticket).await? {
            lost @ Delivery::Unknown(_) => Ok(self.or_found(&node.id, ticket, lost).await),
            delivery => Ok(delivery),
        }
    }

    /// Before delivery: `CancelCommand`, best effort. After it: the wrapper's `stop` where there is one
    /// ([`SsmShell::with_verbs`]), else `CancelCommand`, which is SIGKILL to what SSM started.
    async fn cancel(
        &self,
        node: &Node,
        ticket: &Ticket,
        _grace: Duration,
    ) -> Result<(), PortError> {
        if named(&ticket.0).is_some() {
            return self.stop_step(&node.id, &ticket.0).await.map(drop);
        }
        let invocation = poll::invocation(&self.clients, &node.id, ticket).await?;
        let begun = invocation
            .as_ref()
            .filter(|each| stage::of_invocation(each) == Stage::Running);
        if let Some(begun) = begun
            && self
                .stop_step(&node.id, begun.comment().unwrap_or_default())
                .await?
        {
            return Ok(());
        }
        let call = Call {
            clients: &self.clients,
            action: "ssm:CancelCommand",
            on: node.id.as_str(),
        };
        self.clients
            .ssm
            .cancel_command()
            .command_id(&ticket.0)
            .instance_ids(node.id.as_str())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| call.failed(&error))
    }

    /// What SSM shows: one call for 50 commands, and one for each of ours whose own status does not settle it. Unless the
    /// agent is known to be offline the node's journal is asked too, by a command of its own, and goes first.
    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        let shown = evidence::evidence(&self.clients, &node.id, within).await?;
        let look = self.verbs.and_then(|verbs| verbs.look);
        let Some(look) = look.filter(|_| node.agent != Agent::Offline) else {
            return Ok(shown);
        };
        match self.look(look, node, within).await {
            Ok(journal) => Ok(journal.correct(shown)),
            Err(error) => {
                tracing::debug!(node = %node.id, error = %error, "what SSM shows has to do");
                Ok(shown)
            }
        }
    }

    async fn reset_mark(&self, node: &Node) -> Result<Option<String>, PortError> {
        match self.verbs {
            Some(verbs) => self.forget_mark(verbs, &node.id).await,
            None => Err(PortError::new(
                ErrorKind::Other,
                format!("the mark of {} cannot be reset from here", node.id),
            )),
        }
    }

    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        match self.verbs {
            Some(verbs) => self.stop_run(verbs, &node.id, halt).await,
            None => Err(PortError::new(
                ErrorKind::Other,
                format!("what runs on {} cannot be ended from here", node.id),
            )),
        }
    }
}

/// How long SSM may try to deliver.
fn delivery(not_after: Timestamp, now: Timestamp) -> Duration {
    elapsed(now, not_after).clamp(DELIVERY_MIN, DELIVERY_MAX)
}

/// How long SSM lets what it started live.
fn execution(timeout: Duration) -> Duration {
    timeout.saturating_add(EXECUTION_SLACK).min(EXECUTION_MAX)
}

/// A request that the SDK could not build, which its builders allow for.
pub(super) fn not_built(error: &BuildError) -> PortError {
    PortError::new(
        ErrorKind::Other,
        format!("the request could not be made: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_ends_with_the_order_within_what_ssm_takes() {
        let now = Timestamp::UNIX_EPOCH;
        let in_seconds = |s| Timestamp::from_second(s).expect("a time");
        assert_eq!(delivery(in_seconds(90), now), Duration::from_secs(90));
        let hours = Duration::from_secs(7_200);
        assert_eq!(delivery(in_seconds(7_200), now), hours);
        assert_eq!(delivery(in_seconds(9_999_999), now), DELIVERY_MAX);
        assert_eq!(delivery(in_seconds(5), now), DELIVERY_MIN);
        assert_eq!(delivery(in_seconds(-60), now), DELIVERY_MIN);
    }

    #[test]
    fn execution_outlasts_the_step_and_stays_within_48_hours() {
        assert_eq!(
            execution(Duration::from_secs(3_600)),
            Duration::from_secs(3_720)
        );
        assert_eq!(execution(Duration::MAX), EXECUTION_MAX);
    }
}
