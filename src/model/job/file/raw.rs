//! The job file as it is written: the one source of its shape, of its JSON Schema and of the words in it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::document::field::SpanText;
use crate::model::document::{At, Field};

/// A Roundsman job: what is done to which nodes, how often, and how many at once.
///
/// Durations are written with units: `90s`, `1h 30m`, `7d`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(title = "Roundsman job", deny_unknown_fields, extend("required" = ["every", "fleet", "step"]))]
pub(super) struct RawJob {
    /// The job's key in tag names (`last-<task>`). Several jobs may share one. Default: the file's name.
    pub(super) task: Field<String>,
    /// A line for people.
    pub(super) about: Field<String>,
    /// A node is due this long after its last completion.
    #[schemars(extend("examples" = ["7d"]))]
    pub(super) every: Field<SpanText>,
    /// A node is overdue this long after its last completion. Not below `every`.
    pub(super) deadline: Field<SpanText>,
    /// When a node that was never served gets its turn: `first`, `last`, or a duration that it must have lived.
    #[schemars(extend("default" = "first", "examples" = ["first", "last", "1d"]))]
    pub(super) new: Field<String>,
    /// A tag that the fleet already has, to be used instead of `last-<task>`.
    pub(super) last_tag: Field<String>,
    /// Whether steps on nodes go through the fence there. `off` serves nodes without `flock` too.
    #[schemars(extend("default" = "on"))]
    pub(super) fence: Field<RawFence>,
    /// What a signal does to a run: leave it to the next invocation, or end it.
    #[schemars(extend("default" = "park"))]
    pub(super) on_stop: Field<RawOnStop>,
    /// Which nodes. `auto-scaling-groups` and `tags` together: both must match.
    pub(super) fleet: Field<RawFleet>,
    /// How many nodes may be not well at once.
    pub(super) limits: Field<RawLimits>,
    /// The lease of this job's claims.
    pub(super) lease: Field<RawLease>,
    /// What every step finds in its environment.
    pub(super) env: Field<BTreeMap<At<String>, Field<String>>>,
    /// The steps, in order.
    #[schemars(extend("minItems" = 1))]
    pub(super) step: Field<Vec<Field<RawStep>>>,
    /// What is done after the steps.
    pub(super) cleanup: Field<Vec<Field<RawCleanup>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawFleet {
    /// Auto Scaling groups, by name (AWS).
    pub(super) auto_scaling_groups: Field<Vec<Field<String>>>,
    /// Tags that must all match; a list means any of its values.
    pub(super) tags: Field<BTreeMap<At<String>, Field<OneOrMany>>>,
    /// Every node of the provider (local inventories).
    pub(super) all: Field<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// In the whole fleet.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 1))]
    pub(super) nodes: Field<u32>,
    /// What not well means.
    #[schemars(extend("default" = ["in-work", "out-of-service", "failed"]))]
    pub(super) count: Field<Vec<Field<RawCount>>>,
    /// Whose leases count: names of jobs, `*` for any run of characters.
    #[schemars(extend("default" = ["*"]))]
    pub(super) jobs: Field<Vec<Field<String>>>,
    /// The same in each part of the fleet.
    pub(super) per: Field<Vec<Field<RawPer>>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawCount {
    /// It has a lock.
    InWork,
    /// Its instance is not running or not in service.
    OutOfService,
    /// It has this task's `fail-`.
    Failed,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawPer {
    /// The parts are the values of this tag.
    pub(super) tag: Field<String>,
    /// The parts are the availability zones.
    pub(super) zone: Field<bool>,
    /// How many nodes in each part.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 1))]
    pub(super) nodes: Field<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawLease {
    /// How long a lease lasts without renewal. Not below the `ttl` of the settings.
    pub(super) ttl: Field<SpanText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawStep {
    /// For people. 1 to 40 letters, digits, `.`, `_`, `-` and single spaces. Default: `step-1`, `step-2`, …
    pub(super) name: Field<String>,
    /// The script.
    pub(super) run: Field<String>,
    /// Instead of `run`: reboots the node; done when its boot id has changed and `ready` succeeds.
    pub(super) reboot: Field<bool>,
    /// With `reboot`: the command that says that the node is back.
    pub(super) ready: Field<String>,
    /// Where it runs: on the node, or beside roundsman itself.
    #[schemars(extend("default" = "node"))]
    pub(super) on: Field<RawOn>,
    /// How long it may take.
    #[schemars(extend("default" = "1h"))]
    pub(super) timeout: Field<SpanText>,
    /// How often it is tried again after an attempt that did not succeed.
    #[schemars(range(min = 0, max = 100), extend("default" = 0))]
    pub(super) retries: Field<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields, extend("required" = ["run"]))]
pub(super) struct RawCleanup {
    /// For people, as of a step. Default: `cleanup-1`, `cleanup-2`, …
    pub(super) name: Field<String>,
    /// After every run, or only after one that did not succeed.
    #[schemars(extend("default" = "always"))]
    pub(super) when: Field<RawWhen>,
    /// The script.
    #[schemars(extend("examples" = ["rm -rf /var/tmp/repair"]))]
    pub(super) run: Field<String>,
    /// Where it runs: on the node, or beside roundsman itself.
    #[schemars(extend("default" = "node"))]
    pub(super) on: Field<RawOn>,
    /// How long it may take.
    #[schemars(extend("default" = "1h"))]
    pub(super) timeout: Field<SpanText>,
    /// How often it is tried again after an attempt that did not succeed.
    #[schemars(range(min = 0, max = 100), extend("default" = 0))]
    pub(super) retries: Field<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawFence {
    /// A node without `flock` is refused.
    On,
    /// A node without `flock` is served all the same.
    Off,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawOnStop {
    /// The step goes on, and the next invocation adopts the run.
    Park,
    /// The step is ended.
    Cancel,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawOn {
    /// On the node, behind the fence.
    Node,
    /// Beside roundsman itself.
    Runner,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawWhen {
    /// After every run.
    Always,
    /// Only after a run that did not succeed.
    Failed,
}
