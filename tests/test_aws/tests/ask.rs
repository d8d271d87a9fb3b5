//! Calls to the test AWS as the SDKs make them, without one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::test_aws::Aws;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Told {
    /// The texts of all elements of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.body.split(&open).skip(1);
        parts
            .filter_map(|part| part.split(&close).next())
            .map(str::to_owned)
            .collect()
    }

    /// The first of them.
    pub(crate) fn one(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The error code, or `ok`.
    pub(crate) fn code(&self) -> String {
        if self.status == 200 {
            return "ok".to_owned();
        }
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let code = json["__type"].as_str().map(str::to_owned);
        code.or_else(|| self.one("Code")).expect("a code")
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A call of EC2.
pub(crate) fn ec2(aws: &Aws, action: &str, asked: &[(&str, &str)]) -> Told {
    try_ec2(aws, action, asked).expect("an answer")
}

/// A call of EC2; `None`: the connection broke.
pub(crate) fn try_ec2(aws: &Aws, action: &str, asked: &[(&str, &str)]) -> Option<Told> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action);
    form.append_pair("Version", "2016-11-15");
    form.extend_pairs(asked);
    call(aws, "", &form.finish())
}

/// A call of SSM.
pub(crate) fn ssm(aws: &Aws, action: &str, asked: &Value) -> Told {
    let head = format!("X-Amz-Target: AmazonSSM.{action}\r\n");
    call(aws, &head, &asked.to_string()).expect("an answer")
}

fn call(aws: &Aws, head: &str, body: &str) -> Option<Told> {
    let mut stream = TcpStream::connect(("127.0.0.1", aws.port())).expect("it listens");
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: aws\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 Credential=tester/x\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a request");
    let mut text = String::new();
    // A connection that breaks gives nothing, or an error.
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Told {
        status: head.get(9..12)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Sends a script to a node; gives back the command's id.
pub(crate) fn send(aws: &Aws, node: &str, script: &str) -> String {
    let asked = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": [node], "TimeoutSeconds": 30,
        "Parameters": {"commands": [script], "executionTimeout": ["3"]},
    });
    let told = ssm(aws, "SendCommand", &asked).json();
    told["Command"]["CommandId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// What SSM says of a command on its node.
pub(crate) fn look(aws: &Aws, node: &str, command: &str) -> Value {
    let asked = json!({"CommandId": command, "InstanceId": node});
    ssm(aws, "GetCommandInvocation", &asked).json()
}

/// Waits until a command on its node is over; gives back what SSM says of it then.
#[track_caller]
pub(crate) fn ended(aws: &Aws, node: &str, command: &str) -> Value {
    let mut told = Value::Null;
    until("the command is over", 60, || {
        told = look(aws, node, command);
        !matches!(told["Status"].as_str(), Some("Pending" | "InProgress"))
    });
    told
}

/// Polls until `done`, at most so many seconds.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "tests wait by the real clock, with a bound"
)]
pub(crate) fn until(what: &str, seconds: u64, mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(
            began.elapsed().as_secs() < seconds,
            "{what}: not within {seconds} s"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
