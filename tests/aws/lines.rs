//! Clients apart have connections apart: what a probe rests on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roundsman::io::aws::{ATTEMPT_TIMEOUT, AwsStore};
use roundsman::port::Store;

use crate::{clients_of, id};

const ANSWER: &str = "<DescribeTagsResponse><tagSet/></DescribeTagsResponse>";

/// Answers every request on a connection, and keeps the connection, as AWS does.
fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.trim().to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if lower.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        )?;
    }
}

#[tokio::test]
async fn each_store_apart_reads_over_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || serve(stream));
        }
    });
    let first = AwsStore::new(clients_of(endpoint, ATTEMPT_TIMEOUT).await);
    let second = first.apart().expect("the same region");
    let same = first.clone();
    for (store, so_many) in [
        (&first, 1),
        (&same, 1),
        (&second, 2),
        (&first, 2),
        (&second, 2),
    ] {
        store.read_tags(&id("i-1")).await.expect("an answer");
        assert_eq!(connections.load(Ordering::SeqCst), so_many);
    }
    // Each keeps count, and the time, by itself.
    assert_eq!(first.clients().calls()["DescribeTags"], 3);
    assert_eq!(second.clients().calls()["DescribeTags"], 2);
}
