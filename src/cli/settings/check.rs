//! Checks the values of one layer, each by itself.

use std::collections::BTreeMap;
use std::ops::Range;

use figment::value::Value;
use serde::Serialize;

use crate::cli::settings::raw::{
    MergedNode, RawAws, RawLease, RawLocal, RawNode, RawProvider, RawSettings,
};
use crate::cli::settings::rules::{
    Bad, bad_document, bad_endpoint, bad_id, bad_prefix, bad_region,
};
use crate::model::document::field::SpanText;
use crate::model::document::{At, Field, Findings};
use crate::model::span::parse_span;
use crate::model::tag::VALUE_MAX;

/// A value that a layer gives, and that is good by itself.
#[derive(Debug)]
pub(super) struct Given {
    /// The setting (`lease.ttl`).
    pub(super) key: &'static str,
    /// Where it stands in the layer's text.
    pub(super) span: Range<usize>,
    /// What it is.
    pub(super) value: Value,
}

/// Every good value of a layer; what is wrong with the others goes into `found`.
pub(super) fn values(raw: &RawSettings, found: &mut Findings) -> Vec<Given> {
    let mut check = Check {
        found,
        given: Vec::new(),
    };
    if let Some(lease) = check.found.get(&raw.lease) {
        check.lease(&lease.value);
    }
    if let Some(tags) = check.found.get(&raw.tags) {
        check.text("tags.prefix", &tags.value.prefix, bad_prefix);
    }
    if let Some(provider) = check.found.get(&raw.provider) {
        check.provider(&provider.value);
    }
    check.given
}

struct Check<'a, 't> {
    found: &'a mut Findings<'t>,
    given: Vec<Given>,
}

impl Check<'_, '_> {
    fn give(&mut self, key: &'static str, span: &Range<usize>, value: impl Serialize) {
        match Value::serialize(value) {
            Ok(value) => self.given.push(Given {
                key,
                span: span.clone(),
                value,
            }),
            Err(error) => self.found.error(span, error.to_string(), ""),
        }
    }

    fn text(&mut self, key: &'static str, field: &Field<String>, bad: fn(&str) -> Bad) {
        let Some(text) = self.found.get(field) else {
            return;
        };
        match bad(&text.value) {
            None => self.give(key, &text.span, &text.value),
            Some((message, help)) => self.found.error(&text.span, message, help),
        }
    }

    fn lease(&mut self, lease: &RawLease) {
        self.text("lease.owner", &lease.owner, |owner| {
            let empty = owner.trim().is_empty();
            empty.then(|| ("`owner` is empty".to_owned(), "leave it out for user@host"))
        });
        self.span("lease.claim-within", &lease.claim_within);
        self.span("lease.staleness", &lease.staleness);
        self.span("lease.skew", &lease.skew);
        self.span("lease.margin", &lease.margin);
        self.span("lease.ttl", &lease.ttl);
        self.span("lease.request-life", &lease.request_life);
    }

    fn span(&mut self, key: &'static str, field: &Field<SpanText>) {
        let Some(text) = self.found.get(field) else {
            return;
        };
        let name = key.trim_start_matches("lease.");
        match parse_span(&text.value.0) {
            Err(message) => self.found.error(&text.span, message, ""),
            Ok(span) if span.is_zero() => {
                self.found
                    .error(&text.span, format!("`{name}` must be above zero"), "");
            }
            // A hundred years, far beyond what any relation allows; sums with it still fit every clock.
            Ok(span) if span.as_secs() > 3_155_760_000 => {
                self.found.error(
                    &text.span,
                    format!("`{name}` must be at most 100 years"),
                    "",
                );
            }
            Ok(_) => self.give(key, &text.span, &text.value.0),
        }
    }

    fn provider(&mut self, provider: &RawProvider) {
        if let Some(kind) = self.found.get(&provider.kind) {
            self.give("provider.kind", &kind.span, kind.value);
        }
        if let Some(aws) = self.found.get(&provider.aws) {
            self.aws(&aws.value);
        }
        if let Some(local) = self.found.get(&provider.local) {
            self.local(&local.value);
        }
    }

    fn aws(&mut self, aws: &RawAws) {
        self.text("provider.aws.region", &aws.region, bad_region);
        self.text("provider.aws.document", &aws.document, bad_document);
        self.text("provider.aws.profile", &aws.profile, |profile| {
            let bad = profile.trim().is_empty() || profile.contains(char::is_control);
            bad.then(|| {
                (
                    "`profile` names no profile".to_owned(),
                    "leave it out for the SDK's own choice",
                )
            })
        });
        self.text("provider.aws.endpoint", &aws.endpoint, bad_endpoint);
    }

    fn local(&mut self, local: &RawLocal) {
        self.text("provider.local.store", &local.store, |store| {
            let bad = store.trim().is_empty() || store.contains('\0') || store.ends_with('/');
            bad.then(|| {
                (
                    "`store` names no file".to_owned(),
                    "give the path of a file",
                )
            })
        });
        if let Some(via) = self.found.get(&local.via) {
            self.via(via);
        }
        if let Some(nodes) = self.found.get(&local.node) {
            self.nodes(nodes);
        }
    }

    fn via(&mut self, via: &At<Vec<Field<String>>>) {
        let words: Vec<&At<String>> = via
            .value
            .iter()
            .filter_map(|word| self.found.get(word))
            .collect();
        if via.value.is_empty() {
            self.found.error(
                &via.span,
                "`via` is empty, so there is no command to execute",
                "leave it out to run steps on this machine",
            );
        }
        for word in &words {
            if word.value.contains('\0') {
                self.found
                    .error(&word.span, "a word of a command holds no NUL character", "");
            }
        }
        if let Some(program) = words
            .first()
            .filter(|program| program.value.trim().is_empty())
        {
            self.found
                .error(&program.span, "the command of `via` has no name", "");
        }
        let words: Vec<&String> = words.iter().map(|word| &word.value).collect();
        self.give("provider.local.via", &via.span, words);
    }

    fn nodes(&mut self, nodes: &At<Vec<Field<RawNode>>>) {
        let mut good: Vec<MergedNode> = Vec::new();
        for raw in &nodes.value {
            let Some(raw) = self.found.get(raw) else {
                continue;
            };
            let raw = &raw.value;
            let Some(id) = self.found.get(&raw.id) else {
                // Its absence has been noted; the rest of the node is still checked.
                self.node(String::new(), raw);
                continue;
            };
            if let Some(message) = bad_id(&id.value) {
                self.found.error(&id.span, message, "");
            } else if good.iter().any(|node| node.id == id.value) {
                self.found.error(
                    &id.span,
                    format!("another node has the id `{}` already", id.value),
                    "give each node its own",
                );
            }
            let node = self.node(id.value.clone(), raw);
            good.push(node);
        }
        self.give("provider.local.node", &nodes.span, good);
    }

    fn node(&mut self, id: String, raw: &RawNode) -> MergedNode {
        let mut word = |key: &str, field: &Field<String>| {
            let text = self.found.get(field)?;
            let empty = text.value.trim().is_empty() || text.value.contains(char::is_control);
            if empty {
                let message = format!("`{key}` is empty or has control characters");
                self.found.error(&text.span, message, "leave it out");
            } else if key == "address" && (text.value.starts_with('-') || text.value.contains(' '))
            {
                // `ssh -oProxyCommand=…` would execute it here.
                self.found.error(
                    &text.span,
                    "`address` would be read as something else by the command of `via`",
                    "an address has no spaces and does not begin with `-`",
                );
            }
            Some(text.value.clone())
        };
        let name = word("name", &raw.name);
        let address = word("address", &raw.address);
        let zone = word("zone", &raw.zone);
        let mut tags = BTreeMap::new();
        for (key, value) in self
            .found
            .get(&raw.tags)
            .map(|tags| &tags.value)
            .into_iter()
            .flatten()
        {
            if key.value.trim().is_empty() || key.value.contains(char::is_control) {
                self.found.error(
                    &key.span,
                    "a tag's key is empty or has control characters",
                    "",
                );
            }
            let Some(value) = self.found.get(value) else {
                continue;
            };
            if value.value.chars().count() > VALUE_MAX {
                let message = format!("a tag's value has at most {VALUE_MAX} characters");
                self.found.error(&value.span, message, "");
            }
            tags.insert(key.value.clone(), value.value.clone());
        }
        MergedNode {
            id,
            name,
            address,
            zone,
            tags,
        }
    }
}
