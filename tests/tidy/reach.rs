//! Reach: every file under src is part of the program, and modules are laid out in one way.

use std::collections::BTreeSet;

use crate::source::{File, Token};

/// Files that no module declares or includes, declarations without a file, and `mod.rs` files.
pub(crate) fn problems(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    while let Some(path) = open.pop() {
        let Some(file) = files.iter().find(|file| file.path == path) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        for (name, line) in declared(&file.tokens()) {
            let module = format!("{}/{name}.rs", folder(&path));
            if paths.contains(module.as_str()) {
                open.push(module);
            } else {
                problems.push(format!(
                    "{path}:{line}: declares `{name}`, and {module} is not there"
                ));
            }
        }
    }
    for file in files {
        if file.path.ends_with("/mod.rs") && file.path != "tests/support/mod.rs" {
            problems.push(format!(
                "{}: modules are laid out as x.rs beside x/, without mod.rs",
                file.path
            ));
        } else if file.path.starts_with("src/")
            && !reached.contains(&file.path)
            && !is_snapshot(&file.path)
            && !is_included(file, files)
        {
            problems.push(format!("{}: nothing declares or includes it", file.path));
        }
    }
    problems
}

/// The folder in which the modules of a file lie.
fn folder(path: &str) -> &str {
    match path {
        "src/lib.rs" | "src/main.rs" => "src",
        _ => path.trim_end_matches(".rs"),
    }
}

/// Every `mod name;`.
fn declared(tokens: &[Token]) -> Vec<(String, usize)> {
    tokens
        .windows(3)
        .filter(|three| three[0] == *"mod" && three[1].is_word() && three[2] == *";")
        .map(|three| (three[1].text.clone(), three[1].line))
        .collect()
}

/// Whether this is what a test compares with: the test's own name names it.
fn is_snapshot(path: &str) -> bool {
    path.contains("/snapshots/")
}

/// Whether a source file includes this one by its name (`include_str!("node.sh")`).
fn is_included(file: &File, files: &[File]) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    !file.is_rust()
        && files
            .iter()
            .filter(|other| other.is_rust() && other.path.starts_with("src/"))
            .any(|other| {
                other.text.lines().any(|line| {
                    line.contains("include_")
                        && (line.contains(&format!("\"{name}\""))
                            || line.contains(&format!("/{name}\"")))
                })
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        problems(&files)
    }

    #[test]
    fn what_is_declared_or_included_is_reached() {
        let found = complaints(&[
            ("src/lib.rs", "pub mod a;"),
            ("src/main.rs", "fn main() {}"),
            (
                "src/a.rs",
                "#[cfg(test)]\npub(crate) mod b;\nmod inline { }",
            ),
            (
                "src/a/b.rs",
                "const X: &str = include_str!(\"../data/x.sh\");",
            ),
            ("src/data/x.sh", ""),
            ("tests/support/mod.rs", ""),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn what_nothing_declares_or_includes_is_found() {
        let found = complaints(&[
            ("src/lib.rs", "mod a; // mod dead;"),
            ("src/a.rs", "const X: &str = \"lost.sh\";"),
            ("src/dead.rs", ""),
            ("src/dead/too.rs", ""),
            ("src/lost.sh", ""),
        ]);
        let dead = ["src/dead.rs", "src/dead/too.rs", "src/lost.sh"]
            .map(|path| format!("{path}: nothing declares or includes it"));
        assert_eq!(found, dead);
    }

    #[test]
    fn a_module_without_a_file_and_a_mod_file_are_found() {
        let found = complaints(&[
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", ""),
            ("tests/x/mod.rs", ""),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("src/a.rs is not there"), "{found:?}");
        assert!(
            found[1].starts_with("src/a/mod.rs") && found[2].starts_with("tests/x/mod.rs"),
            "{found:?}"
        );
    }
}
