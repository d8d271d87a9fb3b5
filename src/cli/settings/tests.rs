use std::time::Duration;

use super::*;
use crate::cli::problem::render;
use crate::model::settings::{LeaseSettings, LocalSettings, ProviderKind};

/// A directory with a machine's file and an own one.
struct Place(tempfile::TempDir);

impl Place {
    fn new(system: &str, own: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        place.write("etc/system.toml", system);
        place.write("roundsman.toml", own);
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        if !text.is_empty() {
            std::fs::write(path, text).expect("written");
        }
    }

    fn load(
        &self,
        named: Option<&str>,
        variables: &[(&str, &str)],
        overrides: &Overrides,
    ) -> Result<Loaded, Vec<FileProblems>> {
        let system = self.0.path().join("etc/system.toml");
        let files = Files {
            system: &system,
            named: named.map(Path::new),
            base: self.0.path(),
        };
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&files, variables, overrides)
    }

    /// What is wrong: name, offending text, message, help.
    fn wrong(&self, variables: &[(&str, &str)]) -> Vec<(String, String, String, String)> {
        let wrong = self
            .load(None, variables, &Overrides::default())
            .expect_err("something wrong");
        wrong
            .into_iter()
            .flat_map(|file| {
                let FileProblems {
                    name, text, errors, ..
                } = file;
                errors.into_iter().map(move |error| {
                    let at = error
                        .span
                        .map(|span| text[span].to_owned())
                        .unwrap_or_default();
                    (
                        name.clone(),
                        at,
                        error.message,
                        error.help.unwrap_or_default(),
                    )
                })
            })
            .collect()
    }
}

fn origin(loaded: &Loaded, key: &str) -> (String, String) {
    let all = loaded.effective();
    let one = all.iter().find(|each| each.key == key).expect("a value");
    (one.value.clone(), one.origin.to_string())
}

#[test]
fn without_files_the_defaults_are_in_effect() {
    let loaded = Place::new("", "")
        .load(None, &[], &Overrides::default())
        .expect("settings");
    let settings = &loaded.settings;
    assert_eq!(settings.lease, LeaseSettings::default());
    assert_eq!(settings.owner, None);
    assert_eq!(settings.prefix, "");
    assert_eq!(
        settings.provider,
        crate::model::settings::Provider::default()
    );
    assert_eq!(settings.provider.local, LocalSettings::default());
    assert!(
        loaded
            .effective()
            .iter()
            .all(|each| each.origin == Origin::Default)
    );
}

#[test]
fn the_default_file_shows_every_setting_there_is() {
    let schema = schema_of::<RawSettings>();
    for known in layer::known(&schema) {
        let (table, key) = known.key.rsplit_once('.').expect("a table");
        let shown = DEFAULT_TOML.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.split_once('=')
                .is_some_and(|(word, _)| word.trim() == key)
                || line == format!("[[{table}.{key}]]")
        });
        assert!(shown, "{}", known.key);
    }
}

#[test]
fn the_commented_settings_of_the_default_file_are_good_too() {
    let text: Vec<&str> = DEFAULT_TOML
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(code)
                if code.starts_with('[')
                    || code.split_once(" = ").is_some_and(|(key, _)| {
                        key.trim()
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c == '-')
                    }) =>
            {
                code
            }
            _ => line,
        })
        .collect();
    let place = Place::new("", &text.join("\n"));
    let loaded = place
        .load(None, &[], &Overrides::default())
        .expect("settings");
    assert_eq!(loaded.settings.owner.as_deref(), Some("bastion-1"));
    assert_eq!(loaded.settings.provider.local.nodes[0].tags["rack"], "r1");
    let keys = layer::known(&schema_of::<RawSettings>()).len();
    assert_eq!(loaded.effective().len(), keys);
}

#[test]
fn later_layers_go_over_earlier_ones_and_each_value_knows_its_place() {
    let place = Place::new(
        "[lease]\nowner = 'a'\nskew = '11s'\nstaleness = '6s'\n[provider.aws]\nregion = 'eu-west-1'\nprofile='p'\n",
        "[lease]\nowner = 'b'\nskew = '12s'\n",
    );
    let variables = [
        ("ROUNDSMAN_LEASE__OWNER", "c d"),
        ("ROUNDSMAN_PROVIDER__AWS__REGION", "eu-west-2"),
        ("ROUNDSMAN_PROVIDER__LOCAL__VIA", "[\"ssh\", \"{address}\"]"),
        ("ROUNDSMAN_NODE", "ignored"),
        ("PATH", "/bin"),
    ];
    let overrides = Overrides {
        provider: Some("local".to_owned()),
        region: Some("eu-west-3".to_owned()),
        profile: None,
    };
    let loaded = place.load(None, &variables, &overrides).expect("settings");
    let table = [
        ("lease.claim-within", "\"2s\"", "default"),
        ("lease.staleness", "\"6s\"", "etc/system.toml:4"),
        ("lease.skew", "\"12s\"", "roundsman.toml:3"),
        ("lease.owner", "\"c d\"", "$ROUNDSMAN_LEASE__OWNER"),
        ("provider.aws.region", "\"eu-west-3\"", "--region"),
        ("provider.aws.profile", "\"p\"", "etc/system.toml:7"),
        ("provider.kind", "\"local\"", "--provider"),
        (
            "provider.local.via",
            "[\"ssh\", \"{address}\"]",
            "$ROUNDSMAN_PROVIDER__LOCAL__VIA",
        ),
    ];
    for (key, value, from) in table {
        assert_eq!(
            origin(&loaded, key),
            (value.to_owned(), from.to_owned()),
            "{key}"
        );
    }
    assert_eq!(loaded.settings.lease.skew, Duration::from_secs(12));
    assert_eq!(loaded.settings.provider.kind, ProviderKind::Local);
}

#[test]
fn a_store_is_relative_to_the_file_that_names_it() {
    let place = Place::new("[provider.local]\nstore = 'r.db'\n", "");
    let store = |place: &Place, variables: &[(&str, &str)]| {
        let loaded = place
            .load(None, variables, &Overrides::default())
            .expect("settings");
        let store = loaded
            .settings
            .provider
            .local
            .store
            .clone()
            .expect("a store");
        store
            .strip_prefix(place.0.path())
            .map_or(store.clone(), ToOwned::to_owned)
    };
    assert_eq!(store(&place, &[]), Path::new("etc/r.db"));
    let variable = ("ROUNDSMAN_PROVIDER__LOCAL__STORE", "r.db");
    assert_eq!(store(&place, &[variable]), Path::new("r.db"));
    let absolute = ("ROUNDSMAN_PROVIDER__LOCAL__STORE", "/var/r.db");
    assert_eq!(store(&place, &[absolute]), Path::new("/var/r.db"));
}

#[test]
fn a_named_file_stands_for_the_own_one_and_must_be_there() {
    let place = Place::new("", "[lease]\nowner = 'own'\n");
    place.write("other.toml", "[tags]\nprefix = 'x:'\n");
    let loaded = place
        .load(Some("other.toml"), &[], &Overrides::default())
        .expect("settings");
    assert_eq!(
        (loaded.settings.owner, loaded.settings.prefix.as_str()),
        (None, "x:")
    );
    let wrong = place
        .load(Some("none.toml"), &[], &Overrides::default())
        .expect_err("no file");
    assert!(wrong[0].name == "none.toml" && wrong[0].errors[0].message.contains("no such"));
    let wrong = place
        .load(Some("etc"), &[], &Overrides::default())
        .expect_err("a directory");
    assert!(wrong[0].errors[0].message.contains("is a directory"));
}

#[test]
fn every_mistake_of_every_layer_is_told_at_once() {
    let place = Place::new(
        "[lease]\nttl = 'soon'\nclam-within = '3s'\n[tags]\nprefix = 'a b'\n",
        include_str!("tests/mistakes.toml"),
    );
    let variables = [
        ("ROUNDSMAN_LEASE__TTLL", "1s"),
        ("ROUNDSMAN_LEASE__SKEW", "10"),
        ("ROUNDSMAN_PROVIDER__LOCAL__VIA", "ssh {address}"),
        ("ROUNDSMAN_NO__SUCH", "1"),
    ];
    let overrides = Overrides {
        provider: Some("locl".to_owned()),
        ..Overrides::default()
    };
    let wrong = place
        .load(None, &variables, &overrides)
        .expect_err("mistakes");
    let marked = wrong
        .iter()
        .find(|file| file.name == "roundsman.toml")
        .expect("the file");
    assert_eq!(
        marked.errors.len(),
        marked.text.matches("# wrong").count(),
        "{:#?}",
        marked.errors
    );
    let shown: Vec<String> = wrong.iter().map(|file| render(file, false, 80)).collect();
    insta::assert_snapshot!(shown.join("\n").replace(" # wrong", ""));
}

#[test]
fn a_broken_relation_is_shown_at_the_value_that_was_chosen() {
    let first = |system: &str, own: &str, variables: &[(&str, &str)]| {
        let (name, at, message, _) = Place::new(system, own).wrong(variables).remove(0);
        assert!(message.contains("must be"), "{message}");
        (name, at)
    };
    let pair = |name: &str, at: &str| (name.to_owned(), at.to_owned());
    // The margin has its default; the skew was set beyond it.
    assert_eq!(
        first("", "[lease]\nskew = '10m'\n", &[]),
        pair("roundsman.toml", "'10m'")
    );
    assert_eq!(
        first("[lease]\nmargin = '2h'\n", "", &[]),
        pair("etc/system.toml", "'2h'")
    );
    assert_eq!(
        first(
            "[lease]\nmargin = '2h'\n",
            "",
            &[("ROUNDSMAN_LEASE__MARGIN", "3h")]
        ),
        pair("ROUNDSMAN_LEASE__MARGIN", "3h")
    );
    assert_eq!(
        first("", "[lease]\nttl = '20s'\nrequest-life='1s'\n", &[]),
        pair("roundsman.toml", "'20s'")
    );
}

#[test]
fn relations_hold_over_layers_and_not_within_one() {
    // A skew of ten minutes needs a margin that only the later layer gives.
    let place = Place::new(
        "[lease]\nskew = '10m'\nttl='30m'\n",
        "[lease]\nmargin = '20m'\n",
    );
    assert!(place.load(None, &[], &Overrides::default()).is_ok());
}

#[test]
fn values_are_checked_by_their_rules() {
    let table = [
        ("PROVIDER__AWS__REGION", "eu-west-1a", "availability zone"),
        ("PROVIDER__AWS__REGION", "Ireland", "no region"),
        ("PROVIDER__AWS__REGION", "", "no region"),
        ("PROVIDER__AWS__DOCUMENT", "a b", "SSM document"),
        ("PROVIDER__AWS__DOCUMENT", "ab", "SSM document"),
        ("PROVIDER__AWS__ENDPOINT", "localhost:5000", "no endpoint"),
        ("PROVIDER__AWS__PROFILE", " ", "no profile"),
        ("PROVIDER__KIND", "gcp", "takes `aws` or `local`"),
        ("PROVIDER__LOCAL__STORE", "", "names no file"),
        ("PROVIDER__LOCAL__VIA", "[]", "is empty"),
        ("PROVIDER__LOCAL__VIA", "[1]", "a text in quotes"),
        ("PROVIDER__LOCAL__VIA", "[\"ssh", "has no end"),
        ("PROVIDER__LOCAL__VIA", "ssh", "is a list"),
        ("LEASE__OWNER", " ", "`owner` is empty"),
        ("LEASE__SKEW", "0s", "above zero"),
        ("LEASE__SKEW", "5", "no unit"),
        ("TAGS__PREFIX", "aws:", "belong to AWS"),
        ("TAGS__PREFIX", "a/", "begins no tag key"),
    ];
    let place = Place::new("", "");
    for (name, value, words) in table {
        let name = format!("ROUNDSMAN_{name}");
        let wrong = place.wrong(&[(&name, value)]);
        assert_eq!(wrong.len(), 1, "{name}={value}: {wrong:?}");
        assert_eq!(
            (wrong[0].0.as_str(), wrong[0].1.as_str()),
            (name.as_str(), value)
        );
        assert!(wrong[0].2.contains(words), "{name}={value}: {wrong:?}");
    }
    for (name, value) in [
        ("ROUNDSMAN_PROVIDER__AWS__REGION", "us-gov-east-1"),
        (
            "ROUNDSMAN_PROVIDER__AWS__DOCUMENT",
            "arn:aws:ssm:eu-west-1:1:document/run",
        ),
        ("ROUNDSMAN_PROVIDER__AWS__ENDPOINT", "http://127.0.0.1:5000"),
        ("ROUNDSMAN_TAGS__PREFIX", ""),
        ("ROUNDSMAN_LEASE__CLAIM_WITHIN", "1s"),
    ] {
        let loaded = place.load(None, &[(name, value)], &Overrides::default());
        assert!(loaded.is_ok(), "{name}={value}: {loaded:?}");
    }
}

#[test]
fn a_misspelt_variable_finds_the_one_that_was_meant() {
    let wrong = Place::new("", "").wrong(&[("ROUNDSMAN_LEASE__CLAIMWITHIN", "1s")]);
    assert_eq!(wrong[0].3, "did you mean `ROUNDSMAN_LEASE__CLAIM_WITHIN`?");
}

#[test]
fn no_text_makes_the_settings_panic() {
    use proptest::prelude::*;
    let place = Place::new("", "");
    proptest!(ProptestConfig::with_cases(64), |(value in "\\PC*", own in "(\\[|\\]|=|lease|ttl|'|\"|\n|1|s|\\.|\\PC)*")| {
        let layers = [("ROUNDSMAN_LEASE__TTL", value.as_str()), ("ROUNDSMAN_PROVIDER__LOCAL__NODE", value.as_str())];
        place.write("roundsman.toml", &own);
        if let Err(wrong) = place.load(None, &layers, &Overrides::default()) {
            for file in &wrong {
                prop_assert!(!render(file, false, 60).is_empty());
            }
        }
    });
}
