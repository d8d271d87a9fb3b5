//! The layers: each a text of its own, whether it was a file, a variable or a flag.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cli::jobs::shown;
use crate::cli::problem::FileProblems;
use crate::cli::settings::source::read_text;
use crate::cli::settings::{DEFAULT_TOML, Origin, Overrides};
use crate::model::problem::{Problem, nearest};

/// What the variables of settings begin with.
const PREFIX: &str = "ROUNDSMAN_";

/// One text that gives settings.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) origin: Source,
    /// How people know it.
    pub(super) name: String,
    /// What they wrote.
    pub(super) text: String,
    /// The same as TOML; for files it is the text itself.
    pub(super) toml: String,
    /// What relative paths in it are relative to.
    pub(super) base: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File,
    /// A variable or a flag: `text` is `NAME=value`.
    Variable,
    Flag,
}

impl Layer {
    pub(super) fn default_settings() -> Self {
        Self {
            origin: Source::Default,
            name: "default".to_owned(),
            text: DEFAULT_TOML.to_owned(),
            toml: DEFAULT_TOML.to_owned(),
            base: PathBuf::new(),
        }
    }

    /// The place of a value, given its place in the TOML text.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        match self.origin {
            Source::Default | Source::File => span.clone(),
            Source::Variable | Source::Flag => {
                (self.name.len() + 1).min(self.text.len())..self.text.len()
            }
        }
    }

    /// Where a value at `span` of the TOML text came from.
    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or_default();
        match self.origin {
            Source::Default => Origin::Default,
            Source::File => Origin::File {
                path: self.name.clone(),
                line: before.matches('\n').count() + 1,
            },
            Source::Variable => Origin::Variable(self.name.clone()),
            Source::Flag => Origin::Flag(self.name.clone()),
        }
    }

    /// A problem of this layer, placed in what people wrote.
    pub(super) fn wrong(&self, mut errors: Vec<Problem>) -> FileProblems {
        if !matches!(self.origin, Source::Default | Source::File) {
            for error in &mut errors {
                error.span = Some(self.place(&(0..0)));
            }
        }
        FileProblems {
            name: self.name.clone(),
            text: self.text.clone(),
            errors,
            warnings: Vec::new(),
        }
    }
}

/// The layer of a file; `None` when there is none and none is `needed`.
pub(super) fn file(path: &Path, base: &Path, needed: bool) -> Result<Option<Layer>, FileProblems> {
    let name = shown(path, base);
    let text = match read_text(path) {
        Ok(Some(text)) => text,
        Ok(None) if !needed => return Ok(None),
        Ok(None) => {
            let problem = Problem::general("there is no such settings file", None);
            return Err(FileProblems::unreadable(name, problem));
        }
        Err(problem) => return Err(FileProblems::unreadable(name, problem)),
    };
    Ok(Some(Layer {
        origin: Source::File,
        name,
        toml: text.clone(),
        text,
        base: path.parent().unwrap_or(base).to_owned(),
    }))
}

/// The layer of a variable; `None` when it is none of ours.
pub(super) fn variable(
    name: &str,
    value: &str,
    base: &Path,
    known: &[Known],
) -> Option<Result<Layer, FileProblems>> {
    let rest = name.strip_prefix(PREFIX)?;
    if !rest.contains("__") {
        return None;
    }
    let text = format!("{name}={value}");
    let Some(setting) = known.iter().find(|known| known.variable == name) else {
        // All begin alike, so only the rest tells what was meant.
        let names = known
            .iter()
            .filter_map(|known| known.variable.strip_prefix(PREFIX));
        let help = match nearest(rest, names) {
            Some(near) => format!("did you mean `{PREFIX}{near}`?"),
            None => "`roundsman config --default` shows every setting; `lease.ttl` is `ROUNDSMAN_LEASE__TTL`"
                .to_owned(),
        };
        let problem = Problem {
            span: Some(0..name.len()),
            message: format!("`{name}` is no setting"),
            help: Some(help),
        };
        return Some(Err(FileProblems {
            name: name.to_owned(),
            text,
            errors: vec![problem],
            warnings: Vec::new(),
        }));
    };
    let toml = if setting.text {
        toml::Value::String(value.to_owned()).to_string()
    } else if value.trim_start().starts_with('[') {
        value.to_owned()
    } else {
        let problem = Problem {
            span: Some(name.len() + 1..text.len()),
            message: format!("`{}` is a list", setting.key),
            help: Some("write it as in a file: `[\"ssh\", \"{address}\"]`".to_owned()),
        };
        return Some(Err(FileProblems {
            name: name.to_owned(),
            text,
            errors: vec![problem],
            warnings: Vec::new(),
        }));
    };
    Some(Ok(Layer {
        origin: Source::Variable,
        name: name.to_owned(),
        toml: format!("{} = {toml}", setting.key),
        text,
        base: base.to_owned(),
    }))
}

/// The layers of the flags that were given.
pub(super) fn flags(overrides: &Overrides, base: &Path) -> Vec<Layer> {
    let flags = [
        ("--provider", "provider.kind", &overrides.provider),
        ("--region", "provider.aws.region", &overrides.region),
        ("--profile", "provider.aws.profile", &overrides.profile),
    ];
    flags
        .into_iter()
        .filter_map(|(flag, key, value)| {
            let value = value.as_ref()?;
            Some(Layer {
                origin: Source::Flag,
                name: flag.to_owned(),
                text: format!("{flag} {value}"),
                toml: format!("{key} = {}", toml::Value::String(value.clone())),
                base: base.to_owned(),
            })
        })
        .collect()
}

/// One setting that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// `lease.claim-within`.
    pub(super) key: String,
    /// `ROUNDSMAN_LEASE__CLAIM_WITHIN`.
    pub(super) variable: String,
    /// Whether its value is a text (a variable's own), or else a list.
    pub(super) text: bool,
}

/// Every setting that the schema has.
pub(super) fn known(schema: &schemars::Schema) -> Vec<Known> {
    let mut known = Vec::new();
    settings_of(schema.as_value(), "", &mut known);
    known
}

fn settings_of(schema: &serde_json::Value, path: &str, known: &mut Vec<Known>) {
    let Some(properties) = schema.get("properties").and_then(|known| known.as_object()) else {
        known.push(Known {
            key: path.to_owned(),
            variable: format!(
                "{PREFIX}{}",
                path.replace('.', "__").replace('-', "_").to_uppercase()
            ),
            text: schema.get("type").and_then(|kind| kind.as_str()) != Some("array"),
        });
        return;
    };
    for (key, property) in properties {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        settings_of(property, &path, known);
    }
}
