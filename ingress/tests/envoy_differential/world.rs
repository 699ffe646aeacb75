//! A route configuration by chance, from alphabets so small that hosts, routes and requests meet.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{actions, edits, filters, matches};

/// The clusters that exist; routes name one more.
pub(crate) const CLUSTERS: [&str; 2] = ["ns/one", "ns/two"];

/// The name of the route configuration.
pub(crate) const ROUTES: &str = "routes";

const DOMAINS: [&str; 18] = [
    "a.example",
    "B.example",
    "*.example",
    "*-a.example",
    "a.*",
    "a.e*",
    "*",
    "*.a.example",
    "b.example:8080",
    "a.example:*",
    "x-a.example",
    "*ample",
    "*.c.A.example",
    "other:*",
    "a.example:443",
    "*:8080",
    "a.*.org",
    "example",
];

pub(crate) fn one<T: Clone>(rng: &mut Rng, all: &[T]) -> T {
    all.get(rng.usize(..all.len())).cloned().expect("there is one")
}

/// True once in so many times.
pub(crate) fn rarely(rng: &mut Rng, times: usize) -> bool {
    rng.usize(..times) == 0
}

pub(crate) fn world(rng: &mut Rng) -> Value {
    let mut domains: Vec<_> = DOMAINS.into_iter().filter(|_| rng.usize(..5) != 0).collect();
    rng.shuffle(&mut domains);
    let mut hosts = Vec::new();
    while !domains.is_empty() {
        let count = 1 + rng.usize(..3);
        let own = domains.split_off(domains.len().saturating_sub(count));
        hosts.push(host(rng, own));
    }
    let mut world = json!({
        "name": ROUTES,
        "virtual_hosts": hosts,
        "ignore_port_in_host_matching": rarely(rng, 3),
        "most_specific_header_mutations_wins": rng.bool(),
        "validate_clusters": false,
    });
    edits::add(rng, &mut world, "table");
    world
}

fn host(rng: &mut Rng, domains: Vec<&str>) -> Value {
    let name = domains.join(" ");
    let mut routes: Vec<_> = (0..1 + rng.usize(..6))
        .map(|place| route(rng, &format!("{name}/{place}")))
        .collect();
    // At one level: ours takes the nearest whole, and Envoy each field of the nearest that has it.
    let by_host = rng.bool();
    for route in routes.iter_mut().filter(|_| !by_host) {
        filters::add(rng, route);
    }
    let mut host = json!({"name": name, "domains": domains, "routes": routes});
    // Without `require_tls`: Envoy keeps a port 80 in the `https` URL that it sends to, and leaves that response unchanged.
    if rarely(rng, 6) {
        put(&mut host, "include_request_attempt_count", json!(true));
    }
    if rarely(rng, 6) {
        put(&mut host, "include_attempt_count_in_response", json!(true));
    }
    if rarely(rng, 8) {
        put(&mut host, "retry_policy", actions::retry(rng));
    }
    if by_host {
        filters::add(rng, &mut host);
    }
    edits::add(rng, &mut host, "host");
    host
}

fn route(rng: &mut Rng, name: &str) -> Value {
    let mut route = json!({"name": name, "match": matches::matches(rng)});
    let action = match rng.usize(..6) {
        0 => ("redirect", actions::redirect(rng)),
        1 => ("direct_response", actions::direct_response(rng)),
        _ => ("route", actions::forward(rng)),
    };
    put(&mut route, action.0, action.1);
    edits::add(rng, &mut route, "route");
    route
}

/// Sets a field of a message.
pub(crate) fn put(message: &mut Value, field: &str, value: Value) {
    if let Some(fields) = message.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

/// Whether one of the shares of a split has any weight.
pub(crate) fn has_weight(split: &Value) -> bool {
    let shares = split.get("clusters").and_then(Value::as_array);
    let mut weights = shares
        .into_iter()
        .flatten()
        .filter_map(|share| share.get("weight"));
    weights.any(|weight| weight.as_u64() != Some(0))
}
