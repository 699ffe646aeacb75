//! Which spans does the sidecar leave, and where do they go?

use http::HeaderName;
use tidegate_knative::headers::PROBES;
use tidegate_knative::observability::{Observability, Protocol};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::observe::trace::{
    ClientContext, Collector, CollectorError, FieldBegins, Tracing, TracingSettings, UpstreamName,
};
use tidegate_proxy::process;
use tokio::task::JoinHandle;

use super::env::Identity;
use super::log::Log;

/// Tracing, and who sends its spans.
#[derive(Debug)]
pub(super) struct Traces {
    pub(super) tracing: Tracing,
    /// Over once the last spans are sent, after the drain.
    pub(super) sending: JoinHandle<()>,
}

/// Starts to trace, where the operator wants it and there is a way; requests are served in any case.
pub(super) fn start(
    observability: &Observability,
    (resource, service): (Vec<(String, String)>, &str),
    watch: &Watch,
    log: &Log,
) -> Option<Traces> {
    let (wanted, endpoint) = (&observability.tracing, observability.tracing.endpoint.as_str());
    if observability.samples_nothing() {
        return None;
    }
    let collector = match wanted.protocol {
        Protocol::None => return None,
        Protocol::Grpc => Collector::grpc(endpoint).map_err(|error: CollectorError| error.to_string()),
        Protocol::Http => Collector::http(endpoint).map_err(|error| error.to_string()),
        Protocol::Stdout => Ok(Collector::stdout()),
        Protocol::Prometheus => Err("Prometheus collects no spans".to_owned()),
    };
    let collector = collector
        .inspect_err(|error| log.error(format_args!("requests are not traced: {error}")))
        .ok()?;
    let (tracing, exporter) = Tracing::new(TracingSettings {
        sample_per_million: observability.sample_per_million,
        client: if observability.overrules_clients {
            ClientContext::ContinueByRate
        } else {
            ClientContext::Continue
        },
        resource,
        untraced: probes(),
        upstream_name: UpstreamName::HttpMethod,
        ..TracingSettings::new(service)
    });
    let sending = process::spawn("spans", watch.unguarded(), exporter.run(collector, watch.clone()));
    Some(Traces { tracing, sending })
}

/// What is nobody's request.
fn probes() -> Vec<FieldBegins> {
    let begins = |(name, with)| FieldBegins {
        name: HeaderName::from_static(name),
        with,
    };
    PROBES.into_iter().map(begins).collect()
}

/// What tells of the sidecar, beside its name.
pub(super) fn resource(identity: &Identity) -> Vec<(String, String)> {
    let attributes = [
        ("container.name", "queue-proxy"),
        ("k8s.namespace.name", identity.namespace.as_str()),
        ("k8s.pod.name", &identity.pod),
        ("kn.configuration.name", &identity.configuration),
        ("kn.revision.name", &identity.revision),
        ("kn.service.name", &identity.service),
        ("service.instance.id", &identity.pod),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let present = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    present
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
