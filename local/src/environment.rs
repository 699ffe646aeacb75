//! Which environment does a replica see?
//!
//! What the revision declares, resolved and expanded as the kubelet does; then `PORT`, `K_SERVICE`, `K_CONFIGURATION`,
//! `K_REVISION`. A process gets this on top of tidegate's own environment: tools on a laptop need `PATH`, `HOME` and
//! whatever their version managers set, and no short list would do. Left out are tidegate's own variables and the four
//! names above. A container gets what is declared, nothing else.

mod downward;
mod expand;
mod quantity;
mod sources;

use std::collections::BTreeMap;
use std::ffi::OsString;

use tidegate_knative::names::env;
use tidegate_knative::object::{Container, EnvSource, RevisionSpec};

use crate::launch::Obstacle;
use crate::names::{OWN_VARIABLE_PREFIX, SERVING_CONTAINER_PATH};

pub use expand::expand;
pub use sources::Sources;

/// Who a replica is, as its environment and the downward API tell it.
#[derive(Clone, Debug)]
pub struct Identity<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `K_SERVICE`; empty for a Configuration without a Service, as in Knative.
    pub service: &'a str,
    /// `K_CONFIGURATION`.
    pub configuration: &'a str,
    /// `K_REVISION`.
    pub revision: &'a str,
    /// `metadata.name`: unique among the replicas.
    pub pod: &'a str,
    /// `metadata.labels[…]`.
    pub labels: &'a BTreeMap<String, String>,
    /// `metadata.annotations[…]`.
    pub annotations: &'a BTreeMap<String, String>,
    /// `PORT`: where the serving container has to listen.
    pub port: u16,
}

/// The environment that the serving container declares, with Knative's own variables; sorted by name.
///
/// # Errors
/// Every variable whose value cannot be had here: a missing ConfigMap, Secret or key that is not optional, a field or
/// resource that means nothing outside Kubernetes, a value that is no text.
pub fn declared(
    spec: &RevisionSpec,
    identity: &Identity<'_>,
    sources: &Sources<'_>,
) -> Result<BTreeMap<String, String>, Vec<Obstacle>> {
    let container = &spec.serving;
    let mut variables = BTreeMap::new();
    let mut obstacles = Vec::new();
    for (index, from) in container.env_from.iter().enumerate() {
        let path = format!("{SERVING_CONTAINER_PATH}.envFrom[{index}]");
        match sources.all(identity.namespace, from, &path) {
            Ok(values) => variables.extend(values),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    for (index, variable) in container.env.iter().enumerate() {
        let path = format!("{SERVING_CONTAINER_PATH}.env[{index}]");
        let resolver = Resolver {
            spec,
            container,
            identity,
            sources,
            known: &variables,
        };
        match resolver.value(&variable.source, &path) {
            Ok(Some(value)) => drop(variables.insert(variable.name.clone(), value)),
            Ok(None) => {}
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    let own = [
        (env::PORT, identity.port.to_string()),
        (env::K_REVISION, identity.revision.to_owned()),
        (env::K_CONFIGURATION, identity.configuration.to_owned()),
        (env::K_SERVICE, identity.service.to_owned()),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if obstacles.is_empty() {
        Ok(variables)
    } else {
        Err(obstacles)
    }
}

/// What one variable's value is made from.
struct Resolver<'a> {
    spec: &'a RevisionSpec,
    container: &'a Container,
    identity: &'a Identity<'a>,
    sources: &'a Sources<'a>,
    /// The variables before this one: only those can be referred to.
    known: &'a BTreeMap<String, String>,
}

impl Resolver<'_> {
    /// The value; `None` leaves the variable unset.
    fn value(&self, source: &EnvSource, path: &str) -> Result<Option<String>, Obstacle> {
        let from = |field: &str| format!("{path}.valueFrom.{field}");
        match source {
            EnvSource::Value(text) => usable(expand(text, self.known), &format!("{path}.value")).map(Some),
            EnvSource::ConfigMapKey(key) => {
                self.sources
                    .config_map_key(self.identity.namespace, key, &from("configMapKeyRef"))
            }
            EnvSource::SecretKey(key) => {
                self.sources
                    .secret_key(self.identity.namespace, key, &from("secretKeyRef"))
            }
            EnvSource::Field(field) => {
                let path = from("fieldRef.fieldPath");
                let account = self.spec.service_account_name.as_deref();
                downward::field(&field.field_path, self.identity, account, &path).map(Some)
            }
            EnvSource::ResourceField(reference) => {
                downward::resource(reference, self.container, &from("resourceFieldRef")).map(Some)
            }
        }
    }
}

/// A process cannot be given a value with a NUL in it.
fn usable(value: String, path: &str) -> Result<String, Obstacle> {
    if value.contains('\0') {
        return Err(Obstacle::new(
            path,
            "the value contains a NUL character, which no environment can hold",
        ));
    }
    Ok(value)
}

/// What a process gets beneath the declared variables: tidegate's own environment without tidegate's own variables.
/// Names and values that are no text are left out.
#[must_use]
pub fn inherited(own: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    own.into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.starts_with(OWN_VARIABLE_PREFIX) && !env::RESERVED.contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests;
