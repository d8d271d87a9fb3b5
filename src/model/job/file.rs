//! From a job file's text to a [`Job`], or to everything that is wrong with it.
//!
//! Text → raw → valid: `raw` has the shape, [`crate::model::document`] finds what does not fit it, and the checks
//! here find what contradicts the rules. All of them look at all of the file, whatever the others have found.

mod fleet;
mod limits;
#[cfg(test)]
mod properties;
mod raw;
mod scripts;
mod steps;
#[cfg(test)]
mod tests;
mod values;

use std::time::Duration;

use crate::model::document::field::{SpanText, schema_of};
use crate::model::document::{self, Field, Findings};
use crate::model::id::Name;
use crate::model::job::{Fence, Job, NewNodes, OnStop};
use crate::model::problem::{Problem, nearest};
use crate::model::settings::{LeaseSettings, ProviderKind};
use crate::model::span::format_span;
use crate::model::tag::{Keys, TagKey};
use raw::{RawFence, RawJob, RawOnStop};

/// What a job file is judged against: the settings that it will run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Where the nodes are.
    pub provider: ProviderKind,
    /// The lease, whose ttl a job only lengthens.
    pub lease: LeaseSettings,
    /// What stands before our tag keys.
    pub prefix: String,
}

/// What came of a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The job; only when there are no errors.
    pub job: Option<Job>,
    /// What must be changed, in the order of the text; what has no place stands first.
    pub errors: Vec<Problem>,
    /// What is allowed and yet probably not meant, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// The most characters that the names of job and task may have together, where they differ.
const NAMES_MAX: usize = 60;

/// Reads a job file. `file_stem` is its name without `.toml`, which is the job's.
pub fn parse(text: &str, file_stem: &str, context: &Context) -> Parsed {
    let mut findings = Findings::new(text);
    let raw: RawJob = document::read(&schema(), &mut findings);
    let mut check = Check {
        found: &mut findings,
        context,
    };
    let job = check.job(file_stem, &raw);
    let (errors, warnings) = findings.finish();
    Parsed {
        job: job.filter(|_| errors.is_empty()),
        errors,
        warnings,
    }
}

/// The JSON Schema of job files, for editors.
pub fn schema() -> schemars::Schema {
    schema_of::<RawJob>()
}

/// The checks of one file. What could not be read gets a stand-in, so that the rest is checked too; no job is made
/// of stand-ins, since each of them comes with an error.
struct Check<'a, 't> {
    found: &'a mut Findings<'t>,
    context: &'a Context,
}

impl Check<'_, '_> {
    /// `None` only when there is no usable name at all.
    fn job(&mut self, file_stem: &str, raw: &RawJob) -> Option<Job> {
        let name = Name::new(file_stem).map_err(|bad| {
            self.found.general(
                format!("the file's name `{file_stem}` gives the job its name, and cannot: {bad}"),
                "rename the file",
            );
        });
        let task = self.task(&raw.task, name.as_ref().ok());
        let last_tag = self.last_tag(raw);
        if let Some(task) = &task {
            self.keys(raw, task, last_tag.as_ref());
        }
        let every = self.duration("every", &raw.every);
        let deadline = self.duration("deadline", &raw.deadline);
        if let (Some(every), Some(deadline)) = (&every, &deadline)
            && deadline.value < every.value
        {
            self.found.error(
                &deadline.span,
                format!(
                    "`deadline` ({}) is below `every` ({}): each node would be overdue before it is due",
                    format_span(deadline.value),
                    format_span(every.value)
                ),
                "make it `every` and the time that a whole round may take",
            );
        }
        let new = self.new_nodes(&raw.new);
        let fleet = self.fleet(&raw.fleet);
        let limits = self.limits(&raw.limits, name.as_ref().ok());
        let ttl = self.ttl(raw);
        let env = self.env(&raw.env);
        let env_size = env.iter().map(|(key, value)| key.len() + value.len()).sum();
        let (steps, cleanup) = self.steps(&raw.step, &raw.cleanup, env_size);
        Some(Job {
            name: name.ok()?,
            task: task?,
            about: self.found.get(&raw.about).map(|about| about.value.clone()),
            every: every?.value,
            deadline: deadline.map(|deadline| deadline.value),
            new,
            last_tag,
            fleet,
            limits,
            ttl,
            fence: match self.found.get(&raw.fence).map(|fence| fence.value) {
                Some(RawFence::Off) => Fence::Off,
                Some(RawFence::On) | None => Fence::On,
            },
            on_stop: match self.found.get(&raw.on_stop).map(|on_stop| on_stop.value) {
                Some(RawOnStop::Cancel) => OnStop::Cancel,
                Some(RawOnStop::Park) | None => OnStop::Park,
            },
            env,
            steps,
            cleanup,
        })
    }

    fn task(&mut self, field: &Field<String>, job: Option<&Name>) -> Option<Name> {
        let Some(text) = self.found.get(field) else {
            return job.cloned();
        };
        let task = match Name::new(&text.value) {
            Ok(task) => task,
            Err(bad) => {
                let task = text.value.escape_debug();
                self.found
                    .error(&text.span, format!("`{task}` names no task: {bad}"), "");
                return None;
            }
        };
        let together = job.map_or(0, |job| job.as_str().len()) + task.as_str().len();
        if job.is_some_and(|job| *job != task) && together > NAMES_MAX {
            self.found.error(
                &text.span,
                format!("the job's name and its task have {together} characters together, and may have {NAMES_MAX}"),
                "both stand in the `lock` tag of a node: shorten one of them",
            );
        }
        Some(task)
    }

    fn last_tag(&mut self, raw: &RawJob) -> Option<TagKey> {
        let text = self.found.get(&raw.last_tag)?;
        let key = match TagKey::new(&text.value) {
            Ok(key) => key,
            Err(bad) => {
                let key = text.value.escape_debug();
                self.found
                    .error(&text.span, format!("`{key}` is no tag key: {bad}"), "");
                return None;
            }
        };
        let own = text.value.strip_prefix(self.context.prefix.as_str());
        let taken = own.is_some_and(|own| {
            matches!(own, "lock" | "hold" | "roundsman-probe")
                || own.starts_with("took-")
                || own.starts_with("fail-")
        });
        if taken {
            self.found.error(
                &text.span,
                format!("roundsman keeps something else in the tag `{key}`"),
                "name the tag in which the fleet has the time of the last completion",
            );
        }
        Some(key)
    }

    /// The tag keys that the job makes: the prefix of the settings can be too long for a long task.
    fn keys(&mut self, raw: &RawJob, task: &Name, last_tag: Option<&TagKey>) {
        let Err(bad) = Keys::new(&self.context.prefix, task, last_tag) else {
            return;
        };
        let message = format!(
            "with the prefix `{}` the task `{task}` makes no tag key: {bad}",
            self.context.prefix
        );
        let help = "shorten the task, or `[tags] prefix` in the settings";
        match self.found.get(&raw.task) {
            Some(text) => self.found.error(&text.span, message, help),
            None => self.found.general(message, help),
        }
    }

    fn new_nodes(&mut self, field: &Field<String>) -> NewNodes {
        let Some(text) = self.found.get(field) else {
            return NewNodes::default();
        };
        match text.value.as_str() {
            "first" => NewNodes::First,
            "last" => NewNodes::Last,
            word if !word.trim().starts_with(|c: char| c.is_ascii_digit()) => {
                let help = match nearest(word, ["first", "last"]) {
                    Some(near) => format!("did you mean `\"{near}\"`?"),
                    None => "a duration is how long a new node must have lived, such as `\"1d\"`"
                        .to_owned(),
                };
                self.found.error(
                    &text.span,
                    format!("`new` takes `first`, `last` or a duration, not `{word}`"),
                    &help,
                );
                NewNodes::default()
            }
            _ => self
                .span("new", &text.with(SpanText(text.value.clone())))
                .map_or(NewNodes::default(), |lived| NewNodes::After(lived.value)),
        }
    }

    fn ttl(&mut self, raw: &RawJob) -> Option<Duration> {
        let lease = self.found.get(&raw.lease)?;
        let ttl = self.duration("ttl", &lease.value.ttl)?;
        let least = self.context.lease.ttl;
        if ttl.value < least {
            self.found.error(
                &ttl.span,
                format!(
                    "`ttl` ({}) is shorter than the settings' ({}), and a job may only lengthen it",
                    format_span(ttl.value),
                    format_span(least)
                ),
                "leave it out, or make it longer",
            );
        }
        Some(ttl.value)
    }
}
