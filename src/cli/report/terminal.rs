//! What is happening now, in place: one line for each node in hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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

/// The lines.
pub(super) struct Live {
    multi: MultiProgress,
    bars: RefCell<BTreeMap<NodeId, ProgressBar>>,
}

impl Live {
    /// Lines on stderr.
    pub(super) fn on_stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
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
    pub(super) fn aside(&self, write: impl FnOnce()) {
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
