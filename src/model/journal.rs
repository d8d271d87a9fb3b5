//! What a node says of itself: its journal, by the wrapper's `look`, and what `stop` has ended.
//!
//! ```text
//! roundsman v1 boot=<boot id> now=<epoch seconds> mark=<claim>
//! roundsman v1 run= claim= step= attempt= boot= job= began= ends= state= status=
//! roundsman v1 attempts=<how many such lines>
//! ```
//!
//! An attempt is `running`, or has ended like an [`Outcome`]; of what has begun and ended without a result, on this boot
//! or another, it is `interrupted`. `began` and `ends` (the latest possible end) are epoch seconds by the node's clock
//! and by the runner's. A text without its last line was cut short and says nothing.

use jiff::Timestamp;

use crate::model::field::Fields;
use crate::model::id::{ClaimId, Name, RunId};
use crate::model::node::{Activity, Command, Evidence, Handle, Stopped};
use crate::model::outcome::Outcome;

/// A node's journal at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The boot id of the node's kernel.
    pub boot: String,
    /// The node's clock.
    pub now: Timestamp,
    /// The highest claim that was there, as its text; empty: none.
    pub mark: String,
    /// The attempts, by run.
    pub attempts: Vec<Entry>,
}

/// One attempt at a step, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The job.
    pub job: Name,
    /// The run.
    pub run: RunId,
    /// The claim that started it.
    pub claim: ClaimId,
    /// The step's number.
    pub step: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The boot under which it began.
    pub boot: String,
    /// When it began, by the node's clock.
    pub began: Timestamp,
    /// Its latest possible end.
    pub ends: Timestamp,
    /// What has become of it.
    pub state: State,
}

/// What has become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// The step's own exit status, where it had one.
        status: Option<i32>,
    },
}

impl Journal {
    /// What has begun on the node, as evidence.
    pub fn commands(&self) -> Vec<Command> {
        let told = self.attempts.iter();
        told.map(|entry| entry.command(self.now)).collect()
    }

    /// An executor's view, corrected: what has begun on the node is there, and nothing else has. What the journal does not
    /// have was refused there, or has yet to arrive: of that the executor knows more.
    pub fn correct(&self, shown: Evidence) -> Evidence {
        let begun = self.commands();
        let key = |command: &Command| (command.run, command.step, command.attempt);
        let mut commands = match shown {
            Evidence::Commands(commands) => commands,
            Evidence::None | Evidence::Unavailable(_) => Vec::new(),
        };
        commands.retain(|command| begun.iter().all(|each| key(each) != key(command)));
        commands.extend(begun);
        Evidence::Commands(commands)
    }
}

/// The attempt that a ticket names which [`Entry::command`] gave; `None`: it is an executor's own.
pub fn named(ticket: &str) -> Option<Command> {
    Command::parse_comment(ticket, Activity::InProgress)
}

/// The state of what runs.
const RUNNING: &str = "running";

impl Entry {
    /// Its line.
    pub fn format(&self) -> String {
        let (state, status) = match self.state {
            State::Running => (RUNNING, None),
            State::Ended { outcome, status } => (outcome.label(), status),
        };
        format!(
            "roundsman v1 run={} claim={} step={} attempt={} boot={} job={} began={} ends={} state={state} status={}",
            self.run,
            self.claim,
            self.step,
            self.attempt,
            self.boot,
            self.job,
            self.began.as_second(),
            self.ends.as_second(),
            status.map(|status| status.to_string()).unwrap_or_default(),
        )
    }

    fn parse(fields: &Fields) -> Option<Self> {
        let state = fields.get("state")?;
        let ended = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.label() == state);
        Some(Self {
            job: Name::new(fields.get("job")?).ok()?,
            run: fields.read("run")?,
            claim: fields.read("claim")?,
            step: fields.read("step")?,
            attempt: fields.read("attempt")?,
            boot: fields.get("boot")?.to_owned(),
            began: seconds(fields, "began")?,
            ends: seconds(fields, "ends")?,
            state: match ended {
                Some(outcome) => State::Ended {
                    outcome,
                    status: fields.read("status"),
                },
                None if state == RUNNING => State::Running,
                None => return None,
            },
        })
    }

    /// The same as evidence, when the node's clock shows `now`. Whoever waits for it names it by the comment that a send of
    /// it carries.
    pub fn command(&self, now: Timestamp) -> Command {
        Command {
            job: self.job.clone(),
            run: self.run,
            step: self.step,
            attempt: self.attempt,
            activity: match self.state {
                State::Running => Activity::InProgress,
                // It has not ended: its node goes down, or was up again and is not asked after it. When its time is over
                // nobody asks any more.
                State::Ended {
                    outcome: Outcome::Rebooting,
                    ..
                } if now <= self.ends => Activity::Reboots,
                State::Ended { .. } => Activity::Finished,
            },
            handle: Some(Handle {
                ticket: Command::comment(&self.job, self.run, self.step, self.attempt),
                sent: self.began,
                latest_end: self.ends,
            }),
        }
    }
}

/// Reads what `look` has printed; `None`: it is not whole, or not that.
pub fn read(text: &str) -> Option<Journal> {
    let mut lines = text.lines().map(line);
    let head = lines.next()??;
    let mut journal = Journal {
        boot: head.get("boot")?.to_owned(),
        now: seconds(&head, "now")?,
        mark: head.get("mark")?.to_owned(),
        attempts: Vec::new(),
    };
    for fields in lines {
        let fields = fields?;
        if let Some(count) = fields.read::<usize>("attempts") {
            return (count == journal.attempts.len()).then_some(journal);
        }
        journal.attempts.push(Entry::parse(&fields)?);
    }
    None
}

/// Reads what `stop` has printed after it was told to raise the mark to `claim`.
///
/// # Errors
/// A sentence: what it printed is no such thing, or the mark is not raised, so that an earlier claim may start something.
pub fn stopped(text: &str, claim: ClaimId) -> Result<Stopped, String> {
    let fields = text.lines().find_map(line);
    let fields = fields.ok_or("it does not say what became of what ran there")?;
    let (ended, lives) = (fields.read::<u32>("ended"), fields.read::<u32>("lives"));
    let (Some(ended), Some(lives), Some(mark)) = (ended, lives, fields.get("mark")) else {
        return Err("it does not say what became of what ran there".to_owned());
    };
    match mark.parse::<ClaimId>() {
        Ok(mark) if mark > claim => Ok(Stopped::Superseded),
        Ok(mark) if mark == claim && lives == 0 => Ok(Stopped::Nothing { ended }),
        Ok(mark) if mark == claim => Ok(Stopped::Lives),
        _ => Err("its mark could not be raised".to_owned()),
    }
}

/// Reads what `reset` has printed: the mark that was forgotten, if there was one.
///
/// # Errors
/// A sentence: it printed no such thing.
pub fn reset(text: &str) -> Result<Option<String>, String> {
    let fields = text.lines().find_map(line);
    let was = fields.as_ref().and_then(|fields| fields.get("was"));
    let was = was.ok_or("its mark could not be reset")?;
    Ok(Some(was.to_owned()).filter(|was| !was.is_empty()))
}

fn line(text: &str) -> Option<Fields<'_>> {
    Fields::parse(text.trim_end().strip_prefix("roundsman ")?)
}

fn seconds(fields: &Fields, key: &str) -> Option<Timestamp> {
    Timestamp::from_second(fields.read(key)?).ok()
}

#[cfg(test)]
mod tests;
