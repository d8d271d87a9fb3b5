//! Processes with a group of their own, whose output is kept within bounds.
//!
//! A process is watched by a task of its own, so nobody has to wait for it to be told of its end. Nothing here ends
//! a process by itself: dropping a [`Process`] leaves it alone.

use std::collections::VecDeque;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use crate::io::clock::within;

/// The most bytes of a stream that are kept: what a result line and the wrapper's tail need three times over.
const KEEP: usize = 64 * 1024;
/// How much of that is the beginning, where the result line stands.
const HEAD: usize = 24 * 1024;
/// How long the output may take to come to its end after the process has: what it wrote is in the pipe by then,
/// and a daemon that it left behind may hold the pipe for ever.
const DRAIN: Duration = Duration::from_millis(300);
/// What a shell on the other side says before it is given anything to do.
const READY: &str = "roundsman ready";

/// How far a process has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Starting,
    Fed,
    Ended(Ended),
}

/// What a process left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit status; `None`: a signal.
    pub(crate) status: Option<i32>,
    /// What it printed, shortened in the middle.
    pub(crate) stdout: String,
    /// What it complained, likewise.
    pub(crate) stderr: String,
    /// Whether it was given its script, all of it or a part.
    pub(crate) fed: bool,
}

/// A process that was started here.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    group: Pid,
    progress: watch::Receiver<Progress>,
}

impl Process {
    /// Starts a command in a process group of its own.
    ///
    /// With a script, the command has to be a shell that reads commands from its stdin, or lead to one; it gets the
    /// script after it has answered, so that whoever never answered has executed nothing, for certain.
    ///
    /// # Errors
    /// The operating system's, when it cannot be started.
    pub(crate) fn spawn(mut command: Command, script: Option<String>) -> io::Result<Self> {
        let stdin = if script.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        let (tell, progress) = watch::channel(Progress::Starting);
        tokio::spawn(watch_over(child, script, tell));
        Ok(Self { group, progress })
    }

    /// The process's id, which is its group's too.
    pub(crate) fn id(&self) -> i32 {
        self.group.as_raw_pid()
    }

    /// Signals the whole group; whether there was one.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        kill_process_group(self.group, signal).is_ok()
    }

    /// Whether anything of the group is left.
    pub(crate) fn lives(&self) -> bool {
        self.result().is_none() || test_kill_process_group(self.group).is_ok()
    }

    /// What it left, if it has ended.
    pub(crate) fn result(&self) -> Option<Ended> {
        match &*self.progress.borrow() {
            Progress::Ended(ended) => Some(ended.clone()),
            Progress::Starting | Progress::Fed => None,
        }
    }

    /// Waits until it has been given all of its script, or has ended.
    pub(crate) async fn fed(&self) {
        let mut progress = self.progress.clone();
        // An error says that nobody watches any more, which `ended` deals with.
        let _ = progress
            .wait_for(|progress| *progress != Progress::Starting)
            .await;
    }

    /// Waits for its end. May be dropped and called again. `None`: nobody watches it any more.
    pub(crate) async fn ended(&self) -> Option<Ended> {
        let mut progress = self.progress.clone();
        let _ = progress
            .wait_for(|progress| matches!(progress, Progress::Ended(_)))
            .await;
        self.result()
    }
}

/// Feeds a process, reads what it prints, and tells of its end.
async fn watch_over(mut child: Child, script: Option<String>, tell: watch::Sender<Progress>) {
    let stderr = Arc::new(Mutex::new(Bounded::default()));
    let stdout = Arc::new(Mutex::new(Bounded::default()));
    let mut readers = Vec::new();
    if let Some(stream) = child.stderr.take() {
        readers.push(tokio::spawn(read(stream, Arc::clone(&stderr))));
    }
    let mut fed = script.is_none();
    if let Some(mut stream) = child.stdout.take() {
        if let (Some(script), Some(stdin)) = (script, child.stdin.take()) {
            fed = feed(stdin, &mut stream, &script, &stdout).await;
        }
        readers.push(tokio::spawn(read(stream, Arc::clone(&stdout))));
    }
    if fed {
        tell.send_replace(Progress::Fed);
    }
    let status = child.wait().await.ok().and_then(|status| status.code());
    for mut reader in readers {
        if within(DRAIN, &mut reader).await.is_none() {
            reader.abort();
        }
    }
    let text =
        |stream: &Mutex<Bounded>| stream.lock().unwrap_or_else(PoisonError::into_inner).text();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    tell.send_replace(Progress::Ended(Ended {
        status,
        stdout,
        stderr,
        fed,
    }));
}

/// Waits for the shell's answer and gives it the script; what came before the answer (greetings) is dropped.
///
/// Without an answer what was printed is kept, since it says why.
async fn feed(
    mut stdin: ChildStdin,
    stdout: &mut ChildStdout,
    script: &str,
    kept: &Mutex<Bounded>,
) -> bool {
    let knock = format!("echo '{READY}'\n");
    let answer = format!("{READY}\n");
    let mut seen = Vec::new();
    let mut answered =
        stdin.write_all(knock.as_bytes()).await.is_ok() && stdin.flush().await.is_ok();
    let mut chunk = [0; 1024];
    while answered {
        match stdout.read(&mut chunk).await {
            Ok(length) if length > 0 && seen.len() < KEEP => {
                seen.extend_from_slice(&chunk[..length]);
            }
            Ok(_) | Err(_) => answered = false,
        }
        if let Some(at) = find(&seen, answer.as_bytes()) {
            seen.drain(..at + answer.len());
            break;
        }
    }
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(&seen);
    if answered {
        // What could not be written shows in what comes back: a text cut short does nothing, and nobody reports it.
        let _ = stdin.write_all(script.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
    answered
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

async fn read(mut stream: impl AsyncRead + Unpin, kept: Arc<Mutex<Bounded>>) {
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(length) = stream.read(&mut chunk).await {
        if length == 0 {
            break;
        }
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(&chunk[..length]);
    }
}

/// The beginning and the end of what was printed.
#[derive(Debug, Default)]
struct Bounded {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: usize,
}

impl Bounded {
    fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(KEEP - HEAD);
        self.tail.drain(..excess);
        self.dropped += excess;
    }

    fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", self.dropped).as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_the_beginning_and_the_end_are_kept() {
        let mut bounded = Bounded::default();
        bounded.push(b"first\n");
        (0..100).for_each(|_| bounded.push(&[b'x'; 1_000]));
        bounded.push(b"last");
        let text = bounded.text();
        assert!(text.starts_with("first\nxxx") && text.ends_with("xxlast"));
        let dropped = 6 + 100_000 + 4 - KEEP;
        assert!(text.contains(&format!("[{dropped} bytes left out]")));
        let mut short = Bounded::default();
        short.push(b"a\xffb");
        assert_eq!(short.text(), "a\u{fffd}b");
    }

    #[tokio::test]
    async fn a_shell_gets_its_script_after_it_has_answered() {
        let mut greeting = Command::new("sh");
        greeting.args(["-c", "echo welcome; echo to this host; exec sh -s"]);
        let process =
            Process::spawn(greeting, Some("echo hello; exit 3\n".to_owned())).expect("starts");
        process.fed().await;
        let ended = process.ended().await.expect("watched");
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.fed),
            (Some(3), "hello\n", true)
        );
    }

    #[tokio::test]
    async fn who_does_not_answer_gets_nothing() {
        let mut deaf = Command::new("sh");
        deaf.args(["-c", "echo no >&2; exit 255"]);
        let process = Process::spawn(deaf, Some("echo hello\n".to_owned())).expect("starts");
        let ended = process.ended().await.expect("watched");
        assert_eq!(
            (ended.status, ended.stderr.as_str(), ended.fed),
            (Some(255), "no\n", false)
        );
    }
}
