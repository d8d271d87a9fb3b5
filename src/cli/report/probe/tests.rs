//! The report of a probe, as it is read.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::cli::settings::{self, Files, Overrides};
use crate::model::probe::advice::advise;
use crate::model::probe::find::find;
use crate::model::probe::{Answer, Log, Read, Write};
use crate::model::time::Moment;
use crate::port::{ErrorKind, Offset, PortError};

fn at(ms: u64) -> Moment {
    Moment(Duration::from_millis(ms))
}

/// Thirty writes, four seconds apart, and a read by each call every quarter of a second, of which every ninth by
/// `DescribeInstances` shows what stood there `stale` before.
fn log(stale: u64) -> Log {
    let mut log = Log::default();
    for n in 0..30 {
        log.writes.push(Write {
            read: at(n * 4_000),
            began: at(n * 4_000 + 40),
            ended: at(n * 4_000 + 100 + n),
            answer: Answer::Done,
        });
    }
    for n in 0..480_u64 {
        for way in Way::ALL {
            let began = n * 250 + 130;
            let seen = if way == Way::Fleet && n % 9 == 0 {
                began.saturating_sub(stale)
            } else {
                began
            };
            let version = log
                .writes
                .iter()
                .filter(|write| write.ended <= at(seen))
                .count();
            log.reads.push(Read {
                way,
                began: at(began),
                ended: at(began + 30),
                version,
            });
        }
    }
    log
}

fn shown(
    log: Log,
    ended: Ended,
    now: &LeaseSettings,
    see: impl Fn(&Probe<'_>) -> String,
) -> String {
    let offsets = vec![Offset {
        least_ms: -200,
        most_ms: 700,
    }];
    let found = find(&log, &offsets, now.claim_within);
    let advice = advise(&found, now);
    let probed = Probed {
        log,
        ended,
        removal: Removal::Gone,
        outstanding: None,
        offsets,
        began: "2026-11-23T00:10:00Z".parse().expect("a time"),
        took: Duration::from_secs(120),
    };
    see(&Probe {
        node: "i-0abc",
        label: "db-1 (i-0abc)",
        key: "roundsman-probe",
        region: "eu-west-1",
        account: Some("111122223333"),
        connections: 4,
        probed: &probed,
        found: &found,
        advice: &advice,
        now,
    })
}

fn look(width: usize) -> Look {
    Look {
        colour: false,
        width,
        terminal: false,
        journald: false,
        quiet: false,
        verbose: false,
        now_stamp: false,
    }
}

#[test]
fn a_calm_store_is_told_with_how_little_that_proves() {
    let now = LeaseSettings::default();
    insta::assert_snapshot!(
        "calm",
        shown(log(0), Ended::Whole, &now, |probe| human(probe, look(100)))
    );
}

#[test]
fn a_stale_store_is_told_with_the_settings_to_paste() {
    let now = LeaseSettings::default();
    insta::assert_snapshot!(
        "stale",
        shown(log(6_000), Ended::Signal, &now, |probe| human(
            probe,
            look(80)
        ))
    );
}

#[test]
fn what_is_pasted_is_read_back_as_the_settings_that_were_chosen() {
    let now = LeaseSettings::default();
    let text = shown(log(40_000), Ended::Whole, &now, |probe| {
        let chosen = probe.advice.settings.expect("some");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("roundsman.toml"), paste(probe)).expect("written");
        let files = Files {
            system: Path::new("/nonexistent"),
            named: None,
            base: folder.path(),
        };
        let loaded = settings::load(&files, [], &Overrides::default()).expect("settings");
        let read = loaded.settings.lease;
        assert_eq!(read, chosen);
        assert_ne!(read, now);
        paste(probe)
    });
    assert!(text.contains("# was 5s"), "{text}");
}

#[test]
fn nothing_is_concluded_in_json_from_a_probe_that_failed() {
    let now = LeaseSettings::default();
    let object = |ended| -> serde_json::Value {
        let text = shown(log(6_000), ended, &now, |probe| {
            let text = serde_json::to_string(&json(probe)).expect("JSON");
            assert!(text.starts_with("{\"v\":1,"), "{text}");
            text
        });
        serde_json::from_str(&text).expect("JSON")
    };
    let whole = object(Ended::Whole);
    assert_eq!(whole["settings"][1]["verdict"], "below");
    assert_eq!(whole["lease"]["settle_ms"], 39_000);
    assert_eq!(whole["reads"][2]["way"], "fleet");
    let failed = object(Ended::Trouble(PortError::new(
        ErrorKind::NotFound,
        "it is gone",
    )));
    assert_eq!(
        (&failed["error"], &failed["ended"]),
        (&"it is gone".into(), &"failed".into())
    );
    assert!(failed["lease"].is_null() && failed["settings"] == serde_json::json!([]));
}

#[test]
fn a_tag_that_may_be_left_comes_with_the_command_that_removes_it() {
    let left = Removal::Perhaps {
        value: "v1 probe=X seq=3".to_owned(),
        why: "no answer".to_owned(),
    };
    let (warning, text) = removal("i-1", "roundsman-probe", &left, None);
    assert!(warning && text.contains("--resources i-1 --tags '[{\"Key\":\"roundsman-probe\",\"Value\":\"v1 probe=X seq=3\"}]'"));
    assert!(!removal("i-1", "k", &Removal::Gone, None).0);
    let (warning, text) = removal("i-1", "k", &Removal::Gone, Some("2026-11-23T00:25:00Z"));
    assert!(
        warning && text.contains("until 2026-11-23T00:25:00Z"),
        "{text}"
    );
}
