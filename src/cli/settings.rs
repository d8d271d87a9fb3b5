//! The settings: defaults, files, environment and flags, one over the other, with the place that each value came from.
//!
//! Every layer is a TOML text of its own and is checked whole, also where a later one goes over it. figment lays the
//! good values over each other and keeps for each where it came from; the relations between them are checked last.

mod check;
mod layer;
mod raw;
mod rules;
pub mod source;
mod stack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use crate::cli::problem::FileProblems;
use crate::model::document::field::schema_of;
use crate::model::document::{self, Findings};
use crate::model::problem::Problem;
use crate::model::settings::Settings;
use layer::Layer;
use raw::RawSettings;
use stack::Stack;

/// The defaults, commented: what `config --default` prints.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The settings of the machine.
pub const SYSTEM_FILE: &str = "/etc/roundsman/roundsman.toml";

/// What flags say, as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--provider`.
    pub provider: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
}

/// Which files are read.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The machine's: [`SYSTEM_FILE`]. It need not be there.
    pub system: &'a Path,
    /// `--config`, relative to `base`. It must be there.
    pub named: Option<&'a Path>,
    /// Where roundsman works; `roundsman.toml` there is read when no file is named, and need not be there.
    pub base: &'a Path,
}

/// The settings in effect, and where each came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    effective: Vec<Effective>,
}

impl Loaded {
    /// Every setting that has a value, in the order of its key.
    pub fn effective(&self) -> Vec<Effective> {
        self.effective.clone()
    }
}

/// One setting in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// `lease.ttl`.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is the default.
    Default,
    /// A file, by the path that people know, and the line.
    File {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Reads the settings: defaults, then the files, then the environment, then flags.
///
/// # Errors
/// Everything that is wrong, by file, variable and flag.
pub fn load(
    files: &Files<'_>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, Vec<FileProblems>> {
    let schema = schema_of::<RawSettings>();
    let known = layer::known(&schema);
    let mut wrong = Vec::new();
    let mut layers = vec![Layer::default_settings()];
    let own = files.base.join("roundsman.toml");
    let named = files.named.map(|named| files.base.join(named));
    let second = named.as_deref().unwrap_or(&own);
    for (path, needed) in [(files.system, false), (second, named.is_some())] {
        match layer::file(path, files.base, needed) {
            Ok(layer) => layers.extend(layer),
            Err(problems) => wrong.push(problems),
        }
    }
    let mut variables: Vec<(String, String)> = environment.into_iter().collect();
    variables.sort();
    for (name, value) in &variables {
        match layer::variable(name, value, files.base, &known) {
            Some(Ok(layer)) => layers.push(layer),
            Some(Err(problems)) => wrong.push(problems),
            None => {}
        }
    }
    layers.extend(layer::flags(overrides, files.base));

    let mut stack = Stack::default();
    let mut lease_is_sound = true;
    for (index, layer) in layers.iter().enumerate() {
        let mut found = Findings::new(&layer.toml);
        let raw: RawSettings = document::read(&schema, &mut found);
        stack.lay(index, check::values(&raw, &mut found));
        let (errors, _) = found.finish();
        if !errors.is_empty() {
            lease_is_sound = false;
            wrong.push(layer.wrong(errors));
        }
    }
    let settings = stack.settings(&layers).map_err(|message| {
        let problem = Problem::general(message, None);
        vec![FileProblems::unreadable("settings", problem)]
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(unread) if wrong.is_empty() => return Err(unread),
        Err(_) => return Err(wrong),
    };
    // Between values of which one could not be read, a broken relation would be a guess.
    if lease_is_sound {
        wrong.extend(stack.broken(&settings.lease, &layers));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let effective = stack.effective(&settings, &known, &layers);
    Ok(Loaded {
        settings,
        effective,
    })
}
