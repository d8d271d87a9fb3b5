//! What is happening now, in place: one line for each node in hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike,
};

use crate::cli::report::text::harmless_line;
use crate::model::id::NodeId;
use crate::model::span::short_span;

/// How often the lines are drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// What is being done with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doing {
    /// Its claim settles, for so long in all.
    Settling(Duration),
    /// A step is under way.
    Step {
        /// Its number.
        step: u32,
        /// Its name.
        name: String,
        /// How long the node's last run took, where that is known.
        before: Option<Duration>,
    },
    /// Between two of these.
    Next(&'static str),
}

impl Doing {
    /// In words, after it has been so for `elapsed`.
    fn words(&self, elapsed: Duration) -> String {
        match self {
            Self::Settling(whole) => {
                let left = whole.saturating_sub(elapsed);
                if left < Duration::from_secs(1) {
                    "settling, about to enter".to_owned()
                } else {
                    format!("settling, {} left", short_span(left))
                }
            }
            Self::Step { step, name, before } => {
                let before = before
                    .map(|took| format!(" (last run took {})", short_span(took)))
                    .unwrap_or_default();
                let (name, elapsed) = (harmless_line(name), short_span(elapsed));
                format!("step {step} {name} for {elapsed}{before}")
            }
            Self::Next(what) => (*what).to_owned(),
        }
    }
}

/// Tells how many columns there are now.
pub(super) type Columns = Box<dyn Fn() -> u16 + Send + Sync>;
/// Gives what is written to.
pub(super) type Open = Box<dyn Fn() -> Box<dyn Write> + Send + Sync>;

/// A terminal that never fails: drawing panics where writing does not succeed, and a terminal that has gone away must
/// not end a run.
struct Steady {
    width: Columns,
    open: Open,
}

impl std::fmt::Debug for Steady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steady")
            .field("width", &(self.width)())
            .finish_non_exhaustive()
    }
}

impl Steady {
    fn write(&self, text: &str) {
        let mut out = (self.open)();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Moves the cursor, in the way that ECMA-48 names with this letter.
    fn step(&self, count: usize, letter: char) {
        if count > 0 {
            self.write(&format!("\u{1b}[{count}{letter}"));
        }
    }
}

impl TermLike for Steady {
    fn width(&self) -> u16 {
        (self.width)()
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.step(count, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.step(count, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.step(count, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.step(count, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write("\r\u{1b}[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines.
pub(super) struct Live {
    multi: MultiProgress,
    bars: RefCell<BTreeMap<NodeId, ProgressBar>>,
}

impl Live {
    /// Lines on stderr.
    pub(super) fn on_stderr() -> Self {
        let term = console::Term::stderr();
        let width = move || term.size().1;
        Self::on(Box::new(width), Box::new(|| Box::new(io::stderr())))
    }

    /// Lines on the terminal that `open` gives, of so many columns.
    pub(super) fn on(width: Columns, open: Open) -> Self {
        let steady = Steady { width, open };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(steady), 10);
        Self {
            multi: MultiProgress::with_draw_target(target),
            bars: RefCell::new(BTreeMap::new()),
        }
    }

    /// Shows what is being done with a node, from now on. `width` is the terminal's.
    pub(super) fn show(&self, node: &NodeId, label: &str, doing: Doing, width: usize) {
        let room = width.saturating_sub(4).clamp(20, 500);
        let text = format!("{label}: ");
        let now = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{text}{}", doing.words(state.elapsed()));
        };
        // A line that does not fit is cut rather than wrapped: it is drawn over and over.
        let Ok(style) = ProgressStyle::with_template(&format!("{{spinner}} {{now:{room}!}}"))
        else {
            return;
        };
        let style = style.tick_chars("-\\|/ ").with_key("now", now);
        let mut bars = self.bars.borrow_mut();
        let bar = bars.entry(node.clone()).or_insert_with(|| {
            let bar = self.multi.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_style(style);
        bar.reset_elapsed();
        bar.force_draw();
    }

    /// Takes a node's line away.
    pub(super) fn remove(&self, node: &NodeId) {
        if let Some(bar) = self.bars.borrow_mut().remove(node) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// Takes all lines away.
    pub(super) fn clear(&self) {
        let nodes: Vec<NodeId> = self.bars.borrow().keys().cloned().collect();
        for node in nodes {
            self.remove(&node);
        }
        let _ = self.multi.clear();
    }

    /// Writes something above the lines.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
