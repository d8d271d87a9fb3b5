//! Every job that is shipped loads without a mistake or a warning, and is planned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roundsman::model::decide::{Wish, decide};
use roundsman::model::id::NodeId;
use roundsman::model::job::file::{Context, parse};
use roundsman::model::job::{Job, StepAction};
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::reason::Reason;
use roundsman::model::rule::Without;
use roundsman::model::settings::{LeaseSettings, ProviderKind};
use roundsman::model::tag::Keys;
use roundsman::model::view::{Rules, View};

fn files(dir: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let entries =
        std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    paths.sort();
    paths
}

fn load(path: &Path, provider: ProviderKind) -> Job {
    let text = std::fs::read_to_string(path).expect("readable");
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a name");
    let context = Context {
        provider,
        lease: LeaseSettings::default(),
        prefix: String::new(),
    };
    let parsed = parse(&text, stem, &context);
    assert!(
        parsed.errors.is_empty() && parsed.warnings.is_empty(),
        "{}: {:?} {:?}",
        path.display(),
        parsed.errors,
        parsed.warnings
    );
    parsed.job.expect("no mistake, so a job")
}

fn node(id: &str, launched: &str, last: Option<(&str, &str)>) -> Node {
    Node {
        id: NodeId(id.to_owned()),
        name: None,
        address: None,
        zone: Some("eu-west-1a".to_owned()),
        group: None,
        launched: launched.parse().ok(),
        service: Service::In,
        agent: Agent::Online,
        tags: last
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
    }
}

#[test]
fn every_shipped_job_loads_and_plans_the_oldest_node_first() {
    let names: Vec<String> = files("jobs")
        .iter()
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "cassandra-backup",
            "cassandra-compaction",
            "cassandra-repair",
            "log-rotation",
            "os-patching"
        ]
    );
    for path in files("jobs") {
        let job = load(&path, ProviderKind::Aws);
        assert!(
            job.about.is_some(),
            "{}: says what it is about",
            path.display()
        );
        let keys = Keys::new("", &job.task, job.last_tag.as_ref()).expect("keys");
        let last = keys.last.to_string();
        let nodes = vec![
            node("b", "2026-01-01T00:00:00Z", Some((&last, "2026-09-02"))),
            node("a", "2026-01-01T00:00:00Z", Some((&last, "2026-09-01"))),
            node(
                "c",
                "2026-01-01T00:00:00Z",
                Some((&last, "2026-11-23T00:00:00Z")),
            ),
        ];
        let rules = Rules {
            job,
            keys,
            lease: LeaseSettings::default(),
            without: Without::NOTHING,
        };
        let now = "2026-11-23T00:10:00Z".parse().expect("a time");
        let rows = decide(
            &rules,
            &View {
                now,
                nodes,
                evidence: BTreeMap::new(),
            },
            &Wish::default(),
        );
        let order: Vec<(&str, Reason)> = rows
            .iter()
            .map(|row| (row.node.as_str(), row.reason))
            .collect();
        assert_eq!(
            order,
            [("a", Reason::Age), ("b", Reason::Age), ("c", Reason::Fresh)],
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_repair_template_is_what_the_documentation_promises() {
    let repair = files("jobs")
        .into_iter()
        .find(|path| path.ends_with("cassandra-repair.toml"))
        .expect("it is there");
    let job = load(&repair, ProviderKind::Aws);
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    assert_eq!((job.every, job.deadline), (days(7), Some(days(9))));
    assert_eq!(job.ttl, Some(std::time::Duration::from_secs(3_600)));
    assert_eq!(job.new, roundsman::model::job::NewNodes::After(days(1)));
    let step = job.steps.last().expect("a step");
    assert_eq!(
        (step.timeout, step.retries),
        (std::time::Duration::from_secs(43_200), 0)
    );
}

#[test]
fn the_patching_template_reboots_and_asks_whether_the_node_is_back() {
    let path = files("jobs")
        .into_iter()
        .find(|path| path.ends_with("os-patching.toml"))
        .expect("it is there");
    let job = load(&path, ProviderKind::Aws);
    let reboots: Vec<_> = job.steps.iter().filter(|step| step.reboots()).collect();
    assert_eq!(reboots.len(), 1);
    assert!(matches!(
        &reboots[0].action,
        StepAction::Reboot { ready: Some(ready) } if ready.contains("multi-user.target")
    ));
}

#[test]
fn the_quickstart_job_loads() {
    for path in files("examples/quickstart/jobs") {
        load(&path, ProviderKind::Local);
    }
}
