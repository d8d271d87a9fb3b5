//! Nodes as a store shows them, and the evidence of what runs there.

use jiff::Timestamp;

use crate::model::id::{Name, NodeId, RunId};
use crate::model::tag::Tags;

/// One node at the moment it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its `Name` tag.
    pub name: Option<String>,
    /// Where it can be reached.
    pub address: Option<String>,
    /// Its availability zone.
    pub zone: Option<String>,
    /// Its Auto Scaling group.
    pub group: Option<String>,
    /// When it was launched.
    pub launched: Option<Timestamp>,
    /// Whether it does its work.
    pub service: Service,
    /// Whether what executes steps there answers.
    pub agent: Agent,
    /// All of its tags.
    pub tags: Tags,
}

/// Whether a node does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Running and, where a group has a say, in service.
    In,
    /// Not so. Unknown states are out of service too.
    Out {
        /// In the provider's words ("instance is stopping", "lifecycle state is Standby").
        why: String,
        /// Stopped or gone: nothing can be in progress there.
        stopped: bool,
    },
}

/// Whether what executes steps on a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nobody asked, or there is none to ask.
    NotAsked,
    /// It answered lately.
    Online,
    /// It did not.
    Offline,
}

/// What became of a roundsman command that an executor, or the node's journal, knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It runs, or may begin to.
    InProgress,
    /// It reboots its node, has not ended, and goes on when it is sent again.
    Reboots,
    /// It has ended.
    Finished,
    /// Nobody can say; it cannot run on after this time.
    Unknown {
        /// The latest possible end.
        latest_end: Timestamp,
    },
}

impl Activity {
    /// Whether whoever waits for it is told at once what became of it.
    pub fn is_told_at_once(self) -> bool {
        match self {
            Self::Reboots | Self::Finished => true,
            Self::InProgress | Self::Unknown { .. } => false,
        }
    }
}

/// One command found on a node, named by the comment `roundsman <job> <run> <step>.<attempt>` on its send.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// The job.
    pub job: Name,
    /// The run.
    pub run: RunId,
    /// The step's number.
    pub step: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// What became of it.
    pub activity: Activity,
    /// How to wait for it; `None`: nobody can.
    pub handle: Option<Handle>,
}

/// What whoever has found a command needs to wait for it, as its executor said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The executor's own name for the send: the text of a ticket.
    pub ticket: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// It cannot run on after this time, whatever became of it.
    pub latest_end: Timestamp,
}

impl Command {
    /// The comment that a send carries, by which evidence is found. At most 100 characters (the SSM limit).
    pub fn comment(job: &Name, run: RunId, step: u32, attempt: u32) -> String {
        format!("roundsman {job} {run} {step}.{attempt}")
    }

    /// Reads such a comment; activity and handle are for the caller to fill in. `None`: not one of ours.
    pub fn parse_comment(text: &str, activity: Activity) -> Option<Self> {
        let mut words = text.split(' ');
        let (mark, job, run, number) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (step, attempt) = number.split_once('.')?;
        if mark != "roundsman" || words.next().is_some() {
            return None;
        }
        Some(Self {
            job: Name::new(job).ok()?,
            run: run.parse().ok()?,
            step: step.parse().ok()?,
            attempt: attempt.parse().ok()?,
            activity,
            handle: None,
        })
    }
}

/// What is known of the commands on one node, read after the tags that it judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Every roundsman command that the executor knows of; perhaps none.
    Commands(Vec<Command>),
    /// Nobody keeps such a record (steps on this machine, until the node's journal is read).
    None,
    /// It could not be had: the node counts as busy until it can.
    Unavailable(String),
}

/// What became of all that ran on a node that was told to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stopped {
    /// Nothing of it lives there any more.
    Nothing {
        /// How many attempts at a step were ended.
        ended: u32,
    },
    /// Something is left that even KILL has not ended yet.
    Lives,
    /// A later claim has been there: nothing was ended.
    Superseded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_names_the_attempt_and_fits() {
        let job = Name::new(&"j".repeat(40)).expect("a name");
        let run = RunId::new(9, 9);
        let comment = Command::comment(&job, run, 12, 3);
        assert!(comment.len() <= 100);
        let command = Command::parse_comment(&comment, Activity::Finished).expect("ours");
        assert_eq!(
            (command.job, command.run, command.step, command.attempt),
            (job, run, 12, 3)
        );
        for other in [
            "",
            "roundsman",
            "patch baseline",
            "roundsman a b 1.1",
            &format!("{comment} x"),
        ] {
            assert_eq!(
                Command::parse_comment(other, Activity::Finished),
                None,
                "{other}"
            );
        }
    }
}
