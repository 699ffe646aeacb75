//! Which values do the ConfigMaps and Secrets of the files hold?

use std::collections::BTreeMap;
use std::fmt;

use tidegate_knative::object::{ConfigMap, EnvFrom, EnvFromSource, KeyRef, Object, Secret};

use super::usable;
use crate::launch::Obstacle;

/// The ConfigMaps and Secrets among the objects, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    config_maps: BTreeMap<(&'a str, &'a str), &'a ConfigMap>,
    secrets: BTreeMap<(&'a str, &'a str), &'a Secret>,
}

impl<'a> FromIterator<&'a Object> for Sources<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Object>>(objects: I) -> Self {
        let mut sources = Self::default();
        for object in objects {
            let metadata = object.metadata();
            let key = (metadata.namespace.as_str(), metadata.name.as_str());
            match object {
                Object::ConfigMap(map) => drop(sources.config_maps.insert(key, map)),
                Object::Secret(secret) => drop(sources.secrets.insert(key, secret)),
                _ => {}
            }
        }
        sources
    }
}

impl Sources<'_> {
    pub(super) fn config_map_key(
        &self,
        namespace: &str,
        key: &KeyRef,
        path: &str,
    ) -> Result<Option<String>, Obstacle> {
        let named = Named {
            kind: "ConfigMap",
            namespace,
            name: &key.name,
            optional: key.optional,
        };
        let Some(map) = self.config_maps.get(&(namespace, key.name.as_str())) else {
            return named.missing(path).map(|()| None);
        };
        match map.data.get(&key.key) {
            Some(value) => usable(value.clone(), path).map(Some),
            None if map.binary_data.contains_key(&key.key) => Err(named.binary(path, &key.key)),
            None => named.without_key(path, &key.key, map.data.keys()).map(|()| None),
        }
    }

    pub(super) fn secret_key(
        &self,
        namespace: &str,
        key: &KeyRef,
        path: &str,
    ) -> Result<Option<String>, Obstacle> {
        let named = Named {
            kind: "Secret",
            namespace,
            name: &key.name,
            optional: key.optional,
        };
        let Some(secret) = self.secrets.get(&(namespace, key.name.as_str())) else {
            return named.missing(path).map(|()| None);
        };
        match secret.data.get(&key.key) {
            Some(value) => named.text(path, &key.key, value).map(Some),
            None => named
                .without_key(path, &key.key, secret.data.keys())
                .map(|()| None),
        }
    }

    /// All values of an `envFrom` entry.
    pub(super) fn all(
        &self,
        namespace: &str,
        from: &EnvFrom,
        path: &str,
    ) -> Result<BTreeMap<String, String>, Obstacle> {
        let values = match &from.source {
            EnvFromSource::ConfigMap(name) => self.config_map_values(namespace, name, from, path),
            EnvFromSource::Secret(name) => self.secret_values(namespace, name, from, path),
        }?;
        Ok(values
            .into_iter()
            .map(|(key, value)| (format!("{}{key}", from.prefix), value))
            .collect())
    }

    fn config_map_values(
        &self,
        namespace: &str,
        name: &str,
        from: &EnvFrom,
        path: &str,
    ) -> Result<BTreeMap<String, String>, Obstacle> {
        let path = format!("{path}.configMapRef");
        let named = Named {
            kind: "ConfigMap",
            namespace,
            name,
            optional: from.optional,
        };
        match self.config_maps.get(&(namespace, name)) {
            Some(map) => map
                .data
                .iter()
                .map(|(key, value)| Ok((key.clone(), usable(value.clone(), &path)?)))
                .collect(),
            None => named.missing(&path).map(|()| BTreeMap::new()),
        }
    }

    fn secret_values(
        &self,
        namespace: &str,
        name: &str,
        from: &EnvFrom,
        path: &str,
    ) -> Result<BTreeMap<String, String>, Obstacle> {
        let path = format!("{path}.secretRef");
        let named = Named {
            kind: "Secret",
            namespace,
            name,
            optional: from.optional,
        };
        match self.secrets.get(&(namespace, name)) {
            Some(secret) => secret
                .data
                .iter()
                .map(|(key, value)| Ok((key.clone(), named.text(&path, key, value)?)))
                .collect(),
            None => named.missing(&path).map(|()| BTreeMap::new()),
        }
    }
}

/// An object that a container refers to.
struct Named<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    optional: bool,
}

impl Named<'_> {
    fn missing(&self, path: &str) -> Result<(), Obstacle> {
        if self.optional {
            return Ok(());
        }
        let message = format!("{self} is in none of the files: add it, or mark the reference optional");
        Err(Obstacle::new(path, message))
    }

    fn without_key<'k>(
        &self,
        path: &str,
        key: &str,
        keys: impl Iterator<Item = &'k String>,
    ) -> Result<(), Obstacle> {
        if self.optional {
            return Ok(());
        }
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let has = if keys.is_empty() {
            "no keys".to_owned()
        } else {
            format!("the keys {}", keys.join(", "))
        };
        Err(Obstacle::new(
            path,
            format!("{self} has no key {key}: it has {has}"),
        ))
    }

    fn binary(&self, path: &str, key: &str) -> Obstacle {
        Obstacle::new(
            path,
            format!("key {key} of {self} is no UTF-8 text, which a variable has to be"),
        )
    }

    fn text(&self, path: &str, key: &str, value: &[u8]) -> Result<String, Obstacle> {
        let text = std::str::from_utf8(value).map_err(|_not_text| self.binary(path, key))?;
        usable(text.to_owned(), path)
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
