//! The error codes of EC2, Auto Scaling and SSM, and what to do about them.
//!
//! EC2's errors are untyped in the SDK, so codes are matched as text; the three services do not contradict each other.
//! Sources: the EC2 and Auto Scaling API references ("Error codes", "Common errors"), the SSM service model.

use crate::port::ErrorKind;

/// What to do about credentials.
pub(super) const LOG_IN: &str = "log in again (`aws sso login`, or whatever gives this machine its credentials), or name \
                                 another profile with `--profile` or `[provider.aws] profile`";

const THROTTLED: [&str; 12] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TooManyUpdates",
];
const CONFLICT: [&str; 2] = ["ConcurrentTagAccess", "ResourceContention"];
const DENIED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "Blocked",
    "NotAuthorized",
    "OptInRequired",
    "PendingVerification",
    "TagPolicyViolation",
    "UnauthorizedException",
    "UnauthorizedOperation",
];
const CREDENTIALS: [&str; 14] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// What EC2 says of a session that has run out too, beside of a clock that is off.
const CLOCK: [&str; 2] = ["RequestExpired", "RequestTimeTooSkewed"];
const NOT_FOUND: [&str; 8] = [
    "InvalidCommandId",
    "InvalidDocument",
    "InvalidDocumentVersion",
    "InvalidID",
    "InvalidInstanceID.Malformed",
    "InvalidInstanceID.NotFound",
    "InvalidInstanceId",
    "InvocationDoesNotExist",
];

/// What an error code means; where it is not known, what the HTTP status does.
///
/// Codes go first: `RequestLimitExceeded` comes with 503, and was turned away at the door all the same.
pub(super) fn kind(code: &str, status: u16) -> ErrorKind {
    let table: [(&[&str], ErrorKind); 6] = [
        (&THROTTLED, ErrorKind::Throttled),
        (&CONFLICT, ErrorKind::Conflict),
        (&DENIED, ErrorKind::Denied),
        (&CREDENTIALS, ErrorKind::Credentials),
        (&CLOCK, ErrorKind::Credentials),
        (&NOT_FOUND, ErrorKind::NotFound),
    ];
    if let Some((_, kind)) = table.into_iter().find(|(codes, _)| codes.contains(&code)) {
        return kind;
    }
    match status {
        429 => ErrorKind::Throttled,
        500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}

/// What to do next.
pub(super) fn help(kind: ErrorKind, code: &str, action: &str) -> Option<String> {
    Some(match (kind, code) {
        (ErrorKind::Denied, "TagPolicyViolation") => {
            "the organisation's tag policy forbids this key or value".to_owned()
        }
        (ErrorKind::Denied, _) => {
            format!("allow `{action}` in the policy of the role or user that runs roundsman")
        }
        (ErrorKind::Throttled, _) => {
            "it can be tried again in a while; run fewer invocations at once if it stays".to_owned()
        }
        (ErrorKind::Credentials, code) if CLOCK.contains(&code) => {
            format!("{LOG_IN}; or set this machine's clock, if it is off")
        }
        (ErrorKind::Credentials, _) => LOG_IN.to_owned(),
        (_, "TagLimitExceeded") => "a node has at most 50 tags: remove some".to_owned(),
        (_, "InvalidDocument" | "InvalidDocumentVersion") => {
            "`[provider.aws] document` names it".to_owned()
        }
        (_, "InvalidInstanceId") => {
            "the SSM agent has to run on the node, and the node's role needs AmazonSSMManagedInstanceCore"
                .to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        assert_eq!(kind("RequestLimitExceeded", 503), ErrorKind::Throttled);
        assert_eq!(kind("ConcurrentTagAccess", 400), ErrorKind::Conflict);
        assert_eq!(kind("UnauthorizedOperation", 403), ErrorKind::Denied);
        assert_eq!(kind("InvalidInstanceId", 400), ErrorKind::NotFound);
    }

    #[test]
    fn statuses_speak_for_codes_that_are_not_known() {
        assert_eq!(kind("Overwhelmed", 429), ErrorKind::Throttled);
        assert_eq!(kind("InternalError", 500), ErrorKind::Unreachable);
        assert_eq!(kind("Unavailable", 503), ErrorKind::Unreachable);
        assert_eq!(kind("InvalidParameterValue", 400), ErrorKind::Other);
    }

    #[test]
    fn a_tag_policy_is_not_mended_by_another_role() {
        let help = help(ErrorKind::Denied, "TagPolicyViolation", "ec2:CreateTags");
        assert!(help.is_some_and(|help| help.contains("tag policy")));
    }
}
