//! What every command starts from: the settings, where jobs are, and how to show things.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::cli::args::{Color, Format, Global};
use crate::cli::failure::Failure;
use crate::cli::jobs;
use crate::cli::problem::render;
use crate::cli::report::Look;
use crate::cli::settings::{self, Files, Overrides, SYSTEM_FILE};
use crate::io::{environment, terminal};
use crate::model::id::Name;
use crate::model::job::Job;
use crate::model::job::file::Context as FileContext;
use crate::model::lock::Lock;
use crate::model::rule::Without;
use crate::model::settings::Settings;
use crate::model::tag::Keys;
use crate::model::view::Rules;

/// What every command starts from.
#[derive(Debug)]
pub struct Context {
    /// What stands before the command.
    pub global: Global,
    /// How to show things.
    pub look: Look,
    /// The settings in effect.
    pub loaded: settings::Loaded,
    dirs: Vec<PathBuf>,
}

/// How to show things on this terminal, pipe or journal.
pub fn look(global: &Global) -> Look {
    let terminal = std::io::stderr().is_terminal();
    let journald = !terminal && environment::variable("JOURNAL_STREAM").is_some();
    let wanted = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let plain = environment::variable("NO_COLOR").is_some_and(|value| !value.is_empty());
            terminal && !plain && environment::variable("TERM").is_none_or(|term| term != "dumb")
        }
    };
    Look {
        colour: wanted,
        width: terminal::width().unwrap_or(100),
        terminal,
        journald,
        quiet: global.quiet,
        verbose: global.verbose > 0,
        now_stamp: !terminal && !journald,
    }
}

impl Context {
    /// Reads the settings. The directory has been changed to `-C` already.
    pub fn new(global: Global, look: Look) -> Result<Self, Failure> {
        let overrides = Overrides {
            provider: global.provider.clone(),
            region: global.region.clone(),
            profile: global.profile.clone(),
        };
        let files = Files {
            system: Path::new(SYSTEM_FILE),
            named: global.config.as_deref(),
            base: Path::new(""),
        };
        let loaded =
            settings::load(&files, environment::variables(), &overrides).map_err(Failure::Files)?;
        let dirs = if global.jobs.is_empty() {
            jobs::DEFAULT_DIRS.iter().map(PathBuf::from).collect()
        } else {
            global.jobs.clone()
        };
        Ok(Self {
            global,
            look,
            loaded,
            dirs,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    /// Whether stdout is for programs.
    pub fn json(&self) -> bool {
        self.global.format == Format::Json
    }

    /// Who claims.
    pub fn owner(&self) -> String {
        self.settings()
            .owner
            .clone()
            .unwrap_or_else(environment::default_owner)
    }

    fn file_context(&self) -> FileContext {
        let settings = self.settings();
        FileContext {
            provider: settings.provider.kind,
            lease: settings.lease,
            prefix: settings.prefix.clone(),
        }
    }

    /// The job that the command line means, checked; its warnings are shown.
    pub fn job(&self, argument: &str) -> Result<Job, Failure> {
        let path = jobs::find(argument, &self.dirs, Path::new(""))?;
        let loaded = jobs::load(&path, Path::new(""), &self.file_context())?;
        if !loaded.warnings.is_empty() && !self.look.quiet {
            complain(&render(&loaded.warnings, self.look.colour, self.look.width));
        }
        Ok(loaded.job)
    }

    /// The job of this name and task; `None`: there is no such file.
    ///
    /// # Errors
    /// When there is one, and it is wrong.
    pub fn job_of_lock(&self, lock: &Lock) -> Result<Option<Job>, Failure> {
        let Ok(_) = jobs::find(lock.job.as_str(), &self.dirs, Path::new("")) else {
            return Ok(None);
        };
        let job = self.job(lock.job.as_str())?;
        Ok(Some(job).filter(|job| job.task == lock.task))
    }

    /// The named jobs, or all that there are: those that are good, and what is wrong with the others.
    pub fn jobs(&self, arguments: &[String]) -> (Vec<jobs::Loaded>, Vec<Failure>) {
        let (mut paths, mut wrong) = (Vec::new(), Vec::new());
        if arguments.is_empty() {
            let (found, problems) = jobs::all(&self.dirs, Path::new(""));
            paths = found;
            wrong.extend(problems.into_iter().map(Failure::from));
        }
        for argument in arguments {
            match jobs::find(argument, &self.dirs, Path::new("")) {
                Ok(path) => paths.push(path),
                Err(problems) => wrong.push(problems.into()),
            }
        }
        let mut good = Vec::new();
        for path in paths {
            match jobs::load(&path, Path::new(""), &self.file_context()) {
                Ok(loaded) => good.push(loaded),
                Err(problems) => wrong.push(problems.into()),
            }
        }
        (good, wrong)
    }

    /// Where jobs are looked for, in words.
    pub fn dirs(&self) -> String {
        let dirs: Vec<String> = self
            .dirs
            .iter()
            .map(|dir| format!("`{}`", dir.display()))
            .collect();
        dirs.join(" or ")
    }

    /// The rules of a job under these settings.
    pub fn rules(&self, job: Job) -> Result<Rules, Failure> {
        let settings = self.settings();
        let keys =
            Keys::new(&settings.prefix, &job.task, job.last_tag.as_ref()).map_err(|bad| {
                Failure::usage(
                    format!("the tags of `{}` cannot be named: {bad}", job.name),
                    "shorten `[tags] prefix` or the task",
                )
            })?;
        Ok(Rules {
            job,
            keys,
            lease: settings.lease,
            without: Without::NOTHING,
        })
    }

    /// The keys that do not depend on a job.
    pub fn common_keys(&self) -> Result<Keys, Failure> {
        let any =
            Name::new("any").map_err(|bad| Failure::usage(bad.to_string(), "this is a bug"))?;
        Keys::new(&self.settings().prefix, &any, None).map_err(|bad| {
            Failure::usage(
                format!("the tags cannot be named: {bad}"),
                "shorten `[tags] prefix`",
            )
        })
    }
}

/// Writes what was asked for to stdout. A closed pipe is no error: whoever asked has seen enough.
pub fn answer(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Writes what is happening to stderr.
pub fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
