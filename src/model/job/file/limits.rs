//! `[limits]`: how many nodes may be not well at once.

use std::collections::BTreeSet;

use crate::model::document::{At, Field};
use crate::model::id::Name;
use crate::model::job::file::Check;
use crate::model::job::file::raw::{RawCount, RawLimits, RawPer};
use crate::model::job::{Count, Divider, Limits, Per};

impl Check<'_, '_> {
    pub(super) fn limits(&mut self, field: &Field<RawLimits>, job: Option<&Name>) -> Limits {
        let mut limits = Limits::default();
        let Some(raw) = self.found.get(field) else {
            return limits;
        };
        let raw = &raw.value;
        if let Some(nodes) = self.found.get(&raw.nodes) {
            limits.nodes = nodes.value;
        }
        if let Some(count) = self.found.get(&raw.count) {
            limits.count = self.count(count);
        }
        if let Some(jobs) = self.found.get(&raw.jobs) {
            limits.jobs = self.counted_jobs(jobs);
            if let Some(job) = job
                && !limits.jobs.is_empty()
                && !limits.counts_job(job)
            {
                self.found.warning(
                    &jobs.span,
                    format!("the leases of this job itself (`{job}`) do not count"),
                    "name it too, unless any number of its nodes may be in work at once",
                );
            }
        }
        let parts = self.found.get(&raw.per).map(|per| &per.value);
        for part in parts.into_iter().flatten() {
            let Some(part) = self.found.get(part) else {
                continue;
            };
            let Some(per) = self.per(part, limits.nodes) else {
                continue;
            };
            if limits.per.iter().any(|known| known.by == per.by) {
                self.found.error(
                    &part.span,
                    "a second `[[limits.per]]` divides the fleet in the same way",
                    "keep one of the two",
                );
            }
            limits.per.push(per);
        }
        limits
    }

    fn count(&mut self, list: &At<Vec<Field<RawCount>>>) -> BTreeSet<Count> {
        let count: BTreeSet<Count> = list
            .value
            .iter()
            .filter_map(|word| self.found.get(word))
            .map(|word| match word.value {
                RawCount::InWork => Count::InWork,
                RawCount::OutOfService => Count::OutOfService,
                RawCount::Failed => Count::Failed,
            })
            .collect();
        if list.value.is_empty() {
            self.found.error(
                &list.span,
                "`count` is empty, so no node would ever count and there would be no limit",
                "name at least `\"in-work\"`",
            );
        } else if !count.contains(&Count::InWork) {
            self.found.warning(
                &list.span,
                "without `in-work`, nodes that are being worked on do not count: any number may be at once",
                "add `\"in-work\"`",
            );
        }
        count
    }

    fn counted_jobs(&mut self, list: &At<Vec<Field<String>>>) -> Vec<String> {
        if list.value.is_empty() {
            self.found.error(
                &list.span,
                "`jobs` is empty, so no lease would ever count",
                "`[\"*\"]` counts all",
            );
        }
        let mut jobs = Vec::new();
        for pattern in &list.value {
            let Some(pattern) = self.found.get(pattern) else {
                continue;
            };
            // Every star may stand for one letter of a name, or for none.
            let letters = pattern.value.replace('*', "");
            let bad = match Name::new(&letters) {
                Err(_) if letters.is_empty() && !pattern.value.is_empty() => None,
                Err(bad) => Some(bad),
                Ok(_) => None,
            };
            if let Some(bad) = bad {
                self.found.error(
                    &pattern.span,
                    format!("`{}` matches no job: {bad}", pattern.value.escape_debug()),
                    "give a job's name, with `*` for any run of characters",
                );
            }
            jobs.push(pattern.value.clone());
        }
        jobs
    }

    fn per(&mut self, raw: &At<RawPer>, in_all: u32) -> Option<Per> {
        let tag = self.found.get(&raw.value.tag);
        let zone = self.found.get(&raw.value.zone);
        let nodes = self.found.get(&raw.value.nodes);
        if let Some(tag) = tag {
            self.node_tag_key(tag);
        }
        if let Some(nodes) = nodes.filter(|nodes| nodes.value > in_all && in_all > 0) {
            self.found.warning(
                &nodes.span,
                format!(
                    "this changes nothing: `[limits] nodes` allows {in_all} in the whole fleet"
                ),
                "make `[limits] nodes` larger, or this one smaller",
            );
        }
        let zoned = zone.filter(|zone| zone.value);
        let by = match (tag, zoned) {
            (Some(tag), None) => Divider::Tag(tag.value.clone()),
            (None, Some(_)) => Divider::Zone,
            (Some(_), Some(zone)) => {
                self.found.error(
                    &zone.span,
                    "`[[limits.per]]` divides by `tag` or by `zone`, not by both",
                    "write a `[[limits.per]]` for each",
                );
                return None;
            }
            (None, None) => {
                let unread = matches!(raw.value.tag, Field::Bad(_))
                    || matches!(raw.value.zone, Field::Bad(_));
                if !unread {
                    self.found.missing(
                        Some(&raw.span),
                        &["tag", "zone"],
                        "`[[limits.per]]` does not say what divides the fleet",
                        "add `tag = \"rack\"` or `zone = true`",
                    );
                }
                return None;
            }
        };
        Some(Per {
            by,
            nodes: nodes.map_or(1, |nodes| nodes.value),
        })
    }
}
