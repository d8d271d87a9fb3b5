//! `[[step]]` and `[[cleanup]]`: what is done.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::model::document::field::SpanText;
use crate::model::document::{At, Field};
use crate::model::id::Name;
use crate::model::job::file::Check;
use crate::model::job::file::raw::{RawCleanup, RawOn, RawStep, RawWhen};
use crate::model::job::{Cleanup, On, Step, StepAction, When};
use crate::model::settings::ProviderKind;
use crate::model::span::format_span;

/// How long a step may take unless it says so itself.
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// The longest node step on AWS: SSM ends a command at 48 h, and its delivery takes time too.
const TIMEOUT_MAX_AWS: Duration = Duration::from_secs(47 * 3_600);

/// The names given so far, so that no two steps have the same.
type Names = BTreeSet<String>;

/// What steps and clean-up steps have in common.
struct Common<'r> {
    on: &'r Field<RawOn>,
    timeout: &'r Field<SpanText>,
    retries: &'r Field<u32>,
}

impl Check<'_, '_> {
    pub(super) fn steps(
        &mut self,
        steps: &Field<Vec<Field<RawStep>>>,
        cleanup: &Field<Vec<Field<RawCleanup>>>,
        env_size: usize,
    ) -> (Vec<Step>, Vec<Cleanup>) {
        let mut names = Names::default();
        let mut good = Vec::new();
        if let Some(list) = self.found.get(steps) {
            if list.value.is_empty() {
                self.found.error(
                    &list.span,
                    "there is no step",
                    "add at least one `[[step]]`",
                );
            }
            for (index, raw) in list.value.iter().enumerate() {
                if let Some(raw) = self.found.get(raw) {
                    let name = self.name(&raw.value.name, "step", index, &mut names);
                    good.push(self.step(name, raw, env_size));
                }
            }
        }
        let mut after = Vec::new();
        if let Some(list) = self.found.get(cleanup) {
            for (index, raw) in list.value.iter().enumerate() {
                if let Some(raw) = self.found.get(raw) {
                    let name = self.name(&raw.value.name, "cleanup", index, &mut names);
                    after.push(self.cleanup(name, &raw.value, env_size));
                }
            }
        }
        (good, after)
    }

    fn name(
        &mut self,
        field: &Field<String>,
        kind: &str,
        index: usize,
        names: &mut Names,
    ) -> String {
        let default = format!("{kind}-{}", index + 1);
        let Some(text) = self.found.get(field) else {
            names.insert(default.clone());
            return default;
        };
        if let Some(bad) = bad_step_name(&text.value) {
            self.found.error(&text.span, bad, "");
        } else if names.contains(&text.value) {
            self.found.error(
                &text.span,
                format!("another step is called `{}` already", text.value),
                "messages tell steps apart by their names: give each its own",
            );
        }
        names.insert(text.value.clone());
        text.value.clone()
    }

    fn step(&mut self, name: String, raw: &At<RawStep>, env_size: usize) -> Step {
        let at = &raw.span;
        let raw = &raw.value;
        let run = self.found.get(&raw.run);
        let reboot = self.found.get(&raw.reboot).filter(|reboot| reboot.value);
        let ready = self.found.get(&raw.ready);
        if let Some(ready) = ready {
            self.ready(
                ready,
                matches!(raw.reboot, Field::Absent | Field::Good(_)) && reboot.is_none(),
            );
        }
        if let (Some(_), Some(reboot)) = (run, reboot) {
            self.found.error(
                &reboot.span,
                "a step has `run` or `reboot`, not both",
                "make two steps of it",
            );
        }
        let unread = matches!(raw.run, Field::Bad(_)) || matches!(raw.reboot, Field::Bad(_));
        if run.is_none() && reboot.is_none() && !unread {
            self.found.missing(
                Some(at),
                &["run", "reboot"],
                "this step does nothing: it has no `run` and no `reboot = true`",
                "add `run = \"…\"`",
            );
        }
        if let (Some(reboot), Some(RawOn::Runner)) =
            (reboot, self.found.get(&raw.on).map(|on| on.value))
        {
            self.found.error(
                &reboot.span,
                "`on = \"runner\"` would reboot the machine that roundsman itself runs on",
                "leave out `on`: a reboot is the node's",
            );
        }
        if let Some(run) = run {
            self.script("run", run, env_size);
        }
        let action = match (run, reboot) {
            (Some(run), None) => StepAction::Run(run.value.clone()),
            (_, Some(_)) => StepAction::Reboot {
                ready: ready.map(|ready| ready.value.clone()),
            },
            (None, None) => StepAction::Run(String::new()),
        };
        self.common(
            name,
            action,
            &Common {
                on: &raw.on,
                timeout: &raw.timeout,
                retries: &raw.retries,
            },
        )
    }

    fn ready(&mut self, ready: &At<String>, alone: bool) {
        if alone {
            self.found.error(
                &ready.span,
                "`ready` says when a rebooted node is back, and this step does not reboot",
                "add `reboot = true`, or leave out `ready`",
            );
        }
        // It is a command of its own, checked like one.
        self.script("ready", ready, 0);
    }

    fn cleanup(&mut self, name: String, raw: &RawCleanup, env_size: usize) -> Cleanup {
        let run = self.found.get(&raw.run);
        if let Some(run) = run {
            self.script("run", run, env_size);
        }
        let action = StepAction::Run(run.map(|run| run.value.clone()).unwrap_or_default());
        let when = match self.found.get(&raw.when).map(|when| when.value) {
            Some(RawWhen::Failed) => When::Failed,
            Some(RawWhen::Always) | None => When::Always,
        };
        let common = Common {
            on: &raw.on,
            timeout: &raw.timeout,
            retries: &raw.retries,
        };
        Cleanup {
            step: self.common(name, action, &common),
            when,
        }
    }

    fn common(&mut self, name: String, action: StepAction, raw: &Common<'_>) -> Step {
        let on = match self.found.get(raw.on).map(|on| on.value) {
            Some(RawOn::Runner) => On::Runner,
            Some(RawOn::Node) | None => On::Node,
        };
        let timeout = self.duration("timeout", raw.timeout);
        if let Some(timeout) = &timeout
            && on == On::Node
            && self.context.provider == ProviderKind::Aws
        {
            self.timeout_on_aws(timeout.value, &timeout.span);
        }
        Step {
            name,
            action,
            on,
            timeout: timeout.map_or(TIMEOUT, |timeout| timeout.value),
            retries: self
                .found
                .get(raw.retries)
                .map_or(0, |retries| retries.value),
        }
    }

    fn timeout_on_aws(&mut self, timeout: Duration, span: &Range<usize>) {
        if timeout > TIMEOUT_MAX_AWS {
            self.found.error(
                span,
                format!(
                    "`timeout` ({}) is above 47h, and SSM ends every command at 48h",
                    format_span(timeout)
                ),
                "divide the work into several steps",
            );
        }
    }
}

/// Why a text cannot be a step's name; `None`: it can. Step names are names that may have single inner spaces.
fn bad_step_name(text: &str) -> Option<String> {
    let spaced = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
    if spaced {
        return Some("a step's name has spaces only between words, and one at a time".to_owned());
    }
    match Name::new(&text.replace(' ', "-")) {
        Ok(_) => None,
        Err(crate::model::id::BadName::Character(bad)) => Some(format!(
            "a step's name has only letters, digits, `.`, `_`, `-` and spaces, not {bad:?}"
        )),
        Err(bad) => Some(bad.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_may_have_single_inner_spaces() {
        for good in ["a", "clear snapshots", "v1.2_x-y", &"x".repeat(40)] {
            assert_eq!(bad_step_name(good), None, "{good}");
        }
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a  b",
            "a\tb",
            "é",
            "a/b",
            &"x".repeat(41),
        ] {
            assert!(bad_step_name(bad).is_some(), "{bad:?}");
        }
    }
}
