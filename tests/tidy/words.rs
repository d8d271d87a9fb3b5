//! Words: what may not stand anywhere, and clean white space.

use crate::source::File;

/// Marks of unfinished work. Put together here, so that this file does not break its own rule.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Where home directories of developers lie. Put together for the same reason.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("C:", "\\Users"),
];

/// Macros that stand for code that is not there.
const STUBS: [&str; 2] = ["todo", "unimplemented"];

/// Every line of every file that `found` holds for, as a problem.
fn lines_where(files: &[File], message: &str, found: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            if found(line) {
                problems.push(format!(
                    "{}:{}: {message}: {}",
                    file.path,
                    index + 1,
                    line.trim()
                ));
            }
        }
    }
    problems
}

/// Marks of unfinished work, in code, comments and texts alike.
pub(crate) fn banned_words(files: &[File]) -> Vec<String> {
    lines_where(files, "unfinished", |line| {
        UNFINISHED.iter().any(|word| has_word(line, word))
    })
}

/// Whether `word` stands in `line` by itself: `XXXXXX` in a `mktemp` template is something else.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

/// Stubs, tests that are not run, and lints that are switched off without a reason.
pub(crate) fn banned_code(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let mut report =
            |line: usize, what: &str| problems.push(format!("{}:{line}: {what}", file.path));
        let tokens = file.tokens();
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        for at in 0..tokens.len() {
            let line = tokens[at].line;
            if STUBS.contains(&word(at)) && word(at + 1) == "!" {
                report(line, "a stub");
            }
            if word(at) != "#" {
                continue;
            }
            let name = at + if word(at + 1) == "!" { 3 } else { 2 };
            let conditional = word(name) == "cfg_attr";
            let end = (name..tokens.len())
                .find(|&place| word(place) == "]")
                .unwrap_or(tokens.len());
            let has = |wanted: &str| {
                word(name) == wanted
                    || (conditional && (name..end).any(|place| word(place) == wanted))
            };
            if has("allow") {
                report(line, "write `#[expect(…, reason = \"…\")]`");
            }
            if has("ignore") {
                report(line, "a test that is not run");
            }
        }
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("//") && line.contains(concat!("```", "ignore")) {
                report(index + 1, "an example that is not run");
            }
        }
    }
    problems
}

/// Paths that exist on somebody's machine only.
pub(crate) fn machine_paths(files: &[File]) -> Vec<String> {
    lines_where(files, "a path of one machine", |line| {
        MACHINE_PATHS.iter().any(|path| line.contains(path))
    })
}

/// Tabs, white space at the end of lines, other ends of lines, and files that do not end in exactly one newline.
pub(crate) fn white_space(files: &[File]) -> Vec<String> {
    let files: Vec<File> = files
        .iter()
        .filter(|file| !file.has_extension("snap"))
        .cloned()
        .collect();
    let mut problems = lines_where(&files, "a tab", |line| line.contains('\t'));
    problems.extend(lines_where(&files, "white space at the end", |line| {
        line.trim_end() != line
    }));
    for file in &files {
        if file.text.contains('\r') {
            problems.push(format!("{}: lines end in CR", file.path));
        }
        let ends_once = file.text.ends_with('\n') && !file.text.ends_with("\n\n");
        if !file.text.is_empty() && !ends_once {
            problems.push(format!(
                "{}: does not end in exactly one newline",
                file.path
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> [File; 1] {
        [File::new("src/a.rs", text)]
    }

    #[test]
    fn marks_of_unfinished_work_are_found_as_words() {
        for word in UNFINISHED {
            assert_eq!(
                banned_words(&one(&format!("x\n// {word}: later\n"))).len(),
                1,
                "{word}"
            );
            assert_eq!(banned_words(&one(&format!("{word}\n"))).len(), 1, "{word}");
        }
        let template = format!("mktemp -d /tmp/x.{}", "X".repeat(6));
        assert_eq!(banned_words(&one(&template)), [""; 0]);
    }

    #[test]
    fn stubs_unrun_tests_and_silenced_lints_are_found() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "#[ignore] fn f() {}",
            "#[ignore = \"slow\"] fn f() {}",
            "#[allow(dead_code)] fn f() {}",
            "#![allow(dead_code)]",
            "# [ allow (dead_code) ] fn f() {}",
            "#[cfg_attr(test, allow(dead_code))] fn f() {}",
            "#[cfg_attr(test, ignore)] fn f() {}",
            concat!("/// ```", "ignore\n/// x\n/// ```\nfn f() {}"),
        ] {
            assert_eq!(banned_code(&one(text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn the_same_words_elsewhere_are_left_alone() {
        for text in [
            "fn f(ignore: bool) { let todo = [ignore]; allow(todo); }",
            "#[expect(dead_code, reason = \"x\")] fn f() {}",
            "#[clap(long, allow_hyphen_values = true)] struct S { ignore: u8 }",
            "// #[allow(dead_code)]\nconst X: &str = \"#[ignore] todo!()\";",
        ] {
            assert_eq!(banned_code(&one(text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for path in MACHINE_PATHS {
            assert_eq!(
                machine_paths(&one(&format!("see {path}x"))).len(),
                1,
                "{path}"
            );
        }
        assert_eq!(
            machine_paths(&one("/var/lib/roundsman and https://example.org/homes")),
            [""; 0]
        );
    }

    #[test]
    fn white_space_that_does_not_belong_is_found() {
        for text in ["a\tb\n", "a \n", "a\r\n", "a", "a\n\n"] {
            assert!(!white_space(&one(text)).is_empty(), "{text:?}");
        }
        assert_eq!(white_space(&one("a\n\n  b\n")), [""; 0]);
        assert_eq!(
            white_space(&[File::new("tests/snapshots/a.snap", "a \n")]),
            [""; 0]
        );
    }
}
