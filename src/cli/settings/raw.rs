//! The settings as they are written: their one shape, for files, variables and flags alike.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::document::field::SpanText;
use crate::model::document::{At, Field};

/// Roundsman's settings: where and how it works.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(title = "Roundsman settings", deny_unknown_fields)]
pub(super) struct RawSettings {
    /// The lease that every claim takes.
    pub(super) lease: Field<RawLease>,
    /// Tag names.
    pub(super) tags: Field<RawTags>,
    /// Where the nodes are.
    pub(super) provider: Field<RawProvider>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawLease {
    /// Who stands in the locks. Default: user@host.
    pub(super) owner: Field<String>,
    /// A write counts only if it was answered within this of the start of the read that justifies it.
    pub(super) claim_within: Field<SpanText>,
    /// No read is older than this.
    pub(super) staleness: Field<SpanText>,
    /// No two clocks differ by more.
    pub(super) skew: Field<SpanText>,
    /// How long after its end a lease is left alone.
    pub(super) margin: Field<SpanText>,
    /// How long a lease lasts without renewal.
    pub(super) ttl: Field<SpanText>,
    /// No write lands later than this after it was begun.
    pub(super) request_life: Field<SpanText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawTags {
    /// Stands before the name of every tag that roundsman writes.
    pub(super) prefix: Field<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawProvider {
    /// Which provider.
    pub(super) kind: Field<RawKind>,
    /// EC2, Auto Scaling, SSM.
    pub(super) aws: Field<RawAws>,
    /// An inventory of your own.
    pub(super) local: Field<RawLocal>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawKind {
    /// EC2, Auto Scaling, SSM.
    Aws,
    /// An inventory of your own.
    Local,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawAws {
    /// The region. Default: the SDK's own chain.
    pub(super) region: Field<String>,
    /// The SSM document that runs steps.
    pub(super) document: Field<String>,
    /// The profile of the shared configuration. Default: the SDK's own chain.
    pub(super) profile: Field<String>,
    /// An endpoint for all services. Default: the SDK's own chain.
    pub(super) endpoint: Field<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawLocal {
    /// The `SQLite` file, relative to the file that names it. Default: `$STATE_DIRECTORY`, else XDG state.
    pub(super) store: Field<String>,
    /// The command that runs `sh -s` on a node. Default: this machine.
    pub(super) via: Field<Vec<Field<String>>>,
    /// The nodes.
    pub(super) node: Field<Vec<Field<RawNode>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
#[schemars(deny_unknown_fields, extend("required" = ["id"]))]
pub(super) struct RawNode {
    /// Its id, once in the inventory.
    #[schemars(extend("examples" = ["db-1"]))]
    pub(super) id: Field<String>,
    /// Its name for people.
    pub(super) name: Field<String>,
    /// Where it is reached.
    pub(super) address: Field<String>,
    /// The failure domain that it is in.
    pub(super) zone: Field<String>,
    /// What selectors and limits see.
    pub(super) tags: Field<BTreeMap<At<String>, Field<String>>>,
}

/// What figment makes of all layers together: checked values only, so plain ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Merged {
    pub(super) lease: MergedLease,
    pub(super) tags: MergedTags,
    pub(super) provider: MergedProvider,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MergedLease {
    pub(super) owner: Option<String>,
    pub(super) claim_within: String,
    pub(super) staleness: String,
    pub(super) skew: String,
    pub(super) margin: String,
    pub(super) ttl: String,
    pub(super) request_life: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct MergedTags {
    pub(super) prefix: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct MergedProvider {
    pub(super) kind: RawKind,
    pub(super) aws: MergedAws,
    #[serde(default)]
    pub(super) local: MergedLocal,
}

#[derive(Debug, Deserialize)]
pub(super) struct MergedAws {
    pub(super) region: Option<String>,
    pub(super) document: String,
    pub(super) profile: Option<String>,
    pub(super) endpoint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct MergedLocal {
    pub(super) store: Option<String>,
    pub(super) via: Option<Vec<String>>,
    #[serde(default)]
    pub(super) node: Vec<MergedNode>,
}

/// A node after its checks; also how it goes into figment.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct MergedNode {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
}
