//! What SSM's statuses mean: one table.
//!
//! `StatusDetails` decides, `Status` where it is missing. AWS spells details with and without spaces
//! (`Delivery Timed Out`, `DeliveryTimedOut`), so both are read. The SDK's own waiter counts Cancelling as a
//! failure; here it goes on.

use aws_sdk_ssm::types::{Command, CommandInvocation};

/// How far a command has come on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not delivered yet.
    Waiting,
    /// Delivered; it has not ended. Unknown statuses too: what may run is not said to have ended.
    Running,
    /// It ended by itself.
    Ended,
    /// It never reached the node.
    Undelivered,
    /// SSM gave up on hearing of it. **Not** proof that it never ran: at the sum of delivery and execution time-out
    /// even a command in progress gets this (Run Command guide, "command statuses").
    Lost,
    /// SSM ended what it had started because it took too long.
    TimedOut,
    /// It was cancelled: SSM killed what it had started.
    Cancelled,
}

pub(super) fn of_invocation(invocation: &CommandInvocation) -> Stage {
    stage(
        invocation.status().map_or("", |status| status.as_str()),
        invocation.status_details().unwrap_or_default(),
    )
}

/// Of a command to one node. Not to be asked of commands to many: four undeliverable ones and a success are a success.
pub(super) fn of_command(command: &Command) -> Stage {
    stage(
        command.status().map_or("", |status| status.as_str()),
        command.status_details().unwrap_or_default(),
    )
}

fn stage(status: &str, details: &str) -> Stage {
    let word = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    of_word(&word(details))
        .or_else(|| of_word(&word(status)))
        .unwrap_or(Stage::Running)
}

fn of_word(word: &str) -> Option<Stage> {
    Some(match word {
        "pending" | "delayed" => Stage::Waiting,
        "inprogress" | "cancelling" => Stage::Running,
        "success" | "failed" => Stage::Ended,
        "undeliverable" | "invalidplatform" | "accessdenied" => Stage::Undelivered,
        // A bare TimedOut does not say which of the two it was: the one that proves less.
        "deliverytimedout" | "timedout" => Stage::Lost,
        "executiontimedout" => Stage::TimedOut,
        "cancelled" | "canceled" | "terminated" => Stage::Cancelled,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_decide_whatever_their_spelling() {
        let table = [
            ("Pending", "Pending", Stage::Waiting),
            ("Delayed", "Delayed", Stage::Waiting),
            ("InProgress", "In Progress", Stage::Running),
            ("Cancelling", "Cancelling", Stage::Running),
            ("Success", "Success", Stage::Ended),
            ("Failed", "Failed", Stage::Ended),
            ("Failed", "Undeliverable", Stage::Undelivered),
            ("Failed", "Invalid Platform", Stage::Undelivered),
            ("Failed", "AccessDenied", Stage::Undelivered),
            ("Failed", "Terminated", Stage::Cancelled),
            ("TimedOut", "Delivery Timed Out", Stage::Lost),
            ("TimedOut", "DeliveryTimedOut", Stage::Lost),
            ("TimedOut", "Execution Timed Out", Stage::TimedOut),
            ("TimedOut", "", Stage::Lost),
            ("Cancelled", "Canceled", Stage::Cancelled),
        ];
        for (status, details, expected) in table {
            assert_eq!(stage(status, details), expected, "{status} / {details}");
        }
    }

    #[test]
    fn what_is_not_known_may_be_running() {
        assert_eq!(stage("", ""), Stage::Running);
        assert_eq!(stage("Hovering", "Hovering Low"), Stage::Running);
        assert_eq!(stage("Success", "Splendid"), Stage::Ended);
    }
}
