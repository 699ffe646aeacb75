//! What does one configuration change of another?
//!
//! Pure: resources in, a [`Diff`] out. Resources are told apart by kind and name, and shown by the fields that differ, with what
//! the change costs: whether connections stay, a cluster warms, a listener is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_xds::resource::Kind;
use tidegate_xds::text::{Json, Schema, Secrets};

use crate::limits::FIELDS_SHOWN_MAX;
use crate::page::Page;
use crate::resources::{Resource, Resources, schema};

mod effect;
mod fields;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Each kind with what was added, removed and changed.
    pub page: Page,
    /// Whether there is any difference.
    pub differs: bool,
}

/// The kinds in the order in which they are shown: what a request meets first.
const SHOWN: [(Kind, &str); 5] = [
    (Kind::Listener, "listeners"),
    (Kind::Routes, "routes"),
    (Kind::Cluster, "clusters"),
    (Kind::Endpoints, "endpoints"),
    (Kind::Secret, "secrets"),
];

/// Compares two configurations.
#[must_use]
pub fn diff(before: &Resources, after: &Resources) -> Diff {
    let comparison = Comparison {
        schema: schema(before.list.iter().chain(&after.list)),
        redacted: before.redacted || after.redacted,
    };
    let mut page = Page::default();
    page.text("from", before.name.as_str());
    page.text("to", after.name.as_str());
    let mut differs = false;
    for (kind, title) in SHOWN {
        let (old, new) = (by_name(before, kind), by_name(after, kind));
        let of_kind = comparison.of_kind(&old, &new);
        differs |= of_kind.differs;
        page.text(title, of_kind.summary);
        page.page(title, of_kind.page);
    }
    let mut remarks = Vec::new();
    for resources in [before, after] {
        let name = &resources.name;
        remarks.extend(resources.remarks.iter().map(|remark| format!("{name}: {remark}")));
    }
    page.list("remarks", remarks);
    Diff { page, differs }
}

/// Of several of a name the last counts.
type ByName<'a> = BTreeMap<Arc<str>, &'a Resource>;

fn by_name(resources: &Resources, kind: Kind) -> ByName<'_> {
    let all = resources.of_kind(kind);
    all.map(|resource| (Arc::clone(&resource.raw.name), resource))
        .collect()
}

struct Comparison {
    schema: Schema,
    /// Whether secrets cannot be compared.
    redacted: bool,
}

/// What was found of a kind.
struct OfKind {
    summary: String,
    page: Page,
    differs: bool,
}

impl Comparison {
    fn of_kind(&self, before: &ByName<'_>, after: &ByName<'_>) -> OfKind {
        let only = |these: &ByName<'_>, those: &ByName<'_>| -> Vec<String> {
            let names = these.keys().filter(|name| !those.contains_key(*name));
            names.map(ToString::to_string).collect()
        };
        let (added, removed) = (only(after, before), only(before, after));
        let both = before
            .iter()
            .filter_map(|(name, old)| Some((*old, *after.get(name)?)));
        let changed: Vec<Page> = both.filter_map(|(old, new)| self.change(old, new)).collect();
        let refused = after.values().filter(|new| {
            let old = before.get(&new.raw.name);
            !self.redacted && old.is_none_or(|old| old.raw.hash != new.raw.hash)
        });
        let refused: Vec<String> = refused.filter_map(|new| effect::refusal(new)).collect();
        let same = after.len() - added.len() - changed.len();
        let summary = format!(
            "{} added, {} removed, {} changed, {same} the same",
            added.len(),
            removed.len(),
            changed.len()
        );
        let differs = !(added.is_empty() && removed.is_empty() && changed.is_empty());
        let mut page = Page::default();
        page.list("added", added);
        page.list("removed", removed);
        page.pages("changed", changed);
        page.list("refused", refused);
        OfKind {
            summary,
            page,
            differs,
        }
    }

    /// What differs; none where that is nothing, or nothing that can be seen.
    fn change(&self, old: &Resource, new: &Resource) -> Option<Page> {
        if old.raw.hash == new.raw.hash {
            return None;
        }
        let (before, after) = (self.json(old), self.json(new));
        let mut fields = fields::changes(&before, &after);
        if fields.is_empty() {
            if self.redacted {
                return None;
            }
            fields.push("a secret value, which is not shown".to_owned());
        }
        let mut page = Page::default();
        page.text("name", new.raw.name.as_ref());
        page.list("effect", effect::of(old, new, (&before, &after)));
        let more = fields.len().saturating_sub(FIELDS_SHOWN_MAX);
        fields.truncate(FIELDS_SHOWN_MAX);
        if more > 0 {
            fields.push(format!("and {more} more"));
        }
        page.list("fields", fields);
        Some(page)
    }

    fn json(&self, resource: &Resource) -> Json {
        let json = self
            .schema
            .to_json(resource.kind.type_url(), &resource.raw.body, Secrets::Redacted);
        json.unwrap_or(Json::Null)
    }
}

#[cfg(test)]
mod tests;
