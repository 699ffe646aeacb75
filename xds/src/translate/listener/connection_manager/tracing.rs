//! `HttpConnectionManager.Tracing` as what is traced, and where its spans go.

use envoy_types::pb::envoy::config::core::v3::GrpcService;
use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::config::trace::v3::tracing::http::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as Config;
use envoy_types::pb::envoy::r#type::tracing::v3::CustomTag;
use envoy_types::pb::envoy::r#type::tracing::v3::custom_tag::Type;
use envoy_types::pb::envoy::r#type::v3::Percent;
use http::{HeaderName, Uri};
use tidegate_proxy::observe::trace::{Tag, TagValue, Tracing, TracingSettings};

use crate::translate::any::{is, type_name, unpack, unregistered};
use crate::translate::duration::duration;
use crate::translate::fraction::MILLION;
use crate::translate::listener::traces::{Protocol, TracesTo};
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

/// Tracing, where this proxy does what is asked for; otherwise nothing is traced, and that is noted.
pub(super) fn read(
    config: Option<&Config>,
    context: &Context,
    notes: &mut Notes,
) -> Result<Option<Tracing>, Reject> {
    let Some(config) = config else {
        return Ok(None);
    };
    notes.within("tracing", |notes| {
        let Some(provider) = &config.provider else {
            notes.add("provider", "without one nothing is traced");
            return Ok(None);
        };
        let Some(ConfigType::TypedConfig(any)) = &provider.config_type else {
            return Err(unregistered(&provider.name, None));
        };
        if OTHERS.contains(&type_name(any)) {
            notes.add(
                "provider",
                "spans are sent by OpenTelemetry's protocol only: nothing is traced",
            );
            return Ok(None);
        }
        if !is::<OpenTelemetryConfig>(any) {
            return Err(unregistered(&provider.name, Some(any)));
        }
        let collector: OpenTelemetryConfig = unpack(any)?;
        note_without_effect(config, &collector, notes);
        let Some(to) = place(&collector, notes)? else {
            return Ok(None);
        };
        let settings = settings(config, &collector, notes);
        Ok(Some(context.traces.open(&to, settings)))
    })
}

fn settings(config: &Config, collector: &OpenTelemetryConfig, notes: &mut Notes) -> TracingSettings {
    let name = match collector.service_name.as_str() {
        // Envoy's.
        "" => "unknown_service:envoy",
        name => name,
    };
    let mut settings = TracingSettings::new(name);
    let [random, overall] = [&config.random_sampling, &config.overall_sampling].map(per_million);
    settings.sample_per_million = random.min(overall);
    for (index, tag) in config.custom_tags.iter().enumerate() {
        match value(tag) {
            Some(value) => settings.tags.push(Tag {
                name: tag.tag.clone(),
                value,
            }),
            None => notes.add(&format!("custom_tags[{index}]"), "it has no effect"),
        }
    }
    settings
}

fn per_million(percent: &Option<Percent>) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and a million"
    )]
    percent.as_ref().map_or(MILLION, |percent| {
        (percent.value.clamp(0.0, 100.0) * f64::from(MILLION / 100)).round() as u32
    })
}

/// The value of a tag; none of one that is not known here.
fn value(tag: &CustomTag) -> Option<TagValue> {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match tag.r#type.as_ref()? {
        Type::Literal(literal) => Some(TagValue::Text(literal.value.clone())),
        Type::Environment(variable) => {
            let value = std::env::var(&variable.name).ok();
            value
                .or_else(|| filled(&variable.default_value))
                .map(TagValue::Text)
        }
        Type::RequestHeader(header) => Some(TagValue::Field {
            name: HeaderName::try_from(&header.name).ok()?,
            default: filled(&header.default_value),
        }),
        Type::Metadata(_) | Type::Value(_) => None,
    }
}

/// Where the spans go; none where they cannot.
fn place(config: &OpenTelemetryConfig, notes: &mut Notes) -> Result<Option<TracesTo>, Reject> {
    match (&config.grpc_service, &config.http_service) {
        (Some(_), Some(_)) => Err(Reject::Resource(
            "OpenTelemetry Tracer cannot have both gRPC and HTTP exporters configured. OpenTelemetry tracer will be disabled."
                .to_owned(),
        )),
        (Some(grpc), None) => by_grpc(grpc, notes),
        (None, Some(service)) => {
            let uri = service.http_uri.as_ref();
            let target = uri.and_then(|uri| uri.http_upstream_type.as_ref());
            let cluster = target.map(|HttpUpstreamType::Cluster(cluster)| cluster.as_str());
            let parsed = uri.and_then(|uri| Uri::try_from(&uri.uri).ok());
            let (Some(uri), Some(cluster), Some(parsed)) = (uri, cluster, parsed) else {
                notes.add("http_service.http_uri", "it names no collector: nothing is traced");
                return Ok(None);
            };
            notes.ignored(
                "http_service.request_headers_to_add",
                !service.request_headers_to_add.is_empty(),
            );
            Ok(Some(TracesTo {
                protocol: Protocol::Http,
                cluster: cluster.into(),
                uri: parsed,
                timeout: duration(uri.timeout.as_ref())?,
            }))
        }
        (None, None) => {
            notes.add("provider", "it names no collector: nothing is traced");
            Ok(None)
        }
    }
}

fn by_grpc(service: &GrpcService, notes: &mut Notes) -> Result<Option<TracesTo>, Reject> {
    let Some(TargetSpecifier::EnvoyGrpc(target)) = &service.target_specifier else {
        notes.add("grpc_service", "only envoy_grpc is known here: nothing is traced");
        return Ok(None);
    };
    notes.ignored(
        "grpc_service.initial_metadata",
        !service.initial_metadata.is_empty(),
    );
    let authority = match target.authority.as_str() {
        "" => &target.cluster_name,
        authority => authority,
    };
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query("/");
    Ok(Some(TracesTo {
        protocol: Protocol::Grpc,
        cluster: target.cluster_name.as_str().into(),
        // The name of a cluster need not be one of a host.
        uri: uri
            .build()
            .unwrap_or_else(|_| Uri::from_static("http://collector/")),
        timeout: duration(service.timeout.as_ref())?,
    }))
}

fn note_without_effect(config: &Config, collector: &OpenTelemetryConfig, notes: &mut Notes) {
    notes.add_set(&[
        ("client_sampling", config.client_sampling.is_some()),
        ("verbose", config.verbose),
        ("max_path_tag_length", config.max_path_tag_length.is_some()),
        ("spawn_upstream_span", config.spawn_upstream_span.is_some()),
        ("operation", !config.operation.is_empty()),
        ("upstream_operation", !config.upstream_operation.is_empty()),
        ("no_context_propagation", config.no_context_propagation),
        (
            "provider.resource_detectors",
            !collector.resource_detectors.is_empty(),
        ),
        ("provider.sampler", collector.sampler.is_some()),
    ]);
}

/// Envoy's other providers.
const OTHERS: [&str; 6] = [
    "envoy.config.trace.v3.DatadogConfig",
    "envoy.config.trace.v3.DynamicOtConfig",
    "envoy.config.trace.v3.LightstepConfig",
    "envoy.config.trace.v3.SkyWalkingConfig",
    "envoy.config.trace.v3.XRayConfig",
    "envoy.config.trace.v3.ZipkinConfig",
];
