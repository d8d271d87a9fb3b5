//! What a task leaves on a node beside its lease: `last-`, `took-`, `fail-` and an operator's `hold`.

use std::fmt;

use jiff::Timestamp;

use crate::model::field::Fields;
use crate::model::id::RunId;
use crate::model::tag::{VALUE_MAX, clean_last, clean_text, clean_word};
use crate::model::time::{format_stamp, parse_stamp};

/// What stands in `last-<task>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// No tag: never served.
    Never,
    /// The time of the last completion.
    At(Timestamp),
    /// Something that is no time, or lies in the future: the node is due, with a warning that shows the value.
    Unreadable(String),
}

impl Last {
    /// Reads the tag as it looks at `now`. `skew` is how far ahead a time may lie and still count.
    pub fn read(value: Option<&str>, now: Timestamp, skew: std::time::Duration) -> Self {
        match value {
            None => Self::Never,
            Some(text) => match parse_stamp(text) {
                Some(at) if at <= crate::model::time::later(now, skew) => Self::At(at),
                Some(_) | None => Self::Unreadable(text.to_owned()),
            },
        }
    }

    /// The time, where there is one.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(*at),
            Self::Never | Self::Unreadable(_) => None,
        }
    }
}

/// Why a run did not succeed, as `fail-<task>` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailReason {
    /// A step ended with a status other than 0.
    Failed,
    /// A step took longer than its timeout.
    TimedOut,
    /// A step was killed, or its node went down under it.
    Interrupted,
    /// A step never reached the node.
    Undelivered,
    /// The node could not be reached.
    Unreachable,
    /// Something else still runs on the node.
    Busy,
    /// A later claim has been there.
    Superseded,
    /// A send arrived after its time.
    TooLate,
    /// Nobody can say how a step ended.
    Unknown,
    /// The steps succeeded, the clean-up did not.
    Cleanup,
    /// The run was found without a runner, and another job took the node.
    Abandoned,
    /// An operator or a signal ended it.
    Stopped,
    /// The job file is not the one that the run began with.
    JobChanged,
    /// A reboot after which the node did not come back.
    NotBack,
}

impl FailReason {
    /// The reason's word in tags and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
            Self::Undelivered => "undelivered",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Superseded => "superseded",
            Self::TooLate => "too-late",
            Self::Unknown => "unknown",
            Self::Cleanup => "cleanup",
            Self::Abandoned => "abandoned",
            Self::Stopped => "stopped",
            Self::JobChanged => "job-changed",
            Self::NotBack => "not-back",
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// `v1 count= at= run= step= reason=`: runs that did not succeed since the last one that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    /// How many since the last success.
    pub count: u32,
    /// When the latest of them ended.
    pub at: Timestamp,
    /// The latest of them.
    pub run: RunId,
    /// The step it ended at; 0: none was begun.
    pub step: u32,
    /// Why: the reason's word, perhaps with more behind it.
    pub reason: String,
}

impl Fail {
    /// The tag's value.
    pub fn format(&self) -> String {
        let head = format!(
            "v1 count={} at={} run={} step={} reason=",
            self.count,
            format_stamp(self.at),
            self.run,
            self.step
        );
        let reason = clean_last(&self.reason, VALUE_MAX - head.len());
        format!("{head}{reason}")
    }

    /// Reads a value; `None` when it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let fields = Fields::parse(text)?;
        Some(Self {
            count: fields.read("count")?,
            at: parse_stamp(fields.get("at")?)?,
            run: fields.read("run")?,
            step: fields.read("step")?,
            reason: fields.get("reason")?.to_owned(),
        })
    }

    /// The record after one more run that did not succeed. An unreadable earlier record counts as one.
    pub fn following(
        earlier: Option<&str>,
        at: Timestamp,
        run: RunId,
        step: u32,
        reason: FailReason,
    ) -> Self {
        let before = match earlier {
            None => 0,
            Some(text) => Self::parse(text).map_or(1, |fail| {
                if fail.run == run {
                    fail.count.saturating_sub(1)
                } else {
                    fail.count
                }
            }),
        };
        Self {
            count: before.saturating_add(1),
            at,
            run,
            step,
            reason: reason.label().to_owned(),
        }
    }
}

/// How far a hold reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The node that bears it.
    Node,
    /// Every fleet that the node belongs to.
    Fleet,
}

/// `v1 scope=node|fleet by= at= until= reason=`: an operator's stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How far it reaches.
    pub scope: Scope,
    /// Who set it.
    pub by: String,
    /// When it was set.
    pub at: Option<Timestamp>,
    /// When it ends by itself; `None`: when somebody removes it.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// The word for a hold without an end.
const NO_END: &str = "never";

impl Hold {
    /// The tag's value.
    pub fn format(&self) -> String {
        let scope = match self.scope {
            Scope::Node => "node",
            Scope::Fleet => "fleet",
        };
        let stamp = |at: Option<Timestamp>| at.map_or_else(|| NO_END.to_owned(), format_stamp);
        let head = format!(
            "v1 scope={scope} by={} at={} until={} reason=",
            clean_word(&self.by, 40),
            stamp(self.at),
            stamp(self.until)
        );
        let reason = clean_last(&self.reason, VALUE_MAX - head.len());
        format!("{head}{reason}")
    }

    /// Reads a value. Whatever cannot be read (somebody typed `yes`) is a hold without end: of its fleet when it
    /// says so, else of its node.
    pub fn read(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|| Self {
            scope: if text.split(' ').any(|word| word == "scope=fleet") {
                Scope::Fleet
            } else {
                Scope::Node
            },
            by: "unknown".to_owned(),
            at: None,
            until: None,
            reason: clean_text(text, VALUE_MAX),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let fields = Fields::parse(text)?;
        let scope = match fields.get("scope")? {
            "node" => Scope::Node,
            "fleet" => Scope::Fleet,
            _ => return None,
        };
        let until = match fields.get("until") {
            None | Some("" | "-" | NO_END) => None,
            Some(text) => Some(parse_stamp(text)?),
        };
        Some(Self {
            scope,
            by: fields.get("by").unwrap_or("unknown").to_owned(),
            at: fields.get("at").and_then(parse_stamp),
            until,
            reason: fields.get("reason").unwrap_or_default().to_owned(),
        })
    }

    /// Whether it stands at `now`.
    pub fn stands(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn an_unreadable_or_future_last_is_neither_fresh_nor_never() {
        let now = at("2026-11-23T00:10:00Z");
        let read = |text| Last::read(text, now, Duration::from_secs(10));
        assert_eq!(read(None), Last::Never);
        assert_eq!(
            read(Some("2026-11-22")),
            Last::At(at("2026-11-22T00:00:00Z"))
        );
        assert_eq!(
            read(Some("2026-11-23T00:10:09Z")),
            Last::At(at("2026-11-23T00:10:09Z"))
        );
        assert_eq!(
            read(Some("2027-01-01")),
            Last::Unreadable("2027-01-01".to_owned())
        );
        assert_eq!(read(Some("soon")), Last::Unreadable("soon".to_owned()));
    }

    #[test]
    fn failures_count_on_and_the_same_run_counts_once() {
        let run = RunId::new(5, 5);
        let first = Fail::following(
            None,
            at("2026-11-23T00:10:00Z"),
            run,
            2,
            FailReason::TimedOut,
        );
        assert_eq!(
            first.format(),
            format!("v1 count=1 at=2026-11-23T00:10:00Z run={run} step=2 reason=timed-out")
        );
        let again = Fail::following(
            Some(&first.format()),
            at("2026-11-23T00:11:00Z"),
            run,
            2,
            FailReason::TimedOut,
        );
        assert_eq!(again.count, 1);
        let other = Fail::following(
            Some(&first.format()),
            at("2026-11-24T00:10:00Z"),
            RunId::new(6, 6),
            1,
            FailReason::Failed,
        );
        assert_eq!(other.count, 2);
        assert_eq!(
            Fail::following(
                Some("yes"),
                at("2026-11-24T00:10:00Z"),
                run,
                1,
                FailReason::Failed
            )
            .count,
            2
        );
    }

    #[test]
    fn a_hold_that_somebody_typed_has_no_end() {
        let typed = Hold::read("yes");
        assert_eq!(
            (typed.scope, typed.until, typed.reason.as_str()),
            (Scope::Node, None, "yes")
        );
        assert!(typed.stands(at("2099-01-01T00:00:00Z")));
        let broken = Hold::read("v1 scope=fleet by=me at=2026-11-23 until=soon reason=x");
        assert_eq!((broken.scope, broken.until), (Scope::Fleet, None));
    }

    #[test]
    fn a_hold_ends_by_itself() {
        let hold = Hold {
            scope: Scope::Fleet,
            by: "anna".to_owned(),
            at: Some(at("2026-11-23T00:00:00Z")),
            until: Some(at("2026-11-24T00:00:00Z")),
            reason: "upgrade, see #12".to_owned(),
        };
        let back = Hold::read(&hold.format());
        assert_eq!(
            back,
            Hold {
                reason: "upgrade- see -12".to_owned(),
                ..hold
            }
        );
        assert!(back.stands(at("2026-11-23T12:00:00Z")));
        assert!(!back.stands(at("2026-11-24T00:00:00Z")));
    }

    proptest! {
        #[test]
        fn a_hold_with_any_reason_keeps_its_end(reason in "\\PC{0,300}", by in "\\PC{0,60}", second in 0_i64..2_000_000_000) {
            let until = Timestamp::from_second(second).ok();
            let hold = Hold { scope: Scope::Node, by, at: until, until, reason };
            let back = Hold::read(&hold.format());
            prop_assert_eq!((back.until, back.at, back.scope), (until, until, Scope::Node));
            prop_assert_eq!(back.format(), hold.format());
        }

        #[test]
        fn a_failure_with_any_reason_is_read_back(reason in "\\PC{0,300}", count: u32, step in 0_u32..100) {
            let fail = Fail { count, at: at("2026-11-23T00:10:00Z"), run: RunId::new(5, 5), step, reason };
            let back = Fail::parse(&fail.format()).expect("readable");
            prop_assert_eq!((back.count, back.step, back.run), (count, step, fail.run));
        }

        #[test]
        fn any_hold_or_failure_text_is_read_without_panic(text in "\\PC*") {
            let _ = Fail::parse(&text);
            let held = Hold::read(&text);
            prop_assert!(held.format().len() <= VALUE_MAX);
        }
    }
}
