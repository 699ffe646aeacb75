//! What a route does, by chance.

use fastrand::Rng;
use serde_json::{Value, json};

use super::edits;
use super::world::{CLUSTERS, one, put, rarely};

pub(crate) fn forward(rng: &mut Rng) -> Value {
    let mut action = match rng.usize(..5) {
        0 => json!({"cluster": one(rng, &[CLUSTERS[0], CLUSTERS[1], "ns/missing"])}),
        1 => json!({"cluster_header": "x-cluster"}),
        _ => json!({"weighted_clusters": {"clusters": shares(rng)}}),
    };
    match rng.usize(..9) {
        0 => put(&mut action, "prefix_rewrite", json!("/new")),
        1 => put(&mut action, "prefix_rewrite", json!("/")),
        2 => put(&mut action, "regex_rewrite", regex("^/a(.*)$", r"/r\1")),
        3 => put(&mut action, "regex_rewrite", regex("[ab]", r"-\0-")),
        _ => {}
    }
    match rng.usize(..9) {
        0 => put(&mut action, "host_rewrite_literal", json!("rewritten.example")),
        1 => put(&mut action, "host_rewrite_header", json!("x-to")),
        2 => put(
            &mut action,
            "host_rewrite_path_regex",
            regex("^/+([a-zA-Z]*).*$", r"p\1.path.example"),
        ),
        3 => put(&mut action, "auto_host_rewrite", json!(true)),
        _ => {}
    }
    if rarely(rng, 5) {
        put(&mut action, "append_x_forwarded_host", json!(true));
    }
    if rarely(rng, 3) {
        put(&mut action, "timeout", json!(one(rng, &["0s", "30s", "2.5s"])));
    }
    if rarely(rng, 10) {
        let header = json!({"max_stream_duration": "20s", "grpc_timeout_header_max": "10s"});
        put(&mut action, "max_stream_duration", header);
    }
    if rarely(rng, 8) {
        put(&mut action, "retry_policy", retry(rng));
    }
    if rarely(rng, 8) {
        let code = one(
            rng,
            &["NOT_FOUND", "SERVICE_UNAVAILABLE", "INTERNAL_SERVER_ERROR"],
        );
        put(&mut action, "cluster_not_found_response_code", json!(code));
    }
    action
}

pub(crate) fn retry(rng: &mut Rng) -> Value {
    json!({
        "retry_on": one(rng, &["5xx", "gateway-error", "retriable-4xx", "connect-failure", "retriable-status-codes"]),
        "num_retries": 1 + rng.u32(..2),
        "retriable_status_codes": [404],
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    })
}

/// Several of which one has all the weight.
fn shares(rng: &mut Rng) -> Vec<Value> {
    let count = 1 + rng.usize(..3);
    let chosen = rng.usize(..count);
    (0..count)
        .map(|place| {
            let cluster = one(rng, &[CLUSTERS[0], CLUSTERS[1], CLUSTERS[1], "ns/missing"]);
            let mut share = json!({"name": cluster, "weight": if place == chosen { 100 } else { 0 }});
            if rarely(rng, 6) {
                put(&mut share, "host_rewrite_literal", json!("share.example"));
            }
            edits::add(rng, &mut share, cluster);
            share
        })
        .collect()
}

pub(crate) fn redirect(rng: &mut Rng) -> Value {
    let mut redirect = match rng.usize(..4) {
        0 => json!({"https_redirect": true}),
        1 => json!({"scheme_redirect": one(rng, &["https", "http"])}),
        _ => json!({}),
    };
    let code = one(
        rng,
        &[
            "MOVED_PERMANENTLY",
            "FOUND",
            "SEE_OTHER",
            "TEMPORARY_REDIRECT",
            "PERMANENT_REDIRECT",
        ],
    );
    put(&mut redirect, "response_code", json!(code));
    match rng.usize(..6) {
        0 => put(&mut redirect, "path_redirect", json!("/else")),
        1 => put(&mut redirect, "path_redirect", json!("/else?x=y")),
        2 => put(&mut redirect, "prefix_rewrite", json!("/pre")),
        3 => put(&mut redirect, "regex_rewrite", regex("b", "c")),
        _ => {}
    }
    if rng.bool() {
        put(
            &mut redirect,
            "host_redirect",
            json!(one(rng, &["to.example", "to.example:90"])),
        );
    }
    if rarely(rng, 3) {
        put(&mut redirect, "port_redirect", json!(one(rng, &[8443, 443, 80])));
    }
    if rarely(rng, 3) {
        put(&mut redirect, "strip_query", json!(true));
    }
    redirect
}

pub(crate) fn direct_response(rng: &mut Rng) -> Value {
    let mut response = json!({"status": one(rng, &[200, 200, 201, 204, 302, 304, 403, 418, 503])});
    if rng.bool() {
        put(&mut response, "body", json!({"inline_string": "a text"}));
    }
    response
}

fn regex(pattern: &str, substitution: &str) -> Value {
    json!({"pattern": {"regex": pattern}, "substitution": substitution})
}
