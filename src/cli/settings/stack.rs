//! figment at work: the good values of all layers over each other, and for each the place that it came from.

use std::ops::Range;
use std::path::PathBuf;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile};

use crate::cli::problem::FileProblems;
use crate::cli::settings::Effective;
use crate::cli::settings::check::Given;
use crate::cli::settings::layer::{Known, Layer, Source};
use crate::cli::settings::raw::{Merged, MergedLease, RawKind};
use crate::model::problem::Problem;
use crate::model::settings::{
    AwsSettings, InventoryNode, LeaseSettings, LocalSettings, Provider, ProviderKind, Settings,
};
use crate::model::span::parse_span;

/// All good values, one over the other.
#[derive(Debug, Default)]
pub(super) struct Stack {
    figment: Figment,
    /// Of each value that was laid, the layer and the place in its TOML text.
    places: Vec<(usize, Range<usize>)>,
}

/// One value on its way into figment, which finds its place again by the number that is its metadata's name.
struct Laid {
    place: usize,
    key: &'static str,
    value: Value,
}

impl figment::Provider for Laid {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.to_string())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let nested = figment::util::nest(self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

impl Stack {
    pub(super) fn lay(&mut self, layer: usize, values: Vec<Given>) {
        for given in values {
            let laid = Laid {
                place: self.places.len(),
                key: given.key,
                value: given.value,
            };
            self.places.push((layer, given.span));
            self.figment = std::mem::take(&mut self.figment).merge(laid);
        }
    }

    /// The layer that the value of a setting came from, and its place there.
    fn place<'l>(&self, key: &str, layers: &'l [Layer]) -> Option<(&'l Layer, Range<usize>)> {
        let metadata = self.figment.find_metadata(key)?;
        let place: usize = metadata.name.parse().ok()?;
        let (layer, span) = self.places.get(place)?;
        Some((layers.get(*layer)?, span.clone()))
    }

    pub(super) fn settings(&self, layers: &[Layer]) -> Result<Settings, String> {
        let merged: Merged = self.figment.extract().map_err(|error| error.to_string())?;
        let base = self
            .place("provider.local.store", layers)
            .map(|(layer, _)| &layer.base);
        let local = merged.provider.local;
        let store = local.store.map(|store| match base {
            Some(base) => base.join(store),
            None => PathBuf::from(store),
        });
        let nodes = local.node.into_iter().map(|node| InventoryNode {
            id: node.id,
            name: node.name,
            address: node.address,
            zone: node.zone,
            tags: node.tags,
        });
        Ok(Settings {
            lease: lease(&merged.lease)?,
            owner: merged.lease.owner,
            prefix: merged.tags.prefix,
            provider: Provider {
                kind: match merged.provider.kind {
                    RawKind::Aws => ProviderKind::Aws,
                    RawKind::Local => ProviderKind::Local,
                },
                aws: AwsSettings {
                    region: merged.provider.aws.region,
                    profile: merged.provider.aws.profile,
                    endpoint: merged.provider.aws.endpoint,
                    document: merged.provider.aws.document,
                },
                local: LocalSettings {
                    store,
                    via: local.via,
                    nodes: nodes.collect(),
                },
            },
        })
    }

    /// The relations that do not hold, each shown at the value that somebody chose.
    pub(super) fn broken(&self, lease: &LeaseSettings, layers: &[Layer]) -> Vec<FileProblems> {
        let chosen = |key: &str| {
            self.place(&format!("lease.{key}"), layers)
                .filter(|(layer, _)| layer.origin != Source::Default)
        };
        let mut wrong: Vec<FileProblems> = Vec::new();
        for broken in lease.broken() {
            // The setting to change first may have its default, and another one have been set beyond it: one that
            // the message names, or one that is part of what it names.
            let named = broken.message.split('`').skip(1).step_by(2);
            let place = std::iter::once(broken.key)
                .chain(named)
                .chain(["claim-within", "staleness", "skew"])
                .find_map(|key| chosen(key).map(|place| (key, place)));
            let Some((key, (layer, span))) = place else {
                let problem = Problem::general(broken.message, None);
                wrong.push(FileProblems::unreadable("settings", problem));
                continue;
            };
            // The message speaks of one end of the relation; the other one is what stands here.
            let help = (key != broken.key).then(|| {
                format!(
                    "change `{key}`, which is set here, or `{}` with it",
                    broken.key
                )
            });
            let problem = Problem {
                span: Some(layer.place(&span)),
                message: broken.message,
                help,
            };
            match wrong.iter_mut().find(|known| known.name == layer.name) {
                Some(known) => known.errors.push(problem),
                None => wrong.push(FileProblems {
                    name: layer.name.clone(),
                    text: layer.text.clone(),
                    errors: vec![problem],
                    warnings: Vec::new(),
                }),
            }
        }
        wrong
    }

    pub(super) fn effective(
        &self,
        settings: &Settings,
        known: &[Known],
        layers: &[Layer],
    ) -> Vec<Effective> {
        let value = |key: &str| {
            let value = self.figment.find_value(key).ok()?;
            if key == "provider.local.store" {
                let store = settings.provider.local.store.as_ref()?;
                return Some(toml::Value::String(store.display().to_string()).to_string());
            }
            Some(toml::Value::try_from(value).ok()?.to_string())
        };
        known
            .iter()
            .filter_map(|known| {
                let (layer, span) = self.place(&known.key, layers)?;
                Some(Effective {
                    key: known.key.clone(),
                    value: value(&known.key)?,
                    origin: layer.origin(&span),
                })
            })
            .collect()
    }
}

fn lease(raw: &MergedLease) -> Result<LeaseSettings, String> {
    Ok(LeaseSettings {
        claim_within: parse_span(&raw.claim_within)?,
        staleness: parse_span(&raw.staleness)?,
        skew: parse_span(&raw.skew)?,
        margin: parse_span(&raw.margin)?,
        ttl: parse_span(&raw.ttl)?,
        request_life: parse_span(&raw.request_life)?,
    })
}
