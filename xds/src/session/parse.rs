//! A response as it came, as an update; or why it is refused before anybody looks into its resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::{DecodeError, Message};
use tidegate_proxy::process::give_way;
use xxhash_rust::xxh3::Xxh3;

use super::Variant;
use crate::resource::{Gone, Kind, Raw, Update};
use crate::wire::{self, Any, DeltaDiscoveryResponse, DiscoveryResponse};

/// A response.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Of which type it is, whether or not there is such a kind.
    pub type_url: String,
    /// What its answer has to name.
    pub nonce: String,
    /// What it brings; none if there is no such kind.
    pub content: Option<Content>,
}

/// What a response brings.
#[derive(Clone, Debug)]
pub struct Content {
    /// Of which kind.
    pub kind: Kind,
    /// The update; or what the NACK says.
    pub update: Result<Update, String>,
    /// Resources that are as they were (heartbeats).
    pub unchanged: BTreeSet<Arc<str>>,
    /// How long resources live that are not renewed, of those that say it (`ttl`); the others live until they are removed.
    pub lives: BTreeMap<Arc<str>, Duration>,
    /// Tells one content from another, whatever its version.
    pub hash: u128,
}

/// Reads a response.
///
/// # Errors
/// When it is no message; the stream cannot go on then, since nobody knows what to refuse.
pub fn parse(variant: Variant, message: Bytes) -> Result<Parsed, DecodeError> {
    match variant {
        Variant::StateOfTheWorld => wire::decode_giving_way(message).map(sotw),
        Variant::Delta => wire::decode_giving_way(message).map(delta),
    }
}

/// Reads the response that a file of resources of one kind is. Where it does not say of which type it is, it is of that kind,
/// as for Envoy, and each of its resources says for itself whether it is.
///
/// # Errors
/// When it is no message.
pub fn file(kind: Kind, message: Bytes) -> Result<Parsed, DecodeError> {
    let mut response: DiscoveryResponse = wire::decode_giving_way(message)?;
    if response.type_url.is_empty() {
        kind.type_url().clone_into(&mut response.type_url);
    }
    Ok(sotw(response))
}

fn sotw(response: DiscoveryResponse) -> Parsed {
    let content = Kind::of_url(&response.type_url).map(|kind| {
        let mut content = Collected::new(kind, &response.version_info);
        let read = content.read_all(&response);
        let gone = match kind.is_wildcard() {
            true => Gone::Rest,
            false => Gone::Named(Vec::new()),
        };
        content.finish(read, gone)
    });
    Parsed {
        type_url: response.type_url,
        nonce: response.nonce,
        content,
    }
}

fn delta(response: DeltaDiscoveryResponse) -> Parsed {
    let content = Kind::of_url(&response.type_url).map(|kind| {
        let mut content = Collected::new(kind, &response.system_version_info);
        let read = content.read_changes(&response);
        let removed = response.removed_resources.iter();
        let gone = Gone::Named(removed.map(|name| name.as_str().into()).collect());
        content.finish(read, gone)
    });
    Parsed {
        type_url: response.type_url,
        nonce: response.nonce,
        content,
    }
}

/// What was read of a response so far.
struct Collected {
    kind: Kind,
    version: Arc<str>,
    resources: Vec<Raw>,
    unchanged: BTreeSet<Arc<str>>,
    lives: BTreeMap<Arc<str>, Duration>,
    hash: Xxh3,
}

impl Collected {
    fn new(kind: Kind, version: &str) -> Self {
        Self {
            kind,
            version: version.into(),
            resources: Vec::new(),
            unchanged: BTreeSet::new(),
            lives: BTreeMap::new(),
            hash: Xxh3::new(),
        }
    }

    fn finish(self, read: Result<(), String>, gone: Gone) -> Content {
        let Self {
            kind,
            version,
            resources,
            unchanged,
            lives,
            mut hash,
        } = self;
        if let Gone::Named(names) = &gone {
            names.iter().for_each(|name| hash.update(name.as_bytes()));
        }
        let update = read.map(|()| Update {
            kind,
            version,
            resources,
            gone,
        });
        Content {
            kind,
            update,
            unchanged,
            lives,
            hash: hash.digest128(),
        }
    }

    fn read_all(&mut self, response: &DiscoveryResponse) -> Result<(), String> {
        for any in &response.resources {
            give_way();
            self.hash.update(&any.value);
            if any.type_url != wire::RESOURCE_TYPE_URL {
                self.check(any, || {
                    format!(
                        "{} does not match the message-wide type URL {} in DiscoveryResponse",
                        any.type_url, response.type_url
                    )
                })?;
                let name = wire::name(&any.value).map_err(|error| self.not_one(any, &error))?;
                self.add(name, Arc::clone(&self.version), any.value.clone());
                continue;
            }
            let wrapped = wire::Resource::decode(any.value.clone());
            let wrapped =
                wrapped.map_err(|error| unpack("envoy.service.discovery.v3.Resource", any, &error))?;
            self.wrapped(wrapped, &response.type_url, "DiscoveryResponse")?;
        }
        Ok(())
    }

    fn read_changes(&mut self, response: &DeltaDiscoveryResponse) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for resource in &response.resources {
            give_way();
            let (body, name) = (resource.resource.as_ref(), resource.name.as_bytes());
            self.hash.update(name);
            self.hash.update(body.map_or(&[], |any| any.value.as_ref()));
            if !names.insert(resource.name.as_str()) {
                return Err(format!(
                    "duplicate name {} found among added/updated resources",
                    resource.name
                ));
            }
            self.wrapped(resource.clone(), &response.type_url, "DeltaDiscoveryResponse")?;
        }
        for name in &response.removed_resources {
            if !names.insert(name.as_str()) {
                return Err(format!(
                    "duplicate name {name} found in the union of added+removed resources"
                ));
            }
        }
        Ok(())
    }

    fn wrapped(&mut self, resource: wire::Resource, type_url: &str, message: &str) -> Result<(), String> {
        let lives = resource.ttl.map(lifetime).transpose()?;
        let Some(any) = resource.resource else {
            // Without a body it says that a resource lives on; with aliases and no body it answers for a name on demand.
            if resource.aliases.is_empty() {
                let name: Arc<str> = resource.name.into();
                self.lives.extend(lives.map(|lives| (Arc::clone(&name), lives)));
                self.unchanged.insert(name);
            }
            return Ok(());
        };
        self.check(&any, || {
            format!(
                "type URL {} embedded in an individual Any does not match the message-wide type URL {type_url} in {message}",
                any.type_url
            )
        })?;
        let own = wire::name(&any.value).map_err(|error| self.not_one(&any, &error))?;
        let name = if resource.name.is_empty() {
            own
        } else {
            resource.name
        };
        let version = match resource.version.as_str() {
            "" => Arc::clone(&self.version),
            version => version.into(),
        };
        if let Some(lives) = lives {
            self.lives.insert(name.as_str().into(), lives);
        }
        self.add(name, version, any.value);
        Ok(())
    }

    fn check(&self, any: &Any, mismatch: impl FnOnce() -> String) -> Result<(), String> {
        if any.type_url == self.kind.type_url() {
            return Ok(());
        }
        Err(mismatch())
    }

    fn not_one(&self, any: &Any, error: &DecodeError) -> String {
        let url = self.kind.type_url();
        unpack(url.strip_prefix(TYPE_URL_PREFIX).unwrap_or(url), any, error)
    }

    fn add(&mut self, name: String, version: Arc<str>, body: Bytes) {
        self.resources.push(Raw::new(name, version, body));
    }
}

fn lifetime(ttl: wire::Duration) -> Result<Duration, String> {
    let seconds = u64::try_from(ttl.seconds);
    let nanos = u32::try_from(ttl.nanos);
    let (Ok(seconds), Ok(nanos)) = (seconds, nanos) else {
        let wire::Duration { seconds, nanos } = ttl;
        return Err(format!(
            "Invalid duration: Expected positive duration: seconds: {seconds}, nanos: {nanos}"
        ));
    };
    Ok(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

fn unpack(name: &str, any: &Any, error: &DecodeError) -> String {
    format!("Unable to unpack as {name}: {}: {error}", any.type_url)
}

const TYPE_URL_PREFIX: &str = "type.googleapis.com/";
