use super::*;
use crate::model::job::file::{Context, parse};
use crate::model::settings::{LeaseSettings, ProviderKind};

fn problems(name: &str, text: &str) -> FileProblems {
    let context = Context {
        provider: ProviderKind::Aws,
        lease: LeaseSettings::default(),
        prefix: String::new(),
    };
    let parsed = parse(text, "repair", &context);
    FileProblems {
        name: name.to_owned(),
        text: text.to_owned(),
        errors: parsed.errors,
        warnings: parsed.warnings,
    }
}

#[test]
fn a_file_with_many_mistakes_is_shown_whole() {
    let text = include_str!("../../model/job/file/mistakes.toml").replace(" # wrong", "");
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    let shown = render(&problems("jobs/repair.toml", &text.join("\n")), false, 80);
    insta::assert_snapshot!(shown);
}

#[test]
fn bad_syntax_is_shown_in_plain_words() {
    let text = "every: 7d\nnew = first\nenabled = True\n[fleet]\ntags = { role = \"db }\n[[step]\nrun = 'x'\n";
    insta::assert_snapshot!(render(&problems("jobs/repair.toml", text), false, 80));
}

#[test]
fn a_narrow_terminal_still_shows_all() {
    let text = "every = '7d'\n[fleet]\nall = true\n[[step]]\nrun = 'sync; reboot'\n";
    insta::assert_snapshot!(render(&problems("jobs/repair.toml", text), false, 40));
}

#[test]
fn colour_is_there_only_when_asked_for() {
    let found = problems("repair.toml", "every = 1");
    assert!(render(&found, true, 80).contains('\u{1b}'));
    assert!(!render(&found, false, 80).contains('\u{1b}'));
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let text = "every = \"7d\"\n# \u{1b}[2J \u{9b}2J\ntask = \"\\u001b[2J\"\n\u{1b} = 3\n";
    let shown = render(&problems("repair.toml", text), false, 80);
    assert!(
        shown.chars().all(|c| !c.is_control() || c == '\n'),
        "{shown:?}"
    );
}

#[test]
fn an_endless_line_is_told_by_its_place_only() {
    let text = format!("every = '7d'\nabout = 7 # {}", "x".repeat(10_000));
    let shown = render(&problems("repair.toml", &text), false, 80);
    assert!(
        shown.contains("repair.toml:2:9: `about` takes") && shown.len() < 2_000,
        "{shown}"
    );
}

#[test]
fn nothing_wrong_is_nothing_to_show() {
    let none = FileProblems {
        name: "x".to_owned(),
        text: String::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    assert_eq!(render(&none, false, 80), "");
}
