//! The real binary over a folder of its own: what it prints, how it ends, what it leaves.

#![expect(
    clippy::disallowed_methods,
    reason = "tests of the real binary wait by the real clock, with a bound"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder with settings, jobs and a local fleet.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
}

/// What one invocation gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Fails unless it ended so; shows everything.
    #[track_caller]
    pub(crate) fn status(self, expected: i32) -> Self {
        assert_eq!(
            self.status,
            Some(expected),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails unless stdout or stderr says so.
    #[track_caller]
    pub(crate) fn says(self, expected: &str) -> Self {
        let said = self.stdout.contains(expected) || self.stderr.contains(expected);
        assert!(
            said,
            "expected {expected:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails if it panicked or spoke of a bug.
    #[track_caller]
    pub(crate) fn calm(self) -> Self {
        let panicked =
            self.stderr.contains("panicked") || self.status == Some(70) || self.status == Some(101);
        assert!(
            !panicked && self.status.is_some(),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A job that runs `script` on every node, hourly.
pub(crate) fn job(script: &str) -> String {
    format!(
        "every = \"1h\"\n[fleet]\nall = true\n[[step]]\nname = \"work\"\nrun = '''\n{script}\n'''\n"
    )
}

impl Folder {
    /// A folder with a local fleet of these nodes, and no jobs.
    pub(crate) fn new(nodes: &[&str]) -> Self {
        let folder = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        let entries = nodes
            .iter()
            .map(|id| format!("[[provider.local.node]]\nid = \"{id}\"\n"));
        let inventory = entries.collect::<Vec<_>>().concat();
        folder.write("roundsman.toml", format!("[lease]\nowner = \"tester\"\n[provider]\nkind = \"local\"\n[provider.local]\nstore = \"state/roundsman.db\"\n{inventory}"));
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// A script that says in one file that it has begun, and goes on until the other is there. It ends with the folder:
    /// what a test has left on its node would wait for ever.
    pub(crate) fn waiting(&self, begun: &str, go: &str) -> String {
        format!(
            "echo x >> '{}'; while test -d '{}' && ! test -e '{}'; do sleep 0.05; done",
            self.file(begun).display(),
            self.path().display(),
            self.file(go).display()
        )
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// The binary here, with nothing in its environment that it would read.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundsman"));
        command
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("it starts").into()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("it starts")
    }

    /// A node's tags as `plan` does not show them: straight from the store, by Python's own SQLite.
    pub(crate) fn tags(&self, node: &str) -> std::collections::BTreeMap<String, String> {
        let script = "import json,sqlite3,sys\nprint(json.dumps(dict(sqlite3.connect(sys.argv[1]).execute('select key,value from tag where node=?',(sys.argv[2],)))))";
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(self.file("state/roundsman.db"))
            .arg(node)
            .output()
            .expect("python3 is needed by these tests: install it");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Polls until `done`, at most so many seconds.
#[track_caller]
pub(crate) fn until(what: &str, seconds: u64, mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(
            began.elapsed().as_secs() < seconds,
            "{what}: not within {seconds} s"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
