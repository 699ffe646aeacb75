//! How `spec.traffic` is read: who gets which share, and that the shares are whole.

use std::collections::BTreeMap;

use super::field::Field;
use super::fields::Fields;
use crate::names;
use crate::object::{TrafficTarget, TrafficTo};

/// All of the traffic, in percent.
const WHOLE: u32 = 100;

/// Whose traffic it is.
pub(super) enum Owner<'a> {
    /// A Service with this name: entries without a revision mean its own configuration.
    Service(&'a str),
    /// A Route: every entry says what it means.
    Route,
}

/// The traffic of a Service or Route, with a Service's default.
pub(super) fn decode(spec: &mut Fields<'_>, owner: &Owner<'_>) -> Vec<TrafficTarget> {
    let field = spec.take("traffic");
    let before = spec.context.report.count();
    let items = field.as_ref().map(Field::items).unwrap_or_default();
    let targets: Vec<TrafficTarget> = items.iter().filter_map(|item| target(item, owner)).collect();
    match owner {
        Owner::Service(name) if items.is_empty() => {
            vec![TrafficTarget {
                to: TrafficTo::LatestOf((*name).to_owned()),
                tag: None,
                percent: 100,
            }]
        }
        _ => {
            check_tags(&items, &targets);
            let sum: u32 = targets.iter().map(|target| u32::from(target.percent)).sum();
            // A percent that could not be read would make the sum wrong too; one mistake is told once.
            if sum != WHOLE && spec.context.report.count() == before {
                refuse_sum(spec, field.as_ref(), sum);
            }
            targets
        }
    }
}

fn refuse_sum(spec: &Fields<'_>, traffic: Option<&Field<'_>>, sum: u32) {
    let message = format!("Traffic targets sum to {sum}, want {WHOLE}");
    let hint = if sum < WHOLE {
        format!("hand out {} more percent", WHOLE - sum)
    } else {
        format!("take {} percent away", sum - WHOLE)
    };
    match traffic {
        Some(traffic) => traffic.refuse(message, &hint),
        None => spec.refuse("traffic", message, &hint),
    }
}

fn target(item: &Field<'_>, owner: &Owner<'_>) -> Option<TrafficTarget> {
    let mut fields = item.fields()?;
    let revision = named(fields.take("revisionName"));
    let configuration = named(fields.take("configurationName"));
    let latest = fields.take("latestRevision");
    if let Some(url) = fields.take("url") {
        url.refuse("must not set the field(s)", "url is set by the system, in status");
    }
    let tag = fields
        .take("tag")
        .and_then(|field| field.text())
        .filter(|tag| !tag.is_empty());
    let percent = fields
        .take("percent")
        .and_then(|field| field.integer(0..=i64::from(WHOLE)));
    check_latest(latest.as_ref(), revision.as_ref().map_or("", |(_, name)| name));
    let to = match (revision, configuration, owner) {
        (_, Some((field, _)), Owner::Service(_)) => {
            field.refuse(
                "must not set the field(s)",
                "a Service routes to its own configuration: remove it",
            );
            None
        }
        (Some(_), Some(_), Owner::Route) => {
            item.refuse(
                "expected exactly one, got both: revisionName, configurationName",
                "remove one of them",
            );
            None
        }
        (Some((_, name)), None, _) => Some(TrafficTo::Revision(name)),
        (None, Some((_, name)), Owner::Route) => Some(TrafficTo::LatestOf(name)),
        (None, None, Owner::Service(name)) => Some(TrafficTo::LatestOf((*name).to_owned())),
        (None, None, Owner::Route) => {
            let message = "expected exactly one, got neither: revisionName, configurationName";
            item.refuse(message, "say where the traffic goes");
            None
        }
    };
    fields.finish();
    let percent = percent
        .and_then(|percent| u8::try_from(percent).ok())
        .unwrap_or(0);
    Some(TrafficTarget {
        to: to?,
        tag,
        percent,
    })
}

/// A name that is a label, with its field; none if it is absent or empty.
fn named(field: Option<Field<'_>>) -> Option<(Field<'_>, String)> {
    let field = field?;
    let name = field.text().filter(|name| !name.is_empty())?;
    if !names::is_dns1035_label(&name) {
        field.refuse(
            format!("invalid key name {name:?}"),
            "write the name of a revision or configuration",
        );
    }
    Some((field, name))
}

/// `latestRevision` may only repeat what the presence of a revision's name says.
fn check_latest(latest: Option<&Field<'_>>, revision: &str) {
    let Some(field) = latest else { return };
    let Some(latest) = field.boolean() else { return };
    if latest != revision.is_empty() {
        let hint = if latest {
            "remove latestRevision or revisionName"
        } else {
            "name a revision in revisionName, or remove latestRevision"
        };
        field.refuse(
            format!("may not set revisionName {revision:?} when latestRevision is {latest}"),
            hint,
        );
    }
}

fn check_tags(items: &[Field<'_>], targets: &[TrafficTarget]) {
    if items.len() != targets.len() {
        return;
    }
    let mut first_uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, (item, target)) in items.iter().zip(targets).enumerate() {
        let Some(tag) = target.tag.as_deref() else {
            continue;
        };
        if !names::is_dns1035_label(tag) {
            let hint = "a tag becomes part of a host: use lower-case letters, digits and dashes";
            item.refuse_below(
                &["tag"],
                format!("invalid value: {tag}: not a DNS 1035 label"),
                hint,
            );
        }
        if let Some(first) = first_uses.insert(tag, index) {
            let hint = format!("traffic[{first}] has this tag already");
            item.refuse_below(&["tag"], format!("Multiple definitions for {tag:?}"), &hint);
        }
    }
}
