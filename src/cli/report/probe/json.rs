//! `probe --format json`: one object. Times are in milliseconds.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::report::json::VERSION;
use crate::cli::report::probe::{Probe, call};
use crate::engine::probe::{Ended, Removal};
use crate::model::probe::advice::Row;
use crate::model::probe::find::{Bounds, WayFound};
use crate::model::probe::spread::Spread;
use crate::model::settings::LeaseSettings;
use crate::model::time::format_stamp;

/// The whole of it, in the order in which it is read.
#[derive(Debug, Serialize)]
pub struct ProbeJson {
    v: u8,
    at: String,
    node: String,
    region: String,
    account: Option<String>,
    ended: &'static str,
    error: Option<String>,
    took_ms: u64,
    connections: usize,
    tag: Value,
    claim: Option<Value>,
    write: Option<Value>,
    writes: Value,
    first_seen: Option<Value>,
    last_missed: Option<Value>,
    reads: Vec<Value>,
    backwards: usize,
    throttled: usize,
    failed: usize,
    clock: Value,
    settings: Vec<Value>,
    lease: Option<Value>,
}

/// The object. Of a probe that ended in trouble nothing is concluded: `settings` is empty, `lease` is `null`.
pub fn json(probe: &Probe<'_>) -> ProbeJson {
    let (probed, found, advice) = (probe.probed, probe.found, probe.advice);
    let (ended, error) = match &probed.ended {
        Ended::Whole => ("whole", None),
        Ended::Signal => ("interrupted", None),
        Ended::Trouble(error) => ("failed", Some(error.message.clone())),
    };
    let concluded = error.is_none();
    ProbeJson {
        v: VERSION,
        at: format_stamp(probed.began),
        node: probe.node.to_owned(),
        region: probe.region.to_owned(),
        account: probe.account.map(str::to_owned),
        ended,
        error,
        took_ms: ms(probed.took),
        connections: probe.connections,
        tag: match &probed.removal {
            Removal::NotWritten | Removal::Gone => {
                json!({ "key": probe.key, "removed": true, "value": null })
            }
            Removal::Perhaps { value, .. } => {
                json!({ "key": probe.key, "removed": false, "value": value })
            }
        },
        claim: found.claims.map(spread),
        write: found.writes.map(spread),
        writes: json!({
            "done": found.writes.map_or(0, |writes| writes.samples),
            "late": found.late,
            "refused": found.refused,
            "unanswered": found.unanswered,
        }),
        first_seen: found.first_seen.map(spread),
        last_missed: found.last_missed.map(spread),
        reads: found.ways.iter().map(way).collect(),
        backwards: found.backwards,
        throttled: probed.log.throttled,
        failed: probed.log.failed,
        clock: bounds(found.clock),
        settings: if concluded {
            advice.rows.iter().map(row).collect()
        } else {
            Vec::new()
        },
        lease: advice.settings.as_ref().filter(|_| concluded).map(lease),
    }
}

fn ms(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn spread(spread: Spread) -> Value {
    json!({
        "samples": spread.samples,
        "p50_ms": ms(spread.p50),
        "p99_ms": ms(spread.p99),
        "max_ms": ms(spread.max),
    })
}

fn bounds(bounds: Bounds) -> Value {
    json!({ "at_least_ms": ms(bounds.at_least), "at_most_ms": ms(bounds.at_most) })
}

fn way(way: &WayFound) -> Value {
    json!({
        "way": way.way.label(),
        "call": call(way.way),
        "reads": way.reads(),
        "stale": way.stale,
        "unclear": way.unclear,
        "backwards": way.backwards,
        "bare": way.bare,
        "age": way.age.map(spread),
        "worst": bounds(way.worst),
        "took": way.took.map(spread),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "key": format!("lease.{}", row.key),
        "is_ms": ms(row.now),
        "found_ms": ms(row.found),
        "choose_ms": ms(row.choose),
        "verdict": row.verdict.label(),
    })
}

fn lease(lease: &LeaseSettings) -> Value {
    json!({
        "claim_within_ms": ms(lease.claim_within),
        "staleness_ms": ms(lease.staleness),
        "skew_ms": ms(lease.skew),
        "margin_ms": ms(lease.margin),
        "ttl_ms": ms(lease.ttl),
        "request_life_ms": ms(lease.request_life),
        "settle_ms": ms(lease.settle()),
    })
}
