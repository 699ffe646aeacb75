//! How one container is read: its image, command, environment, port, probes and mounts.

use std::collections::BTreeMap;

use super::field::Field;
use super::fields::Fields;
use super::{env, image, probe, shape, volume};
use crate::ImageRule;
use crate::names::{self, containers, ports};
use crate::object::{Container, ContainerPort, Quantity, Resources, VolumeMount};

/// The name that Knative gives a container port without one, for probes that refer to it.
const UNNAMED_PORT: &str = "http";

/// Which place a container has in its revision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The only container: it serves.
    Only,
    /// One of several: it serves if it declares a port.
    OneOfSeveral,
    /// An init container.
    Init,
}

/// A container whose name and mounts are not settled.
pub(super) struct Draft<'a> {
    pub(super) field: Field<'a>,
    pub(super) container: Container,
    /// The entries of `ports`, of which a revision may have one in all.
    pub(super) ports: Vec<Field<'a>>,
    pub(super) mounts: Vec<(Field<'a>, VolumeMount)>,
}

/// The container that a list item describes.
pub(super) fn decode(item: Field<'_>, role: Role) -> Option<Draft<'_>> {
    let mut fields = item.fields()?;
    let ports = fields
        .take("ports")
        .map(|field| field.items())
        .unwrap_or_default();
    let is_serving = role == Role::Only || (role == Role::OneOfSeveral && !ports.is_empty());
    let reserved: &[&str] = if is_serving {
        &names::env::RESERVED
    } else {
        &names::env::RESERVED_FOR_SIDECARS
    };
    let command = list(&mut fields, "command", |item| item.text());
    let mut container = Container {
        name: name(&mut fields),
        image: image(&mut fields, &command),
        command,
        args: list(&mut fields, "args", |item| item.text()),
        working_dir: fields.text("workingDir").filter(|dir| !dir.is_empty()),
        env: list(&mut fields, "env", |item| env::variable(item, reserved)),
        env_from: list(&mut fields, "envFrom", env::from),
        port: ports.first().and_then(port),
        resources: resources(&mut fields, role),
        other: shape::checked(&mut fields, &shape::CONTAINER),
        ..Container::default()
    };
    probes(&mut fields, &mut container, is_serving);
    let mounts = fields
        .take("volumeMounts")
        .map(|field| field.items())
        .unwrap_or_default();
    let mounts = mounts
        .into_iter()
        .filter_map(|item| volume::mount(&item).map(|mount| (item, mount)))
        .collect();
    fields.finish();
    if role == Role::Init {
        refuse_probes(&item);
    }
    Some(Draft {
        field: item,
        container,
        ports,
        mounts,
    })
}

fn list<T>(fields: &mut Fields<'_>, name: &'static str, item: impl Fn(&Field<'_>) -> Option<T>) -> Vec<T> {
    fields
        .take(name)
        .map(|field| field.items().iter().filter_map(item).collect())
        .unwrap_or_default()
}

/// The name, empty if it is for us to find.
fn name(fields: &mut Fields<'_>) -> String {
    let Some(field) = fields.take("name") else {
        return String::new();
    };
    let name = field.text().unwrap_or_default();
    if name == containers::RESERVED {
        field.refuse(
            format!("{name:?} is a reserved container name"),
            "choose another name",
        );
    } else if !name.is_empty() && !names::is_dns1123_label(&name) {
        field.refuse_value(&name, "use lower-case letters, digits and dashes");
    }
    name
}

fn image(fields: &mut Fields<'_>, command: &[String]) -> String {
    let field = match fields.context.defaults.image {
        ImageRule::UnlessCommand if !command.is_empty() => fields.take("image"),
        ImageRule::UnlessCommand => {
            fields.require("image", "name the image, or a command to run as a process")
        }
        ImageRule::Always => fields.require(
            "image",
            "name the image, also if a command is to run in its place",
        ),
    };
    let Some(field) = field else {
        return String::new();
    };
    let image = field.text().unwrap_or_default();
    if !image::is_reference(&image) {
        let hint = "write [REGISTRY/]NAME[:TAG][@DIGEST] in lower-case letters";
        field.refuse(format!("Failed to parse image reference {image:?}"), hint);
    }
    image
}

/// One entry of `ports`.
fn port(item: &Field<'_>) -> Option<ContainerPort> {
    let mut fields = item.fields()?;
    let name = fields.take("name");
    let number = fields.take("containerPort");
    if let Some(protocol) = fields.take("protocol")
        && let Some(text) = protocol.text().filter(|text| !text.is_empty() && text != "TCP")
    {
        protocol.refuse_value(text, "the only protocol is TCP");
    }
    fields.finish();
    Some(ContainerPort {
        name: name.and_then(|field| port_name(&field)),
        container_port: match number {
            Some(field) => port_number(&field)?,
            None => ports::USER_DEFAULT,
        },
    })
}

fn port_name(field: &Field<'_>) -> Option<String> {
    let name = field.text().filter(|name| !name.is_empty())?;
    if name != ports::NAME_HTTP1 && name != ports::NAME_H2C {
        let hint = format!(
            "Name must be empty, or one of: '{}' (gRPC too), '{}'",
            ports::NAME_H2C,
            ports::NAME_HTTP1
        );
        field.refuse(format!("Port name {name} is not allowed"), &hint);
    }
    Some(name)
}

fn port_number(field: &Field<'_>) -> Option<u16> {
    let number = u16::try_from(field.integer(0..=i64::from(u16::MAX))?).ok()?;
    if ports::RESERVED.contains(&number) {
        field.refuse_value(
            format!("{number} is a reserved port"),
            "please use a different value",
        );
    }
    Some(if number == 0 { ports::USER_DEFAULT } else { number })
}

fn resources(fields: &mut Fields<'_>, role: Role) -> Resources {
    let defaults = fields.context.defaults;
    let mut resources = Resources::default();
    if let Some(mut map) = fields.take("resources").and_then(|field| field.fields()) {
        resources.requests = map
            .take("requests")
            .map(|field| quantities(&field))
            .unwrap_or_default();
        resources.limits = map
            .take("limits")
            .map(|field| quantities(&field))
            .unwrap_or_default();
        map.finish();
    }
    if role != Role::Init {
        for (name, quantity) in &defaults.revision_requests {
            resources
                .requests
                .entry(name.clone())
                .or_insert_with(|| quantity.clone());
        }
        for (name, quantity) in &defaults.revision_limits {
            resources
                .limits
                .entry(name.clone())
                .or_insert_with(|| quantity.clone());
        }
    }
    resources
}

fn quantities(field: &Field<'_>) -> BTreeMap<String, Quantity> {
    field
        .entries()
        .into_iter()
        .filter_map(|(name, field)| Some((name, field.quantity()?)))
        .collect()
}

fn probes(fields: &mut Fields<'_>, container: &mut Container, is_serving: bool) {
    let port_name = container.port.as_ref().and_then(|port| port.name.clone());
    let port_name = port_name.as_deref().unwrap_or(UNNAMED_PORT);
    let readiness = fields.take("readinessProbe");
    container.readiness_probe = if is_serving {
        let default = probe::default_readiness();
        match readiness {
            Some(field) => probe::readiness(&field, port_name, Some(default.handler)),
            None => Some(default),
        }
    } else {
        readiness.and_then(|field| probe::readiness(&field, port_name, None))
    };
    container.liveness_probe = fields
        .take("livenessProbe")
        .and_then(|field| probe::other(&field, port_name));
    container.startup_probe = fields
        .take("startupProbe")
        .and_then(|field| probe::other(&field, port_name));
}

fn refuse_probes(item: &Field<'_>) {
    for name in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if item.node().get(name).is_some_and(|entry| !entry.value.is_null()) {
            item.refuse_below(&[name], "field not allowed in an init container", "remove it");
        }
    }
}
