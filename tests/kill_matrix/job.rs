//! The jobs of the matrix, how their commands go, and what is done by a whole run of each.

use serde_json::{Value, json};

/// Which steps there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    One,
    Three,
    /// A step, and a clean-up that follows whatever has become of it.
    Always,
    /// A step, and a clean-up that follows when it has failed, which it does unless all goes well.
    Failed,
}

/// How the command goes that a case is about: the last one of a job, but of three steps the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goes {
    Well,
    /// The step fails; a job with clean-up cleans up.
    Failing,
    /// The clean-up fails.
    Untidy,
    /// It runs until the next invocation has adopted it.
    Running,
    /// SSM cannot deliver it; never delivers it, and says so when its time is over; runs it, and says that it was not
    /// delivered; runs it twice.
    Undeliverable,
    Vanished,
    Mistold,
    Doubled,
    /// The answer to `SendCommand` is lost.
    Unanswered,
}

use Goes::{Doubled, Failing, Mistold, Running, Unanswered, Undeliverable, Untidy, Vanished, Well};

/// Those that need no clean-up.
const PLAIN: &[Goes] = &[
    Well,
    Failing,
    Running,
    Undeliverable,
    Vanished,
    Mistold,
    Doubled,
    Unanswered,
];

/// All of them.
const TIDYING: &[Goes] = &[
    Well,
    Failing,
    Untidy,
    Running,
    Undeliverable,
    Vanished,
    Mistold,
    Doubled,
    Unanswered,
];

/// All that make sense.
pub(crate) const PRODUCT: [(Job, &[Goes]); 4] = [
    (Job::One, PLAIN),
    (Job::Three, PLAIN),
    (Job::Always, TIDYING),
    (Job::Failed, TIDYING),
];

impl Job {
    pub(crate) fn steps(self) -> u32 {
        if self == Self::Three { 3 } else { 1 }
    }

    fn cleans(self) -> bool {
        matches!(self, Self::Always | Self::Failed)
    }

    /// The number of the command that a case is about.
    pub(crate) fn target(self, goes: Goes) -> u32 {
        match (self, goes) {
            (Self::One, _) | (Self::Always | Self::Failed, Failing) => 1,
            _ => 2,
        }
    }

    /// How a command ends, by its number.
    fn status(self, goes: Goes, number: u32) -> u8 {
        let fails = match goes {
            Well => false,
            Failing => number == self.target(goes) || self == Self::Failed && number == 1,
            Untidy => number == 2 || self == Self::Failed && number == 1,
            _ => self == Self::Failed && number == 1,
        };
        if fails { 3 } else { 0 }
    }

    /// The numbers of what a whole run does.
    pub(crate) fn does(self, goes: Goes) -> Vec<u32> {
        let failing = (1..=self.steps()).find(|&number| self.status(goes, number) > 0);
        let mut does: Vec<u32> = (1..=failing.unwrap_or(self.steps())).collect();
        if self == Self::Always || self == Self::Failed && failing.is_some() {
            does.push(2);
        }
        does
    }

    /// Whether a whole run is recorded as done, and as failed.
    pub(crate) fn records(self, goes: Goes) -> (bool, bool) {
        let does = |number: &u32| self.status(goes, *number) == 0;
        let done = (1..=self.steps()).all(|number| does(&number));
        (done, !self.does(goes).iter().all(does))
    }

    /// The job's text after its fleet; its commands work in `folder`, and write down their numbers plus `mark`.
    pub(crate) fn text(self, goes: Goes, folder: &str, mark: u32) -> String {
        let last = self.steps() + u32::from(self.cleans());
        let command = |number: u32| {
            let head = match (number > self.steps(), self) {
                (false, _) => format!("[[step]]\nname = \"step {number}\"\n"),
                (true, Self::Failed) => "[[cleanup]]\nwhen = \"failed\"\n".to_owned(),
                (true, _) => "[[cleanup]]\n".to_owned(),
            };
            let waits = goes == Running && number == self.target(goes);
            let retries = u8::from(goes.is_lost() && number == self.target(goes));
            let script = script(folder, number + mark, waits, self.status(goes, number));
            // Of what nobody can say how it ended the latest end has to pass.
            let timeout = if goes.is_lost() { "5s" } else { "1m" };
            format!(
                "{head}retries = {retries}\ntimeout = \"{timeout}\"\nrun = '''\n{script}\n'''\n"
            )
        };
        (1..=last).map(command).collect()
    }
}

impl Goes {
    /// Whether an attempt may come to nothing: there is a second one.
    pub(crate) fn is_lost(self) -> bool {
        matches!(
            self,
            Undeliverable | Vanished | Mistold | Doubled | Unanswered
        )
    }

    /// What goes wrong with the send of that command, whoever sends it.
    pub(crate) fn fault(self, job: Job) -> Option<Value> {
        let mode = match self {
            Well | Failing | Untidy | Running => return None,
            Undeliverable => "undeliverable",
            Vanished => "vanished",
            Mistold => "lost",
            Doubled => "delivered-twice",
            Unanswered => "lost-after",
        };
        let text = format!(" {}.1\"", job.target(self));
        Some(json!({"mode": mode, "action": "SendCommand", "text": text, "seconds": 0.5}))
    }
}

/// A command that writes down that it begins and ends, and whether another one is at work meanwhile.
fn script(folder: &str, number: u32, waits: bool, status: u8) -> String {
    let wait = if waits {
        "while test -e work && ! test -e go; do sleep 0.1; done"
    } else {
        ":"
    };
    format!(
        "cd '{folder}'\nme=\"$ROUNDSMAN_RUN {number} $ROUNDSMAN_ATTEMPT\"\nat=\"at-$ROUNDSMAN_NODE\"\n\
         mkdir \"$at\" || echo \"$me\" >>overlaps\necho \"begun $me\" >>work\n{wait}\nsleep 0.05\n\
         rmdir \"$at\"\necho \"ended $me {status}\" >>work\nexit {status}"
    )
}
