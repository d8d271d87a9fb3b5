//! The test AWS: starts `aws.py` (moto, with commands that run and faults on demand) and talks to its back door.
//!
//! The first test that starts one makes a virtual environment under `target/test-aws`, which takes a quarter of a
//! minute, a package index and 140 MB; later ones find it there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running test AWS; it ends when this is dropped, or with this process.
#[derive(Debug)]
pub(crate) struct Aws {
    server: Child,
    port: u16,
}

impl Aws {
    /// Starts one, empty.
    ///
    /// # Panics
    /// With a sentence that says what is missing when there is no `python3`, or its packages cannot be had.
    pub(crate) fn start() -> Self {
        let python = python();
        let mut server = Command::new(&python)
            .arg("-B")
            .arg(here("aws.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
        let mut line = String::new();
        let stdout = server.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the port");
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!("tests/support/aws.py did not print its port, but {line:?}; its own words stand above")
        });
        Self { server, port }
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a process needs in its environment to take it for AWS.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Launches nodes, in an Auto Scaling group or outside of any; the group is made when there is none. Their
    /// names are `<group>-1` and so on (`node-1`), their agents answer.
    pub(crate) fn fleet(
        &self,
        group: Option<&str>,
        nodes: usize,
        tags: &[(&str, &str)],
    ) -> Vec<String> {
        let tags: BTreeMap<&str, &str> = tags.iter().copied().collect();
        let made = self.post(
            "fleet",
            &json!({"group": group, "nodes": nodes, "tags": tags}),
        );
        serde_json::from_value(made["nodes"].clone()).expect("ids")
    }

    /// What one instance is from now on: `state`, `reason`, `lifecycle`, `health`, `agent`.
    pub(crate) fn instance(&self, node: &str, is: &Value) {
        self.post(&format!("instance/{node}"), is);
    }

    /// The tags of a node, read past the API.
    pub(crate) fn tags(&self, node: &str) -> BTreeMap<String, String> {
        serde_json::from_value(self.get(&format!("tags/{node}"))).expect("tags")
    }

    /// Sets tags of a node, past the API.
    pub(crate) fn set_tags(&self, node: &str, tags: &[(&str, &str)]) {
        let tags: BTreeMap<&str, &str> = tags.iter().copied().collect();
        self.post(&format!("tags/{node}"), &json!({"set": tags}));
    }

    /// Makes the next calls of an action go wrong: `{"action", "mode", "count", "seconds", "node"}` (see `aws.py`).
    pub(crate) fn fault(&self, fault: &Value) {
        self.post("faults", fault);
    }

    /// How many seconds its clock is ahead of this machine's.
    pub(crate) fn clock(&self, seconds: i64) {
        self.post("clock", &json!({"seconds": seconds}));
    }

    /// The most entries in one answer of an action.
    pub(crate) fn pages(&self, pages: &Value) {
        self.post("pages", pages);
    }

    /// Calls by action since the last reset.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.get("calls")).expect("counts")
    }

    /// Every command that was sent, as SSM shows it, and its `Text`.
    pub(crate) fn commands(&self) -> Vec<Value> {
        serde_json::from_value(self.get("commands")).expect("commands")
    }

    /// Forgets calls, faults, page sizes and the clock's offset.
    pub(crate) fn reset(&self) {
        self.post("reset", &json!({}));
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the test AWS");
        write!(
            stream,
            "{method} /stand-in/{path} HTTP/1.1\r\nHost: stand-in\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 200"),
            "{method} /stand-in/{path}: {body}"
        );
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // The end of its stdin is its end.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/support")
        .join(file)
}

/// The interpreter of a virtual environment that has what `requirements.txt` pins.
pub(crate) fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target directory")
        .join("test-aws");
    let (venv, stamp) = (home.join("venv"), home.join("stamp"));
    let python = venv.join("bin/python");
    let wanted = fs::read_to_string(here("requirements.txt")).expect("requirements.txt");
    fs::create_dir_all(&home).expect("target/test-aws");
    // Test binaries run side by side: one makes it, the others wait.
    let lock = File::create(home.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && python.exists() {
        return python;
    }
    let _ = fs::remove_file(&stamp);
    let _ = fs::remove_dir_all(&venv);
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        "the tests of the AWS provider need python3 (3.10 or later) with its venv module",
    );
    run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(here("requirements.txt")),
        "the packages of tests/support/requirements.txt could not be installed (is there a way to PyPI?)",
    );
    fs::write(&stamp, wanted).expect("the stamp");
    python
}

fn run(command: &mut Command, otherwise: &str) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{otherwise}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{otherwise}: {error}"),
    }
}
