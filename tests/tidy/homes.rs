//! Homes: each third-party crate is named only in the files or folders that stand beside it in Cargo.toml.

use crate::source::{File, Token};

/// A dependency and where it may be named.
#[derive(Debug)]
struct Dependency {
    /// Its name in code.
    name: String,
    /// What stands behind its `#`.
    homes: Vec<String>,
}

impl Dependency {
    fn is_everywhere(&self) -> bool {
        self.homes.iter().any(|home| home == "everywhere")
    }
}

/// Dependencies without a home, homes that are not there, and crates that are named elsewhere or nowhere.
pub(crate) fn problems(manifest: &str, files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    let dependencies = dependencies(manifest, &mut problems);
    let sources: Vec<(&File, Vec<Token>)> = files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("src/"))
        .map(|file| (file, file.tokens()))
        .collect();
    // Homes on floors that are not built yet may be missing; once all floors stand, each crate is used.
    let stands = |floor: &str| files.iter().any(|file| is_within(&file.path, floor));
    let all_stand = ["src/engine", "src/io", "src/cli"]
        .iter()
        .all(|floor| stands(floor));
    for dependency in &dependencies {
        let Dependency { name, homes } = dependency;
        for home in homes.iter().filter(|home| *home != "everywhere") {
            let floor: Vec<&str> = home.split('/').take(2).collect();
            if !home.starts_with("src/") {
                problems.push(format!("Cargo.toml: `{home}`, beside `{name}`, is no home: write a path below src/, or `everywhere`"));
            } else if stands(&floor.join("/")) && !stands(home) {
                problems.push(format!(
                    "Cargo.toml: the home of `{name}`, {home}, does not exist"
                ));
            }
        }
        let mut named = false;
        for (file, tokens) in &sources {
            for line in lines_that_name(tokens, name) {
                named = true;
                let at_home = homes.iter().any(|home| is_within(&file.path, home));
                if !at_home && !dependency.is_everywhere() && !homes.is_empty() {
                    problems.push(format!(
                        "{}:{line}: names `{name}`, whose home is {}",
                        file.path,
                        homes.join(", ")
                    ));
                }
            }
        }
        if all_stand && !named {
            problems.push(format!(
                "Cargo.toml: `{name}` is named nowhere in src: is it needed?"
            ));
        }
    }
    problems
}

/// Whether `path` is the home or lies in it: `src/cli` is `src/cli.rs` and all of `src/cli/`.
fn is_within(path: &str, home: &str) -> bool {
    path.strip_prefix(home)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
}

/// Every line of a `[dependencies]` table, also of one for some targets only.
fn dependencies(manifest: &str, problems: &mut Vec<String>) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.split(']').next().unwrap_or_default();
            let normal =
                !table.starts_with("dev-") && !table.contains(".dev-") && !table.contains("build-");
            inside = normal && table.ends_with("dependencies");
            if normal && table.contains("dependencies.") {
                problems.push(format!(
                    "Cargo.toml: [{table}] must be one line, with its home behind it"
                ));
            }
            continue;
        }
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (value, comment) = split_comment(line);
        let name = value.split(['=', '.']).next().unwrap_or_default().trim();
        let homes: Vec<String> = comment
            .split(',')
            .map(|home| home.trim().trim_end_matches('/').to_owned())
            .filter(|home| !home.is_empty())
            .collect();
        if homes.is_empty() {
            problems.push(format!(
                "Cargo.toml: `{name}` has no home: write `# src/…` behind it"
            ));
        }
        found.push(Dependency {
            name: name.replace('-', "_"),
            homes,
        });
    }
    found
}

/// A line of TOML and the comment behind it.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, sign) in line.char_indices() {
        match sign {
            '"' => quoted = !quoted,
            '#' if !quoted => return (&line[..at], &line[at + 1..]),
            _ => {}
        }
    }
    (line, "")
}

/// The lines on which a path begins with `name`.
fn lines_that_name(tokens: &[Token], name: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = (0..tokens.len())
        .filter(|&at| tokens[at] == *name)
        .filter(|&at| {
            let previous = at
                .checked_sub(1)
                .map_or("", |before| tokens[before].text.as_str());
            let next = tokens.get(at + 1).map_or("", |next| next.text.as_str());
            let rooted = previous != "." && (previous != "::" || is_global(tokens, at));
            rooted && (next == "::" || previous == "use" || (previous == "crate" && next == ";"))
        })
        .map(|at| tokens[at].line)
        .collect();
    lines.dedup();
    lines
}

/// Whether the `::` before `at` begins a path (`::serde::x`) and does not go on with one (`model::serde::x`).
fn is_global(tokens: &[Token], at: usize) -> bool {
    at < 2 || !(tokens[at - 2].is_word() || tokens[at - 2] == *">")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"x\"\n\n[dependencies]\nserde = \"1\" # everywhere\n\
        clap-x = { version = \"4\", features = [\"a#b\"] } # src/cli\njiff = \"1\" # src/model, src/io/clock.rs\n\n\
        [dev-dependencies]\ninsta = \"1\"\n";

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        problems(MANIFEST, &files)
    }

    #[test]
    fn a_crate_outside_its_home_is_found_however_it_is_named() {
        for text in [
            "use clap_x::Parser;",
            "use clap_x as c;",
            "use clap_x;",
            "fn f() { clap_x::run() }",
            "fn f() { ::clap_x::run() }",
            "#[derive(clap_x::Parser)] struct S;",
            "use {clap_x::Parser, std::fmt};",
            "extern crate clap_x;",
        ] {
            let found = complaints(&[("src/engine/run.rs", text)]);
            assert_eq!(
                found,
                ["src/engine/run.rs:1: names `clap_x`, whose home is src/cli"],
                "{text}"
            );
        }
    }

    #[test]
    fn a_crate_at_home_and_words_that_only_look_like_it_are_left_alone() {
        let found = complaints(&[
            ("src/cli.rs", "use clap_x::Parser; use serde::Serialize;"),
            ("src/cli/run.rs", "fn f() { clap_x::run() }"),
            ("src/model/time.rs", "use jiff::Timestamp;"),
            ("src/io/clock.rs", "use jiff::Timestamp;"),
            (
                "src/engine.rs",
                "use crate::model::clap_x::y; // clap_x::z\nfn f() { a.clap_x::<u8>(); \"clap_x::\"; }",
            ),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn one_of_several_homes_does_not_open_its_neighbours() {
        let found = complaints(&[
            ("src/io/clock.rs", ""),
            ("src/io/aws.rs", "use jiff::Span;"),
        ]);
        assert_eq!(
            found,
            ["src/io/aws.rs:1: names `jiff`, whose home is src/model, src/io/clock.rs"]
        );
        assert!(
            !is_within("src/cli_extra.rs", "src/cli") && !is_within("src/clim/x.rs", "src/cli")
        );
    }

    #[test]
    fn a_dependency_needs_a_home_that_exists_and_a_line_of_its_own() {
        let manifest = "[dependencies]\na = \"1\"\nb = \"1\" # src/io/gone\nc = \"1\" # the moon\n\
            d = \"1\" # src/cli/later\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dependencies.f]\nversion = \"1\"\n";
        let found = problems(manifest, &[File::new("src/io.rs", "")]);
        let expected = [
            "[dependencies.f] must be one line",
            "`a` has no home",
            "`e` has no home",
            "src/io/gone, does not exist",
            "`the moon`",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for part in expected {
            assert!(
                found.iter().any(|problem| problem.contains(part)),
                "{part}: {found:?}"
            );
        }
    }

    #[test]
    fn once_all_floors_stand_a_crate_that_nothing_names_is_a_problem() {
        let all = [
            ("src/engine.rs", "use serde::X;"),
            ("src/io.rs", ""),
            ("src/io/clock.rs", ""),
            ("src/cli.rs", "use clap_x::X;"),
            ("src/model.rs", ""),
        ];
        assert_eq!(
            complaints(&all),
            ["Cargo.toml: `jiff` is named nowhere in src: is it needed?"]
        );
        assert_eq!(complaints(&all[..1]), [""; 0]);
    }
}
