//! One call as AWS understands it, and what it is answered with.

use super::http::Request;
use super::query::{Form, Json};
use super::xml::escape;

/// The services that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    AutoScaling,
    Ssm,
}

/// What it asks for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Form(Form),
    Json(Json),
}

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) action: String,
    pub(crate) asked: Asked,
    /// The access key id it is signed with: who is calling, as far as AWS knows.
    pub(crate) caller: String,
    /// Its body, decoded: where a fault looks for a node or a word.
    pub(crate) text: String,
}

impl Call {
    /// Reads one; `None`: neither the query protocol nor JSON 1.1.
    pub(crate) fn read(request: &Request) -> Option<Self> {
        let caller = request
            .headers
            .get("authorization")
            .and_then(|value| value.split_once("Credential="))
            .and_then(|(_, rest)| rest.split('/').next())
            .unwrap_or("nobody")
            .to_owned();
        if let Some(target) = request.headers.get("x-amz-target") {
            return Some(Self {
                service: Service::Ssm,
                action: target.strip_prefix("AmazonSSM.")?.to_owned(),
                asked: Asked::Json(Json::parse(&request.body)?),
                caller,
                text: String::from_utf8_lossy(&request.body).into_owned(),
            });
        }
        let mut form = Form::parse(&request.body);
        let text = form_urlencoded::parse(&request.body)
            .map(|(key, value)| [&key, "=", &value, "\n"].concat())
            .collect();
        let service = match form.take("Version").as_deref() {
            Some("2016-11-15") => Service::Ec2,
            Some("2011-01-01") => Service::AutoScaling,
            _ => return None,
        };
        Some(Self {
            service,
            action: form.take("Action")?,
            asked: Asked::Form(form),
            caller,
            text,
        })
    }

    /// The instances it names, in the order of their names.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let words = self
            .text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let mut nodes: Vec<String> = words
            .filter(|word| {
                word.strip_prefix("i-").is_some_and(|rest| {
                    rest.len() == 17 && rest.chars().all(|c| c.is_ascii_hexdigit())
                })
            })
            .map(str::to_owned)
            .collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// Whether it changes anything.
    pub(crate) fn is_write(&self) -> bool {
        matches!(
            self.action.as_str(),
            "CreateTags" | "DeleteTags" | "SendCommand" | "CancelCommand"
        )
    }
}

/// What AWS answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The error code, or `ok`.
    pub(crate) code: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn good(body: String) -> Self {
        Self {
            status: 200,
            code: "ok".to_owned(),
            body,
        }
    }
}

/// An error answer: a code and a message, with 400 unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// In the service's own form.
    pub(crate) fn answer(&self, service: Service) -> Answer {
        let (code, message) = (self.code, escape(&self.message));
        let error = format!("<Code>{code}</Code><Message>{message}</Message>");
        let id = "0f0f0f0f-1111-4222-8333-444444444444";
        let body = match service {
            Service::Ec2 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>{error}</Error></Errors><RequestID>{id}</RequestID></Response>"
            ),
            Service::AutoScaling => format!(
                "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>{error}</Error><RequestId>{id}</RequestId></ErrorResponse>"
            ),
            Service::Ssm => {
                serde_json::json!({"__type": code, "message": self.message}).to_string()
            }
        };
        Answer {
            status: self.status,
            code: code.to_owned(),
            body,
        }
    }
}
