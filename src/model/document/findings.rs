//! What is wrong with a text, gathered while it is read.

use std::ops::Range;

use crate::model::document::At;
use crate::model::document::field::Field;
use crate::model::problem::Problem;

/// How many errors of a text are told: beyond it, the text is no file of ours, and nobody reads on.
const MOST: usize = 200;

/// The mistakes found so far.
#[derive(Debug)]
pub struct Findings<'t> {
    text: &'t str,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Where the syntax is wrong.
    syntax: Vec<Range<usize>>,
    /// What was read past a syntax error, and so means nothing certain.
    unsure: Vec<Range<usize>>,
    doubt: Option<String>,
}

impl<'t> Findings<'t> {
    /// None yet.
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            errors: Vec::new(),
            warnings: Vec::new(),
            syntax: Vec::new(),
            unsure: Vec::new(),
            doubt: None,
        }
    }

    /// The text that is read.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Whether there is no error so far.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.doubt.is_none()
    }

    /// Notes an error.
    pub fn error(&mut self, span: &Range<usize>, message: impl Into<String>, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.push(Problem {
            span: Some(span.clone()),
            message: message.into(),
            help,
        });
    }

    /// Notes an error that has no place.
    pub fn general(&mut self, message: impl Into<String>, help: &str) {
        self.push(Problem::general(
            message,
            (!help.is_empty()).then(|| help.to_owned()),
        ));
    }

    /// Notes that none of `keys` is there, unless one of them stands in a line that could not be read.
    pub fn missing(
        &mut self,
        span: Option<&Range<usize>>,
        keys: &[&str],
        message: impl Into<String>,
        help: &str,
    ) {
        let unread = self.syntax.iter().any(|error| {
            let line = self.line(error);
            let line = self.text.get(line).unwrap_or_default();
            let line = line.trim_start_matches([' ', '\t', '[', '"', '\'']);
            keys.iter().any(|key| line.starts_with(key))
        });
        if !unread {
            self.push(Problem {
                span: span.cloned(),
                message: message.into(),
                help: (!help.is_empty()).then(|| help.to_owned()),
            });
        }
    }

    /// Notes something that is allowed and yet probably not meant.
    pub fn warning(&mut self, span: &Range<usize>, message: impl Into<String>, help: &str) {
        self.warnings.push(Problem {
            span: Some(span.clone()),
            message: message.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    /// Notes that something was not understood although nothing was found to be wrong with it: were there no other
    /// error, this one must stand for it.
    pub fn doubt(&mut self, message: &str) {
        self.doubt.get_or_insert_with(|| message.trim().to_owned());
    }

    /// The value of a field, when it is there and has its shape.
    pub fn get<'f, T>(&mut self, field: &'f Field<T>) -> Option<&'f At<T>> {
        match field {
            Field::Absent => None,
            Field::Good(value) => Some(value),
            Field::Bad(message) => {
                self.doubt(message);
                None
            }
        }
    }

    /// Notes the parser's errors, the first of each line: what follows it there is mostly its echo. `left_out`: the
    /// lines are not read at all; else only what stands behind the error is unsure.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error], left_out: bool) {
        let mut errors: Vec<_> = errors
            .iter()
            .map(|error| (error.span().unwrap_or(0..0), error.message()))
            .collect();
        errors.sort_by_key(|(span, _)| span.start);
        for (span, message) in errors {
            if self.errors.len() >= MOST {
                break;
            }
            let line = self.line(&span);
            let known = |error: &Range<usize>| self.line(error).start == line.start;
            if self.syntax.iter().any(known) {
                continue;
            }
            let found = self.text.get(span.clone()).unwrap_or_default();
            let unsure = if message.starts_with("unclosed table")
                || message.starts_with("unclosed array table")
            {
                self.line(&(span.start..self.next_header(span.start)))
            } else if left_out {
                line
            } else {
                span.start..line.end
            };
            let (message, help) = in_our_words(message, found);
            let shown = if found.is_empty() {
                self.around(&span)
            } else {
                span.clone()
            };
            self.errors.push(Problem {
                span: Some(shown),
                message,
                help,
            });
            self.syntax.push(span);
            self.unsure.push(unsure);
        }
    }

    /// What was read past a syntax error, in whole lines.
    pub(super) fn unsure(&self) -> &[Range<usize>] {
        &self.unsure
    }

    /// Notes a bracket that is not closed; `unsure` reaches from it to where reading can go on.
    pub(super) fn unclosed(&mut self, bracket: char, unsure: Range<usize>) {
        let (what, end) = if bracket == '{' {
            ("table", '}')
        } else {
            ("list", ']')
        };
        let span = unsure.start..unsure.start + bracket.len_utf8();
        self.errors.push(Problem {
            span: Some(span.clone()),
            message: format!("this {what} has no end"),
            help: Some(format!("add `{end}`")),
        });
        self.unsure.push(self.line(&unsure));
        self.syntax.push(span);
    }

    /// All of it, in the order in which it stands in the text: errors, warnings.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        if let Some(doubt) = self.doubt.take()
            && self.errors.is_empty()
        {
            self.errors.push(Problem::general(doubt, None));
        }
        if self.errors.len() >= MOST {
            let message =
                format!("there are {MOST} errors and maybe more: is this the right file?");
            self.errors.push(Problem::general(message, None));
        }
        for problems in [&mut self.errors, &mut self.warnings] {
            problems
                .sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
        }
        (self.errors, self.warnings)
    }

    fn push(&mut self, problem: Problem) {
        let echo = problem.span.as_ref().is_some_and(|span| self.unread(span));
        if self.errors.len() < MOST && !echo && !self.errors.contains(&problem) {
            self.errors.push(problem);
        }
    }

    /// Whether these bytes were read past a syntax error, and so mean nothing certain.
    fn unread(&self, span: &Range<usize>) -> bool {
        self.unsure
            .iter()
            .any(|unsure| span.start <= unsure.end && unsure.start <= span.end)
    }

    /// What to show for a mistake between two characters: the line, without the spaces around it.
    fn around(&self, span: &Range<usize>) -> Range<usize> {
        let line = self.line(span);
        let text = self.text.get(line.clone()).unwrap_or_default();
        let start = line.start + (text.len() - text.trim_start().len());
        let end = line.start + text.trim_end().len();
        if start < end {
            start..end
        } else {
            span.clone()
        }
    }

    /// Where the last line before the next table begins.
    fn next_header(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.find("\n[").map_or(self.text.len(), |at| from + at)
    }

    /// The lines in which these bytes stand, without the last end of line.
    fn line(&self, span: &Range<usize>) -> Range<usize> {
        let before = self.text.get(..span.start).unwrap_or_default();
        let after = self.text.get(span.end..).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = span.end + after.find('\n').unwrap_or(after.len());
        start..end
    }
}

/// The parser's message, said so that somebody who does not know TOML's grammar knows what to type.
fn in_our_words(message: &str, found: &str) -> (String, Option<String>) {
    let bare = !found.is_empty()
        && (message.starts_with("string values must be quoted")
            || message.starts_with("invalid boolean"));
    if bare {
        let lower = found.to_lowercase();
        return if lower == "true" || lower == "false" {
            (
                format!("`{found}` must be in small letters"),
                Some(format!("write `{lower}`")),
            )
        } else {
            (
                format!("`{found}` needs quotes"),
                Some(format!("write `\"{found}\"`")),
            )
        };
    }
    let help = if message.starts_with("duplicate key") {
        Some("keep one of the two".to_owned())
    } else if message.starts_with("unclosed table") {
        Some("write `[name]`".to_owned())
    } else if message.starts_with("unclosed array table") {
        Some("write `[[name]]`".to_owned())
    } else if message.starts_with("key with no value") {
        Some("write `key = value`".to_owned())
    } else if message.starts_with("invalid basic string")
        || message.starts_with("invalid literal string")
    {
        Some("close it; a text of several lines stands between `\"\"\"`".to_owned())
    } else if message.starts_with("missing escaped value") {
        Some("write `\\\\` for a backslash, or put the text in single quotes".to_owned())
    } else {
        None
    };
    let message = if message.starts_with("invalid basic string")
        || message.starts_with("invalid literal string")
    {
        "a quote on this line has no end".to_owned()
    } else if message.starts_with("unclosed table") || message.starts_with("unclosed array table") {
        "this header of a table has no end".to_owned()
    } else if message.starts_with("key with no value") {
        "this line has no `=`, or nothing that a key can be before it".to_owned()
    } else if message.starts_with("duplicate key") && !found.is_empty() {
        format!("`{found}` stands here for the second time")
    } else {
        message.to_owned()
    };
    (message, help)
}
