//! How does a test stand in for a Kubernetes API server? As far as one that is only watched goes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::body::{self, Body, Feed};
use crate::upstream::Upstream;

/// An API server that holds objects and tells of their changes.
#[derive(Debug)]
pub struct Api {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// Nothing is known of the changes up to this version.
    forgotten: u64,
    /// The path of a kind's list, and the object.
    objects: Vec<(&'static str, Value)>,
    watches: Vec<(String, Arc<Feed>)>,
}

/// The list of revisions.
pub const REVISIONS: &str = "/apis/serving.knative.dev/v1/revisions";
/// The list of Endpoints.
pub const ENDPOINTS: &str = "/api/v1/endpoints";
/// The list of services.
pub const SERVICES: &str = "/api/v1/services";
/// The list of the system's secrets.
pub const SECRETS: &str = "/api/v1/namespaces/knative-serving/secrets";
/// The list of the system's ConfigMaps.
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/knative-serving/configmaps";

impl Api {
    /// Without any object.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Upstream::start(move |request| {
            let response = answer(&request, &mut lock(&shared));
            async move { response }
        })
        .await;
        Self { server, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// All that it was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let seen = self.server.seen().into_iter();
        seen.map(|seen| seen.uri.to_string()).collect()
    }

    /// The text of a client's configuration that leads here.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address())}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        })
        .to_string()
    }

    /// Puts an object of a kind, new or not, and tells of it.
    pub async fn put(&self, list: &'static str, mut object: Value) {
        let (feeds, line) = {
            let mut state = lock(&self.state);
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let name = object["metadata"]["name"].clone();
            let place = state
                .objects
                .iter()
                .position(|(of, known)| *of == list && known["metadata"]["name"] == name);
            let event = if place.is_some() { "MODIFIED" } else { "ADDED" };
            match place {
                Some(place) => state.objects[place].1 = object.clone(),
                None => state.objects.push((list, object.clone())),
            }
            (
                state.watching(list, &object),
                json!({"type": event, "object": object}),
            )
        };
        tell(feeds, &line).await;
    }

    /// Takes an object out, and tells of it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn delete(&self, list: &'static str, name: &str) {
        let (feeds, line) = {
            let mut state = lock(&self.state);
            let of = |(kind, object): &(&str, Value)| *kind == list && object["metadata"]["name"] == name;
            let place = state.objects.iter().position(of).expect("the object is there");
            let (_, object) = state.objects.remove(place);
            (
                state.watching(list, &object),
                json!({"type": "DELETED", "object": object}),
            )
        };
        tell(feeds, &line).await;
    }

    /// Takes an object out while nobody watches: all watches end, and who comes back is told to list anew.
    pub fn lose(&self, list: &'static str, name: &str) {
        let mut state = lock(&self.state);
        let of = |(kind, object): &(&str, Value)| *kind == list && object["metadata"]["name"] == name;
        state.objects.retain(|object| !of(object));
        state.version += 1;
        state.forgotten = state.version;
        state.watches.clear();
    }
}

async fn tell(feeds: Vec<Arc<Feed>>, line: &Value) {
    for feed in feeds {
        feed.data(format!("{line}\n")).await;
    }
}

impl State {
    /// Those who watch this object.
    fn watching(&self, list: &str, object: &Value) -> Vec<Arc<Feed>> {
        let watches = self.watches.iter();
        watches
            .filter(|(query, _)| query.starts_with(list) && selects(query, object))
            .map(|(_, feed)| Arc::clone(feed))
            .collect()
    }
}

/// Whether a query by the type of a service's endpoints, for bundles of certificates or for one name is about this object.
fn selects(query: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let of_type = labels["networking.internal.knative.dev/serviceType"].as_str();
    let is_bundle = labels["networking.knative.dev/trust-bundle"].is_string();
    let wanted = query.split("metadata.name%3D").nth(1);
    let wanted = wanted.and_then(|rest| rest.split('&').next());
    of_type.is_none_or(|of_type| query.contains(of_type))
        && (is_bundle || !query.contains("trust-bundle"))
        && wanted.is_none_or(|wanted| object["metadata"]["name"] == wanted)
}

fn answer(request: &Request<hyper::body::Incoming>, state: &mut State) -> Response<Body> {
    let path = request.uri().path();
    let query = request.uri().to_string();
    let list: Vec<_> = state.objects.iter().filter(|(list, _)| *list == path).collect();
    if query.contains("watch=true") {
        if since(&query) < state.forgotten {
            // Told in the stream, as API servers do.
            let (_, status) = refusal(StatusCode::GONE, "Expired");
            let line = json!({"type": "ERROR", "object": status});
            return Response::new(body::full(format!("{line}\n")));
        }
        let (feed, body) = body::fed();
        let begin = query.find(path).unwrap_or_default();
        state.watches.push((query[begin..].to_owned(), Arc::new(feed)));
        return Response::new(body);
    }
    match path {
        "/version" => respond(StatusCode::OK, &version()),
        REVISIONS | ENDPOINTS | SERVICES | SECRETS | CONFIG_MAPS => {
            let items: Vec<_> = list
                .into_iter()
                .map(|(_, object)| object)
                .filter(|object| selects(&query, object))
                .collect();
            let metadata = json!({"resourceVersion": state.version.to_string()});
            let list = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items});
            respond(StatusCode::OK, &list)
        }
        one => {
            let is_it = |(list, object): &&(&str, Value)| {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                one.strip_prefix(list)
                    .is_some_and(|rest| rest.strip_prefix('/') == Some(name))
            };
            if let Some((_, object)) = state.objects.iter().find(is_it) {
                return respond(StatusCode::OK, object);
            }
            let (status, object) = refusal(StatusCode::NOT_FOUND, "NotFound");
            respond(status, &object)
        }
    }
}

/// The version that a watch goes on from.
fn since(query: &str) -> u64 {
    let after = query.split("resourceVersion=").nth(1).unwrap_or_default();
    let digits = after.split(|letter: char| !letter.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn refusal(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    let object = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": status.as_u16()});
    (status, object)
}

fn version() -> Value {
    let mut version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"});
    for field in [
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ] {
        version[field] = json!("");
    }
    version
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn respond(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(body::full(value.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}
