//! Every crate that is built in has a licence that deny.toml allows, comes from a registry that it knows, and is not
//! banned there.
//!
//! `cargo deny check` does the same and more, but has to be installed and wants a network. This needs neither: cargo
//! itself tells the licences of what it has already fetched.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whether an SPDX expression can be met with the licences in `allowed`.
///
/// Knows `AND`, `OR`, `WITH`, brackets, and the old `/` for `OR`. What it does not understand is not allowed.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    matches!(any_of(&words, allowed), Some((true, [])))
}

/// Alternatives; the answer, and what is left behind them.
fn any_of<'a>(words: &'a [&'a str], allowed: &[String]) -> Option<(bool, &'a [&'a str])> {
    let (mut met, mut rest) = all_of(words, allowed)?;
    while let ["OR", more @ ..] = rest {
        let (next, after) = all_of(more, allowed)?;
        (met, rest) = (met || next, after);
    }
    Some((met, rest))
}

fn all_of<'a>(words: &'a [&'a str], allowed: &[String]) -> Option<(bool, &'a [&'a str])> {
    let (mut met, mut rest) = one(words, allowed)?;
    while let ["AND", more @ ..] = rest {
        let (next, after) = one(more, allowed)?;
        (met, rest) = (met && next, after);
    }
    Some((met, rest))
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> Option<(bool, &'a [&'a str])> {
    let is_allowed = |name: &str| allowed.iter().any(|each| each == name);
    match words {
        ["(", inner @ ..] => match any_of(inner, allowed)? {
            (met, [")", rest @ ..]) => Some((met, rest)),
            _ => None,
        },
        [")" | "AND" | "OR" | "WITH", ..] | [] => None,
        [name, "WITH", exception, rest @ ..] => {
            Some((is_allowed(&format!("{name} WITH {exception}")), rest))
        }
        [name, rest @ ..] => Some((is_allowed(name), rest)),
    }
}

/// What is wrong with one package of `cargo metadata`; `None`: nothing.
fn problem(package: &Value, rules: &Rules) -> Option<String> {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    let crate_name = format!("{} {}", text("name"), text("version"));
    if rules.banned.iter().any(|name| name == text("name")) {
        return Some(format!("{crate_name}: is banned by deny.toml"));
    }
    if let Some(source) = package["source"].as_str() {
        let known = rules
            .registries
            .iter()
            .any(|registry| source == format!("registry+{registry}"));
        if !known {
            return Some(format!(
                "{crate_name}: comes from {source}, which deny.toml does not allow"
            ));
        }
    }
    let mut allowed = rules.allowed.clone();
    let exceptions = rules
        .exceptions
        .iter()
        .filter(|(name, _)| name == text("name"));
    allowed.extend(exceptions.flat_map(|(_, more)| more.clone()));
    match text("license") {
        "" => Some(format!("{crate_name}: names no licence")),
        licence if is_met(licence, &allowed) => None,
        licence => Some(format!(
            "{crate_name}: {licence} is not allowed by deny.toml"
        )),
    }
}

/// The parts of deny.toml that are held here.
struct Rules {
    allowed: Vec<String>,
    exceptions: Vec<(String, Vec<String>)>,
    registries: Vec<String>,
    banned: Vec<String>,
}

fn strings(value: Option<&toml::Value>) -> Vec<String> {
    let list = value.and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

impl Rules {
    fn read(text: &str) -> Self {
        let file: toml::Table = text.parse().expect("deny.toml is TOML");
        let exceptions = file["licenses"]
            .get("exceptions")
            .and_then(toml::Value::as_array);
        let exceptions = exceptions.into_iter().flatten().map(|each| {
            let name = each
                .get("crate")
                .and_then(toml::Value::as_str)
                .unwrap_or_default();
            (name.to_owned(), strings(each.get("allow")))
        });
        let banned = file
            .get("bans")
            .and_then(|bans| bans.get("deny")?.as_array());
        let banned = banned
            .into_iter()
            .flatten()
            .filter_map(|each| each.get("crate")?.as_str());
        Self {
            banned: banned.map(str::to_owned).collect(),
            allowed: strings(file["licenses"].get("allow")),
            exceptions: exceptions.collect(),
            registries: strings(file["sources"].get("allow-registry")),
        }
    }
}

/// The machine that this runs on, in cargo's words: what is for others only has not been fetched.
fn host() -> String {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

fn metadata() -> Value {
    // Without the AWS provider its crates have not been fetched either.
    let features: &[&str] = if cfg!(feature = "aws") {
        &[]
    } else {
        &["--no-default-features"]
    };
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &host()])
        .args(features)
        .current_dir(Path::new(ROOT))
        .output()
        .expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed:\n{errors}");
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

#[test]
fn every_crate_has_an_allowed_licence_and_a_known_source() {
    let text =
        std::fs::read_to_string(Path::new(ROOT).join("deny.toml")).expect("deny.toml is there");
    let rules = Rules::read(&text);
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages is a list");
    assert!(
        packages.len() > 50,
        "only {} packages were seen",
        packages.len()
    );
    let problems: Vec<String> = packages
        .iter()
        .filter_map(|package| problem(package, &rules))
        .collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn expressions_are_judged_as_spdx_means_them() {
    let allowed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned);
    for met in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "MIT AND ISC",
        "ISC AND (GPL-3.0 OR Apache-2.0)",
        "(GPL-3.0 OR MIT) AND (ISC)",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "GPL-3.0 OR MIT AND GPL-2.0",
        "(MIT",
        "MIT)",
        "MIT OR",
        "MIT ISC",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT OR ISC) AND GPL-3.0",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn a_crate_with_another_licence_or_source_is_a_problem() {
    let registry = "https://example.org/index";
    let rules = Rules::read(&format!(
        "[licenses]\nallow = [\"MIT\"]\nexceptions = [{{ crate = \"odd\", allow = [\"Odd-1.0\"] }}]\n\
         [bans]\ndeny = [{{ crate = \"bad\", reason = \"x\" }}]\n[sources]\nallow-registry = [\"{registry}\"]\n"
    ));
    let judged = |name: &str, licence: Option<&str>, source: &str| {
        let package = serde_json::json!({"name": name, "version": "1.0.0", "license": licence, "source": source});
        problem(&package, &rules)
    };
    let known = format!("registry+{registry}");
    assert_eq!(judged("fine", Some("MIT"), &known), None);
    assert_eq!(judged("odd", Some("Odd-1.0 AND MIT"), &known), None);
    for found in [
        judged("other", Some("Odd-1.0"), &known),
        judged("silent", None, &known),
        judged("bad", Some("MIT"), &known),
        judged("fine", Some("MIT"), "git+https://example.org/fine"),
        judged("fine", Some("MIT"), "registry+https://example.org/other"),
    ] {
        assert!(found.is_some());
    }
}
