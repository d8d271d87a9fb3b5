//! Finds and reads job files: a path, or a name in one of the job directories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cli::problem::FileProblems;
use crate::cli::settings::source::read_text;
use crate::model::job::Job;
use crate::model::job::file::{Context, parse};
use crate::model::problem::{Problem, nearest};

/// Where jobs are looked for unless the command line says so, in this order.
pub const DEFAULT_DIRS: [&str; 2] = ["jobs", "/etc/roundsman/jobs"];

/// A job file that was read without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Where it was found.
    pub path: PathBuf,
    /// The job.
    pub job: Job,
    /// Its warnings; [`FileProblems::is_empty`] when there is none.
    pub warnings: FileProblems,
}

/// The file that a command line means by `argument`: a path when it has a `/` or ends in `.toml`, else a name in the
/// first of `jobs_dirs` that has it. Relative paths are relative to `base`.
///
/// # Errors
/// When there is none; the advice names what there is.
pub fn find(argument: &str, jobs_dirs: &[PathBuf], base: &Path) -> Result<PathBuf, FileProblems> {
    let wrong = |message: String, help: Option<String>| {
        Err(FileProblems::unreadable(
            argument,
            Problem::general(message, help),
        ))
    };
    if argument.trim().is_empty() {
        return wrong("the name of a job is empty".to_owned(), None);
    }
    let is_toml = Path::new(argument)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if argument.contains('/') || is_toml {
        let path = base.join(argument);
        if path.exists() {
            return Ok(path);
        }
        let help = path
            .file_stem()
            .and_then(OsStr::to_str)
            .map(|name| near(name, jobs_dirs, base));
        return wrong("there is no such job file".to_owned(), help);
    }
    let file = format!("{argument}.toml");
    let paths = jobs_dirs.iter().map(|dir| base.join(dir).join(&file));
    if let Some(path) = paths.into_iter().find(|path| path.exists()) {
        return Ok(path);
    }
    let dirs: Vec<String> = jobs_dirs
        .iter()
        .map(|dir| format!("`{}`", dir.display()))
        .collect();
    wrong(
        format!("there is no job of this name in {}", dirs.join(" or ")),
        Some(near(argument, jobs_dirs, base)),
    )
}

/// What there is instead of a job called `name`.
fn near(name: &str, jobs_dirs: &[PathBuf], base: &Path) -> String {
    let (files, _) = all(jobs_dirs, base);
    let names: Vec<&str> = files
        .iter()
        .filter_map(|path| path.file_stem().and_then(OsStr::to_str))
        .collect();
    let list = names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match nearest(name, names.iter().copied()) {
        _ if names.is_empty() => "no job is there at all; a job is a file `<name>.toml`".to_owned(),
        Some(near) if names.len() > 1 => format!("did you mean `{near}`? There are {list}"),
        Some(near) => format!("did you mean `{near}`?"),
        None if names.len() == 1 => format!("there is only {list}"),
        None => format!("there are {list}"),
    }
}

/// Reads a job file. Its name in messages is its path as seen from `base`.
///
/// # Errors
/// All of its mistakes and warnings.
pub fn load(path: &Path, base: &Path, context: &Context) -> Result<Loaded, FileProblems> {
    let name = shown(path, base);
    let unreadable = |problem| FileProblems::unreadable(name.clone(), problem);
    let missing = || unreadable(Problem::general("there is no such job file", None));
    let text = read_text(path).map_err(unreadable)?.ok_or_else(missing)?;
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(unreadable(Problem::general(
            "is empty; a job needs `every`, a `[fleet]` and at least one `[[step]]`",
            None,
        )));
    }
    let Some(stem) = path.file_stem().and_then(OsStr::to_str) else {
        return Err(unreadable(Problem::general(
            "has a name that is not UTF-8, and it gives the job its name",
            Some("rename the file".to_owned()),
        )));
    };
    let parsed = parse(&text, stem, context);
    let warnings = FileProblems {
        name,
        text,
        errors: parsed.errors,
        warnings: parsed.warnings,
    };
    match parsed.job {
        Some(job) => Ok(Loaded {
            path: path.to_owned(),
            job,
            warnings,
        }),
        None => Err(warnings),
    }
}

/// Every job file in the directories, by name; of several with one name, that of the first directory. A directory
/// that is not there has none; one that cannot be read is a problem of its own beside the others' files.
pub fn all(jobs_dirs: &[PathBuf], base: &Path) -> (Vec<PathBuf>, Vec<FileProblems>) {
    let mut found: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    let mut problems = Vec::new();
    for dir in jobs_dirs {
        let dir = base.join(dir);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let problem = Problem::general(format!("cannot be listed: {error}"), None);
                problems.push(FileProblems::unreadable(shown(&dir, base), problem));
                continue;
            }
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let is_job = path
                .extension()
                .is_some_and(|extension| extension == "toml")
                && !path.is_dir();
            if let Some(stem) = path.file_stem().filter(|_| is_job) {
                found.entry(stem.to_owned()).or_insert(path);
            }
        }
    }
    (found.into_values().collect(), problems)
}

/// A path as people know it: relative to where they are, when it lies below.
pub(crate) fn shown(path: &Path, base: &Path) -> String {
    let short = path.strip_prefix(base).unwrap_or(path);
    let short = short.strip_prefix("./").unwrap_or(short);
    if short.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        short.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::{LeaseSettings, ProviderKind};

    const SHORT: &str = "every = '7d'\n[fleet]\nall = true\n[[step]]\nrun = 'true'\n";

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            for (path, text) in files {
                let path = dir.path().join(path);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                std::fs::write(path, text).expect("written");
            }
            Self(dir)
        }
        fn base(&self) -> &Path {
            self.0.path()
        }
        fn find(&self, argument: &str) -> Result<String, String> {
            find(argument, &dirs(), self.base())
                .map(|path| shown(&path, self.base()))
                .map_err(|wrong| {
                    let problem = wrong.errors[0].clone();
                    format!(
                        "{}: {} ({})",
                        wrong.name,
                        problem.message,
                        problem.help.unwrap_or_default()
                    )
                })
        }
        fn load(&self, path: &str) -> Result<Loaded, FileProblems> {
            let context = Context {
                provider: ProviderKind::Local,
                lease: LeaseSettings::default(),
                prefix: String::new(),
            };
            load(&self.base().join(path), self.base(), &context)
        }
    }

    fn dirs() -> Vec<PathBuf> {
        ["jobs", "etc"].map(PathBuf::from).to_vec()
    }

    #[test]
    fn a_job_is_a_path_or_a_name_and_the_first_directory_wins() {
        let place = Place::new(&[
            ("jobs/repair.toml", SHORT),
            ("etc/repair.toml", SHORT),
            ("etc/backup.toml", SHORT),
            ("mine.toml", SHORT),
        ]);
        assert_eq!(place.find("repair"), Ok("jobs/repair.toml".to_owned()));
        assert_eq!(place.find("backup"), Ok("etc/backup.toml".to_owned()));
        assert_eq!(place.find("mine.toml"), Ok("mine.toml".to_owned()));
        assert_eq!(place.find("./mine.toml"), Ok("mine.toml".to_owned()));
        assert_eq!(
            place.find("etc/repair.toml"),
            Ok("etc/repair.toml".to_owned())
        );
        let (files, problems) = all(&dirs(), place.base());
        let files: Vec<String> = files.iter().map(|path| shown(path, place.base())).collect();
        assert_eq!(files, ["etc/backup.toml", "jobs/repair.toml"]);
        assert_eq!(problems, []);
    }

    #[test]
    fn an_unknown_name_says_what_there_is() {
        let place = Place::new(&[("jobs/repair.toml", SHORT), ("etc/backup.toml", SHORT)]);
        assert_eq!(
            place.find("repiar"),
            Err("repiar: there is no job of this name in `jobs` or `etc` (did you mean `repair`? There are `backup`, `repair`)".to_owned())
        );
        assert!(
            place
                .find("zzz")
                .is_err_and(|message| message.contains("there are `backup`"))
        );
        assert!(
            place
                .find("jobs/bakup.toml")
                .is_err_and(|message| message.contains("did you mean `backup`"))
        );
        assert!(
            place
                .find("")
                .is_err_and(|message| message.contains("empty"))
        );
        let empty = Place::new(&[]);
        assert!(
            empty
                .find("repair")
                .is_err_and(|message| message.contains("no job is there at all"))
        );
    }

    #[test]
    fn a_good_file_is_a_job_with_its_file_name() {
        let place = Place::new(&[("jobs/weekly.toml", SHORT)]);
        let loaded = place.load("jobs/weekly.toml").expect("a job");
        assert_eq!(loaded.job.name.as_str(), "weekly");
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn a_file_that_is_no_job_says_why() {
        let place = Place::new(&[
            ("jobs/empty.toml", " \n\n"),
            ("jobs/my job.toml", SHORT),
            ("jobs/bad.toml", "every = 1"),
            ("jobs/dir.toml/x", ""),
        ]);
        let message = |path: &str| {
            let wrong = place.load(path).expect_err("no job");
            (wrong.name, wrong.errors[0].message.clone())
        };
        assert!(message("jobs/empty.toml").1.contains("is empty"));
        assert!(message("jobs/my job.toml").1.contains("`my job`"));
        assert!(message("jobs/dir.toml").1.contains("is a directory"));
        assert!(message("jobs/none.toml").1.contains("no such job file"));
        assert_eq!(message("jobs/bad.toml").0, "jobs/bad.toml");
    }
}
