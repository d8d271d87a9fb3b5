//! What went wrong with a call, free of the SDK's types.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::io::aws::error::code;
use crate::port::ErrorKind;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// AWS said no.
    Said(Said),
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

/// An error that AWS answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
}

impl Said {
    /// What the code means.
    pub(super) fn kind(&self) -> ErrorKind {
        code::kind(&self.code, self.status)
    }

    /// AWS's sentence without its full stop and without the encoded part, which only `sts` can read.
    pub(super) fn plain(&self) -> &str {
        let message = &self.message;
        let end = message
            .find("Encoded authorization failure message")
            .unwrap_or(message.len());
        let text = message.get(..end).unwrap_or(message);
        match text.trim().trim_end_matches('.') {
            "" => "no reason given",
            text => text,
        }
    }
}

impl Trouble {
    /// Reads an error of the SDK.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let chain = chain(error);
        let told = || chain.last().cloned().unwrap_or_default();
        let says = |text: &str| chain.iter().any(|each| each.contains(text));
        match error {
            SdkError::ServiceError(said) => {
                let (meta, raw) = (said.err().meta(), said.raw());
                Self::Said(Said {
                    code: meta.code().unwrap_or("no code").to_owned(),
                    message: meta.message().unwrap_or_default().to_owned(),
                    status: raw.status().as_u16(),
                    request_id: raw
                        .headers()
                        .get("x-amzn-requestid")
                        .or_else(|| meta.extra("aws_request_id"))
                        .map(str::to_owned),
                })
            }
            SdkError::TimeoutError(_) => Self::Slow,
            // The SDK's words for every way of having none; first, because looking for them may fail to
            // connect too.
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)
                if says("credential") || says("identity") =>
            {
                let told = told();
                tracing::debug!(%told, "no credentials");
                // The SDK adds a line for each provider that it asked.
                let first = told.lines().next().unwrap_or_default();
                Self::NoCredentials(first.trim_end_matches(". Attempted:").to_owned())
            }
            // hyper-util's words for an error while connecting; its type is not within reach. The tests of a refused
            // connection hold them: should they change, such a write becomes unknown, which is the safe side.
            SdkError::DispatchFailure(_) if says("client error (Connect)") || says("dns error") => {
                Self::NoConnection(told())
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::Slow,
            SdkError::ConstructionFailure(_) => Self::NotMade(told()),
            _ => Self::Broken(told()),
        }
    }

    /// Whether nothing was done for certain, now or later.
    pub(super) fn refused(&self) -> bool {
        match self {
            Self::Said(said) => said.status < 500 || said.kind() == ErrorKind::Throttled,
            Self::NoConnection(_) | Self::NoCredentials(_) | Self::NotMade(_) => true,
            Self::Slow | Self::Broken(_) => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, status: u16) -> Trouble {
        Trouble::Said(Said {
            code: code.to_owned(),
            message: String::new(),
            status,
            request_id: None,
        })
    }

    #[test]
    fn only_what_was_surely_not_done_is_refused() {
        for trouble in [
            said("UnauthorizedOperation", 403),
            said("TagLimitExceeded", 400),
            said("RequestLimitExceeded", 503),
            Trouble::NoConnection(String::new()),
            Trouble::NoCredentials(String::new()),
            Trouble::NotMade(String::new()),
        ] {
            assert!(trouble.refused(), "{trouble:?}");
        }
        for trouble in [
            said("InternalError", 500),
            said("Unavailable", 503),
            said("no code", 502),
            Trouble::Slow,
            Trouble::Broken(String::new()),
        ] {
            assert!(!trouble.refused(), "{trouble:?}");
        }
    }
}
