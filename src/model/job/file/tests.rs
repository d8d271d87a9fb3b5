use super::*;
use crate::model::job::{Count, Divider, On, Per, StepAction, When};

/// AWS with the default settings.
pub(super) fn aws() -> Context {
    Context {
        provider: ProviderKind::Aws,
        lease: LeaseSettings::default(),
        prefix: String::new(),
    }
}

fn local() -> Context {
    Context {
        provider: ProviderKind::Local,
        ..aws()
    }
}

/// The shortest job there is.
const SHORT: &str = "every = \"7d\"\n[fleet]\ntags = { role = \"db\" }\n[[step]]\nrun = \"true\"\n";

/// What is wrong: the offending text, and the message.
fn wrong<'t>(text: &'t str, context: &Context) -> Vec<(&'t str, String)> {
    let parsed = parse(text, "repair", context);
    assert_eq!(parsed.job.is_none(), !parsed.errors.is_empty());
    let place = |span: &Option<std::ops::Range<usize>>| {
        span.clone()
            .map_or("", |span| text.get(span).expect("a place in the text"))
    };
    parsed
        .errors
        .iter()
        .map(|error| (place(&error.span), error.message.clone()))
        .collect()
}

/// Asserts that the file has exactly one mistake, at `place`, whose message holds `words`.
#[track_caller]
fn one(text: &str, context: &Context, place: &str, words: &str) {
    let found = wrong(text, context);
    assert_eq!(found.len(), 1, "{found:#?}\nin\n{text}");
    assert_eq!(found[0].0, place, "{found:#?}\nin\n{text}");
    assert!(found[0].1.contains(words), "{found:#?}\nin\n{text}");
}

/// The short job with more at its top.
fn top(more: &str) -> String {
    format!("{more}\n{SHORT}")
}

/// The short job with more at its end: in its step, or tables of its own.
fn end(more: &str) -> String {
    format!("{SHORT}{more}\n")
}

/// The short job with another fleet.
fn fleet(fleet: &str) -> String {
    SHORT.replace("tags = { role = \"db\" }", fleet)
}

#[test]
fn the_example_of_the_design_is_read_whole() {
    let text = include_str!("example.toml");
    let parsed = parse(text, "cassandra-repair", &aws());
    assert_eq!(parsed.errors, []);
    assert_eq!(parsed.warnings, []);
    let job = parsed.job.expect("a job");
    assert_eq!(job.name.as_str(), "cassandra-repair");
    assert_eq!(job.task.as_str(), "repair");
    assert_eq!(job.every, Duration::from_secs(7 * 86_400));
    assert_eq!(job.deadline, Some(Duration::from_secs(9 * 86_400)));
    assert_eq!(job.fleet.groups, ["cassandra-a", "cassandra-b"]);
    assert_eq!(job.fleet.tags["env"], ["prod", "canary"]);
    assert_eq!(job.fleet.tags["role"], ["cassandra"]);
    assert_eq!(job.limits.count, Count::ALL.into());
    assert_eq!(
        job.limits.per,
        [Per {
            by: Divider::Tag("rack".to_owned()),
            nodes: 1
        }]
    );
    assert_eq!(job.ttl, Some(Duration::from_secs(3_600)));
    assert_eq!(job.env["KEYSPACE"], "orders");
    assert_eq!(job.steps[0].timeout, Duration::from_secs(12 * 3_600));
    assert_eq!(
        job.steps[1].action,
        StepAction::Reboot {
            ready: Some("systemctl is-system-running --wait".to_owned())
        }
    );
    assert_eq!(job.cleanup[0].step.name, "clear snapshots");
    assert_eq!(job.cleanup[0].when, When::Always);
    assert_eq!((job.fence, job.on_stop), (Fence::On, OnStop::Park));
}

#[test]
fn what_is_left_out_has_its_default() {
    let job = parse(SHORT, "repair", &aws()).job.expect("a job");
    assert_eq!(job.task, job.name);
    assert_eq!(job.new, NewNodes::First);
    assert_eq!(job.limits, crate::model::job::Limits::default());
    assert_eq!(job.steps[0].name, "step-1");
    assert_eq!(job.steps[0].on, On::Node);
    assert_eq!(job.steps[0].timeout, Duration::from_secs(3_600));
    assert_eq!(job.steps[0].retries, 0);
    assert!(job.cleanup.is_empty() && job.env.is_empty() && job.last_tag.is_none());
}

#[test]
fn what_is_said_is_done() {
    let text = "every='1d'\nnew='1d'\nlast-tag='last-repaired'\nfence='off'\non-stop='cancel'\n[fleet]\nall=true\n\
                [limits]\nnodes=3\ncount=['in-work']\njobs=['*-repair','repair']\n[[limits.per]]\nzone=true\n\
                [[step]]\nrun='true'\non='runner'\nretries=2\n[[cleanup]]\nrun='x'\nwhen='failed'\n";
    let parsed = parse(text, "repair", &local());
    assert_eq!((parsed.errors, parsed.warnings), (vec![], vec![]));
    let job = parsed.job.expect("a job");
    assert_eq!(job.new, NewNodes::After(Duration::from_secs(86_400)));
    assert_eq!(
        job.last_tag.map(|tag| tag.to_string()).as_deref(),
        Some("last-repaired")
    );
    assert_eq!((job.fence, job.on_stop), (Fence::Off, OnStop::Cancel));
    assert!(job.fleet.all);
    assert_eq!(job.limits.nodes, 3);
    assert_eq!(job.limits.count, [Count::InWork].into());
    assert_eq!(job.limits.per[0].by, Divider::Zone);
    assert_eq!((job.steps[0].on, job.steps[0].retries), (On::Runner, 2));
    assert_eq!(
        (job.cleanup[0].when, job.cleanup[0].step.name.as_str()),
        (When::Failed, "cleanup-1")
    );
}

#[test]
fn a_file_with_many_mistakes_of_all_kinds_reports_each_once() {
    let text = include_str!("mistakes.toml");
    let found = wrong(text, &aws());
    let marked = text.matches("# wrong").count();
    assert_eq!(found.len(), marked, "{found:#?}");
    let parsed = parse(text, "repair", &aws());
    let lines: Vec<usize> = parsed
        .errors
        .iter()
        .filter_map(|error| {
            Some(
                text.get(..error.span.as_ref()?.start)?
                    .matches('\n')
                    .count(),
            )
        })
        .collect();
    let expected: Vec<usize> = text
        .lines()
        .enumerate()
        .flat_map(|(at, line)| vec![at; line.matches("# wrong").count()])
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn an_empty_file_says_what_a_job_needs() {
    let messages: Vec<String> = wrong("", &aws())
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    assert_eq!(
        messages,
        [
            "`every` is missing at the top of the file",
            "the table `[fleet]` is missing",
            "there is no `[[step]]`"
        ]
    );
}

#[test]
fn each_rule_finds_its_mistake_and_nothing_else() {
    let mut rules = 0;
    for line in include_str!("rules.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split(" | ").collect();
        let [place, provider, mistake, at, words] = columns[..] else {
            panic!("not five columns: {line}");
        };
        let mistake = mistake.trim().replace(" / ", "\n");
        let text = match place {
            "top" => top(&mistake),
            "end" => end(&mistake),
            "fleet" => fleet(&mistake),
            _ => mistake,
        };
        let context = if provider == "aws" { aws() } else { local() };
        one(&text, &context, at, words);
        rules += 1;
    }
    assert!(rules > 70, "{rules}");
}

#[test]
fn what_lies_just_within_the_rules_is_allowed() {
    let allowed = |text: &str, context: &Context| assert_eq!(wrong(text, context), [], "{text}");
    allowed(&end("timeout = \"47h\""), &aws());
    allowed(&end("timeout = \"48h\"\non = \"runner\""), &aws());
    allowed(&end("timeout = \"48h\""), &local());
    allowed(&top("deadline = \"7d\""), &aws());
    allowed(&end("[lease]\nttl = \"20m\""), &aws());
    allowed(&top(&format!("task = \"{}\"", "t".repeat(40))), &aws());
    // The keys of a selector are the owner's, not ours.
    allowed(
        &fleet("tags = { \"kubernetes.io/role\" = \"db\", \"aws:autoscaling:groupName\" = \"a\" }"),
        &aws(),
    );
    // A later table may be complete without the keys of an earlier one.
    allowed(&end("[[step]]\nreboot = true\nready = \"true\""), &aws());
}

#[test]
fn names_of_job_and_task_fit_into_the_lock_together() {
    let context = aws();
    let text = top(&format!("task = \"{}\"", "t".repeat(31)));
    let parsed = parse(&text, &"j".repeat(30), &context);
    assert!(
        parsed.errors[0].message.contains("61 characters"),
        "{parsed:?}"
    );
    assert!(parse(&text, &"j".repeat(29), &context).job.is_some());
    // One name for both stands there once.
    assert!(parse(SHORT, &"j".repeat(40), &context).job.is_some());
    let parsed = parse(SHORT, "my job", &context);
    assert!(parsed.errors[0].message.contains("`my job`"), "{parsed:?}");
    assert_eq!(parsed.errors[0].span, None);
}

#[test]
fn a_prefix_that_leaves_no_room_for_the_task_is_told() {
    let context = Context {
        prefix: "p".repeat(120),
        ..aws()
    };
    one(
        &top("task = \"cleaning\""),
        &context,
        "\"cleaning\"",
        "makes no tag key",
    );
    one(SHORT, &context, "", "makes no tag key");
}

#[test]
fn scripts_have_a_greatest_size() {
    let script = |size: usize| {
        fleet("tags = { a = \"b\" }").replace("\"true\"", &format!("'{}'", "x".repeat(size)))
    };
    assert!(wrong(&script(40_960), &aws()).is_empty());
    let long = script(40_961);
    let found = wrong(&long, &aws());
    assert!(
        found.len() == 1 && found[0].1.contains("40961 bytes"),
        "{}",
        found[0].1
    );
    let found = format!("{}[env]\nABC = \"xyz\"", script(40_955));
    let found = wrong(&found, &aws());
    assert!(
        found.len() == 1 && found[0].1.contains("together"),
        "{found:?}"
    );
}

#[test]
fn a_key_in_the_wrong_table_is_shown_its_place_and_not_missed_elsewhere() {
    let text = "[fleet]\ntags = { a = 'b' }\nevery = '7d'\n[[step]]\nrun = 'x'\nnodes = 2\n";
    let parsed = parse(text, "repair", &aws());
    let helps: Vec<_> = parsed
        .errors
        .iter()
        .filter_map(|error| error.help.as_deref())
        .collect();
    assert_eq!(
        helps,
        [
            "`every` belongs at the top of the file",
            "`nodes` belongs in `[limits]` or in `[[limits.per]]`"
        ]
    );
    assert_eq!(parsed.errors.len(), 2);
}

#[test]
fn a_misspelt_key_is_judged_as_the_one_that_was_meant() {
    let text = end("time_out = \"0s\"");
    let found = wrong(&text, &aws());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].1.contains("unknown key `time_out`") && found[1].1.contains("above zero"));
}

#[test]
fn doubtful_things_are_warnings_and_leave_the_job_valid() {
    let warned = |text: &str| {
        let parsed = parse(text, "repair", &aws());
        assert!(parsed.job.is_some(), "{:?}", parsed.errors);
        let messages: Vec<String> = parsed
            .warnings
            .iter()
            .map(|warning| warning.message.clone())
            .collect();
        messages.join("\n")
    };
    assert_eq!(warned(SHORT), "");
    let table = [
        (
            SHORT.replace("true", "sudo reboot"),
            "`reboot` ends this step",
        ),
        (SHORT.replace("true", "exit 194"), "SSM agent"),
        (end("[limits]\ncount = [\"failed\"]"), "without `in-work`"),
        (
            end("[limits]\njobs = [\"other-*\"]"),
            "this job itself (`repair`)",
        ),
        (
            end("[[limits.per]]\nzone = true\nnodes = 2"),
            "changes nothing",
        ),
        (fleet("tags = { hold = \"x\" }"), "itself changes"),
        (fleet("tags = { a = [\"b\", \"b\"] }"), "twice"),
    ];
    for (text, expected) in table {
        assert!(
            warned(&text).contains(expected),
            "{expected}: {}",
            warned(&text)
        );
    }
}

#[test]
fn a_warning_in_a_script_shows_the_word() {
    let text = SHORT.replace("\"true\"", "'''\nsync\nshutdown -r now\n'''");
    let parsed = parse(&text, "repair", &aws());
    let span = parsed.warnings[0].span.clone().expect("a place");
    assert_eq!(&text[span], "shutdown");
}

#[test]
fn after_a_line_that_cannot_be_read_the_rest_is_judged() {
    let text = "every: 7d\n[fleet]\ntags = { a = 'b' }\n[[step]]\nrun = 'x'\ntimeout = '0s'\n";
    let found = wrong(text, &aws());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].1.contains("above zero"));
}

#[test]
fn the_schema_describes_every_key() {
    fn bare(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        let properties = value.get("properties").and_then(|known| known.as_object());
        if properties.is_some() && value["additionalProperties"] != false {
            found.push(format!("{path} takes unknown keys"));
        }
        for (key, property) in properties.into_iter().flatten() {
            let path = format!("{path}.{key}");
            if property["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{path} has no description"));
            }
            bare(property, &path, found);
            bare(&property["items"], &path, found);
        }
    }
    let schema = schema();
    let mut found = Vec::new();
    bare(schema.as_value(), "", &mut found);
    assert_eq!(found, [""; 0]);
    assert_eq!(
        schema.as_value()["properties"]["every"]["format"],
        "humantime"
    );
    assert!(
        !schema.as_value().to_string().contains("null"),
        "TOML has no null"
    );
    insta::assert_json_snapshot!(schema.as_value());
}

#[test]
fn an_unclosed_table_is_one_mistake() {
    let text = "every = '7d'\n[fleet\ntags = { a = 'b' }\n[[step]]\nrun = ''\n";
    let found = wrong(text, &aws());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].1.contains("header of a table has no end") && found[1].1.contains("is empty"));
}

#[test]
fn a_file_that_is_something_else_is_given_up_soon() {
    let many_keys: Vec<String> = (0..10_000).map(|key| format!("k{key} = 1")).collect();
    let many_keys = many_keys.join("\n");
    let table = [
        "x\n".repeat(10_000),
        "x = y\n".repeat(10_000),
        many_keys,
        "[[step]]\n".repeat(10_000),
        "[".repeat(10_000),
        "a = [\n".repeat(10_000),
        "\"\n".repeat(10_000),
    ];
    for text in table {
        let errors = parse(&text, "repair", &aws()).errors;
        let start: String = text.chars().take(20).collect();
        assert!(
            (1..=201).contains(&errors.len()),
            "{start}: {}",
            errors.len()
        );
    }
}
