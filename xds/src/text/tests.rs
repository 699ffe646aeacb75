//! What texts are taken, what they become, and how refusals read.

use super::*;

mod accepted;
mod refused;
mod round_trip;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

/// Reads a cluster in YAML and writes it as JSON.
fn cluster(yaml: &str) -> Result<String, String> {
    let parsed = parse(yaml.as_bytes(), Format::Yaml, CLUSTER, Unknown::Refused);
    parsed
        .map(|parsed| parsed.to_json(Secrets::Redacted).compact())
        .map_err(|problem| problem.to_string())
}
