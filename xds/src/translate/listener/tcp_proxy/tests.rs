use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::text;

/// What is made of a `tcp_proxy` to `c` with these fields, or why it is refused.
fn read(mut fields: Value) -> Result<RelaySettings, String> {
    for (name, value) in [("stat_prefix", json!("t")), ("cluster", json!("c"))] {
        let weighted = fields.get("weighted_clusters").is_some() && name == "cluster";
        if fields.get(name).is_none() && !weighted {
            fields[name] = value;
        }
    }
    let text = fields.to_string();
    let name = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let parsed = text::parse(text.as_bytes(), text::Format::Json, name, text::Unknown::Refused);
    let bytes = parsed.expect("a message").encode();
    let message = prost::Message::decode(bytes).expect("what was encoded");
    super::read(&message, &Context::default(), &mut Notes::default()).map_err(|reject| reject.to_string())
}

#[test]
fn the_defaults_are_envoys() {
    let read = read(json!({})).unwrap();
    assert_eq!((&*read.metrics_name, &*read.to.pick().cluster), ("t", "c"));
    assert_eq!(read.idle, Some(Duration::from_secs(3600)));
    assert_eq!(
        (read.lasts_max, read.attempts_max, read.by_client),
        (None, NonZeroU32::MIN, false)
    );
}

#[test]
fn what_it_says_is_in_its_settings() {
    let fields = json!({
        "idle_timeout": "0s", "max_downstream_connection_duration": "9s", "max_connect_attempts": 3,
        "hash_policy": [{"source_ip": {}}],
    });
    let read = read(fields).unwrap();
    assert_eq!((read.idle, read.lasts_max), (None, Some(Duration::from_secs(9))));
    assert_eq!((read.attempts_max.get(), read.by_client), (3, true));
}

#[test]
fn weights_may_be_as_large_as_envoy_takes_them() {
    let check = |weights: [u32; 2], expected: [u32; 2]| {
        let [a, b] = weights;
        let clusters = json!([{"name": "a", "weight": a}, {"name": "b", "weight": b}]);
        let read = read(json!({"weighted_clusters": {"clusters": clusters}})).unwrap();
        let parts = read.to.parts().iter().map(|part| part.weight);
        assert_eq!(parts.collect::<Vec<_>>(), expected);
    };
    check([90, 10], [90, 10]);
    check([u32::MAX, u32::MAX], [u32::MAX / 3, u32::MAX / 3]);
    check([1, u32::MAX], [1, u32::MAX / 2]);
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |fields: Value, expected: &str| {
        let error = read(fields).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let least = "value must be greater than or equal to 1";
    check(
        json!({"stat_prefix": ""}),
        "(TcpProxyValidationError.StatPrefix: value length must be at least 1 characters)",
    );
    check(
        json!({"max_connect_attempts": 0}),
        &format!("(TcpProxyValidationError.MaxConnectAttempts: {least})"),
    );
    check(
        json!({"max_downstream_connection_duration": "0s"}),
        &format!("(TcpProxyValidationError.MaxDownstreamConnectionDuration: {least}ms)"),
    );
    check(
        json!({"weighted_clusters": {"clusters": []}}),
        "(TcpProxyValidationError.WeightedClusters: embedded message failed validation | caused by \
         WeightedClusterValidationError.Clusters: value must contain at least 1 item(s))",
    );
    check(
        json!({"weighted_clusters": {"clusters": [{"name": "a", "weight": 0}]}}),
        &format!("caused by ClusterWeightValidationError.Weight: {least})"),
    );
    check(
        json!({"tunneling_config": {"hostname": "h"}}),
        ".tunneling_config is not supported here",
    );
}
