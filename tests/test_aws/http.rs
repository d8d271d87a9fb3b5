//! HTTP/1.1 on loopback: a thread for each connection, which may be kept, and broken off when a fault wants that.
//!
//! The heads are read by httparse, which hyper reads them with too. hyper's own server would be a feature more than the
//! SDK asks of it, and so a second build of aws-sdk-ec2 whenever one goes from `cargo build` to `cargo test`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest head and the longest body that are read.
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 4 * 1024 * 1024;

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
}

/// One answer; its head is written by whoever makes it.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Answers a request; `None`: the connection breaks.
pub(crate) type Handler = dyn Fn(Request) -> Option<Response> + Send + Sync;

/// A listening server; it ends, with its connections, when this is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    open: Arc<Open>,
}

#[derive(Default)]
struct Open {
    over: AtomicBool,
    connections: Mutex<BTreeMap<u16, TcpStream>>,
}

impl Open {
    fn connections(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens on loopback only.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn start(port: u16, handler: Arc<Handler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let open = Arc::new(Open::default());
        let serving = Arc::clone(&open);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), handler) = (stream, Arc::clone(&handler)) else {
                    continue;
                };
                let open = Arc::clone(&serving);
                std::thread::spawn(move || {
                    // A connection that breaks is its caller's affair.
                    let _ = connection(&stream, &open, &*handler);
                });
            }
        });
        Ok(Self { port, open })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open.over.store(true, Ordering::SeqCst);
        // Wakes the one who waits for connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for stream in self.open.connections().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn connection(stream: &TcpStream, open: &Open, handler: &Handler) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    open.connections().insert(peer.port(), stream.try_clone()?);
    let ended = serve(stream, peer, open, handler);
    open.connections().remove(&peer.port());
    let _ = stream.shutdown(Shutdown::Both);
    ended
}

fn serve(
    stream: &TcpStream,
    peer: SocketAddr,
    open: &Open,
    handler: &Handler,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while !open.over.load(Ordering::SeqCst) {
        let Some(request) = read(&mut reader, peer)? else {
            return Ok(());
        };
        let close = request
            .headers
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let Some(response) = handler(request) else {
            return Ok(());
        };
        write(stream, &response)?;
        if close {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request; `None`: the other end has hung up.
fn read(reader: &mut BufReader<&TcpStream>, peer: SocketAddr) -> std::io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 || head.len() > HEAD_MAX {
            return Ok(None);
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&head).map_err(std::io::Error::other)?;
    let headers: BTreeMap<String, String> = parsed
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    let length = headers.get("content-length").map(|text| text.parse());
    let length: usize = length
        .transpose()
        .map_err(std::io::Error::other)?
        .unwrap_or(0);
    if length > BODY_MAX || headers.contains_key("transfer-encoding") {
        return Err(std::io::Error::other(
            "a body of a kind that is not read here",
        ));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body,
        peer,
    }))
}

fn write(mut stream: &TcpStream, response: &Response) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {} Answer\r\n", response.status);
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", response.body.len()));
    text.push_str(&response.body);
    stream.write_all(text.as_bytes())
}
