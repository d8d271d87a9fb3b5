//! Any text is read without panic, and any file made by the rules is a job.

use proptest::prelude::*;

use super::*;
use crate::model::job::Count;

fn context() -> Context {
    Context {
        provider: ProviderKind::Aws,
        lease: LeaseSettings::default(),
        prefix: String::new(),
    }
}

/// Pieces of job files, good and bad, so that random texts come near to real ones.
const PIECES: [&str; 34] = [
    "every", "fleet", "tags", "step", "run", "reboot", "limits", "per", "count", "cleanup", "when",
    "env", "name", "timeout", "new", "[", "]", "[[", "]]", "{", "}", "=", ".", "\n", "\"", "'",
    "\"\"\"", "7d", "\"7d\"", "true", "-1", "1e9", "é", "\r\n",
];

fn sound(parsed: &Parsed, text: &str) {
    assert_eq!(parsed.job.is_some(), parsed.errors.is_empty());
    for problem in parsed.errors.iter().chain(&parsed.warnings) {
        assert!(!problem.message.is_empty());
        if let Some(span) = problem.span.clone() {
            assert!(text.get(span.clone()).is_some(), "{span:?} in {text:?}");
        }
    }
    let starts = |problems: &[Problem]| -> Vec<Option<usize>> {
        problems
            .iter()
            .map(|problem| problem.span.as_ref().map(|span| span.start))
            .collect()
    };
    assert!(starts(&parsed.errors).is_sorted() && starts(&parsed.warnings).is_sorted());
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,20}"
}

/// A step's name with its number, so that no two are the same.
fn steps() -> impl Strategy<Value = Vec<(String, String, u32, u64, bool)>> {
    let step = (
        "[A-Za-z0-9._-]{1,10}( [a-z]{1,5})?",
        "[a-z][ -~]{0,40}",
        0_u32..=100,
        1_u64..169_200,
        any::<bool>(),
    );
    prop::collection::vec(step, 1..5)
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*") {
        sound(&parse(&text, "job", &context()), &text);
    }

    #[test]
    fn any_pieces_of_job_files_are_read_without_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        for text in [pieces.concat(), pieces.join(" ")] {
            sound(&parse(&text, "job", &context()), &text);
        }
    }

    #[test]
    fn a_good_file_with_any_change_is_read_without_panic(at in 0_usize..2_000, cut in 0_usize..8, put in prop::sample::select(&PIECES[..])) {
        let mut text = include_str!("example.toml").to_owned();
        let from = at.min(text.len());
        let to = (from + cut).min(text.len());
        if text.is_char_boundary(from) && text.is_char_boundary(to) {
            text.replace_range(from..to, put);
        }
        sound(&parse(&text, "job", &context()), &text);
    }

    #[test]
    fn any_file_stem_is_taken_or_refused(stem in "\\PC{0,50}") {
        let text = "every='1d'\n[fleet]\ntags={a='b'}\n[[step]]\nrun='true'\n";
        let parsed = parse(text, &stem, &context());
        prop_assert_eq!(parsed.job.is_some(), Name::new(&stem).is_ok());
    }

    #[test]
    fn a_file_made_by_the_rules_is_that_job(
        task in prop::option::of(name()),
        every in 1_u64..10_000_000,
        more in prop::option::of(0_u64..10_000_000),
        groups in prop::collection::btree_set("[a-zA-Z0-9 /_-]{0,29}[a-z]", 1..4),
        tags in prop::collection::btree_map("[a-zA-Z0-9/.:_-]{1,30}", prop::collection::vec("[ -~]{0,30}", 1..3), 0..3),
        nodes in 1_u32..100_000,
        env in prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", "[ -~é\n]{0,30}", 0..3),
        steps in steps(),
    ) {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = String::new();
        if let Some(task) = &task {
            text.push_str(&format!("task = {}\n", quoted(task)));
        }
        text.push_str(&format!("every = \"{every}s\"\n"));
        if let Some(more) = more {
            text.push_str(&format!("deadline = \"{}s\"\n", every + more));
        }
        let names: Vec<String> = groups.iter().map(|group| quoted(group)).collect();
        text.push_str(&format!("[fleet]\nauto-scaling-groups = [{}]\n", names.join(", ")));
        if !tags.is_empty() {
            text.push_str("[fleet.tags]\n");
        }
        for (key, values) in &tags {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            text.push_str(&format!("{} = [{}]\n", quoted(key), values.join(", ")));
        }
        text.push_str(&format!("[limits]\nnodes = {nodes}\n[env]\n"));
        for (key, value) in &env {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
        for (number, (name, run, retries, timeout, runner)) in steps.iter().enumerate() {
            let on = if *runner { "runner" } else { "node" };
            text.push_str(&format!(
                "[[step]]\nname = \"{number}-{name}\"\nrun = {}\nretries = {retries}\ntimeout = \"{timeout}s\"\non = \"{on}\"\n",
                quoted(run)
            ));
        }
        let parsed = parse(&text, "job", &context());
        prop_assert_eq!(&parsed.errors, &[], "{}", text);
        let job = parsed.job.expect("a job");
        prop_assert_eq!(job.task.as_str(), task.as_deref().unwrap_or("job"));
        prop_assert_eq!(job.every.as_secs(), every);
        prop_assert_eq!(job.deadline.map(|deadline| deadline.as_secs()), more.map(|more| every + more));
        prop_assert_eq!(job.fleet.groups, groups.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(job.fleet.tags, tags);
        prop_assert_eq!(job.limits.nodes, nodes);
        prop_assert_eq!(job.limits.count, Count::ALL.into());
        prop_assert_eq!(job.env, env);
        prop_assert_eq!(job.steps.len(), steps.len());
        for (step, (_, run, retries, timeout, _)) in job.steps.iter().zip(&steps) {
            prop_assert_eq!(&step.action, &crate::model::job::StepAction::Run(run.clone()));
            prop_assert_eq!((step.retries, step.timeout.as_secs()), (*retries, *timeout));
        }
    }
}
