//! What can go wrong, how often it does, and how often it did.

use std::cell::RefCell;
use std::time::Duration;

use roundsman::model::settings::LeaseSettings;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// One kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Class { $($(#[$doc])* $name,)* }

        impl Class {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in tables.
            pub(crate) fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

classes! {
    /// It landed after the caller had given it up, at most `late_by` after it began.
    WriteLate = "write lands late",
    WriteLost = "write lost",
    WriteAnswerLost = "write's answer lost",
    /// It landed again later.
    WriteTwice = "write lands twice",
    /// A read showed a value that was no longer there.
    ReadStale = "stale read",
    Throttled = "throttled",
    Conflict = "ConcurrentTagAccess",
    ServerError = "5xx",
    CallSlow = "slow call",
    CredentialsExpired = "credentials expired",
    Pause = "runner paused",
    Suspend = "machine suspended",
    Crash = "runner crashed",
    Signal = "SIGTERM",
    SecondSignal = "second SIGTERM",
    ClockOffset = "clock off",
    ClockStep = "clock stepped",
    SendLost = "send lost",
    SendAnswerLost = "send's answer lost",
    SendLate = "send taken late",
    DeliverySlow = "slow delivery",
    DeliveryLate = "late delivery",
    DeliveryTwice = "delivered twice",
    DeliveryLost = "delivery lost",
    ReportLost = "end not reported",
    EvidenceAway = "evidence unavailable",
    /// A node that is asked for its journal does not answer, and what the executor shows has to do.
    LookAway = "node not asked",
    StepFailed = "step failed",
    StepTimedOut = "step timed out",
    /// The node goes down because a step has it reboot.
    StepReboots = "step reboots node",
    NodeStopped = "node stopped",
    NodeRebooted = "node rebooted",
    NodeReplaced = "node replaced",
    AgentOffline = "agent offline",
    TagsWiped = "tags wiped",
    TagsFull = "tags full",
    Garbage = "unreadable tag",
    HoldNode = "node on hold",
    HoldFleet = "fleet on hold",
    Unhold = "hold removed",
    Release = "lease released by hand",
    Mark = "work marked by hand",
    /// `stop`, over whatever lock is there; done, or not.
    Stop = "run stopped by hand",
}

/// How often each has happened.
#[derive(Debug, Default)]
pub(crate) struct Fired(RefCell<Totals>);

/// The totals, in the order of [`Class::ALL`].
pub(crate) type Totals = Vec<u64>;

impl Fired {
    pub(crate) fn count(&self, class: Class) {
        let mut totals = self.0.borrow_mut();
        totals.resize(Class::ALL.len(), 0);
        totals[class as usize] += 1;
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.0.borrow().clone();
        totals.resize(Class::ALL.len(), 0);
        totals
    }
}

/// Chances in a million, and the furthest that a fault of the kind goes.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    // Of each write.
    pub(crate) write_late: u32,
    pub(crate) write_lost: u32,
    pub(crate) write_answer_lost: u32,
    pub(crate) write_twice: u32,
    pub(crate) late_by: Duration,
    // Of each key of a read that has changed within `stale_by`.
    pub(crate) read_stale: u32,
    pub(crate) stale_by: Duration,
    // Of each call.
    pub(crate) throttled: u32,
    pub(crate) conflict: u32,
    pub(crate) server_error: u32,
    pub(crate) call_slow: u32,
    // Of each time that a runner is given the processor.
    pub(crate) pause: u32,
    pub(crate) suspend: u32,
    pub(crate) crash: u32,
    // Of each invocation.
    pub(crate) signal: u32,
    // Of each send.
    pub(crate) send_lost: u32,
    pub(crate) send_answer_lost: u32,
    pub(crate) send_late: u32,
    pub(crate) delivery_slow: u32,
    pub(crate) delivery_late: u32,
    pub(crate) delivery_twice: u32,
    pub(crate) delivery_lost: u32,
    pub(crate) report_lost: u32,
    /// Of each send that was cancelled before its delivery: it is delivered all the same.
    pub(crate) cancel_unheeded: u32,
    pub(crate) evidence_away: u32,
    pub(crate) step_failed: u32,
    pub(crate) step_timed_out: u32,
    /// The mean time between two things that happen to the fleet, to clocks and credentials, and by operators' hands.
    pub(crate) between_events: Duration,
    /// How far a clock is off the provider's at most.
    pub(crate) clock_off: Duration,
    /// Whether operators break leases that are not past their end.
    pub(crate) careless: bool,
}

impl Faults {
    /// Nothing goes wrong; clocks stay as they are.
    pub(crate) fn calm(lease: &LeaseSettings) -> Self {
        Self {
            write_late: 0,
            write_lost: 0,
            write_answer_lost: 0,
            write_twice: 0,
            late_by: lease.request_life,
            read_stale: 0,
            stale_by: lease.staleness,
            throttled: 0,
            conflict: 0,
            server_error: 0,
            call_slow: 0,
            pause: 0,
            suspend: 0,
            crash: 0,
            signal: 0,
            send_lost: 0,
            send_answer_lost: 0,
            send_late: 0,
            delivery_slow: 0,
            delivery_late: 0,
            delivery_twice: 0,
            delivery_lost: 0,
            report_lost: 0,
            cancel_unheeded: 0,
            evidence_away: 0,
            step_failed: 0,
            step_timed_out: 0,
            between_events: Duration::MAX,
            clock_off: lease.skew / 2,
            careless: false,
        }
    }

    /// All that the assumptions allow: reads no staler than P, clocks within S of each other, writes that land
    /// within Z or never.
    pub(crate) fn kept(lease: &LeaseSettings) -> Self {
        Self {
            write_late: 6_000,
            write_lost: 6_000,
            write_answer_lost: 8_000,
            write_twice: 6_000,
            read_stale: 300_000,
            throttled: 8_000,
            conflict: 5_000,
            server_error: 6_000,
            call_slow: 8_000,
            pause: 900,
            suspend: 400,
            crash: 1_200,
            signal: 150_000,
            send_lost: 15_000,
            send_answer_lost: 15_000,
            send_late: 15_000,
            delivery_slow: 60_000,
            delivery_late: 15_000,
            delivery_twice: 15_000,
            delivery_lost: 15_000,
            report_lost: 15_000,
            evidence_away: 60_000,
            step_failed: 40_000,
            step_timed_out: 20_000,
            between_events: Duration::from_secs(2 * 3_600),
            ..Self::calm(lease)
        }
    }
}
