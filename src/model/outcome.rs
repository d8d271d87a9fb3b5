//! How one attempt at a step ended, and what follows from it: one table.

use std::fmt;

use crate::model::field::Fields;
use crate::model::id::{ClaimId, RunId};
use crate::model::job::On;
use crate::model::record::FailReason;

/// How one attempt at a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Status 0.
    Ok,
    /// Another status.
    Failed,
    /// It took longer than its timeout and was ended.
    TimedOut,
    /// It was killed, or the node went down under it.
    Interrupted,
    /// It never reached the node.
    Undelivered,
    /// The node could not be reached.
    Unreachable,
    /// Something else still runs there.
    Busy,
    /// A later claim has been there.
    Superseded,
    /// It arrived after its time.
    TooLate,
    /// The node was told to reboot, or is back and was not asked whether it is ready: no end, the same attempt is sent
    /// again.
    Rebooting,
    /// The node was told to reboot, and was not back, or not ready, in time.
    NotBack,
    /// Nobody can say. Never read as failed: the step may still be running.
    Unknown,
}

/// What an outcome means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Whether it used up an attempt.
    pub uses_attempt: bool,
    /// What happens to the lease.
    pub lease: Lease,
    /// What `fail-<task>` says when it was the last attempt; `None`: nothing is written.
    pub fail: Option<FailReason>,
    /// The exit status of the invocation when it was the last attempt.
    pub exit: u8,
}

/// What happens to the lease after an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The run goes on, or ends in order.
    Goes,
    /// Kept until the step's latest possible end has passed: it may be running.
    KeptToLatestEnd,
    /// It is somebody else's: nothing more is touched.
    Lost,
}

impl Outcome {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failed,
        Self::TimedOut,
        Self::Interrupted,
        Self::Undelivered,
        Self::Unreachable,
        Self::Busy,
        Self::Superseded,
        Self::TooLate,
        Self::Rebooting,
        Self::NotBack,
        Self::Unknown,
    ];

    /// The table. None but ok is success.
    #[rustfmt::skip]
    pub fn meaning(self) -> Meaning {
        let row = |uses_attempt, lease, fail, exit| Meaning { uses_attempt, lease, fail, exit };
        match self {
            //                        attempt  lease                   fail-                            exit
            Self::Ok =>          row(true, Lease::Goes,            None,                            0),
            Self::Failed =>      row(true, Lease::Goes,            Some(FailReason::Failed),        1),
            Self::TimedOut =>    row(true, Lease::Goes,            Some(FailReason::TimedOut),      1),
            Self::Interrupted => row(true, Lease::Goes,            Some(FailReason::Interrupted),   1),
            Self::Undelivered => row(true, Lease::Goes,            Some(FailReason::Undelivered),   1),
            Self::Unreachable => row(true, Lease::Goes,            Some(FailReason::Unreachable),   1),
            Self::Busy =>        row(false, Lease::Goes,           Some(FailReason::Busy),          1),
            Self::Superseded =>  row(false, Lease::Lost,           None,                            4),
            Self::TooLate =>     row(false, Lease::Goes,           Some(FailReason::TooLate),       1),
            Self::Rebooting =>   row(false, Lease::Goes,           Some(FailReason::NotBack),       1),
            Self::NotBack =>     row(true, Lease::Goes,            Some(FailReason::NotBack),       1),
            Self::Unknown =>     row(true, Lease::KeptToLatestEnd, Some(FailReason::Unknown),       1),
        }
    }

    /// The word in events, result lines and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
            Self::Undelivered => "undelivered",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Superseded => "superseded",
            Self::TooLate => "too-late",
            Self::Rebooting => "rebooting",
            Self::NotBack => "not-back",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How a send ended, as far as the transport can tell. What the step made of it is judged by its result line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The command ended by itself, with this status (`None`: by a signal) and this output.
    Ended {
        /// Its exit status.
        status: Option<i32>,
        /// What it printed.
        stdout: String,
        /// What it complained.
        stderr: String,
    },
    /// It never reached the node, for certain.
    Undelivered(String),
    /// The node could not be reached; nothing was executed, for certain.
    Unreachable(String),
    /// It was ended because it took too long.
    TimedOut {
        /// What it printed until then.
        stdout: String,
    },
    /// It was ended from outside, and does not run, for certain.
    Interrupted(String),
    /// Nobody can tell what happened.
    Unknown(String),
}

/// Which attempt a result line has to speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The claim that sent it.
    pub claim: ClaimId,
    /// The step's number.
    pub step: u32,
    /// Which attempt, from 1.
    pub number: u32,
}

/// One attempt, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// How it ended.
    pub outcome: Outcome,
    /// The step's own exit status, where it had one.
    pub status: Option<i32>,
    /// What it printed, or why there is nothing.
    pub output: String,
}

/// Judges what came back of a send.
///
/// Of a node step only the wrapper's result line is judged; without it the outcome is what the executor vouches
/// for, else unknown, never failed. A runner step is judged by its exit status.
pub fn judge(delivery: &Delivery, on: On, attempt: Attempt) -> Judged {
    let judged = |outcome, status, output: &str| Judged {
        outcome,
        status,
        output: output.to_owned(),
    };
    match (delivery, on) {
        (
            Delivery::Ended {
                status: Some(0),
                stdout,
                stderr,
            },
            On::Runner,
        ) => judged(Outcome::Ok, Some(0), &both(stdout, stderr)),
        (
            Delivery::Ended {
                status: Some(status),
                stdout,
                stderr,
            },
            On::Runner,
        ) => judged(Outcome::Failed, Some(*status), &both(stdout, stderr)),
        (
            Delivery::Ended {
                status: None,
                stdout,
                stderr,
            },
            On::Runner,
        ) => judged(Outcome::Interrupted, None, &both(stdout, stderr)),
        (Delivery::Ended { stdout, stderr, .. }, On::Node) => result_line(stdout, attempt)
            .unwrap_or_else(|| judged(Outcome::Unknown, None, &both(stdout, stderr))),
        (Delivery::TimedOut { stdout }, On::Runner) => judged(Outcome::TimedOut, None, stdout),
        // The wrapper ends a step in its time and says so. An executor that had to end the wrapper cannot say
        // whether the step is gone.
        (Delivery::TimedOut { stdout }, On::Node) => {
            result_line(stdout, attempt).unwrap_or_else(|| judged(Outcome::Unknown, None, stdout))
        }
        (Delivery::Undelivered(why), _) => judged(Outcome::Undelivered, None, why),
        (Delivery::Unreachable(why), _) => judged(Outcome::Unreachable, None, why),
        (Delivery::Interrupted(why), _) => judged(Outcome::Interrupted, None, why),
        (Delivery::Unknown(why), _) => judged(Outcome::Unknown, None, why),
    }
}

/// Reads `roundsman v1 run= claim= step= attempt= boot= state= status=` from the first line, if it speaks of `attempt`.
fn result_line(stdout: &str, attempt: Attempt) -> Option<Judged> {
    let (line, output) = stdout.split_once('\n').unwrap_or((stdout, ""));
    let fields = Fields::parse(line.trim_end().strip_prefix("roundsman ")?)?;
    let same = fields.read::<RunId>("run")? == attempt.run
        && fields.read::<u32>("step")? == attempt.step
        && fields.read::<u32>("attempt")? == attempt.number;
    let state = fields.get("state")?;
    let outcome = Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.label() == state)?;
    same.then(|| Judged {
        outcome,
        status: fields.read("status"),
        output: output.to_owned(),
    })
}

fn both(stdout: &str, stderr: &str) -> String {
    match (stdout.trim_end(), stderr.trim_end()) {
        (out, "") => out.to_owned(),
        ("", err) => err.to_owned(),
        (out, err) => format!("{out}\n{err}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            run: RunId::new(1, 1),
            claim: ClaimId::new(2, 2),
            step: 1,
            number: 1,
        }
    }

    fn line(state: &str, status: &str) -> String {
        let Attempt { run, claim, .. } = attempt();
        format!(
            "roundsman v1 run={run} claim={claim} step=1 attempt=1 boot=b state={state} status={status}\nhello\n"
        )
    }

    fn ended(status: Option<i32>, stdout: &str) -> Delivery {
        Delivery::Ended {
            status,
            stdout: stdout.to_owned(),
            stderr: String::new(),
        }
    }

    #[test]
    fn only_the_result_line_of_a_node_step_is_judged() {
        let judged = judge(&ended(Some(1), &line("failed", "194")), On::Node, attempt());
        assert_eq!(
            (judged.outcome, judged.status, judged.output.as_str()),
            (Outcome::Failed, Some(194), "hello\n")
        );
        assert_eq!(
            judge(&ended(Some(1), &line("ok", "0")), On::Node, attempt()).outcome,
            Outcome::Ok
        );
        assert_eq!(
            judge(&ended(Some(0), "all is well"), On::Node, attempt()).outcome,
            Outcome::Unknown
        );
        assert_eq!(
            judge(&ended(Some(1), ""), On::Node, attempt()).outcome,
            Outcome::Unknown
        );
        assert_eq!(
            judge(&ended(Some(0), &line("splendid", "0")), On::Node, attempt()).outcome,
            Outcome::Unknown
        );
    }

    #[test]
    fn an_executor_that_ran_out_of_patience_does_not_know_how_a_node_step_ended() {
        let late = Delivery::TimedOut {
            stdout: "no line".to_owned(),
        };
        assert_eq!(judge(&late, On::Node, attempt()).outcome, Outcome::Unknown);
        assert_eq!(
            judge(&late, On::Runner, attempt()).outcome,
            Outcome::TimedOut
        );
        let told = Delivery::TimedOut {
            stdout: line("timed-out", ""),
        };
        assert_eq!(judge(&told, On::Node, attempt()).outcome, Outcome::TimedOut);
    }

    #[test]
    fn a_line_that_speaks_of_another_attempt_says_nothing() {
        let other = Attempt {
            number: 2,
            ..attempt()
        };
        assert_eq!(
            judge(&ended(Some(0), &line("ok", "0")), On::Node, other).outcome,
            Outcome::Unknown
        );
    }

    #[test]
    fn a_line_without_a_status_is_read() {
        let judged = judge(&ended(Some(75), &line("busy", "")), On::Node, attempt());
        assert_eq!((judged.outcome, judged.status), (Outcome::Busy, None));
    }

    #[test]
    fn a_runner_step_is_judged_by_its_status() {
        assert_eq!(
            judge(&ended(Some(0), ""), On::Runner, attempt()).outcome,
            Outcome::Ok
        );
        assert_eq!(
            judge(&ended(Some(75), "x"), On::Runner, attempt()).outcome,
            Outcome::Failed
        );
        assert_eq!(
            judge(&ended(None, "x"), On::Runner, attempt()).outcome,
            Outcome::Interrupted
        );
    }

    #[test]
    fn none_but_ok_is_success_and_only_superseded_leaves_no_record() {
        for outcome in Outcome::ALL {
            let meaning = outcome.meaning();
            assert_eq!(meaning.exit == 0, outcome == Outcome::Ok, "{outcome}");
            let silent = matches!(outcome, Outcome::Ok | Outcome::Superseded);
            assert_eq!(meaning.fail.is_none(), silent, "{outcome}");
            if let Some(reason) = meaning.fail {
                let end = match outcome {
                    Outcome::Rebooting => Outcome::NotBack,
                    end => end,
                };
                assert_eq!(reason.label(), end.label());
            }
        }
        assert!(!Outcome::Busy.meaning().uses_attempt && !Outcome::TooLate.meaning().uses_attempt);
        assert_eq!(Outcome::Unknown.meaning().lease, Lease::KeptToLatestEnd);
    }
}
