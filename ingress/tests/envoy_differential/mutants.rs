//! Resources with something wrong in each, or with something that looks wrong and is not.
//!
//! The files in `mutants/` are lists of changes: a path into a good resource, and what to put there; `null` takes it away, and
//! a `-` at the end of a path adds to a list.

use serde_json::{Value, json};
use tidegate_testkit::certificates::{Authority, Identity};
use tidegate_xds::resource::Kind;

use super::pair::{self, CERTIFICATE, ENDPOINTS, VALIDATION};
use super::world::{ROUTES, put};

/// One resource to be taken or refused.
pub(crate) struct Mutant {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) json: Value,
    /// Whether the words of the refusal are Envoy's to the byte.
    pub(crate) is_exact: bool,
    /// What is changed, for people.
    change: String,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.change)
    }
}

const LISTS: [(Kind, &str, &str); 6] = [
    (Kind::Routes, ROUTES, include_str!("mutants/routes.json")),
    (Kind::Cluster, "mutant/c", include_str!("mutants/clusters.json")),
    (Kind::Listener, "mutant/l", include_str!("mutants/listeners.json")),
    (Kind::Endpoints, ENDPOINTS, include_str!("mutants/endpoints.json")),
    (
        Kind::Secret,
        CERTIFICATE,
        include_str!("mutants/certificates.json"),
    ),
    (Kind::Secret, VALIDATION, include_str!("mutants/validations.json")),
];

/// The longest body of a direct response that Envoy takes, and one byte more.
const BODY_LENGTHS: [usize; 2] = [4096, 4097];

pub(crate) fn all() -> Vec<Mutant> {
    let identity = Authority::new("mutants").server("a.example");
    let mut all = Vec::new();
    for (kind, name, changes) in LISTS {
        let base = base(kind, name, &identity);
        let changes: Vec<(String, Value)> = serde_json::from_str(changes).expect("a list of changes");
        for (path, value) in changes {
            all.push(mutant(kind, name, &base, &path, value));
        }
        // The next ones stand by themselves, as the good one is there again.
        all.push(mutant(kind, name, &base, "/nothing", Value::Null));
    }
    let routes = base(Kind::Routes, ROUTES, &identity);
    for length in BODY_LENGTHS {
        let body = json!({"inline_string": "x".repeat(length)});
        let path = "/virtual_hosts/0/routes/2/direct_response/body";
        all.push(mutant(Kind::Routes, ROUTES, &routes, path, body));
    }
    all
}

fn mutant(kind: Kind, name: &'static str, base: &Value, path: &str, value: Value) -> Mutant {
    Mutant {
        kind,
        name,
        is_exact: kind == Kind::Routes && path.ends_with("cluster"),
        change: format!("{name} {path} {value}").chars().take(400).collect(),
        json: changed(base, path, value),
    }
}

/// The resource with something else at a path.
fn changed(base: &Value, path: &str, value: Value) -> Value {
    let mut changed = base.clone();
    let (parent, name) = path.rsplit_once('/').expect("it has a slash");
    match changed.pointer_mut(parent) {
        Some(Value::Object(fields)) if value.is_null() => _ = fields.remove(name),
        Some(Value::Object(fields)) => _ = fields.insert(name.to_owned(), value),
        Some(Value::Array(items)) => match name.parse().ok().and_then(|place: usize| items.get_mut(place)) {
            Some(item) => *item = value,
            None => items.push(value),
        },
        _ => panic!("nothing is at {parent}"),
    }
    changed
}

/// A resource that both take.
fn base(kind: Kind, name: &str, identity: &Identity) -> Value {
    let mut base = match kind {
        Kind::Routes => routes(),
        Kind::Cluster => pair::cluster(name, ([127, 0, 0, 1], 1).into()),
        Kind::Listener => pair::listener("plain"),
        Kind::Endpoints => return pair::endpoints(([127, 0, 0, 1], 1).into()),
        _ if name == CERTIFICATE => pair::certificate(identity),
        _ => pair::validation(identity),
    };
    put(&mut base, "name", json!(name));
    base
}

fn routes() -> Value {
    json!({"name": ROUTES, "validate_clusters": true, "virtual_hosts": [
        {"name": "one", "domains": ["a.example"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "ns/one"}},
            {"match": {"prefix": "/r"}, "redirect": {}},
            {"match": {"prefix": "/d"}, "direct_response": {"status": 200}}]}]})
}
