//! What ends a command early, and how people are told.

use crate::cli::exit::Exit;
use crate::cli::problem::{FileProblems, render};
use crate::cli::report::text::harmless_line;
use crate::engine::operate::Refusal;
use crate::port::PortError;

/// Why a command did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What was asked for cannot be: a sentence, and what to do instead.
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        help: Option<String>,
    },
    /// Files, variables or flags are wrong.
    Files(Vec<FileProblems>),
    /// The outside failed.
    Outside(PortError),
}

impl Failure {
    /// What was asked for cannot be.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// The exit status.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Files(_) => Exit::Usage,
            Self::Outside(_) => Exit::Outside,
        }
    }

    /// What people see on stderr: the headline, the causes, what to do next. Ends with a line end.
    pub fn show(&self, colour: bool, width: usize) -> String {
        let said = |message: &str, help: Option<&str>| {
            let help = help
                .map(|help| format!("  help: {}\n", harmless_line(help)))
                .unwrap_or_default();
            let error = if colour {
                "\u{1b}[1;31merror\u{1b}[0m"
            } else {
                "error"
            };
            format!("{error}: {}\n{help}", harmless_line(message))
        };
        match self {
            Self::Usage { message, help } => said(message, help.as_deref()),
            Self::Files(files) => files
                .iter()
                .map(|problems| match placeless(problems) {
                    Some((message, help)) => said(&message, help),
                    None => render(problems, colour, width),
                })
                .collect(),
            Self::Outside(error) => said(&error.message, error.help.as_deref()),
        }
    }
}

/// What is wrong with something that has no text to show: one sentence, like any other error.
fn placeless(problems: &FileProblems) -> Option<(String, Option<&str>)> {
    match (problems.errors.as_slice(), problems.warnings.as_slice()) {
        ([only], []) if problems.text.is_empty() => {
            let name = problems.name.trim();
            let message = if name.is_empty() {
                only.message.clone()
            } else {
                format!("{name}: {}", only.message)
            };
            Some((message, only.help.as_deref()))
        }
        _ => None,
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Outside(error)
    }
}

impl From<FileProblems> for Failure {
    fn from(problems: FileProblems) -> Self {
        Self::Files(vec![problems])
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotRight { message, help } => Self::Usage {
                message,
                help: Some(help),
            },
            Refusal::Outside(error) => Self::Outside(error),
        }
    }
}
