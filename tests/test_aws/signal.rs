//! Signals to whoever calls: the process at the other end of a connection, and what runs on a node.

use std::fs;
use std::net::SocketAddr;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A signal by its name, without SIG.
pub(crate) fn named(name: &str) -> Option<Signal> {
    Some(match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        "USR1" => Signal::USR1,
        _ => return None,
    })
}

/// Signals a process; `false`: it is not there.
pub(crate) fn send(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Waits until a process that was killed is gone, for a second at most: nothing may reach it any more.
pub(crate) fn wait_for_end(pid: i32, pause: impl Fn() -> bool) {
    for _ in 0..200 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state follows the name in brackets; a zombie is gone.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
        if matches!(state, None | Some(b'Z' | b'X')) || !pause() {
            return;
        }
    }
}

/// Kills a process group, which must be of our own making and not waited for yet.
pub(crate) fn kill_group(leader: u32) {
    let pid = i32::try_from(leader).ok().and_then(Pid::from_raw);
    // One that is gone is what is wanted.
    let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
}

/// The process that holds the other end of a connection over loopback.
pub(crate) fn caller(peer: SocketAddr, port: u16) -> Option<i32> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let (theirs, ours) = (format!(":{:04X}", peer.port()), format!(":{port:04X}"));
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is = fields.get(1)?.ends_with(&theirs) && fields.get(2)?.ends_with(&ours);
        is.then(|| fields.get(9).copied())?
    })?;
    let socket = format!("socket:[{inode}]");
    processes().into_iter().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        files.into_iter().flatten().flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str())
        })
    })
}

/// Kills every process whose environment has this word, detached ones too.
pub(crate) fn kill_marked(word: &str) {
    for pid in processes() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment
            .split(|&byte| byte == 0)
            .any(|each| each == word.as_bytes())
        {
            send(pid, Signal::KILL);
        }
    }
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
