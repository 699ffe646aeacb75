//! How are invocations written for Prometheus? By the names that OpenTelemetry's exporter gives them.

use std::fmt::Write;

use super::{BUCKETS, Histogram};
use crate::program::env::Identity;

const SCOPE: &str =
    r#"otel_scope_name="knative.dev/serving/pkg/queue",otel_scope_schema_url="",otel_scope_version="""#;
const DURATION: &str = "kn_serving_invocation_duration_seconds";
const DEPTH: &str = "kn_serving_queue_depth";

/// The page of a replica.
pub(super) fn text(identity: &Identity, all: &[(u16, Histogram)], depth: Option<usize>) -> String {
    let mut page = String::new();
    // Writing to a string never fails.
    _ = write(&mut page, identity, all, depth);
    page
}

fn write(
    page: &mut String,
    identity: &Identity,
    all: &[(u16, Histogram)],
    depth: Option<usize>,
) -> std::fmt::Result {
    if !all.is_empty() {
        writeln!(page, "# HELP {DURATION} The duration of task execution.")?;
        writeln!(page, "# TYPE {DURATION} histogram")?;
    }
    for (status, histogram) in all {
        let labels = format!(r#"http_response_status_code="{status}",{SCOPE}"#);
        let mut count = 0;
        for (end, of_bucket) in BUCKETS.iter().zip(histogram.counts) {
            count += of_bucket;
            writeln!(page, r#"{DURATION}_bucket{{{labels},le="{end}"}} {count}"#)?;
        }
        let all: u64 = histogram.counts.iter().sum();
        writeln!(page, r#"{DURATION}_bucket{{{labels},le="+Inf"}} {all}"#)?;
        writeln!(page, "{DURATION}_sum{{{labels}}} {}", histogram.sum.as_secs_f64())?;
        writeln!(page, "{DURATION}_count{{{labels}}} {all}")?;
    }
    if let Some(depth) = depth {
        writeln!(page, "# HELP {DEPTH} Number of current items in the queue.")?;
        writeln!(page, "# TYPE {DEPTH} gauge")?;
        writeln!(page, "{DEPTH}{{{SCOPE}}} {depth}")?;
    }
    writeln!(page, "# HELP target_info Target metadata")?;
    writeln!(page, "# TYPE target_info gauge")?;
    writeln!(page, "target_info{{{}}} 1", target(identity))
}

/// Whose numbers these are.
fn target(identity: &Identity) -> String {
    let Identity {
        namespace,
        revision,
        configuration,
        service,
        pod,
        ..
    } = identity;
    let labels = [
        ("container_name", "queue-proxy"),
        ("k8s_namespace_name", namespace),
        ("k8s_pod_name", pod),
        ("kn_configuration_name", configuration),
        ("kn_revision_name", revision),
        ("kn_service_name", service),
        ("service_instance_id", pod),
        ("service_name", identity.service_name()),
        ("service_version", env!("CARGO_PKG_VERSION")),
    ];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    labels.join(",")
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn buckets_add_up_and_every_series_has_its_scope() {
        let mut histogram = Histogram::default();
        for millis in [4, 5, 80, 20_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let identity = Identity {
            namespace: "default".to_owned(),
            revision: "hello-00001".to_owned(),
            pod: "a\"b".to_owned(),
            ..Identity::default()
        };
        let page = text(&identity, &[(200, histogram)], Some(3));
        let labels = format!(r#"http_response_status_code="200",{SCOPE}"#);
        for line in [
            format!(r#"{DURATION}_bucket{{{labels},le="0.005"}} 2"#),
            format!(r#"{DURATION}_bucket{{{labels},le="0.1"}} 3"#),
            format!(r#"{DURATION}_bucket{{{labels},le="10"}} 3"#),
            format!(r#"{DURATION}_bucket{{{labels},le="+Inf"}} 4"#),
            format!("{DURATION}_sum{{{labels}}} 20.089"),
            format!("{DURATION}_count{{{labels}}} 4"),
            format!("{DEPTH}{{{SCOPE}}} 3"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
        let target = r#"k8s_pod_name="a\"b",kn_revision_name="hello-00001",service_instance_id="a\"b",service_name="hello-00001""#;
        assert!(page.contains(target), "{page}");
    }
}
