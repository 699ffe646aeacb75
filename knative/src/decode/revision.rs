//! How `spec.template.spec` is read: which container serves, what bounds requests, and Knative's defaults.

use std::collections::BTreeSet;

use super::container::{self, Draft, Role};
use super::field::Field;
use super::fields::Fields;
use super::{shape, volume};
use crate::names::{self, child_name};
use crate::object::{Container, RevisionSpec};

/// The spec of a revision.
pub(super) fn decode(field: &Field<'_>) -> Option<RevisionSpec> {
    let defaults = field.context.defaults;
    let mut fields = field.fields()?;
    let listed = fields.take("containers");
    let mut containers = drafts(listed.as_ref());
    let mut init = init_drafts(&mut fields);
    let volumes = volume::decode(&mut fields);
    let container_concurrency = container_concurrency(&mut fields);
    let timeouts = Timeouts::decode(&mut fields);
    let service_account_name = service_account(&mut fields);
    let links = fields
        .take("enableServiceLinks")
        .and_then(|field| field.boolean());
    let pod = shape::checked(&mut fields, &shape::POD);
    fields.finish();

    check_ports(field, &containers);
    name_containers(
        &mut containers,
        &mut init,
        &defaults.container_name,
        &defaults.init_container_name,
    );
    let mut mounted = BTreeSet::new();
    for draft in containers.iter_mut().chain(&mut init) {
        let mounts = std::mem::take(&mut draft.mounts);
        mounted.extend(mounts.iter().map(|(_, mount)| mount.name.clone()));
        draft.container.volume_mounts = volume::settle_mounts(mounts, &volumes);
    }
    volume::check_all_mounted(&volumes, &mounted);

    let (serving, sidecars) = split(containers);
    if listed.is_none() || serving.is_none() {
        field.refuse_below(
            &["containers"],
            "missing field(s)",
            "list one container with its image",
        );
    }
    Some(RevisionSpec {
        serving: serving?,
        sidecars,
        init_containers: init.into_iter().map(|draft| draft.container).collect(),
        container_concurrency,
        timeout_seconds: timeouts.all,
        response_start_timeout_seconds: timeouts.response_start,
        idle_timeout_seconds: timeouts.idle,
        volumes: volumes.into_iter().map(|(_, volume)| volume).collect(),
        service_account_name,
        enable_service_links: links.or(defaults.enable_service_links),
        pod,
    })
}

fn drafts<'a>(containers: Option<&Field<'a>>) -> Vec<Draft<'a>> {
    let items = containers.map(Field::items).unwrap_or_default();
    let role = if items.len() == 1 {
        Role::Only
    } else {
        Role::OneOfSeveral
    };
    items
        .into_iter()
        .filter_map(|item| container::decode(item, role))
        .collect()
}

fn init_drafts<'a>(fields: &mut Fields<'a>) -> Vec<Draft<'a>> {
    let items = fields
        .take("initContainers")
        .map(|field| field.items())
        .unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| container::decode(item, Role::Init))
        .collect()
}

/// One port in all, and with several containers one that says which of them serves.
fn check_ports(spec: &Field<'_>, containers: &[Draft<'_>]) {
    let mut ports = containers.iter().flat_map(|draft| &draft.ports);
    let first = ports.next();
    if first.is_none() && containers.len() > 1 {
        let hint = "say which container gets the requests: give one of them a port";
        spec.refuse_below(&["containers"], "missing field(s): ports", hint);
    }
    for port in ports {
        port.refuse(
            "more than one container port is set",
            "Only a single port is allowed across all containers",
        );
    }
}

/// Finds names for containers without one, clear of those that were written; tells names that are there twice.
fn name_containers<'a>(containers: &mut [Draft<'a>], init: &mut [Draft<'a>], stem: &str, init_stem: &str) {
    let mut taken = BTreeSet::new();
    for draft in containers.iter().chain(&*init) {
        let name = &draft.container.name;
        if !name.is_empty() && !taken.insert(name.clone()) {
            let message = format!("duplicate container name {name:?}");
            draft
                .field
                .refuse_below(&["name"], message, "give each container a name of its own");
        }
    }
    name_unnamed(containers, stem, &mut taken);
    name_unnamed(init, init_stem, &mut taken);
}

/// A lone container gets the stem itself if it is free, others the first free `stem-0`, `stem-1`, …
fn name_unnamed(drafts: &mut [Draft<'_>], stem: &str, taken: &mut BTreeSet<String>) {
    let needs_suffix = drafts.len() > 1 || taken.contains(stem);
    for draft in drafts.iter_mut().filter(|draft| draft.container.name.is_empty()) {
        let mut name = stem.to_owned();
        let mut suffix = 0;
        while needs_suffix && (suffix == 0 || taken.contains(&name)) {
            name = child_name(stem, &format!("-{suffix}"));
            suffix += 1;
        }
        taken.insert(name.clone());
        draft.container.name = name;
    }
}

/// The serving container and the others.
fn split(mut drafts: Vec<Draft<'_>>) -> (Option<Container>, Vec<Container>) {
    if drafts.is_empty() {
        return (None, Vec::new());
    }
    let index = drafts
        .iter()
        .position(|draft| !draft.ports.is_empty())
        .unwrap_or(0);
    let serving = drafts.remove(index).container;
    (
        Some(serving),
        drafts.into_iter().map(|draft| draft.container).collect(),
    )
}

fn container_concurrency(fields: &mut Fields<'_>) -> u32 {
    let defaults = fields.context.defaults;
    let least = i64::from(!defaults.allow_container_concurrency_zero);
    let most = i64::from(defaults.container_concurrency_max_limit);
    match fields
        .take("containerConcurrency")
        .and_then(|field| field.integer(least..=most))
    {
        Some(concurrency) => u32::try_from(concurrency).unwrap_or(u32::MAX),
        None => defaults.container_concurrency,
    }
}

fn service_account(fields: &mut Fields<'_>) -> Option<String> {
    let field = fields.take("serviceAccountName")?;
    let name = field.text().filter(|name| !name.is_empty())?;
    if !names::is_dns1123_subdomain(&name) {
        field.refuse_value(&name, "use lower-case letters, digits, dashes and dots");
    }
    Some(name)
}

/// The three bounds on a request's time.
struct Timeouts {
    all: u32,
    response_start: Option<u32>,
    idle: Option<u32>,
}

impl Timeouts {
    fn decode(fields: &mut Fields<'_>) -> Self {
        let defaults = fields.context.defaults;
        let most = i64::from(defaults.max_revision_timeout_seconds);
        let all = fields
            .take("timeoutSeconds")
            .and_then(|field| field.integer(0..=most));
        let all = match u32::try_from(all.unwrap_or(0)) {
            Ok(seconds @ 1..) => seconds,
            _ => defaults.revision_timeout_seconds,
        };
        let mut optional = |name, default: u32| match fields.take(name).and_then(|field| field.unsigned()) {
            Some(0) => None,
            Some(seconds) => Some(seconds),
            // A default that the revision's own timeout makes pointless is not set.
            None => Some(default).filter(|seconds| *seconds > 0 && *seconds < all),
        };
        let start = defaults.revision_response_start_timeout_seconds;
        Self {
            all,
            response_start: optional("responseStartTimeoutSeconds", start),
            idle: optional("idleTimeoutSeconds", defaults.revision_idle_timeout_seconds),
        }
    }
}
