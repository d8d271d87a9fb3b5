//! Whoever tidies up when this process ends, however it ends: even a test AWS that is killed leaves nothing running.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its stdin; then kills all whose environment bears the mark, and removes the folder. What a
/// process starts while it is being killed is found the second time.
const SCRIPT: &str = r#"
cat >/dev/null
for round in 1 2; do
    for environ in /proc/[0-9]*/environ; do
        grep -qzF "$1" "$environ" 2>/dev/null || continue
        pid=${environ#/proc/}
        kill -s KILL "${pid%/environ}"
    done
done 2>/dev/null
rm -rf "$2"
"#;

/// A process of its own that outlives this one by a moment.
#[derive(Debug)]
pub(crate) struct Warden(Child);

impl Warden {
    /// One for the processes with this word in their environment, and this folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mark: &str, folder: &Path) -> std::io::Result<Self> {
        let warden = Command::new("sh")
            .args(["-c", SCRIPT, "warden", mark])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A terminal's Ctrl-C is not for it.
            .process_group(0)
            .spawn()?;
        Ok(Self(warden))
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
