//! The back door, under `/test-aws/`: what a test, or somebody at a keyboard, does to the test AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bucket::Buckets;
use super::fault::Fault;
use super::fleet::{Change, Wanted};
use super::state::{Shared, now};
use super::{signal, ssm};

/// What is there, for whoever asks for nothing.
const HELP: &str = "\
GET  calls            calls of each action since the last reset
GET  log              every call since then: number, at_ms, action, caller, nodes, fault, answer
GET  commands         every command that was sent, as ListCommands shows it, with its Text
GET  fleet            all instances and groups
GET  tags/ID          the tags of an instance, as they are
POST tags/ID          {\"set\": {}, \"delete\": []}
POST fleet            {\"group\": null, \"nodes\": 3, \"tags\": {}, \"agents\": true}: launches instances
POST instance/ID      {\"state\", \"reason\", \"lifecycle\", \"health\", \"agent\"}: what it is from now on
POST reboot/ID        kills all that runs there; another boot id
POST faults           {\"mode\", \"action\", \"node\", \"caller\", \"text\", \"skip\", \"every\", \"share\", \"count\",
                       \"seconds\", \"signal\", \"pid\", \"when\"}: see fault.rs; the first that strikes a call counts
POST weather          {\"staleness\", \"delivery\", \"not-yet\": seconds, \"buckets\": true}
POST clock            {\"seconds\": 30}: how far its clock is ahead of this machine's
POST pages            {\"DescribeInstances\": 2}: no answer holds more
POST reset            forgets calls, faults, page sizes and the clock's offset; fleet and commands stay
";

/// What is told, or what was wrong with the question.
type Told = Result<Value, String>;

/// Tags that are set and deleted past the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tagged {
    #[serde(default)]
    pub(crate) set: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) delete: Vec<String>,
}

/// How it is from now on; in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Weather {
    staleness: Option<f64>,
    delivery: Option<f64>,
    not_yet: Option<f64>,
    buckets: Option<bool>,
}

/// Answers a request: an HTTP status and JSON.
pub(crate) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let (what, name) = path.split_once('/').unwrap_or((path, ""));
    let body = if body.is_empty() {
        "{}".as_bytes()
    } else {
        body
    };
    let told = serde_json::from_slice(body)
        .map_err(|error| error.to_string())
        .and_then(|body| tell(shared, method, what, name, body));
    match told {
        Ok(Value::String(text)) => (200, text),
        Ok(told) => (200, format!("{told}\n")),
        Err(why) => (400, format!("{}\n", json!({"error": why}))),
    }
}

/// Does what is asked for at the back door.
pub(crate) fn tell(shared: &Shared, method: &str, what: &str, name: &str, body: Value) -> Told {
    match (method, what) {
        ("GET", "") => Ok(json!(HELP)),
        ("GET", "calls") => Ok(json!(shared.state().log.counts())),
        ("GET", "log") => Ok(json!(shared.state().log.calls())),
        ("GET", "commands") => Ok(commands(shared)),
        ("GET", "fleet") => Ok(fleet(shared)),
        ("GET", "tags") => Ok(json!(shared.state().tags.now(name, now()))),
        ("POST", "tags") => set_tags(shared, name, &read(body)?),
        ("POST", "fleet") => Ok(launch(shared, &read(body)?)),
        ("POST", "instance") => change(shared, name, &read(body)?),
        ("POST", "reboot") => {
            ssm::reboot(shared, name);
            Ok(json!({}))
        }
        ("POST", "faults") => fault(shared, read(body)?),
        ("POST", "weather") => weather(shared, &read(body)?),
        ("POST", "clock") => {
            let seconds = body["seconds"].as_i64().ok_or("seconds is missing")?;
            shared.state().ahead = seconds;
            Ok(json!({}))
        }
        ("POST", "pages") => {
            shared.state().pages = read(body)?;
            Ok(json!({}))
        }
        ("POST", "reset") => {
            let mut state = shared.state();
            state.log.reset();
            state.faults.clear();
            state.pages.clear();
            state.ahead = 0;
            Ok(json!({}))
        }
        _ => Err(format!(
            "no {method} {what} here; GET /test-aws/ tells what there is"
        )),
    }
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| error.to_string())
}

fn commands(shared: &Shared) -> Value {
    let state = shared.state();
    let shown = state.commands.known(state.time()).map(|command| {
        let mut shown = command.shown();
        shown["Text"] = json!(command.text);
        shown
    });
    shown.collect()
}

fn fleet(shared: &Shared) -> Value {
    let state = shared.state();
    let instances = state.fleet.instances.iter().map(|it| {
        json!({"id": it.id, "zone": it.zone, "address": it.address, "state": it.state, "agent": it.agent,
               "home": shared.home(&it.id), "tags": state.tags.now(&it.id, now())})
    });
    let groups = state.fleet.groups.iter().map(|(name, members)| {
        let members: Vec<&String> = members.iter().map(|member| &member.instance).collect();
        (name.clone(), json!(members))
    });
    json!({
        "instances": instances.collect::<Vec<_>>(),
        "groups": groups.collect::<serde_json::Map<_, _>>(),
    })
}

fn set_tags(shared: &Shared, node: &str, tagged: &Tagged) -> Told {
    let mut state = shared.state();
    if state.fleet.get(node).is_none() {
        return Err(format!("there is no instance {node}"));
    }
    for (key, value) in &tagged.set {
        state.tags.put(node, key, Some(value), now());
    }
    for key in &tagged.delete {
        state.tags.put(node, key, None, now());
    }
    Ok(json!(state.tags.now(node, now())))
}

fn launch(shared: &Shared, wanted: &Wanted) -> Value {
    let mut guard = shared.state();
    let state = &mut *guard;
    let at = state.time();
    let before = wanted
        .group
        .as_ref()
        .and_then(|group| state.fleet.groups.get(group));
    let before = before.map_or(0, Vec::len);
    let ids = state.fleet.launch(wanted, at, &mut state.lots);
    for (number, id) in ids.iter().enumerate() {
        let kind = wanted.group.as_deref().unwrap_or("node");
        let name = format!("{kind}-{}", before + number + 1);
        state.tags.put(id, "Name", Some(&name), now());
        if let Some(group) = &wanted.group {
            state
                .tags
                .put(id, "aws:autoscaling:groupName", Some(group), now());
        }
        for (key, value) in &wanted.tags {
            state.tags.put(id, key, Some(value), now());
        }
    }
    json!({"nodes": ids})
}

/// An instance that stops or ends takes all that runs on it along.
fn change(shared: &Shared, node: &str, change: &Change) -> Told {
    if !shared.state().fleet.change(node, change) {
        return Err(format!("there is no instance {node}"));
    }
    if matches!(change.state.as_deref(), Some("stopped" | "terminated")) {
        ssm::reboot(shared, node);
    }
    Ok(json!({}))
}

fn fault(shared: &Shared, fault: Fault) -> Told {
    if signal::named(&fault.signal).is_none() {
        return Err(format!("no signal {}", fault.signal));
    }
    shared.state().faults.push(fault);
    Ok(json!({}))
}

fn weather(shared: &Shared, weather: &Weather) -> Told {
    let time = |seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds}: {error}"))
    };
    let mut state = shared.state();
    if let Some(seconds) = weather.staleness {
        state.staleness = time(seconds)?;
    }
    if let Some(seconds) = weather.delivery {
        state.delivery = time(seconds)?;
    }
    if let Some(seconds) = weather.not_yet {
        state.not_yet = time(seconds)?;
    }
    if let Some(buckets) = weather.buckets {
        state.buckets = buckets.then(Buckets::default);
    }
    Ok(json!({}))
}
