//! What routes and hosts make of the filter of their listener, by chance.

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{one, put, rarely};

/// Adds some to a message that has `typed_per_filter_config`.
pub(crate) fn add(rng: &mut Rng, message: &mut Value) {
    if rarely(rng, 5) {
        let config = match rng.usize(..8) {
            0 => json!({"@type": CONFIG, "disabled": true}),
            1 => json!({"@type": CONFIG, "config": cors(rng)}),
            // Of another sort: it is without effect.
            2 => json!({"@type": AUTHORIZATION, "disabled": true}),
            3 => json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"}),
            _ => cors(rng),
        };
        let name = one(rng, &["origins", "origins", "origins", "nobody"]);
        put(message, "typed_per_filter_config", json!({name: config}));
    }
}

const CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
const AUTHORIZATION: &str = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";

fn cors(rng: &mut Rng) -> Value {
    let origins = [
        json!({"exact": "https://a.example"}),
        json!({"suffix": ".example"}),
        json!({"safe_regex": {"regex": "https?://[ab].*"}}),
        json!({"exact": "*"}),
    ];
    let mut policy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [one(rng, &origins)],
    });
    let fields = [
        ("allow_methods", json!("GET,PUT")),
        ("allow_headers", json!("x-a,x-b")),
        ("expose_headers", json!("x-up")),
        ("max_age", json!("60")),
        ("allow_credentials", json!(rng.bool())),
        ("allow_private_network_access", json!(rng.bool())),
        ("forward_not_matching_preflights", json!(rng.bool())),
    ];
    for (field, value) in fields {
        if rng.bool() {
            put(&mut policy, field, value);
        }
    }
    policy
}
