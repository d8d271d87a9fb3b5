//! Exit statuses: one enum, one table in the README, one test that compares them.

use std::process::ExitCode;

/// How an invocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing that may be done now, or a claim lost
    Done = 0,
    /// A node failed
    NodeFailed = 1,
    /// Usage, or an invalid file or setting
    Usage = 2,
    /// `--fail-on` found something
    FailOn = 3,
    /// The lease was lost while running
    LeaseLost = 4,
    /// The outside failed: denied, throttled, unreachable, no such group
    Outside = 5,
    /// With `--detailed-exitcode`: nothing is due
    NothingDue = 10,
    /// With `--detailed-exitcode`: something is due but blocked, or the claim was lost
    Blocked = 11,
    /// With `--detailed-exitcode`: a run was parked
    Parked = 12,
    /// A bug in roundsman
    Bug = 70,
    /// Interrupted (SIGINT), and something was abandoned
    Interrupted = 130,
    /// Terminated (SIGTERM), and something was abandoned
    Terminated = 143,
}

impl Exit {
    /// The one of several that counts: signal > 70 > 5 > 4 > 1 > 12 > 11 > 10 > 0.
    ///
    /// Usage and `--fail-on` end an invocation by themselves and stand between the outside and the rest.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.weight() > self.weight() {
            other
        } else {
            self
        }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NothingDue => 1,
            Self::Blocked => 2,
            Self::Parked => 3,
            Self::NodeFailed => 4,
            Self::LeaseLost => 5,
            Self::FailOn => 6,
            Self::Usage => 7,
            Self::Outside => 8,
            Self::Bug => 9,
            Self::Interrupted => 10,
            Self::Terminated => 11,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_contracts_order_decides() {
        let falling = [
            Exit::Terminated,
            Exit::Bug,
            Exit::Outside,
            Exit::LeaseLost,
            Exit::NodeFailed,
            Exit::Parked,
            Exit::Blocked,
            Exit::NothingDue,
            Exit::Done,
        ];
        for (n, worse) in falling.into_iter().enumerate() {
            for better in &falling[n..] {
                assert_eq!(worse.worse(*better), worse);
                assert_eq!(better.worse(worse), worse);
            }
        }
    }
}
