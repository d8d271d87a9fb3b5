//! Waiting for a command to end.
//!
//! Right after sending, SSM does not know the command on its node yet; it throttles; it fails for a while. None of
//! that says anything of the command, so waiting goes on, within a bound.

use std::time::Duration;

use aws_sdk_ssm::types::CommandInvocation;

use crate::io::aws::client::Clients;
use crate::io::aws::error::Call;
use crate::io::aws::ssm::output;
use crate::io::aws::ssm::stage::{self, Stage};
use crate::model::id::NodeId;
use crate::model::outcome::Delivery;
use crate::port::{Clock, ErrorKind, PortError, Ticket};

/// The pause before the first look, and the longest one.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// How long a command may stay unlisted, and how long AWS may fail to answer.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn wait<C: Clock>(
    clients: &Clients,
    clock: &C,
    node: &NodeId,
    ticket: &Ticket,
) -> Result<Delivery, PortError> {
    let mut answered = clock.boot();
    let mut listed = clock.boot();
    let mut pause = FIRST;
    loop {
        clock
            .sleep_until(clock.boot().plus(jittered(pause, clock.random())))
            .await;
        pause = (pause * 3 / 2).min(LONGEST);
        match invocation(clients, node, ticket).await {
            Ok(Some(found)) => {
                if let Some(delivery) = delivery(clients, node, ticket, &found).await {
                    return Ok(delivery);
                }
                answered = clock.boot();
                listed = answered;
            }
            Ok(None) if clock.boot().since(listed) > PATIENCE => {
                return Ok(Delivery::Unknown(format!(
                    "SSM does not know command {} on {node}",
                    ticket.0
                )));
            }
            Ok(None) => answered = clock.boot(),
            Err(error) if passing(&error) && clock.boot().since(answered) <= PATIENCE => {
                tracing::warn!(node = %node, error = %error, "the step's status cannot be read; asking again");
                // Time in which nobody answered is not time in which the command was missing.
                listed = clock.boot();
            }
            Err(error) => return Err(error),
        }
    }
}

/// The command on its node; `None`: SSM does not list it (yet).
pub(super) async fn invocation(
    clients: &Clients,
    node: &NodeId,
    ticket: &Ticket,
) -> Result<Option<CommandInvocation>, PortError> {
    let answer = clients
        .ssm
        .list_command_invocations()
        .command_id(&ticket.0)
        .instance_id(node.as_str())
        .details(true)
        .send()
        .await;
    match answer {
        Ok(answer) => Ok(answer
            .command_invocations
            .unwrap_or_default()
            .into_iter()
            .find(|each| each.instance_id() == Some(node.as_str()))),
        Err(error) => {
            let call = Call {
                clients,
                action: "ssm:ListCommandInvocations",
                on: node.as_str(),
            };
            match call.failed(&error) {
                // How SSM says "not yet" of a command that it has just taken.
                error if error.kind == ErrorKind::NotFound => Ok(None),
                error => Err(error),
            }
        }
    }
}

/// How the command ended; `None`: it has not.
async fn delivery(
    clients: &Clients,
    node: &NodeId,
    ticket: &Ticket,
    found: &CommandInvocation,
) -> Option<Delivery> {
    let details = found.status_details().unwrap_or("no details");
    Some(match stage::of_invocation(found) {
        Stage::Waiting | Stage::Running => return None,
        Stage::Ended => {
            let mut printed = output::short(found);
            if printed.status != Some(0) {
                printed = output::full(clients, node, ticket, found).await;
            }
            Delivery::Ended {
                status: printed.status,
                stdout: printed.stdout,
                stderr: printed.stderr,
            }
        }
        Stage::Undelivered => Delivery::Undelivered(format!(
            "SSM did not deliver the command to {node} ({details})"
        )),
        Stage::Lost => Delivery::Unknown(format!(
            "SSM lost sight of the command on {node} ({details}); it may have run, or be running"
        )),
        Stage::TimedOut => Delivery::TimedOut {
            stdout: output::full(clients, node, ticket, found).await.stdout,
        },
        Stage::Cancelled if output::started(clients, node, ticket).await => {
            Delivery::Unknown(format!(
                "the command was cancelled in SSM ({details}) after it had begun; what it started may live on"
            ))
        }
        Stage::Cancelled => Delivery::Interrupted(format!(
            "the command was cancelled in SSM ({details}) before it began"
        )),
    })
}

/// Whether it may be otherwise at the next look.
fn passing(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable)
}

/// Three quarters to all of a pause, so that many waiters do not ask in step.
fn jittered(pause: Duration, random: u128) -> Duration {
    let quarter = pause / 4;
    let share = u32::try_from(random % 1_001).unwrap_or(0);
    pause.saturating_sub(quarter * share / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_by_a_quarter_at_most() {
        assert_eq!(jittered(FIRST, 0), FIRST);
        assert_eq!(jittered(FIRST, 1_000), Duration::from_millis(750));
        assert!((0..5_000).all(|n| jittered(LONGEST, n) >= LONGEST * 3 / 4));
    }
}
