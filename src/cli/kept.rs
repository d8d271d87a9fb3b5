//! What the last probe of each place found: one small JSON file in the state directory of this machine.
//!
//! It is a memory, not a contract: what cannot be read is told, and never stands in the way of anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::report::text::harmless_line;
use crate::io::environment;
use crate::model::probe::advice::Row;
use crate::model::settings::{LeaseSettings, ProviderKind, Settings};
use crate::model::span::{exact_span, fine_span};

const FILE: &str = "probe.json";
const VERSION: u32 = 1;
/// How many places are remembered; the one that was probed longest ago goes first.
const PLACES_MAX: usize = 50;

/// Where AWS is, as far as settings and environment say without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The region. Of what is kept, always; of the settings, where they or the environment name one.
    pub region: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
}

impl Place {
    /// What the settings and the environment mean.
    pub fn of(settings: &Settings) -> Self {
        let aws = &settings.provider.aws;
        let or = |setting: &Option<String>, names: [&str; 2]| {
            let setting = setting.clone();
            setting.or_else(|| names.into_iter().find_map(environment::variable))
        };
        Self {
            region: or(&aws.region, ["AWS_REGION", "AWS_DEFAULT_REGION"]),
            profile: or(&aws.profile, ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]),
            endpoint: or(&aws.endpoint, ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"]),
        }
    }

    /// Whether what was found at `kept` is said of this place. A region that only the profile or the instance knows
    /// may be any.
    fn may_be(&self, kept: &Self) -> bool {
        self.profile == kept.profile
            && self.endpoint == kept.endpoint
            && (self.region.is_none() || self.region == kept.region)
    }
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where.
    pub place: Place,
    /// In which account, as far as that is known.
    pub account: Option<String>,
    /// On which node.
    pub node: String,
    /// When it began, the provider's time.
    pub at: String,
    /// Of how many reads.
    pub reads: usize,
    /// What was found of each setting.
    pub found: Vec<KeptRow>,
}

/// What was found of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRow {
    /// Its key in `[lease]`.
    pub key: String,
    /// What was found, for certain.
    pub found_ms: u64,
    /// What the probe would choose.
    pub choose_ms: u64,
}

impl From<&Row> for KeptRow {
    fn from(row: &Row) -> Self {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            key: row.key.to_owned(),
            found_ms: ms(row.found),
            choose_ms: ms(row.choose),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    v: u32,
    probes: Vec<Kept>,
}

/// Why something could not be kept or read: a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unkept(String);

fn path() -> Option<PathBuf> {
    environment::state_directory().map(|directory| directory.join(FILE))
}

fn unkept(path: &Path, why: impl std::fmt::Display) -> Unkept {
    Unkept(format!("{}: {why}", path.display()))
}

/// What the file says; nothing when there is none.
fn read(path: &Path) -> Result<File, Unkept> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(unkept(path, error)),
    };
    // The version first: a later one may look different.
    let version: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| unkept(path, error))?;
    if version["v"] != VERSION {
        return Err(unkept(
            path,
            format!(
                "it has version {}, and this roundsman reads {VERSION}",
                version["v"]
            ),
        ));
    }
    serde_json::from_value(version).map_err(|error| unkept(path, error))
}

/// Keeps what a probe found, in place of the one before at the same place and in the same account.
///
/// # Errors
/// When there is no state directory, or it cannot be written. A file that cannot be read is written anew.
pub fn keep(kept: Kept) -> Result<PathBuf, Unkept> {
    let path = path().ok_or_else(|| {
        Unkept("there is no state directory: set $HOME or $XDG_STATE_HOME".to_owned())
    })?;
    keep_in(&path, kept)?;
    Ok(path)
}

fn keep_in(path: &Path, kept: Kept) -> Result<(), Unkept> {
    let mut probes = read(path).unwrap_or_default().probes;
    probes.retain(|known| known.place != kept.place || known.account != kept.account);
    probes.push(kept);
    probes.drain(..probes.len().saturating_sub(PLACES_MAX));
    let file = File { v: VERSION, probes };
    let text = serde_json::to_string_pretty(&file).map_err(|error| unkept(path, error))?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| unkept(directory, error))?;
    }
    // Written beside it and moved over it: nobody reads half a file.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, text + "\n")
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            unkept(path, error)
        })
}

/// One sentence for each setting that is below what the last probe of its place found.
///
/// # Errors
/// When what is kept cannot be read.
pub fn warnings(settings: &Settings) -> Result<Vec<String>, Unkept> {
    match path() {
        Some(path) if settings.provider.kind == ProviderKind::Aws => Ok(below(
            &read(&path)?.probes,
            &Place::of(settings),
            &settings.lease,
        )),
        _ => Ok(Vec::new()),
    }
}

fn below(probes: &[Kept], place: &Place, lease: &LeaseSettings) -> Vec<String> {
    let mut warnings = Vec::new();
    for kept in probes.iter().filter(|kept| place.may_be(&kept.place)) {
        for row in &kept.found {
            let now = match row.key.as_str() {
                "claim-within" => lease.claim_within,
                "staleness" => lease.staleness,
                "skew" => lease.skew,
                _ => continue,
            };
            let found = Duration::from_millis(row.found_ms);
            if now < found {
                let account = kept
                    .account
                    .as_ref()
                    .map_or_else(String::new, |account| format!(", account {account}"));
                warnings.push(harmless_line(&format!(
                    "`lease.{}` is {}, but the probe of {} found {} (on {} in {}{account}): raise it to {} on all machines",
                    row.key,
                    exact_span(now),
                    kept.at,
                    fine_span(found),
                    kept.node,
                    kept.place.region.as_deref().unwrap_or("an unknown region"),
                    exact_span(Duration::from_millis(row.choose_ms)),
                )));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: Option<&str>, profile: Option<&str>) -> Place {
        Place {
            region: region.map(str::to_owned),
            profile: profile.map(str::to_owned),
            endpoint: None,
        }
    }

    fn kept(region: &str, account: &str, staleness_ms: u64) -> Kept {
        let row = |key: &str, found_ms, choose_ms| KeptRow {
            key: key.to_owned(),
            found_ms,
            choose_ms,
        };
        Kept {
            place: place(Some(region), None),
            account: Some(account.to_owned()),
            node: "i-1".to_owned(),
            at: "2026-11-23T00:10:00Z".to_owned(),
            reads: 1_440,
            found: vec![
                row("claim-within", 2_000, 6_000),
                row("staleness", staleness_ms, 16_000),
                row("skew", 0, 10_000),
                row("of-a-later-version", 9_000_000, 0),
            ],
        }
    }

    #[test]
    fn only_a_setting_that_is_below_what_was_found_is_warned_of() {
        let lease = LeaseSettings::default();
        let here = place(Some("eu-west-1"), None);
        assert_eq!(
            below(&[kept("eu-west-1", "1", 5_000)], &here, &lease),
            [""; 0]
        );
        assert_eq!(
            below(&[kept("eu-west-1", "1", 5_001)], &here, &lease),
            [
                "`lease.staleness` is 5s, but the probe of 2026-11-23T00:10:00Z found 5.00s (on i-1 in eu-west-1, account 1): \
              raise it to 16s on all machines"
            ]
        );
    }

    #[test]
    fn what_was_found_elsewhere_says_nothing_here() {
        let lease = LeaseSettings::default();
        let probes = [
            kept("eu-west-1", "1", 9_000),
            kept("us-east-1", "1", 9_000),
            kept("us-east-1", "2", 9_000),
        ];
        let count = |region, profile| below(&probes, &place(region, profile), &lease).len();
        assert_eq!(count(Some("eu-west-1"), None), 1);
        assert_eq!(count(Some("us-east-1"), None), 2);
        assert_eq!(count(Some("eu-north-1"), None), 0);
        assert_eq!(count(Some("eu-west-1"), Some("fleet")), 0);
        // The region is the profile's or the instance's: it may be any.
        assert_eq!(count(None, None), 3);
    }

    #[test]
    fn the_last_probe_of_a_place_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("not/there/probe.json");
        for (region, account, staleness) in
            [("a", "1", 1), ("b", "1", 2), ("a", "2", 3), ("a", "1", 4)]
        {
            keep_in(&path, kept(region, account, staleness)).expect("kept");
        }
        let found: Vec<u64> = read(&path)
            .expect("read")
            .probes
            .iter()
            .map(|kept| kept.found[1].found_ms)
            .collect();
        assert_eq!(found, [2, 3, 4]);
        let files = std::fs::read_dir(path.parent().expect("a parent"))
            .expect("a folder")
            .count();
        assert_eq!(files, 1, "nothing is left beside it");
        for n in 0..60 {
            keep_in(&path, kept(&n.to_string(), "1", n)).expect("kept");
        }
        assert_eq!(read(&path).expect("read").probes.len(), PLACES_MAX);
    }

    #[test]
    fn a_broken_file_is_told_and_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        assert_eq!(read(&path).expect("none").probes, []);
        for text in [
            "",
            "{",
            "[]",
            "{\"v\":2,\"probes\":[]}",
            "{\"v\":1,\"probes\":[{}]}",
        ] {
            std::fs::write(&path, text).expect("written");
            let why = read(&path).expect_err("broken").to_string();
            assert!(why.contains(FILE), "{why}");
        }
        keep_in(&path, kept("a", "1", 1)).expect("kept");
        assert_eq!(read(&path).expect("read").probes, [kept("a", "1", 1)]);
    }
}
