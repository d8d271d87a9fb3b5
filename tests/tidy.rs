//! Holds the architecture and the style of the tree: what one crate's compiler will not.
//!
//! Goal: whoever breaks a floor, a home or a house rule learns it from `cargo test`, with file and line. Method: each rule
//! is a pure function over the files' text that gives back sentences, in a file of its own under `tests/tidy/`, together
//! with tests that feed it an input that breaks it: a check that cannot fail is a defect. Here they meet the real tree.

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/homes.rs"]
mod homes;
#[path = "tidy/reach.rs"]
mod reach;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{File, tree};

/// Fails with all problems at once, one a line.
#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn text(path: &str) -> String {
    File::read(path).map_or_else(String::new, |file| file.text)
}

#[test]
fn the_tree_is_seen() {
    let files = tree();
    for path in [
        "Cargo.toml",
        "src/lib.rs",
        "src/model/lock.rs",
        "tests/tidy/words.rs",
        "jobs/cassandra-repair.toml",
        "examples/systemd/roundsman@.service",
        "examples/jenkins/Jenkinsfile",
        ".ci/run",
        "LICENSE-MIT",
    ] {
        assert!(
            files.iter().any(|file| file.path == path),
            "{path} is not among the {} files that the rules look at",
            files.len()
        );
    }
    assert!(!files.iter().any(|file| file.path.starts_with("target")));
}

#[test]
fn lower_floors_never_name_higher_ones() {
    none(&floors::problems(&tree()));
}

#[test]
fn each_crate_is_named_only_in_its_home() {
    none(&homes::problems(&text("Cargo.toml"), &tree()));
}

#[test]
fn every_file_of_src_is_reached() {
    none(&reach::problems(&tree()));
}

#[test]
fn files_and_functions_are_short() {
    let files = tree();
    none(&[shape::long_files(&files), shape::long_functions(&files)].concat());
}

#[test]
fn nothing_is_left_unfinished() {
    let files = tree();
    none(&[words::banned_words(&files), words::banned_code(&files)].concat());
}

#[test]
fn no_paths_of_one_machine_stand_in_the_tree() {
    none(&words::machine_paths(&tree()));
}

#[test]
fn white_space_is_clean() {
    none(&words::white_space(&tree()));
}

#[test]
fn every_section_of_the_changelog_says_something() {
    none(&docs::changelog(&text("CHANGELOG.md")));
}

#[test]
fn the_readme_has_the_exit_statuses_of_the_enum() {
    none(&docs::exit_table(
        &text("README.md"),
        &text("src/cli/exit.rs"),
    ));
}
