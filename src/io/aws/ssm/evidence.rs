//! What SSM knows of the commands on a node: evidence for whoever finds a suspect lease there.

use std::time::Duration;

use aws_sdk_ssm::types::{Command as SsmCommand, CommandFilter, CommandFilterKey};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::io::aws::client::Clients;
use crate::io::aws::error::Call;
use crate::io::aws::ssm::poll;
use crate::io::aws::ssm::stage::{self, Stage};
use crate::io::aws::ssm::{EXECUTION_MAX, not_built};
use crate::model::id::NodeId;
use crate::model::node::{Activity, Command, Evidence, Handle};
use crate::model::time::{format_stamp, later};
use crate::port::{ErrorKind, PortError, Ticket};

/// The most commands in one answer (API reference).
const PAGE: i32 = 50;
/// `executionTimeout` of a command that does not say (AWS-RunShellScript's default).
const EXECUTION_DEFAULT: Duration = Duration::from_secs(3_600);

/// Every roundsman command on the node that was begun within the last `within`.
///
/// Trouble that may pass is [`Evidence::Unavailable`]: the node counts as busy until it has. What a policy forbids is
/// an error, because it will not pass.
pub(super) async fn evidence(
    clients: &Clients,
    node: &NodeId,
    within: Duration,
) -> Result<Evidence, PortError> {
    match commands(clients, node, within).await {
        Ok(commands) => Ok(Evidence::Commands(commands)),
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::NotFound
            ) =>
        {
            Ok(Evidence::Unavailable(error.message))
        }
        Err(error) => Err(error),
    }
}

async fn commands(
    clients: &Clients,
    node: &NodeId,
    within: Duration,
) -> Result<Vec<Command>, PortError> {
    let now = clients.now();
    let since = jiff::SignedDuration::try_from(within)
        .ok()
        .and_then(|within| now.checked_sub(within).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let filter = CommandFilter::builder()
        .key(CommandFilterKey::InvokedAfter)
        .value(format_stamp(since))
        .build()
        .map_err(|error| not_built(&error))?;
    let mut pages = clients
        .ssm
        .list_commands()
        .instance_id(node.as_str())
        .filters(filter)
        .into_paginator()
        .page_size(PAGE)
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(listed) = pages.next().await {
        let listed = listed.map_err(|error| call(clients, node).failed(&error))?;
        let comment = listed.comment().unwrap_or_default();
        // Nobody's affair but its owner's; asked before its status is, which may cost a call.
        if Command::parse_comment(comment, Activity::Finished).is_none() {
            continue;
        }
        let activity = activity(clients, node, &listed, now).await?;
        let command = Command::parse_comment(comment, activity);
        found.extend(command.map(|command| Command {
            handle: handle(&listed, now),
            ..command
        }));
    }
    Ok(found)
}

/// What it takes to wait for the command: the ticket that its send was answered with is the command's id.
fn handle(command: &SsmCommand, now: Timestamp) -> Option<Handle> {
    Some(Handle {
        ticket: command.command_id()?.to_owned(),
        sent: requested(command, now),
        latest_end: latest_end(command, now),
    })
}

async fn activity(
    clients: &Clients,
    node: &NodeId,
    command: &SsmCommand,
    now: Timestamp,
) -> Result<Activity, PortError> {
    let own = stage::of_command(command);
    let stage = match (own, command.command_id()) {
        // Of a command to one node, which ours are, these settle it.
        (Stage::Ended, _) | (_, None) => own,
        (_, Some(id)) => poll::invocation(clients, node, &Ticket(id.to_owned()))
            .await?
            .map_or(own, |invocation| stage::of_invocation(&invocation)),
    };
    Ok(judge(stage, latest_end(command, now), now))
}

fn judge(stage: Stage, latest_end: Timestamp, now: Timestamp) -> Activity {
    match stage {
        // Agents forget commands, and SSM then shows them in progress for ever (amazon-ssm-agent#430).
        Stage::Waiting | Stage::Running if latest_end < now => Activity::Unknown { latest_end },
        Stage::Waiting | Stage::Running => Activity::InProgress,
        Stage::Ended | Stage::Undelivered => Activity::Finished,
        // SSM ended what it had started itself: a step that was detached from it, or will not go, may live on.
        Stage::Lost | Stage::Cancelled | Stage::TimedOut => Activity::Unknown { latest_end },
    }
}

/// When the command has ended, whatever became of it: delivered at the last moment, run for as long as it may.
fn latest_end(command: &SsmCommand, now: Timestamp) -> Timestamp {
    let seconds = |n: u64| Duration::from_secs(n);
    let delivery = command
        .timeout_seconds()
        .and_then(|n| u64::try_from(n).ok())
        .map_or(seconds(3_600), seconds);
    let execution = command
        .parameters()
        .and_then(|parameters| parameters.get("executionTimeout"))
        .and_then(|values| values.first()?.parse().ok())
        .map_or(EXECUTION_DEFAULT, seconds)
        .min(EXECUTION_MAX);
    let computed = later(later(requested(command, now), delivery), execution);
    command
        .expires_after()
        .and_then(timestamp)
        .map_or(computed, |expires| expires.max(computed))
}

fn requested(command: &SsmCommand, now: Timestamp) -> Timestamp {
    command
        .requested_date_time()
        .and_then(timestamp)
        .unwrap_or(now)
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

fn call<'a>(clients: &'a Clients, node: &'a NodeId) -> Call<'a> {
    Call {
        clients,
        action: "ssm:ListCommands",
        on: node.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_latest_end_counts_delivery_and_execution() {
        let command = SsmCommand::builder()
            .requested_date_time(DateTime::from_secs(1_000))
            .timeout_seconds(600)
            .parameters("executionTimeout", vec!["120".to_owned()])
            .build();
        assert_eq!(latest_end(&command, at(0)), at(1_720));
        assert_eq!(handle(&command, at(0)), None);
        let named = SsmCommand::builder()
            .command_id("c-1")
            .requested_date_time(DateTime::from_secs(1_000))
            .timeout_seconds(600)
            .parameters("executionTimeout", vec!["120".to_owned()])
            .build();
        assert_eq!(
            handle(&named, at(0)),
            Some(Handle {
                ticket: "c-1".to_owned(),
                sent: at(1_000),
                latest_end: at(1_720)
            })
        );
        let bare = SsmCommand::builder()
            .requested_date_time(DateTime::from_secs(1_000))
            .expires_after(DateTime::from_secs(90_000))
            .build();
        assert_eq!(latest_end(&bare, at(0)), at(90_000));
        assert_eq!(
            latest_end(&SsmCommand::builder().build(), at(50)),
            at(7_250)
        );
    }

    #[test]
    fn what_may_still_run_is_not_finished() {
        let (now, end) = (at(100), at(200));
        assert_eq!(judge(Stage::Running, end, now), Activity::InProgress);
        assert_eq!(judge(Stage::Waiting, end, now), Activity::InProgress);
        assert_eq!(judge(Stage::Ended, end, now), Activity::Finished);
        assert_eq!(judge(Stage::Undelivered, end, now), Activity::Finished);
        assert_eq!(
            judge(Stage::TimedOut, end, now),
            Activity::Unknown { latest_end: end }
        );
        assert_eq!(
            judge(Stage::Lost, end, now),
            Activity::Unknown { latest_end: end }
        );
        assert_eq!(
            judge(Stage::Cancelled, end, now),
            Activity::Unknown { latest_end: end }
        );
    }

    #[test]
    fn nothing_is_in_progress_for_ever() {
        let end = at(200);
        assert_eq!(
            judge(Stage::Running, end, at(201)),
            Activity::Unknown { latest_end: end }
        );
    }
}
