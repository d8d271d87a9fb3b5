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
struct Signals {
    interrupt: Stream,
    terminate: Stream,
}

/// Listens from now on: the signals no longer end the process by themselves.
fn listen() -> std::io::Result<Signals> {
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

impl Signals {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

/// Runs a future to its end, and tells every signal that comes meanwhile.
///
/// # Errors
/// When the operating system does not let signals be listened to; then the future has not begun.
pub async fn while_listening<T>(
    future: impl Future<Output = T>,
    mut tell: impl FnMut(Signal),
) -> std::io::Result<T> {
    let mut signals = listen()?;
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => tell(signal),
            value = &mut future => return Ok(value),
        }
    }
}
