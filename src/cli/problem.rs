//! Shows people what is wrong with a file: where it is, what stands there, and what would be right.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};

use crate::model::problem::Problem;

/// Everything that is wrong with one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblems {
    /// The file, the variable or the flag.
    pub name: String,
    /// Its text, into which the spans point; empty when it could not be read.
    pub text: String,
    /// What must be changed.
    pub errors: Vec<Problem>,
    /// What should be looked at.
    pub warnings: Vec<Problem>,
}

impl FileProblems {
    /// A text that could not even be read.
    pub fn unreadable(name: impl Into<String>, problem: Problem) -> Self {
        Self {
            name: name.into(),
            text: String::new(),
            errors: vec![problem],
            warnings: Vec::new(),
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }
}

/// The longest line that is shown; of a longer one only the place is told.
const LINE_MAX: usize = 400;
/// The narrowest rendering: below it, words would stand one a line.
const WIDTH_MIN: usize = 30;

/// All problems of one text, for a terminal of `width` columns; ends with a line that counts them. Control characters
/// of the text do not reach the terminal. Empty when there is nothing to show.
pub fn render(problems: &FileProblems, colour: bool, width: usize) -> String {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_context_lines(1)
        .with_width(width.max(WIDTH_MIN));
    let source = visible(&problems.text);
    let mut out = String::new();
    let errors = problems.errors.iter().map(|each| (Severity::Error, each));
    let warnings = problems
        .warnings
        .iter()
        .map(|each| (Severity::Warning, each));
    for (severity, problem) in errors.chain(warnings) {
        let shown = Shown::new(&problems.name, &source, severity, problem);
        if handler.render_report(&mut out, &shown).is_err() {
            // A renderer that fails must not hide what is wrong.
            out.push_str(&format!("{}: {}\n", problems.name, shown.message));
        }
        out.push('\n');
    }
    if !problems.is_empty() {
        out.push_str(&summary(problems));
    }
    out
}

/// `jobs/repair.toml: 2 errors, 1 warning`, with the end of the line.
fn summary(problems: &FileProblems) -> String {
    let count = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let counts: Vec<String> = [
        count(problems.errors.len(), "error"),
        count(problems.warnings.len(), "warning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{}: {}\n", problems.name, counts.join(", "))
}

/// The text with every control character replaced, byte for byte, so that spans still fit.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let control = c.is_control() && c != '\n' && c != '\t' && c != '\r';
            let times = if control { c.len_utf8() } else { 1 };
            std::iter::repeat_n(if control { '?' } else { c }, times)
        })
        .collect()
}

/// A message in which control characters of the text are spelt out.
fn spelt(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// One problem as miette wants it.
#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    severity: Severity,
    source: Option<Line>,
}

impl Shown {
    fn new(name: &str, text: &str, severity: Severity, problem: &Problem) -> Self {
        let mut message = spelt(&problem.message);
        let mut source = None;
        match problem
            .span
            .clone()
            .filter(|span| text.get(span.clone()).is_some())
        {
            None => message = format!("{name}: {message}"),
            Some(span) => {
                let before = text.get(..span.start).unwrap_or_default();
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let rest = text.get(span.start..).unwrap_or_default();
                let line_end = span.start + rest.find(['\n', '\r']).unwrap_or(rest.len());
                if line_end - line_start > LINE_MAX {
                    let line = before.matches('\n').count() + 1;
                    let column = text.get(line_start..span.start).unwrap_or_default();
                    let column = column.chars().count() + 1;
                    message = format!("{name}:{line}:{column}: {message}");
                } else {
                    // Of a text of many lines the first one is enough to find it.
                    let length = span.end.min(line_end) - span.start;
                    source = Some(Line {
                        name: name.to_owned(),
                        text: text.to_owned(),
                        whole: (line_start, line_end - line_start).into(),
                        span: (span.start, length).into(),
                    });
                }
            }
        }
        Self {
            message,
            help: problem.help.as_deref().map(spelt),
            severity,
            source,
        }
    }
}

/// The one line of a text that is shown.
#[derive(Debug)]
struct Line {
    name: String,
    text: String,
    whole: SourceSpan,
    span: SourceSpan,
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // Asked without context, miette wants to know where the span is; with context, what is around it.
        let asked = if before + after == 0 {
            span
        } else {
            &self.whole
        };
        let found = self.text.read_span(asked, 0, 0)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line(),
            found.column(),
            found.line_count(),
        )))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|line| line as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let line = self.source.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(None, line.span);
        Some(Box::new(std::iter::once(label)))
    }
}

#[cfg(test)]
mod tests;
