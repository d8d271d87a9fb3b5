//! SIGINT and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::io::clock::SystemClock;
use crate::model::time::Moment;
use crate::port::Clock;

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

/// `timeout` and the like signal a process and then its whole group: that is one signal, sent twice.
const ECHO: Duration = Duration::from_millis(200);

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
    let mut before: Option<(Signal, Moment)> = None;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                let now = SystemClock.boot();
                let echo = before.is_some_and(|(same, at)| same == signal && now.since(at) < ECHO);
                if !echo {
                    before = Some((signal, now));
                    tell(signal);
                }
            }
            value = &mut future => return Ok(value),
        }
    }
}
