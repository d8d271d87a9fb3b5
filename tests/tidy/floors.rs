//! Floors: lower never names higher (model, port and event, engine, io, cli).

use crate::source::{File, Token};

/// Everything that may stand at the head of a path below the crate, and which of it each floor may not name.
const FLOORS: [(&str, &[&str]); 6] = [
    ("model", &["port", "event", "engine", "io", "cli"]),
    ("port", &["engine", "io", "cli"]),
    ("event", &["engine", "io", "cli"]),
    ("engine", &["io", "cli"]),
    ("io", &["engine", "cli"]),
    ("cli", &[]),
];

/// Where a floor is named that must not be, and what stands on no floor at all.
pub(crate) fn problems(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(below) = file.path.strip_prefix("src/") else {
            continue;
        };
        if below == "lib.rs" || below == "main.rs" {
            continue;
        }
        let head = below.split(['/', '.']).next().unwrap_or_default();
        let Some((_, forbidden)) = FLOORS.iter().find(|(floor, _)| *floor == head) else {
            problems.push(format!("{}: stands on no floor", file.path));
            continue;
        };
        for (name, line) in named(&file.tokens()) {
            if forbidden.contains(&name.as_str()) {
                problems.push(format!(
                    "{}:{line}: `{head}` must not name `{name}`, which is above it",
                    file.path
                ));
            }
        }
    }
    problems
}

/// What is named right below the crate: `crate::x`, `crate::{x, y::z}`, `super::super::x`, `roundsman::x`.
fn named(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let rooted = ["crate", "super", "roundsman"].contains(&tokens[at].text.as_str());
        let inside = at > 0 && tokens[at - 1] == *"::" && tokens[at] != *"super";
        if !rooted || inside || tokens.get(at + 1).is_none_or(|next| *next != *"::") {
            continue;
        }
        heads(tokens, at + 2, &mut found);
    }
    found
}

/// The first words of what stands at `at`: one word, or a group in braces.
fn heads(tokens: &[Token], at: usize, found: &mut Vec<(String, usize)>) {
    let mut push = |token: &Token| found.push((token.text.clone(), token.line));
    match tokens.get(at) {
        Some(token) if token.is_word() => push(token),
        Some(token) if *token == *"{" => {
            let mut depth = 0_usize;
            for (place, token) in tokens.iter().enumerate().skip(at) {
                match token.text.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {
                        let previous = tokens[place - 1].text.as_str();
                        if depth == 1 && (previous == "{" || previous == ",") {
                            push(token);
                        }
                    }
                }
                if depth == 0 {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        problems(&[File::new(path, text)])
    }

    #[test]
    fn every_way_to_name_a_higher_floor_is_found() {
        for (path, text) in [
            ("src/model/lock.rs", "use crate::port::Store;"),
            ("src/model.rs", "fn f() { crate::event::x() }"),
            ("src/model/job/raw.rs", "use super::super::super::cli::x;"),
            ("src/model/job.rs", "use crate::{model::id, engine};"),
            (
                "src/model/job.rs",
                "use crate::{\n    model::{a, b},\n    io::c,\n};",
            ),
            ("src/port.rs", "use crate::io::clock;"),
            ("src/event.rs", "use crate::cli::x;"),
            ("src/engine/claim.rs", "use crate::io::aws;"),
            ("src/engine.rs", "use roundsman::cli;"),
            ("src/io/aws.rs", "use crate :: engine :: run;"),
            (
                "src/io/local/store.rs",
                "#[cfg(test)] mod tests { use crate::cli::x; }",
            ),
        ] {
            let found = complaints(path, text);
            assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
            assert!(found[0].contains("must not name"), "{found:?}");
        }
    }

    #[test]
    fn what_is_allowed_is_left_alone() {
        for (path, text) in [
            (
                "src/model/lock.rs",
                "use crate::model::id; use std::io; // crate::cli",
            ),
            (
                "src/model/lock.rs",
                "const X: &str = \"crate::cli\"; use std::{io, fs};",
            ),
            ("src/port.rs", "use crate::{model::io, event};"),
            (
                "src/engine/claim.rs",
                "use crate::port::Clock; use super::steps; use std::io::Write;",
            ),
            (
                "src/io/aws.rs",
                "use crate::{port, event, model}; use crate::io::clock;",
            ),
            ("src/cli/run.rs", "use crate::engine; use crate::io::aws;"),
            ("src/main.rs", "use roundsman::cli;"),
            ("tests/cli.rs", "use roundsman::engine;"),
        ] {
            assert_eq!(complaints(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn a_file_outside_the_floors_is_a_problem() {
        assert_eq!(
            complaints("src/util.rs", ""),
            ["src/util.rs: stands on no floor"]
        );
    }
}
