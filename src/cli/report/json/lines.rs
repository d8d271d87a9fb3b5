//! Events as lines of JSON on stdout.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;

use crate::event::Event;

/// Writes each event as a line of JSON. Once a line cannot be written (a closed pipe), nothing more is, and the
/// run goes on: nodes in hand matter more than who listens.
pub struct Lines {
    job: String,
    out: RefCell<Box<dyn Write>>,
    broken: Cell<bool>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("job", &self.job)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Lines on stdout, of the job with this name.
    pub fn new(job: String) -> Self {
        Self::on(job, Box::new(std::io::stdout()))
    }

    fn on(job: String, out: Box<dyn Write>) -> Self {
        Self {
            job,
            out: RefCell::new(out),
            broken: Cell::new(false),
        }
    }

    /// Writes the event's line, at once.
    pub fn event(&self, event: &Event) {
        if self.broken.get() {
            return;
        }
        let Some(line) = super::event(&self.job, event) else {
            return;
        };
        let mut out = self.out.borrow_mut();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        self.broken.set(written.is_err());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::rc::Rc;

    use super::*;
    use crate::event::EventKind;

    /// Takes one line, then is closed.
    struct Closing(Rc<RefCell<Vec<String>>>);

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut told = self.0.borrow_mut();
            let closed = told.concat().contains('\n');
            told.push(text);
            if closed {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(bytes.len())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_written_to_once_and_stops_nothing() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let lines = Lines::on("repair".to_owned(), Box::new(Closing(Rc::clone(&told))));
        let event = Event {
            at: "2026-11-23T00:10:00Z".parse().expect("a time"),
            run: None,
            node: None,
            kind: EventKind::Released,
        };
        lines.event(&event);
        let whole = told.borrow().concat();
        assert!(
            whole.contains("\"released\"") && whole.ends_with("}\n"),
            "{whole}"
        );
        lines.event(&event);
        let tries = told.borrow().len();
        lines.event(&event);
        assert_eq!(told.borrow().len(), tries);
    }
}
