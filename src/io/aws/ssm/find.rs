//! Finding a command whose send was not answered: it may have been taken all the same.
//!
//! A send has no idempotency token and is never repeated, but its comment names run, step and attempt, and so it can be
//! looked for. What is found is the same as if it had been answered: the runner waits for it, and knows how it ended.

use std::time::Duration;

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::io::aws::client::Clients;
use crate::model::id::NodeId;
use crate::model::time::{floor_second, format_stamp};
use crate::port::{Clock, Ticket};

/// For how long a command is looked for, and how long apart: what was taken is listed within seconds.
const WITHIN: Duration = Duration::from_secs(30);
const APART: Duration = Duration::from_secs(2);
/// How much earlier than our send a command may seem to be requested, by what is known of the provider's clock. An
/// earlier claim may have sent the same attempt, but not so lately: that is another command, and says nothing of ours.
const SLACK: Duration = Duration::from_secs(2);

/// The command with this comment that was requested since `begun`, the provider's time; `None`: SSM shows none, which
/// does not say that there is none.
pub(super) async fn sent<C: Clock>(
    clients: &Clients,
    clock: &C,
    node: &NodeId,
    comment: &str,
    begun: Timestamp,
) -> Option<Ticket> {
    let slack = jiff::SignedDuration::try_from(SLACK).ok()?;
    let since = begun.checked_sub(slack).ok()?;
    let give_up = clock.boot().plus(WITHIN);
    loop {
        if let Some(ticket) = listed(clients, node, comment, since).await {
            tracing::info!(node = %node, command = %ticket.0, "the send was not answered, and had been taken");
            return Some(ticket);
        }
        if clock.boot() >= give_up {
            return None;
        }
        clock.sleep_until(clock.boot().plus(APART)).await;
    }
}

/// One look; what cannot be asked now is asked again.
async fn listed(
    clients: &Clients,
    node: &NodeId,
    comment: &str,
    since: Timestamp,
) -> Option<Ticket> {
    let filter = CommandFilter::builder()
        .key(CommandFilterKey::InvokedAfter)
        .value(format_stamp(floor_second(since)))
        .build()
        .ok()?;
    let mut commands = clients
        .ssm
        .list_commands()
        .instance_id(node.as_str())
        .filters(filter)
        .into_paginator()
        .items()
        .send();
    let since = DateTime::from_nanos(since.as_nanosecond()).ok()?;
    while let Some(Ok(command)) = commands.next().await {
        let ours = command.comment() == Some(comment)
            && command.requested_date_time().is_some_and(|at| *at >= since);
        if ours {
            return command.command_id.map(Ticket);
        }
    }
    None
}
