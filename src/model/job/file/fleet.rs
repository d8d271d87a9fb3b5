//! `[fleet]`: which nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::document::{At, Field};
use crate::model::job::Selector;
use crate::model::job::file::Check;
use crate::model::job::file::raw::{OneOrMany, RawFleet};
use crate::model::settings::ProviderKind;
use crate::model::tag::VALUE_MAX;

/// The most characters of a key that a node may bear, also one that is not ours.
const ANY_KEY_MAX: usize = 128;
/// The most characters of an Auto Scaling group's name.
const GROUP_MAX: usize = 255;

impl Check<'_, '_> {
    pub(super) fn fleet(&mut self, field: &Field<RawFleet>) -> Selector {
        let Some(raw) = self.found.get(field) else {
            return Selector::default();
        };
        let groups = self.groups(&raw.value);
        let tags = self.selected_tags(&raw.value);
        let all = self.found.get(&raw.value.all);
        let chooses = !matches!(raw.value.auto_scaling_groups, Field::Absent)
            || !matches!(raw.value.tags, Field::Absent);
        if let Some(all) = all.filter(|all| all.value) {
            self.all(all, chooses);
        } else if !chooses && matches!(raw.value.all, Field::Absent | Field::Good(_)) {
            let help = match self.context.provider {
                ProviderKind::Aws => {
                    "add `tags = { role = \"…\" }` or `auto-scaling-groups = [\"…\"]`"
                }
                ProviderKind::Local => "add `tags = { role = \"…\" }` or `all = true`",
            };
            self.found.missing(
                Some(&raw.span),
                &["auto-scaling-groups", "tags", "all"],
                "`[fleet]` selects no node",
                help,
            );
        }
        Selector {
            groups,
            tags,
            all: all.is_some_and(|all| all.value),
        }
    }

    fn all(&mut self, all: &At<bool>, chooses: bool) {
        if self.context.provider == ProviderKind::Aws {
            self.found.error(
                &all.span,
                "`all` is for local inventories: on AWS it would be every instance of the account",
                "select by `tags` or `auto-scaling-groups`",
            );
        }
        if chooses {
            self.found.error(
                &all.span,
                "`all` and a choice of nodes contradict each other",
                "leave out `all`, or `tags` and `auto-scaling-groups`",
            );
        }
    }

    fn groups(&mut self, raw: &RawFleet) -> Vec<String> {
        let Some(list) = self.found.get(&raw.auto_scaling_groups) else {
            return Vec::new();
        };
        if self.context.provider == ProviderKind::Local {
            self.found.error(
                &list.span,
                "a local inventory has no Auto Scaling groups",
                "select by `tags`, or `all = true`",
            );
        }
        if list.value.is_empty() {
            self.found.error(
                &list.span,
                "`auto-scaling-groups` is empty, so it selects no node",
                "name a group, or leave it out",
            );
        }
        let mut groups: Vec<String> = Vec::new();
        for name in &list.value {
            let Some(name) = self.found.get(name) else {
                continue;
            };
            let message = if name.value.trim().is_empty() {
                "a group's name is empty".to_owned()
            } else if name.value.chars().count() > GROUP_MAX {
                format!("a group's name has at most {GROUP_MAX} characters")
            } else if name.value.contains(char::is_control) {
                "a group's name has no control characters".to_owned()
            } else if groups.contains(&name.value) {
                format!("the group `{}` stands here twice", name.value)
            } else {
                groups.push(name.value.clone());
                continue;
            };
            self.found.error(&name.span, message, "");
        }
        groups
    }

    fn selected_tags(&mut self, raw: &RawFleet) -> BTreeMap<String, Vec<String>> {
        let Some(table) = self.found.get(&raw.tags) else {
            return BTreeMap::new();
        };
        if table.value.is_empty() {
            self.found.error(
                &table.span,
                "`tags` is empty, so it selects no node",
                "name a tag and its value, or leave it out",
            );
        }
        let mut tags = BTreeMap::new();
        for (key, values) in &table.value {
            self.node_tag_key(key);
            let Some(values) = self.found.get(values) else {
                continue;
            };
            let list = match &values.value {
                OneOrMany::One(one) => vec![one.clone()],
                OneOrMany::Many(many) => many.clone(),
            };
            if list.is_empty() {
                self.found.error(
                    &values.span,
                    format!(
                        "`{}` has no value that would do, so no node matches",
                        key.value
                    ),
                    "name at least one, or leave the tag out",
                );
            }
            if list.iter().any(|value| value.chars().count() > VALUE_MAX) {
                self.found.error(
                    &values.span,
                    format!("a tag's value has at most {VALUE_MAX} characters, so no node matches"),
                    "",
                );
            }
            let different: BTreeSet<&String> = list.iter().collect();
            if different.len() < list.len() {
                self.found.warning(
                    &values.span,
                    format!("a value of `{}` stands here twice", key.value),
                    "",
                );
            }
            tags.insert(key.value.clone(), list);
        }
        tags
    }

    /// A key that nodes bear already: their owner's choice, so with `/` and spaces, and AWS's own `aws:` ones too.
    pub(super) fn node_tag_key(&mut self, key: &At<String>) {
        let length = key.value.chars().count();
        if key.value.trim().is_empty() {
            self.found.error(&key.span, "a tag's key is empty", "");
        } else if length > ANY_KEY_MAX {
            let message =
                format!("a tag's key has at most {ANY_KEY_MAX} characters, this one has {length}");
            self.found.error(&key.span, message, "");
        } else if key.value.contains(char::is_control) {
            self.found
                .error(&key.span, "a tag's key has no control characters", "");
        }
        let own = key.value.strip_prefix(self.context.prefix.as_str());
        let ours = ["last-", "took-", "fail-"];
        if own.is_some_and(|own| {
            matches!(own, "lock" | "hold") || ours.iter().any(|start| own.starts_with(start))
        }) {
            self.found.warning(
                &key.span,
                format!(
                    "roundsman itself changes the tag `{}`, so the fleet would change while it is served",
                    key.value
                ),
                "use a tag that stays",
            );
        }
    }
}
