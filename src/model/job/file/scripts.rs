//! What a step executes: how long it may be, and words in it that mean trouble.

use std::ops::Range;

use crate::model::document::At;
use crate::model::job::file::Check;

/// The most bytes that are sent to a node: script and environment.
const SCRIPT_MAX: usize = 40 * 1_024;

impl Check<'_, '_> {
    pub(super) fn script(&mut self, key: &str, script: &At<String>, env_size: usize) {
        let size = script.value.len();
        if script.value.trim().is_empty() {
            self.found.error(
                &script.span,
                format!("`{key}` is empty"),
                "write the command that it should execute",
            );
        } else if script.value.contains('\0') {
            self.found.error(
                &script.span,
                format!("`{key}` holds a NUL character, which no script can"),
                "",
            );
        }
        if size > SCRIPT_MAX {
            self.found.error(
                &script.span,
                format!("`{key}` has {size} bytes, and at most {SCRIPT_MAX} (40 KB) can be sent to a node"),
                "put the script on the nodes, or have them fetch it",
            );
        } else if size + env_size > SCRIPT_MAX {
            self.found.error(
                &script.span,
                format!(
                    "`{key}` and `[env]` have {} bytes together, and at most {SCRIPT_MAX} (40 KB) can be sent to a node",
                    size + env_size
                ),
                "put the script on the nodes, or have them fetch it",
            );
        }
        if let Some((word, at)) = trouble(&script.value) {
            let span = self.inside(script, word, at);
            if word == "exit 194" {
                self.found.warning(
                    &span,
                    "status 194 tells the SSM agent to reboot the machine and to run the command again",
                    "exit with another status; a step with `reboot = true` reboots the node",
                );
            } else {
                self.found.warning(
                    &span,
                    format!("`{word}` ends this step before it can say that it is done, so it will count as interrupted"),
                    "use a step with `reboot = true`",
                );
            }
        }
    }

    /// Where `word`, which stands at byte `at` of the script, stands in the file: a script without escapes stands
    /// there as it is. With escapes: the whole script.
    fn inside(&self, script: &At<String>, word: &str, at: usize) -> Range<usize> {
        let raw = self.found.text().get(script.span.clone());
        let start = raw
            .and_then(|raw| raw.find(script.value.as_str()))
            .map(|begin| script.span.start + begin + at);
        start.map_or(script.span.clone(), |start| start..start + word.len())
    }
}

/// Words after which the next one is again a command.
const STARTERS: [&str; 13] = [
    "sudo",
    "exec",
    "then",
    "do",
    "else",
    "if",
    "while",
    "until",
    "nohup",
    "env",
    "command",
    "systemctl",
    "!",
];

/// The first command of a script that ends more than the script, with its place.
///
/// It is a reader's guess, not a shell's parser: quotes are not followed, which costs a false alarm now and then, and
/// this is only a warning.
fn trouble(script: &str) -> Option<(&'static str, usize)> {
    let mut command = true;
    let mut exit_at = None;
    for (at, word) in words(script) {
        match word {
            "\n" | ";" | "&" | "|" | "(" | ")" | "{" | "}" | "`" => {
                command = true;
                exit_at = None;
                continue;
            }
            "194" if exit_at.is_some() => return exit_at.map(|at| ("exit 194", at)),
            _ => exit_at = None,
        }
        if !command {
            continue;
        }
        let name = word.rsplit('/').next().unwrap_or(word);
        let at = at + word.len() - name.len();
        match name {
            "reboot" => return Some(("reboot", at)),
            "shutdown" => return Some(("shutdown", at)),
            "exit" => exit_at = Some(at),
            _ => {}
        }
        let assigns = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        command = STARTERS.contains(&word) || assigns;
    }
    None
}

/// The words and the separators of a script, with their places, without comments.
fn words(script: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut begin: Option<usize> = None;
    let mut comment = false;
    for (at, c) in script.char_indices() {
        let separator = matches!(c, '\n' | ';' | '&' | '|' | '(' | ')' | '{' | '}' | '`');
        comment = (comment && c != '\n') || (c == '#' && begin.is_none());
        if comment {
            continue;
        }
        if separator || c.is_whitespace() {
            if let Some(from) = begin.take() {
                words.extend(script.get(from..at).map(|word| (from, word)));
            }
            if separator {
                words.extend(script.get(at..at + 1).map(|word| (at, word)));
            }
        } else {
            begin.get_or_insert(at);
        }
    }
    if let Some(from) = begin {
        words.extend(script.get(from..).map(|word| (from, word)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_end_the_machine_are_seen() {
        let table = [
            ("reboot", Some(("reboot", 0))),
            ("apt-get -y upgrade && sudo reboot", Some(("reboot", 27))),
            ("sync; /sbin/shutdown -r now", Some(("shutdown", 12))),
            ("if true; then\n  exit 194\nfi", Some(("exit 194", 16))),
            ("systemctl reboot", Some(("reboot", 10))),
            ("A=1 reboot", Some(("reboot", 4))),
            ("(reboot)", Some(("reboot", 1))),
        ];
        for (script, expected) in table {
            assert_eq!(trouble(script), expected, "{script}");
        }
    }

    #[test]
    fn the_same_words_elsewhere_are_no_trouble() {
        for script in [
            "echo reboot",
            "# reboot\ntrue",
            "exit 19",
            "exit 1; echo 194",
            "test -f /var/run/reboot-required",
            "systemctl status shutdown.target",
            "echo exit 194",
            "",
        ] {
            assert_eq!(trouble(script), None, "{script}");
        }
    }
}
