//! Events as lines for people, on stderr: on a terminal, in a file, or in the journal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::report::Look;
use crate::cli::report::paint::{Paint, painted};
use crate::cli::report::terminal::{Doing, Live};
use crate::cli::report::text::last_lines;
use crate::cli::report::times::label;
use crate::cli::report::words::{Weight, sentence};
use crate::event::{Event, EventKind};
use crate::model::id::NodeId;
use crate::model::outcome::Outcome;
use crate::model::time::format_stamp;

/// The most lines of a step's output that are shown.
const OUTPUT_LINES: usize = 20;
/// The most characters of such a line where there is no terminal that says how wide it is.
const OUTPUT_WIDTH: usize = 400;

/// Tells people what happens, on stderr. Whatever cannot be written is not told: a closed stderr ends no run.
pub struct Human {
    look: Look,
    names: RefCell<BTreeMap<NodeId, String>>,
    took_before: RefCell<BTreeMap<NodeId, Duration>>,
    live: Option<Live>,
    out: RefCell<Box<dyn Write>>,
}

impl fmt::Debug for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Human")
            .field("look", &self.look)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Human {
    /// Tells on stderr. What nodes are called, and how long their last runs took, is learnt from the events.
    pub fn new(look: Look) -> Self {
        let live = (look.terminal && !look.quiet).then(Live::on_stderr);
        let (names, took_before) = (BTreeMap::new(), BTreeMap::new());
        // Without colour whatever escapes there may be is taken out: nothing but our own colours ever gets through.
        let colour = if look.colour {
            anstream::ColorChoice::Always
        } else {
            anstream::ColorChoice::Never
        };
        let out = anstream::AutoStream::new(std::io::stderr(), colour);
        Self::on(look, names, took_before, live, Box::new(out))
    }

    fn on(
        look: Look,
        names: BTreeMap<NodeId, String>,
        took_before: BTreeMap<NodeId, Duration>,
        live: Option<Live>,
        out: Box<dyn Write>,
    ) -> Self {
        Self {
            look,
            names: RefCell::new(names),
            took_before: RefCell::new(took_before),
            live,
            out: RefCell::new(out),
        }
    }

    /// Tells of one event.
    pub fn event(&self, event: &Event) {
        self.learn(event);
        let node = event.node.as_ref().map_or_else(String::new, |id| {
            label(id.as_str(), self.names.borrow().get(id).map(String::as_str))
        });
        // The line in place goes before the sentence that ends it, and changes after the one that begins it.
        self.drop_line(event);
        if let Some((weight, text)) = sentence(event, &node) {
            let most = match (self.look.quiet, self.look.verbose) {
                (true, _) => Weight::Warning,
                (false, true) => Weight::Detail,
                (false, false) => Weight::Info,
            };
            if weight <= most {
                let mut lines = vec![text];
                lines.extend(self.output(&event.kind));
                self.write(event.at, weight, &lines);
            }
        }
        self.change_line(event, &node);
    }

    fn learn(&self, event: &Event) {
        if let (EventKind::Chosen { name, took_before }, Some(id)) = (&event.kind, &event.node) {
            self.names
                .borrow_mut()
                .extend(name.clone().map(|name| (id.clone(), name)));
            self.took_before
                .borrow_mut()
                .extend(took_before.map(|took| (id.clone(), took)));
        }
    }

    /// Takes what is shown in place off the terminal. Later events are told all the same.
    pub fn finish(&self) {
        if let Some(live) = &self.live {
            live.clear();
        }
    }

    /// The last lines of what a step printed, when it did not succeed.
    fn output(&self, kind: &EventKind) -> Vec<String> {
        let EventKind::StepFinished {
            outcome,
            output_tail,
            ..
        } = kind
        else {
            return Vec::new();
        };
        if *outcome == Outcome::Ok {
            return Vec::new();
        }
        let width = if self.look.terminal {
            self.look.width.saturating_sub(5).max(20)
        } else {
            OUTPUT_WIDTH
        };
        let lines = last_lines(output_tail, OUTPUT_LINES, width);
        lines.iter().map(|line| format!("    {line}")).collect()
    }

    fn write(&self, at: Timestamp, weight: Weight, lines: &[String]) {
        let start = if self.look.journald {
            weight.priority().to_owned()
        } else if self.look.now_stamp && !self.look.terminal {
            format!("{} ", format_stamp(at))
        } else {
            String::new()
        };
        let paint = match weight {
            Weight::Error => Some(Paint::Bad),
            Weight::Warning => Some(Paint::Warn),
            Weight::Success => Some(Paint::Good),
            Weight::Info | Weight::Detail => None,
        };
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let paint = paint.filter(|_| number == 0 && self.look.colour && !self.look.journald);
            text.push_str(&format!("{start}{}\n", painted(line, paint)));
        }
        let write = || {
            let mut out = self.out.borrow_mut();
            // One write for all of it, so that lines of others do not come between.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match &self.live {
            Some(live) => live.above(write),
            None => write(),
        }
    }

    fn drop_line(&self, event: &Event) {
        let Some(live) = &self.live else { return };
        match (&event.kind, &event.node) {
            (EventKind::Finished(_), _) => live.clear(),
            (
                EventKind::ClaimLost { .. }
                | EventKind::LeaseLost { .. }
                | EventKind::Released
                | EventKind::Parked { .. },
                Some(node),
            ) => live.remove(node),
            _ => {}
        }
    }

    fn change_line(&self, event: &Event, node: &str) {
        let (Some(live), Some(id)) = (&self.live, &event.node) else {
            return;
        };
        let doing = match &event.kind {
            EventKind::Settling { for_ } => Doing::Settling(*for_),
            EventKind::Claimed { .. } => Doing::Next("claimed"),
            EventKind::Adopted { .. } => Doing::Next("adopted, going on"),
            EventKind::Stopping { .. } => Doing::Next("being stopped"),
            EventKind::StepStarted { step, name, .. } => Doing::Step {
                step: *step,
                name: name.clone(),
                before: self.took_before.borrow().get(id).copied(),
            },
            EventKind::StepFinished { .. } => Doing::Next("going on"),
            EventKind::Committed { .. } | EventKind::Failed { .. } => Doing::Next("letting go"),
            _ => return,
        };
        live.show(id, node, doing, self.look.width);
    }
}

#[cfg(test)]
mod tests;
