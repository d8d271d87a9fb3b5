//! What AWS and the SDK say, in the user's words.
//!
//! EC2's errors are untyped in the SDK, so codes are matched as text, and the same codes for all three services.

use std::error::Error;
use std::fmt::Write as _;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::io::aws::client::Clients;
use crate::port::{ErrorKind, PortError, WriteError};

/// One call, as messages name it.
pub(super) struct Call<'a> {
    /// Whose.
    pub(super) clients: &'a Clients,
    /// The action as policies name it (`ec2:CreateTags`).
    pub(super) action: &'static str,
    /// What it was about (`i-0abc`, ``Auto Scaling group `x` ``).
    pub(super) on: &'a str,
}

/// What went wrong, free of the SDK's types.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// AWS said no.
    Said {
        code: String,
        message: String,
        status: u16,
        request_id: Option<String>,
    },
    /// No answer in time.
    Slow,
    /// There was never a connection: nothing was sent.
    NoConnection(String),
    /// No credentials could be had: nothing was sent.
    NoCredentials(String),
    /// The request could not be made: nothing was sent.
    NotMade(String),
    /// The connection broke, or the answer made no sense.
    Broken(String),
}

impl Call<'_> {
    /// A failed call.
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.tell(&trouble(error))
    }

    /// A failed write: refused for certain, or perhaps done.
    pub(super) fn not_written<E>(&self, error: &SdkError<E, HttpResponse>) -> WriteError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let trouble = trouble(error);
        let told = self.tell(&trouble);
        if trouble.refused() {
            WriteError::Refused(told)
        } else {
            WriteError::Unknown(told)
        }
    }

    fn tell(&self, trouble: &Trouble) -> PortError {
        let Self { action, on, .. } = self;
        let service = action.split(':').next().unwrap_or(action);
        let endpoint = self.clients.endpoint(match service {
            "ec2" | "ssm" => service,
            _ => "autoscaling",
        });
        match trouble {
            Trouble::Said { .. } => self.tell_said(trouble),
            Trouble::Slow => PortError::new(
                ErrorKind::Unreachable,
                format!(
                    "{action} on {on}: no answer from {endpoint} within {}",
                    humane(self.clients.attempt_timeout)
                ),
            )
            .with_help("look at this machine's network, proxy and VPC endpoints, and at the AWS health page"),
            Trouble::NoConnection(why) => PortError::new(
                ErrorKind::Unreachable,
                format!("{action} on {on}: no connection to {endpoint}: {why}"),
            )
            .with_help("is the region right? Look at this machine's network, proxy and VPC endpoints"),
            Trouble::NoCredentials(why) => PortError::new(
                ErrorKind::Credentials,
                format!("{action} on {on}: no AWS credentials: {why}"),
            )
            .with_help(LOG_IN),
            Trouble::NotMade(why) => PortError::new(
                ErrorKind::Other,
                format!("{action} on {on}: the request could not be made: {why}"),
            ),
            Trouble::Broken(why) => PortError::new(
                ErrorKind::Unreachable,
                format!("{action} on {on}: the answer of {endpoint} was lost: {why}"),
            ),
        }
    }

    fn tell_said(&self, trouble: &Trouble) -> PortError {
        let Trouble::Said {
            code,
            message,
            status,
            request_id,
        } = trouble
        else {
            return PortError::new(
                ErrorKind::Other,
                format!("{} on {} failed", self.action, self.on),
            );
        };
        let Self {
            action,
            on,
            clients,
        } = self;
        let kind = kind(code, *status);
        let mut text = match kind {
            ErrorKind::Denied => format!("not allowed to {action} on {on}: {}", plain(message)),
            ErrorKind::Throttled => {
                format!("AWS throttles {action} in {} ({code})", clients.region)
            }
            ErrorKind::Conflict => format!(
                "the tags of {on} were being changed by somebody else at that moment ({code})"
            ),
            ErrorKind::Credentials if is_clock(code) => {
                format!("{action} on {on}: AWS takes the request for too old or too new ({code})")
            }
            ErrorKind::Credentials => format!(
                "{action} on {on}: the AWS credentials were not taken ({code}): {}",
                plain(message)
            ),
            ErrorKind::Unreachable => {
                format!("{action} on {on}: AWS failed to answer ({status} {code})")
            }
            ErrorKind::NotFound => format!(
                "{action} on {on} in {}: {} ({code})",
                clients.region,
                plain(message)
            ),
            ErrorKind::Other => format!("{action} on {on}: {} ({code})", plain(message)),
        };
        if let Some(id) = request_id {
            // A String takes whatever is written to it.
            let _ = write!(text, "; request id {id}");
        }
        let error = PortError::new(kind, text);
        match help(kind, code, action) {
            Some(help) => error.with_help(help),
            None => error,
        }
    }
}

impl Trouble {
    /// Whether nothing was done for certain, now or later.
    fn refused(&self) -> bool {
        match self {
            // Throttled calls answer 503, and were turned away at the door all the same.
            Self::Said { code, status, .. } => {
                *status < 500 || kind(code, *status) == ErrorKind::Throttled
            }
            Self::NoConnection(_) | Self::NoCredentials(_) | Self::NotMade(_) => true,
            Self::Slow | Self::Broken(_) => false,
        }
    }
}

const LOG_IN: &str = "log in again (`aws sso login`, or whatever gives this machine its credentials), or name another \
                      profile with `--profile` or `[provider.aws] profile`";

/// What an error code means. Codes of EC2, Auto Scaling and SSM do not contradict each other.
fn kind(code: &str, status: u16) -> ErrorKind {
    match code {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown"
        | "TooManyUpdates"
        | "EC2ThrottledException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => ErrorKind::Throttled,
        "ConcurrentTagAccess" | "ResourceContention" => ErrorKind::Conflict,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedException"
        | "NotAuthorized"
        | "OptInRequired"
        | "TagPolicyViolation"
        | "Blocked"
        | "PendingVerification" => ErrorKind::Denied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "AuthFailure"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidToken" => ErrorKind::Credentials,
        _ if is_clock(code) => ErrorKind::Credentials,
        "InvalidInstanceID.NotFound"
        | "InvalidInstanceID.Malformed"
        | "InvalidID"
        | "InvalidInstanceId"
        | "InvalidDocument"
        | "InvalidDocumentVersion"
        | "InvalidCommandId"
        | "InvocationDoesNotExist" => ErrorKind::NotFound,
        _ if status == 429 => ErrorKind::Throttled,
        _ if status >= 500 => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}

/// Codes of requests whose time AWS does not take.
fn is_clock(code: &str) -> bool {
    matches!(code, "RequestExpired" | "RequestTimeTooSkewed")
}

fn help(kind: ErrorKind, code: &str, action: &str) -> Option<String> {
    Some(match (kind, code) {
        (ErrorKind::Denied, "TagPolicyViolation") => "the organisation's tag policy forbids this key or value".to_owned(),
        (ErrorKind::Denied, _) => {
            format!("allow `{action}` in the policy of the role or user that runs roundsman")
        }
        (ErrorKind::Throttled, _) => "it can be tried again in a while; run fewer invocations at once if it stays".to_owned(),
        (ErrorKind::Credentials, code) if is_clock(code) => "set this machine's clock".to_owned(),
        (ErrorKind::Credentials, _) => LOG_IN.to_owned(),
        (_, "TagLimitExceeded") => "a node has at most 50 tags: remove some".to_owned(),
        (_, "InvalidDocument" | "InvalidDocumentVersion") => "`[provider.aws] document` names it".to_owned(),
        (_, "InvalidInstanceId") => {
            "the SSM agent has to run on the node, and the node's role needs AmazonSSMManagedInstanceCore".to_owned()
        }
        _ => return None,
    })
}

/// AWS's sentence without its full stop and without the encoded part, which only `sts` can read.
fn plain(message: &str) -> &str {
    let end = message
        .find("Encoded authorization failure message")
        .unwrap_or(message.len());
    let text = message
        .get(..end)
        .unwrap_or(message)
        .trim()
        .trim_end_matches('.');
    if text.is_empty() {
        "no reason given"
    } else {
        text
    }
}

fn trouble<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let chain = chain(error);
    let told = || chain.last().cloned().unwrap_or_default();
    let says = |text: &str| chain.iter().any(|each| each.contains(text));
    match error {
        SdkError::ServiceError(said) => {
            let meta = said.err().meta();
            let raw = said.raw();
            let header = |name: &str| raw.headers().get(name);
            Trouble::Said {
                code: meta.code().unwrap_or("no code").to_owned(),
                message: meta.message().unwrap_or_default().to_owned(),
                status: raw.status().as_u16(),
                request_id: header("x-amzn-requestid")
                    .or_else(|| meta.extra("aws_request_id"))
                    .map(str::to_owned),
            }
        }
        SdkError::TimeoutError(_) => Trouble::Slow,
        // hyper-util's words for an error while connecting; its type is not within reach.
        SdkError::DispatchFailure(_) if says("client error (Connect)") || says("dns error") => {
            Trouble::NoConnection(told())
        }
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)
            if says("redential") || says("identity") =>
        {
            Trouble::NoCredentials(told())
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Trouble::Slow,
        SdkError::ConstructionFailure(_) => Trouble::NotMade(told()),
        _ => Trouble::Broken(told()),
    }
}

/// An error and its causes, outermost first.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    chain
}

fn humane(span: std::time::Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}
