//! What does a replica on a laptop answer to `fieldRef` and `resourceFieldRef`, Kubernetes' downward API?

use std::collections::BTreeMap;

use tidegate_knative::object::{Container, ResourceFieldRef};

use super::{Identity, quantity};
use crate::launch::Obstacle;

/// Where a replica runs: pod and node are this machine.
const ADDRESS: &str = "127.0.0.1";
const NODE: &str = "localhost";
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// A field of the pod.
pub(super) fn field(
    field: &str,
    identity: &Identity<'_>,
    service_account: Option<&str>,
    path: &str,
) -> Result<String, Obstacle> {
    if let Some(key) = subscript(field, "metadata.labels") {
        return Ok(value_of(identity.labels, key));
    }
    if let Some(key) = subscript(field, "metadata.annotations") {
        return Ok(value_of(identity.annotations, key));
    }
    let value = match field {
        "metadata.name" => identity.pod,
        "metadata.namespace" => identity.namespace,
        "spec.serviceAccountName" => service_account.unwrap_or(DEFAULT_SERVICE_ACCOUNT),
        "spec.nodeName" => NODE,
        "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => ADDRESS,
        other => {
            return Err(Obstacle::new(
                path,
                format!(
                    "{other} has no meaning outside Kubernetes: use value, or a field such as metadata.name"
                ),
            ));
        }
    };
    Ok(value.to_owned())
}

/// `['key']` after `prefix`.
fn subscript<'a>(field: &'a str, prefix: &str) -> Option<&'a str> {
    field.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")
}

/// A label or annotation that the pod does not have is empty, as in Kubernetes.
fn value_of(map: &BTreeMap<String, String>, key: &str) -> String {
    map.get(key).cloned().unwrap_or_default()
}

/// A request or limit of the container.
pub(super) fn resource(
    reference: &ResourceFieldRef,
    container: &Container,
    path: &str,
) -> Result<String, Obstacle> {
    if let Some(other) = reference
        .container_name
        .as_ref()
        .filter(|name| **name != container.name)
    {
        return Err(Obstacle::new(
            &format!("{path}.containerName"),
            format!("{other} does not run here: only {} does", container.name),
        ));
    }
    let resource = reference.resource.as_str();
    let declared = match resource.split_once('.') {
        Some(("limits", name)) => container.resources.limits.get(name),
        Some(("requests", name)) => container.resources.requests.get(name),
        _ => None,
    };
    let declared = declared.ok_or_else(|| {
        let message =
            "the container declares no such resource, and there is no node to ask: add it to resources";
        Obstacle::new(&format!("{path}.resource"), format!("{resource}: {message}"))
    })?;
    let divisor = reference.divisor.as_ref().map_or("1", |divisor| divisor.as_str());
    // Zero stands for "no divisor" in Kubernetes.
    let divisor = if divisor == "0" { "1" } else { divisor };
    let quotient = quantity::divide(declared.as_str(), divisor).ok_or_else(|| {
        Obstacle::new(
            path,
            format!(
                "{} cannot be divided by {divisor}: see the divisor",
                declared.as_str()
            ),
        )
    })?;
    Ok(quotient.to_string())
}
