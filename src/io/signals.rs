//! SIGINT and SIGTERM.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that asks for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: ctrl-c.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// The signals of this process, from now on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
}

/// Listens from now on: the signals no longer end the process by themselves.
///
/// # Errors
/// When the operating system refuses.
pub fn listen() -> std::io::Result<Signals> {
    Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
}

impl Signals {
    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
