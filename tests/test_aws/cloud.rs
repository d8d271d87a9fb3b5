//! An AWS to test against: EC2, Auto Scaling and SSM over HTTP as the SDKs speak it, on loopback, in this process.
//!
//! It is included as `test_aws` by whoever needs it: tests, and the example that is started by hand. What it is true to
//! and what it is not stands in `tests/test_aws.rs`, where it is compared with moto. SSM really runs what it is sent.
//! Nothing checks signatures; the access key id in one names the caller in the log and for faults.

mod admin;
mod asg;
mod bucket;
mod call;
mod desk;
mod ec2;
mod fault;
mod fleet;
mod http;
mod log;
mod lots;
mod page;
mod query;
mod settings;
mod signal;
mod ssm;
mod state;
mod tags;
mod warden;
mod xml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

pub(crate) use settings::Settings;

use http::Server;
use state::Shared;
use warden::Warden;

/// A running test AWS. It ends, and all that runs on its nodes, when this is dropped.
pub(crate) struct Aws {
    shared: Shared,
    server: Option<Server>,
    /// The folder of the nodes.
    root: PathBuf,
    warden: Option<Warden>,
}

impl Aws {
    /// A calm one, empty.
    pub(crate) fn start() -> Self {
        Self::with(&Settings::default()).expect("a port and a folder")
    }

    /// One with these settings, empty.
    ///
    /// # Errors
    /// When its port is taken, or there is no place for its nodes.
    pub(crate) fn with(settings: &Settings) -> std::io::Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("test-aws-")
            .tempdir()?
            .keep();
        let shared = Shared::new(settings, root.clone());
        let warden = Warden::start(&shared.marks(), &root)?;
        let serving = shared.clone();
        // Known before the first request comes, which needs it to find its caller.
        let port = Arc::new(OnceLock::new());
        let known = Arc::clone(&port);
        let handler = move |request| {
            let port = *known.wait();
            desk::handle(&serving, port, &request)
        };
        let server = Server::start(settings.port, Arc::new(handler))?;
        let _ = port.set(server.port);
        Ok(Self {
            shared,
            server: Some(server),
            root,
            warden: Some(warden),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.as_ref().map_or(0, |server| server.port)
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// What a process needs in its environment to take it for AWS.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        self.env_of("test")
    }

    /// The same for one caller among others.
    pub(crate) fn env_of(&self, caller: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", caller.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", fleet::REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Launches instances, in an Auto Scaling group or outside of any; the group is made when there is none. Their
    /// names are `<group>-1` and so on (`node-1`), their agents answer.
    pub(crate) fn fleet(
        &self,
        group: Option<&str>,
        nodes: usize,
        tags: &[(&str, &str)],
    ) -> Vec<String> {
        let tags: BTreeMap<&str, &str> = tags.iter().copied().collect();
        let made = self.post(
            "fleet",
            json!({"group": group, "nodes": nodes, "tags": tags}),
        );
        serde_json::from_value(made["nodes"].clone()).expect("ids")
    }

    /// What one instance is from now on: `state`, `reason`, `lifecycle`, `health`, `agent`.
    pub(crate) fn instance(&self, node: &str, is: &Value) {
        self.post(&format!("instance/{node}"), is.clone());
    }

    /// Reboots a node.
    pub(crate) fn reboot(&self, node: &str) {
        self.post(&format!("reboot/{node}"), json!({}));
    }

    /// The tags of a node, as they are.
    pub(crate) fn tags(&self, node: &str) -> BTreeMap<String, String> {
        self.shared.state().tags.now(node, state::now())
    }

    /// Sets tags of a node, past the API.
    pub(crate) fn set_tags(&self, node: &str, tags: &[(&str, &str)]) {
        let tags: BTreeMap<&str, &str> = tags.iter().copied().collect();
        self.post(&format!("tags/{node}"), json!({"set": tags}));
    }

    /// Makes calls go wrong (see `fault.rs`).
    pub(crate) fn fault(&self, fault: &Value) {
        self.post("faults", fault.clone());
    }

    /// The same for whoever may be wrong about it.
    ///
    /// # Errors
    /// What is wrong with the fault.
    pub(crate) fn try_fault(&self, fault: &Value) -> Result<(), String> {
        admin::tell(&self.shared, "POST", "faults", "", fault.clone()).map(|_| ())
    }

    /// How stale, slow and narrow it is from now on.
    pub(crate) fn weather(&self, weather: &Value) {
        self.post("weather", weather.clone());
    }

    /// How many seconds its clock is ahead of this machine's.
    pub(crate) fn clock(&self, seconds: i64) {
        self.post("clock", json!({"seconds": seconds}));
    }

    /// The most entries in one answer of an action.
    pub(crate) fn pages(&self, pages: &Value) {
        self.post("pages", pages.clone());
    }

    /// Calls by action since the last reset.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.state().log.counts()
    }

    /// Every call since the last reset.
    pub(crate) fn log(&self) -> Vec<log::Logged> {
        self.shared.state().log.calls().to_vec()
    }

    /// Every command that was sent, as SSM shows it, and its `Text`.
    pub(crate) fn commands(&self) -> Vec<Value> {
        let told = admin::tell(&self.shared, "GET", "commands", "", json!({}));
        serde_json::from_value(told.expect("commands")).expect("a list")
    }

    /// Forgets calls, faults, page sizes and the clock's offset.
    pub(crate) fn reset(&self) {
        self.post("reset", json!({}));
    }

    /// The folder of the nodes' folders.
    pub(crate) fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Asks at the back door.
    ///
    /// # Panics
    /// With what is wrong with the question: it is a test's.
    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        let (what, name) = path.split_once('/').unwrap_or((path, ""));
        let told = admin::tell(&self.shared, "POST", what, name, body);
        told.unwrap_or_else(|why| panic!("{path}: {why}"))
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.shared.end();
        self.server = None;
        // Kills what runs on nodes, and removes their folders.
        self.warden = None;
    }
}
