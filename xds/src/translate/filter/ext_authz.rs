//! `envoy.extensions.filters.http.ext_authz.v3`: another service says which requests may pass.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::config::core::v3::{GrpcService, HeaderValue as Field};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use http::{HeaderName, HeaderValue, StatusCode};
use pb::ext_authz::Services;
use pb::ext_authz_per_route::Override as OfRoute;
use pb::{BufferSettings, ExtAuthzPerRoute, HttpService};
use tidegate_proxy::config::limits;
use tidegate_proxy::filter::ext_authz::{AskedBody, AuthorizationOverride, Longer, OnFailure, Rematch};
use tidegate_proxy::filter::{ExtAuthz, Filter, Override};

use self::grpc::Check;
use crate::translate::Reject;
use crate::translate::any::{inner, unpack, unsupported_field};
use crate::translate::constraint::Rules;
use crate::translate::duration::duration;
use crate::translate::fraction::{MILLION, runtime_per_million};
use crate::translate::notes::Notes;
use crate::translate::text_match;

mod grpc;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
pub(super) const PER_ROUTE: &str = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";

const PARTIAL_BODY: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");
const FAILURE_ALLOWED: HeaderName = HeaderName::from_static("x-envoy-auth-failure-mode-allowed");

/// Which service is asked, how, and what its answers mean.
pub(super) fn settings(config: &pb::ExtAuthz, notes: &mut Notes) -> Result<Filter, Reject> {
    refuse_unknown(config, notes)?;
    note_without_effect(config, notes);
    if config.shadow_mode || runtime_per_million(config.filter_enabled.as_ref(), MILLION) == 0 {
        return Ok(Filter::Nothing);
    }
    let mut authz = match &config.services {
        Some(Services::GrpcService(service)) => of_grpc(config, service)?,
        Some(Services::HttpService(service)) => of_http(config, service, notes)?,
        None => return Err(unsupported_field(notes.place(), "services")),
    };
    authz.body = config.with_request_body.map(asked).transpose()?;
    if config.failure_mode_allow {
        authz.on_failure = OnFailure::Allow;
    }
    if config.clear_route_cache {
        authz.rematch = Rematch::WhenChanged;
    }
    if config.failure_mode_allow_header_add {
        authz.failure_field = Some((FAILURE_ALLOWED, HeaderValue::from_static("true")));
    }
    let status = config
        .status_on_error
        .as_ref()
        .and_then(|status| u16::try_from(status.code).ok());
    if let Some(status) = status.and_then(|code| StatusCode::from_u16(code).ok()) {
        authz.status_on_error = status;
    }
    Ok(Filter::ExtAuthz(Arc::new(authz)))
}

/// What makes a difference to who may pass.
fn refuse_unknown(config: &pb::ExtAuthz, notes: &Notes) -> Result<(), Reject> {
    let share = runtime_per_million(config.filter_enabled.as_ref(), MILLION);
    let fields = [
        ("filter_enabled", !matches!(share, 0 | MILLION)),
        (
            "filter_enabled_metadata",
            config.filter_enabled_metadata.is_some(),
        ),
        ("deny_at_disable", config.deny_at_disable.is_some()),
        (
            "decoder_header_mutation_rules",
            config.decoder_header_mutation_rules.is_some(),
        ),
    ];
    match fields.iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(unsupported_field(notes.place(), field)),
        None => Ok(()),
    }
}

fn note_without_effect(config: &pb::ExtAuthz, notes: &mut Notes) {
    notes.add_set(&[
        (
            "metadata_context_namespaces",
            !config.metadata_context_namespaces.is_empty()
                || !config.typed_metadata_context_namespaces.is_empty(),
        ),
        (
            "route_metadata_context_namespaces",
            !config.route_metadata_context_namespaces.is_empty(),
        ),
        ("encode_raw_headers", config.encode_raw_headers),
        ("shadow_mode", config.shadow_mode),
        ("validate_mutations", config.validate_mutations),
        (
            "max_denied_response_body_bytes",
            config.max_denied_response_body_bytes != 0,
        ),
        (
            "bootstrap_metadata_labels_key",
            !config.bootstrap_metadata_labels_key.is_empty(),
        ),
    ]);
}

fn of_grpc(config: &pb::ExtAuthz, service: &GrpcService) -> Result<ExtAuthz, Reject> {
    let Some(TargetSpecifier::EnvoyGrpc(target)) = &service.target_specifier else {
        return Err(unsupported_field("ext_authz.grpc_service", "google_grpc"));
    };
    inner(Rules::of("EnvoyGrpc").not_empty("ClusterName", &target.cluster_name))?;
    let timeout = duration(service.timeout.as_ref())?;
    let timeout = timeout
        .filter(|time| !time.is_zero())
        .unwrap_or(limits::AUTHORIZATION_TIMEOUT);
    let authority = if target.authority.is_empty() {
        &target.cluster_name
    } else {
        &target.authority
    };
    let check = Check {
        authority: value(authority)?,
        timeout,
        metadata: service
            .initial_metadata
            .iter()
            .map(field)
            .collect::<Result<_, _>>()?,
        allowed: match &config.allowed_headers {
            Some(list) => Some(conditions(Some(list))?),
            None => None,
        },
        disallowed: conditions(config.disallowed_headers.as_ref())?,
        raw_body: config.with_request_body.is_some_and(|body| body.pack_as_bytes),
        certificate: config.include_peer_certificate,
        server_name: config.include_tls_session,
    };
    let mut authz = ExtAuthz::speaking(target.cluster_name.as_str(), Arc::new(check));
    authz.timeout = timeout;
    Ok(authz)
}

fn of_http(config: &pb::ExtAuthz, service: &HttpService, notes: &mut Notes) -> Result<ExtAuthz, Reject> {
    let place = "ext_authz.http_service";
    if !service.path_prefix.is_empty() && !service.path_prefix.starts_with('/') {
        return Err(Reject::Resource(
            r#"path_prefix should start with "/"."#.to_owned(),
        ));
    }
    if !service.path_override.is_empty() {
        return Err(unsupported_field(place, "path_override"));
    }
    if config.with_request_body.is_some_and(|body| body.pack_as_bytes) {
        notes.add(
            "with_request_body.pack_as_bytes",
            "over HTTP the body is always bytes",
        );
    }
    let uri = service.server_uri.as_ref();
    let Some(HttpUpstreamType::Cluster(cluster)) = uri.and_then(|uri| uri.http_upstream_type.as_ref()) else {
        return Err(unsupported_field(place, "server_uri without a cluster"));
    };
    let mut authz = ExtAuthz::new(cluster.as_str(), &service.path_prefix)
        .map_err(|error| Reject::Resource(error.to_string()))?;
    let timeout = duration(uri.and_then(|uri| uri.timeout.as_ref()))?;
    authz.timeout = timeout
        .filter(|time| !time.is_zero())
        .unwrap_or(Duration::from_millis(200));
    let request = service.authorization_request.as_ref();
    #[expect(deprecated, reason = "it is what older control planes send")]
    let older = request.and_then(|request| request.allowed_headers.as_ref());
    authz.request_fields = conditions(config.allowed_headers.as_ref().or(older))?;
    if config.disallowed_headers.is_some() {
        return Err(unsupported_field("ext_authz", "disallowed_headers"));
    }
    let added = request
        .map(|request| request.headers_to_add.as_slice())
        .unwrap_or_default();
    authz.added = added.iter().map(field).collect::<Result<_, _>>()?;
    if let Some(response) = &service.authorization_response {
        authz.upstream_fields = conditions(response.allowed_upstream_headers.as_ref())?;
        let appended = conditions(response.allowed_upstream_headers_to_append.as_ref())?;
        if !appended.is_empty() {
            notes.add("allowed_upstream_headers_to_append", "the fields are replaced");
        }
        authz.upstream_fields.extend(appended);
        authz.client_fields_refused = conditions(response.allowed_client_headers.as_ref())?;
        authz.client_fields_allowed = conditions(response.allowed_client_headers_on_success.as_ref())?;
    }
    Ok(authz)
}

fn conditions(
    list: Option<&envoy_types::pb::envoy::r#type::matcher::v3::ListStringMatcher>,
) -> Result<Vec<tidegate_proxy::route::TextMatch>, Reject> {
    let patterns = list.map(|list| list.patterns.as_slice()).unwrap_or_default();
    patterns.iter().map(text_match::string).collect()
}

fn asked(settings: BufferSettings) -> Result<AskedBody, Reject> {
    if settings.max_request_bytes == 0 {
        let zero = Rules::of("BufferSettings").broken("MaxRequestBytes", "value must be greater than 0");
        inner(Err(zero))?;
    }
    Ok(AskedBody {
        bytes_max: usize::try_from(settings.max_request_bytes).unwrap_or(usize::MAX),
        longer: if settings.allow_partial_message {
            Longer::CutOff
        } else {
            Longer::Refused
        },
        told_by: Some(PARTIAL_BODY),
    })
}

fn field(field: &Field) -> Result<(HeaderName, HeaderValue), Reject> {
    let name = HeaderName::try_from(field.key.as_str());
    let name = name.map_err(|_| Reject::Resource(format!("'{}' is not a header's name", field.key)))?;
    Ok((name, value(&field.value)?))
}

fn value(text: &str) -> Result<HeaderValue, Reject> {
    HeaderValue::from_str(text)
        .map_err(|_| Reject::Resource(format!("no header can have the value '{}'", text.escape_debug())))
}

/// What a route makes of it.
pub(super) fn per_route(config: &Any) -> Result<Override, Reject> {
    let per_route: ExtAuthzPerRoute = unpack(config)?;
    let settings = match per_route.r#override {
        Some(OfRoute::Disabled(true)) => return Ok(Override::Disabled),
        Some(OfRoute::Disabled(false)) => return Ok(Override::Enabled),
        Some(OfRoute::CheckSettings(settings)) => settings,
        None => {
            let missing = crate::translate::constraint::one_of::<()>("override", None).map(|_| ());
            return inner(missing).map(|()| Override::Enabled);
        }
    };
    if settings.service_override.is_some() {
        return Err(unsupported_field("ext_authz.check_settings", "service_override"));
    }
    let mut context: Vec<(Box<str>, Box<str>)> = settings
        .context_extensions
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    context.sort_unstable();
    let body = if settings.disable_request_body_buffering {
        Some(None)
    } else {
        settings.with_request_body.map(asked).transpose()?.map(Some)
    };
    Ok(Override::Authorization(Arc::new(AuthorizationOverride {
        context,
        body,
    })))
}

#[cfg(test)]
mod tests;
