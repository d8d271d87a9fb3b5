//! As much of HTTP and of AWS's protocols as a proxy has to know: what a request asks, and answers that it forges.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A request, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
    /// `CreateTags`, `SendCommand` …
    pub(crate) action: String,
    service: Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ec2,
    AutoScaling,
    Ssm,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status line and the headers that do not speak of the connection.
    head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads one; `None`: the connection was closed before it was whole.
    pub(crate) fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at + 4;
            }
            read_more(stream, &mut bytes).ok()?;
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let length: usize = header(&head, "content-length").map_or(0, |n| n.parse().unwrap_or(0));
        while bytes.len() < head_end + length {
            read_more(stream, &mut bytes).ok()?;
        }
        let body = bytes[head_end..head_end + length].to_vec();
        let (action, service) = action(&head, &String::from_utf8_lossy(&body));
        Some(Self {
            head,
            body,
            action,
            service,
        })
    }

    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        matches!(
            self.action.as_str(),
            "CreateTags" | "DeleteTags" | "SendCommand" | "CancelCommand"
        )
    }

    /// Whether the request speaks of this (an instance's id, a tag's value as the form encodes it).
    pub(crate) fn speaks_of(&self, text: &str) -> bool {
        find(&self.body, text.as_bytes()).is_some()
    }

    /// Delivers it, and reads what is answered.
    ///
    /// As HTTP/1.0, so that the answer ends with its connection and never comes in chunks.
    pub(crate) fn deliver(&self, port: u16) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let mut head = self.head.replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1);
        head.truncate(head.len() - 2);
        write!(stream, "{head}connection: close\r\n\r\n")?;
        stream.write_all(&self.body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = find(&bytes, b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let kept = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default();
            !["connection", "content-length", "transfer-encoding"]
                .contains(&name.to_ascii_lowercase().as_str())
        };
        Ok(Answer {
            head: head.lines().filter(kept).map(str::to_owned).collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }

    /// What AWS says to a call too many.
    pub(crate) fn throttled(&self) -> Answer {
        let (status, kind, body) = match self.service {
            Service::Ec2 => (
                503,
                "text/xml",
                "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message>\
                 </Error></Errors><RequestID>proxy</RequestID></Response>",
            ),
            Service::AutoScaling => (
                400,
                "text/xml",
                "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>\
                 <RequestId>proxy</RequestId></ErrorResponse>",
            ),
            Service::Ssm => (
                400,
                "application/x-amz-json-1.1",
                "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}",
            ),
        };
        Answer {
            head: vec![
                format!("HTTP/1.1 {status} Answer"),
                format!("content-type: {kind}"),
                format!("date: {}", date()),
            ],
            body: body.as_bytes().to_vec(),
        }
    }
}

impl Answer {
    pub(crate) fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut text = self.head.join("\r\n");
        text.push_str(&format!(
            "\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.body.len()
        ));
        stream.write_all(text.as_bytes())?;
        stream.write_all(&self.body)
    }

    /// The same content as if it were answered now.
    pub(crate) fn as_of_now(&self) -> Self {
        let mut answer = self.clone();
        for line in &mut answer.head {
            if line.to_ascii_lowercase().starts_with("date:") {
                *line = format!("date: {}", date());
            }
        }
        answer
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut part = [0; 16_384];
    match stream.read(&mut part)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            bytes.extend_from_slice(&part[..n]);
            Ok(())
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn action(head: &str, body: &str) -> (String, Service) {
    if let Some(action) =
        header(head, "x-amz-target").and_then(|target| target.strip_prefix("AmazonSSM."))
    {
        return (action.to_owned(), Service::Ssm);
    }
    let field = |name: &str| {
        body.split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let service = if field("Version") == Some("2011-01-01") {
        Service::AutoScaling
    } else {
        Service::Ec2
    };
    (field("Action").unwrap_or("?").to_owned(), service)
}

/// The time as HTTP writes it.
fn date() -> String {
    jiff::Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
