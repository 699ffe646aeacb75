//! What does go-control-plane's snapshot cache answer, and to what does it keep silent? As pure state, one stream at a time.
//!
//! It is a model of what control planes in the field do, quirks included, rather than of what the protocol's text says.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Any;

pub use super::delta::DeltaStream;

/// The `type_url` of clusters.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// The `type_url` of endpoints.
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// The `type_url` of secrets.
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// The `type_url` of listeners.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// The `type_url` of route configurations.
pub const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// The `type_url` of runtime layers.
pub const RUNTIME: &str = "type.googleapis.com/envoy.service.runtime.v3.Runtime";

/// One resource, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its type.
    pub type_url: String,
    /// Its name.
    pub name: String,
    /// Its message.
    pub body: Bytes,
}

impl Item {
    /// A resource of a type.
    pub fn new(type_url: &str, name: &str, body: impl Into<Bytes>) -> Self {
        Self {
            type_url: type_url.to_owned(),
            name: name.to_owned(),
            body: body.into(),
        }
    }

    /// A resource that has nothing but its name, and `salt` in a field that no type has: two contents for one name.
    #[must_use]
    pub fn named(type_url: &str, name: &str, salt: u64) -> Self {
        let mut body = Vec::new();
        prost::encoding::string::encode(1, &name.to_owned(), &mut body);
        prost::encoding::uint64::encode(50_000, &salt, &mut body);
        Self::new(type_url, name, body)
    }
}

/// All resources at one time. Every type has the same version, as Kourier and Contour have it: any change is a new version of
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of every type.
    pub version: String,
    pub(super) types: BTreeMap<String, BTreeMap<String, Bytes>>,
}

impl Snapshot {
    /// These resources under this version.
    #[must_use]
    pub fn new(version: &str, items: &[Item]) -> Self {
        let mut types: BTreeMap<String, BTreeMap<String, Bytes>> = BTreeMap::new();
        for item in items {
            let resources = types.entry(item.type_url.clone()).or_default();
            resources.insert(item.name.clone(), item.body.clone());
        }
        Self {
            version: version.to_owned(),
            types,
        }
    }

    /// The resources of a type, by name.
    #[must_use]
    pub fn of(&self, type_url: &str) -> BTreeMap<String, Bytes> {
        self.types.get(type_url).cloned().unwrap_or_default()
    }
}

/// What happens to a request that does not name all that there is (`ads=true` only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// It is never answered, and forgotten with the next snapshot: go-control-plane 0.14, Kourier's.
    #[default]
    Discards,
    /// It is not answered, and waits for a snapshot that it names all of: go-control-plane's newest.
    Keeps,
    /// There is no gate (`ads=false`: Contour).
    Absent,
}

/// One state-of-the-world stream.
#[derive(Clone, Debug, Default)]
pub struct SotwStream {
    gate: Gate,
    nonces: u64,
    types: BTreeMap<String, Watched>,
}

/// A type on a stream. There is one watch, and at most one response that is not answered.
#[derive(Clone, Debug, Default)]
struct Watched {
    /// The nonce of the response that answered the watch; empty while it is unanswered.
    nonce: String,
    /// The request, while the cache holds it.
    open: Option<(String, Vec<String>)>,
    last_sent: BTreeSet<String>,
    /// What the client is known to have.
    returned: BTreeSet<String>,
}

impl SotwStream {
    /// A new stream.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self {
            gate,
            ..Self::default()
        }
    }

    /// The answer to a request. A stale nonce is ignored, and so is what does not pass the gate.
    pub fn on_request(
        &mut self,
        request: &DiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Option<DiscoveryResponse> {
        let url = request.type_url.clone();
        let is_new = !self.types.contains_key(&url);
        let watched = self.types.entry(url.clone()).or_default();
        if !watched.nonce.is_empty() && watched.nonce == request.response_nonce {
            watched.returned.clone_from(&watched.last_sent);
        }
        if !is_new && !watched.nonce.is_empty() && watched.nonce != request.response_nonce {
            return None;
        }
        let names: Vec<String> = match request.resource_names.as_slice() {
            [only] if only == "*" => Vec::new(),
            names => names.to_vec(),
        };
        watched.nonce.clear();
        watched.open = None;
        let Some(snapshot) = snapshot else {
            watched.open = Some((request.version_info.clone(), names));
            return None;
        };
        let resources = snapshot.of(&url);
        let is_newly_named = |name: &String| !watched.returned.contains(name) && resources.contains_key(name);
        if request.version_info == snapshot.version && !names.iter().any(is_newly_named) {
            watched.open = Some((request.version_info.clone(), names));
            return None;
        }
        self.answer(&url, request.version_info.clone(), names, snapshot)
    }

    /// The answers to the watches that a new snapshot answers: in any order, as the default server picks.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot) -> Vec<DiscoveryResponse> {
        let open = self.types.iter_mut().filter_map(|(url, watched)| {
            let stale = watched.open.as_ref()?.0 != snapshot.version;
            let (version, names) = if stale { watched.open.take() } else { None }?;
            Some((url.clone(), version, names))
        });
        let open: Vec<_> = open.collect();
        let answers = open
            .into_iter()
            .filter_map(|(url, version, names)| self.answer(&url, version, names, snapshot));
        answers.collect()
    }

    fn answer(
        &mut self,
        url: &str,
        version: String,
        names: Vec<String>,
        snapshot: &Snapshot,
    ) -> Option<DiscoveryResponse> {
        let watched = self.types.get_mut(url)?;
        let mut resources = snapshot.of(url);
        let names_all = resources.keys().all(|name| names.contains(name));
        if !names.is_empty() && !names_all && self.gate != Gate::Absent {
            if self.gate == Gate::Keeps {
                watched.open = Some((version, names));
            }
            return None;
        }
        if !names.is_empty() {
            resources.retain(|name, _| names.contains(name));
        }
        self.nonces += 1;
        watched.nonce = self.nonces.to_string();
        watched.last_sent = resources.keys().cloned().collect();
        Some(DiscoveryResponse {
            version_info: snapshot.version.clone(),
            resources: resources.values().map(|body| any(url, body)).collect(),
            type_url: url.to_owned(),
            nonce: watched.nonce.clone(),
            ..DiscoveryResponse::default()
        })
    }
}

pub(super) fn any(url: &str, body: &Bytes) -> Any {
    Any {
        type_url: url.to_owned(),
        value: body.to_vec(),
    }
}

/// The version that delta gives a resource: a hash of its bytes.
pub(super) fn version_of(body: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
