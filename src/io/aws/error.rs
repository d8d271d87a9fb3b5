//! What AWS and the SDK say, in the user's words: the one place where they become [`PortError`]s.

mod code;
mod trouble;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::io::aws::client::Clients;
use crate::io::aws::error::code::LOG_IN;
use crate::io::aws::error::trouble::{Said, Trouble};
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

impl Call<'_> {
    /// A failed call.
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.tell(&Trouble::of(error))
    }

    /// A failed write: refused for certain, or perhaps done.
    pub(super) fn not_written<E>(&self, error: &SdkError<E, HttpResponse>) -> WriteError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let trouble = Trouble::of(error);
        let told = self.tell(&trouble);
        if trouble.refused() {
            WriteError::Refused(told)
        } else {
            WriteError::Unknown(told)
        }
    }

    fn tell(&self, trouble: &Trouble) -> PortError {
        let service = self.action.split(':').next().unwrap_or(self.action);
        let endpoint = self.clients.endpoint(service);
        let error = |kind, text: String| {
            PortError::new(kind, format!("{} on {}: {text}", self.action, self.on))
        };
        match trouble {
            Trouble::Said(said) => tell_said(self.action, self.on, &self.clients.region, said),
            Trouble::Slow => error(
                ErrorKind::Unreachable,
                format!(
                    "no answer from {endpoint} within {}",
                    humane(self.clients.attempt_timeout)
                ),
            )
            .with_help("look at this machine's network, proxy and VPC endpoints, and at the AWS health page"),
            Trouble::NoConnection(why) => error(
                ErrorKind::Unreachable,
                format!("no connection to {endpoint}: {why}"),
            )
            .with_help("is the region right? Look at this machine's network, proxy and VPC endpoints"),
            Trouble::NoCredentials(why) => error(
                ErrorKind::Credentials,
                format!("no AWS credentials: {why}"),
            )
            .with_help(LOG_IN),
            Trouble::NotMade(why) => error(
                ErrorKind::Other,
                format!("the request could not be made: {why}"),
            ),
            Trouble::Broken(why) => error(
                ErrorKind::Unreachable,
                format!("the answer of {endpoint} was lost: {why}"),
            ),
        }
    }
}

fn tell_said(action: &str, on: &str, region: &str, said: &Said) -> PortError {
    let Said { code, status, .. } = said;
    let (kind, why) = (said.kind(), said.plain());
    let mut text = match kind {
        ErrorKind::Denied => format!("not allowed to {action} on {on}: {why}"),
        ErrorKind::Throttled => format!("AWS throttles {action} in {region} ({code})"),
        ErrorKind::Conflict => {
            format!("the tags of {on} were being changed by somebody else at that moment ({code})")
        }
        ErrorKind::Credentials => {
            format!("{action} on {on}: AWS does not take the credentials: {why} ({code})")
        }
        ErrorKind::Unreachable => {
            format!("{action} on {on}: AWS failed to answer ({status} {code})")
        }
        ErrorKind::NotFound => format!("{action} on {on} in {region}: {why} ({code})"),
        ErrorKind::Other => format!("{action} on {on}: {why} ({code})"),
    };
    if let Some(id) = &said.request_id {
        // A String takes whatever is written to it.
        let _ = write!(text, "; request id {id}");
    }
    let error = PortError::new(kind, text);
    match code::help(kind, code, action) {
        Some(help) => error.with_help(help),
        None => error,
    }
}

fn humane(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str, status: u16, message: &str) -> PortError {
        let said = Said {
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            request_id: Some("r-1".to_owned()),
        };
        tell_said("ec2:CreateTags", "i-1", "eu-west-1", &said)
    }

    #[test]
    fn a_denial_leaves_out_what_only_sts_can_read() {
        let error = told(
            "UnauthorizedOperation",
            403,
            "You are not authorized. Encoded authorization failure message: 4GIOHlTkIaWH",
        );
        assert_eq!(
            error.message,
            "not allowed to ec2:CreateTags on i-1: You are not authorized; request id r-1"
        );
    }

    #[test]
    fn run_out_credentials_come_with_what_to_do() {
        for code in ["ExpiredToken", "ExpiredTokenException", "RequestExpired"] {
            let error = told(code, 400, "The token has expired.");
            assert_eq!(error.kind, ErrorKind::Credentials);
            assert!(
                error
                    .help
                    .is_some_and(|help| help.contains("aws sso login")),
                "{code}"
            );
        }
        let clock = told("RequestExpired", 400, "Request has expired.").help;
        assert!(clock.is_some_and(|help| help.contains("clock")));
    }

    #[test]
    fn every_message_names_the_request() {
        for (code, status) in [
            ("Throttling", 400),
            ("InternalError", 500),
            ("Odd", 400),
            ("InvalidID", 400),
        ] {
            let error = told(code, status, "");
            assert!(
                error.message.contains(code) && error.message.ends_with("; request id r-1"),
                "{error}"
            );
        }
    }

    #[test]
    fn time_outs_are_written_as_people_do() {
        assert_eq!(humane(Duration::from_secs(10)), "10s");
        assert_eq!(humane(Duration::from_millis(1_500)), "1500ms");
    }
}
