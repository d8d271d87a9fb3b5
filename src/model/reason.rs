//! Verdicts and reasons: why a node is or is not served now.

use std::fmt;

/// What a job makes of a node at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It would be taken.
    Due,
    /// It would be taken, and its deadline has passed.
    Overdue,
    /// Its time has not come.
    NotDue,
    /// Something stands in the way.
    Blocked,
}

impl Verdict {
    /// The word in JSON and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::NotDue => "not-due",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a node is or is not served, the first that applies, in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in JSON and messages.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// Its instance is not running or not in service.
    OutOfService = "out-of-service",
    /// What executes steps there does not answer.
    AgentOffline = "agent-offline",
    /// An operator's stop, of the node or of its fleet.
    Hold = "hold",
    /// Its `lock` cannot be read: it counts as in work.
    UnreadableLock = "unreadable-lock",
    /// Somebody has a lease on it.
    Locked = "locked",
    /// Something of ours still runs there.
    Busy = "busy",
    /// The lease there has run out, and it is too early to say what became of its run.
    Suspect = "suspect",
    /// A run there waits for its own job.
    Parked = "parked",
    /// It has no room for our tags.
    TagsFull = "tags-full",
    /// It was served lately.
    Fresh = "fresh",
    /// It has not lived long enough.
    TooYoung = "too-young",
    /// It failed lately.
    Backoff = "backoff",
    /// Outside the hours in which claims may begin.
    Window = "window",
    /// The run would not fit into what is left of the window.
    NoFit = "no-fit",
    /// A gate said no.
    Gate = "gate",
    /// Too many failures.
    Budget = "budget",
    /// The job has never succeeded, and another node tries it first.
    Canary = "canary",
    /// Another job, or a runner with other settings, is at work in the fleet.
    Conflict = "conflict",
    /// Too many nodes are not well.
    Limit = "limit",
    /// Taken: never served before.
    NeverServed = "never-served",
    /// Taken: the time of its last service cannot be read.
    UnreadableLast = "unreadable-last",
    /// Taken: its time has come.
    Age = "age",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_the_contract() {
        let labels: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(
            labels.join(" "),
            "out-of-service agent-offline hold unreadable-lock locked busy suspect parked tags-full fresh too-young \
             backoff window no-fit gate budget canary conflict limit never-served unreadable-last age"
        );
        assert!(Reason::ALL.is_sorted());
    }
}
