//! Faults: which calls go wrong, and how.

use serde::Deserialize;

use super::call::{Call, Refusal, Service};
use super::lots::Lots;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// It is refused: a policy forbids it, there are too many, the credentials are over, another call changes the same
    /// tags, AWS is broken (500) or not there (503).
    Deny,
    Throttle,
    Expired,
    Conflict,
    #[serde(rename = "500")]
    Broken,
    #[serde(rename = "503")]
    Unavailable,
    /// The connection breaks before anything is done, or after it.
    #[serde(alias = "drop")]
    LostBefore,
    LostAfter,
    /// No answer comes for `seconds`, then 500; it is not done, or done.
    Hang,
    HangAfter,
    /// It is done, and the answer says 500.
    #[serde(rename = "500-after")]
    BrokenAfter,
    /// It is done, and answered `seconds` later.
    Slow,
    /// It is done and answered `seconds` later: by then the caller may have hung up.
    Delayed,
    /// It is answered at once as if it were done, and done `seconds` later; of `SendCommand`: delivered so late.
    Late,
    /// The connection breaks at once, and it is done `seconds` later.
    LostThenDone,
    /// It is done twice at once, and answered the second time.
    Twice,
    /// It is done and answered, and done again `seconds` later.
    Again,
    /// Of reads: tags as they were `seconds` ago.
    Stale,
    /// A signal goes to the caller, or to `pid`, `when` it is before or after the call has taken effect. Whoever was
    /// killed gets no answer.
    Signal,
    /// Of `SendCommand`: it cannot be delivered; it is never delivered, and stays pending until its time is over; it
    /// runs, and SSM says that it was never delivered; it is not listed for `seconds`; its `executionTimeout` is
    /// `seconds`; it is delivered again `seconds` later.
    Undeliverable,
    Vanished,
    Lost,
    Unlisted,
    TimesOut,
    DeliveredTwice,
}

/// Before or after a call takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum When {
    #[default]
    Before,
    After,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Fault {
    pub(crate) mode: Mode,
    /// Calls of this action, which speak of this node, come from this access key, have this in them; of any without.
    action: Option<String>,
    node: Option<String>,
    caller: Option<String>,
    text: Option<String>,
    /// So many of those calls are let through first; of the others every `every`th, and of those this share of chance,
    /// goes wrong, until it was so many; -1: for ever.
    #[serde(default)]
    skip: u64,
    #[serde(default = "one")]
    every: u64,
    #[serde(default = "all")]
    share: f64,
    #[serde(default = "once")]
    count: i64,
    #[serde(default = "minute")]
    pub(crate) seconds: f64,
    #[serde(default = "kill")]
    pub(crate) signal: String,
    pub(crate) pid: Option<i32>,
    #[serde(default)]
    pub(crate) when: When,
}

fn one() -> u64 {
    1
}

fn all() -> f64 {
    1.0
}

fn once() -> i64 {
    1
}

fn minute() -> f64 {
    60.0
}

fn kill() -> String {
    "KILL".to_owned()
}

impl Fault {
    fn is_about(&self, call: &Call) -> bool {
        let is =
            |wanted: &Option<String>, what: &str| wanted.as_deref().is_none_or(|it| it == what);
        let has =
            |wanted: &Option<String>| wanted.as_deref().is_none_or(|it| call.text.contains(it));
        is(&self.action, &call.action)
            && is(&self.caller, &call.caller)
            && has(&self.node)
            && has(&self.text)
    }

    /// Whether it strikes this call, which it is about.
    fn strikes(&mut self, lots: &mut Lots) -> bool {
        if self.count == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        // The first one strikes, then every so many.
        self.skip = self.every.max(1) - 1;
        if self.share < 1.0 && !lots.happens(self.share) {
            return false;
        }
        self.count -= 1;
        true
    }

    pub(crate) fn time(&self) -> std::time::Duration {
        std::time::Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }

    /// The error answer, where that is all there is to it.
    pub(crate) fn refusal(&self, service: Service) -> Option<Refusal> {
        let denied =
            "User: arn:aws:iam::123456789012:user/x is not authorized to perform this operation";
        let over = "The security token included in the request is expired";
        let (status, code, message) = match (self.mode, service) {
            (Mode::Deny, Service::Ec2) => (
                403,
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. Encoded authorization failure message: 4GIOHlTkIaWH",
            ),
            (Mode::Deny, Service::AutoScaling) => (403, "AccessDenied", denied),
            (Mode::Deny, Service::Ssm) => (400, "AccessDeniedException", denied),
            (Mode::Throttle, Service::Ec2) => {
                (503, "RequestLimitExceeded", "Request limit exceeded.")
            }
            (Mode::Throttle, Service::AutoScaling) => (400, "Throttling", "Rate exceeded"),
            (Mode::Throttle, Service::Ssm) => (400, "ThrottlingException", "Rate exceeded"),
            (Mode::Expired, Service::Ec2) => (400, "RequestExpired", "Request has expired."),
            (Mode::Expired, Service::AutoScaling) => (403, "ExpiredToken", over),
            (Mode::Expired, Service::Ssm) => (400, "ExpiredTokenException", over),
            (Mode::Conflict, _) => (
                400,
                "ConcurrentTagAccess",
                "Tags are being changed by another request.",
            ),
            (Mode::Broken | Mode::BrokenAfter | Mode::Hang | Mode::HangAfter, Service::Ssm) => (
                500,
                "InternalServerError",
                "An error occurred on the server side.",
            ),
            (Mode::Broken | Mode::BrokenAfter | Mode::Hang | Mode::HangAfter, _) => {
                (500, "InternalError", "An internal error has occurred")
            }
            (Mode::Unavailable, Service::Ec2) => (
                503,
                "Unavailable",
                "The server is overloaded and can't handle the request.",
            ),
            (Mode::Unavailable, _) => (
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),
            _ => return None,
        };
        Some(Refusal::new(code, message).with_status(status))
    }
}

/// The first fault that strikes a call. Those before it have counted it too.
pub(crate) fn strike(faults: &mut [Fault], call: &Call, lots: &mut Lots) -> Option<Fault> {
    let mut about = faults.iter_mut().filter(|fault| fault.is_about(call));
    about.find_map(|fault| fault.strikes(lots).then(|| fault.clone()))
}
