//! `HttpConnectionManager` as how a filter chain speaks HTTP.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use pb::http_connection_manager::{CodecType, RouteSpecifier, StripPortMode};
use pb::{HttpConnectionManager, Rds};
use prost::Message;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::normalize::forwarded::Separator;

use self::identity::Trust;
use super::chain::OfListener;
use super::{RouteSource, access_log};
use crate::limits;
use crate::translate::Reject;
use crate::translate::any::{inner, unsupported_field};
use crate::translate::duration::duration;
use crate::translate::filter::http_filters;
use crate::translate::notes::Notes;
use crate::translate::routes::routes;

mod constraints;
mod identity;
mod manners;
mod paths;
mod protocol;
mod replies;
mod timeouts;
mod tracing;

/// How the chain with this hash speaks HTTP, its `stat_prefix`, and where its routes come from.
pub(super) fn read(
    of: &OfListener<'_>,
    hash: u128,
    manager: &HttpConnectionManager,
    notes: &mut Notes,
) -> Result<(HttpSettings, Arc<str>, RouteSource), Reject> {
    inner(constraints::check(manager))?;
    refuse_contradictions(manager)?;
    note_without_effect(manager, notes);
    let (route_table, source) = route_source(of, hash, manager, notes)?;
    let http_filters = http_filters(&manager.http_filters, of.context, notes)?;
    let trust = Trust::of(manager)?;
    let common = manager.common_http_protocol_options.as_ref();
    let upgrades = protocol::upgrades(manager, notes)?;
    let requests_max = common.and_then(|common| common.max_requests_per_connection);
    let http = HttpSettings {
        route_table,
        metrics_name: manager.stat_prefix.as_str().into(),
        edge: identity::edge(of, &trust),
        underscores: identity::underscores(manager),
        host_port: paths::host_port(manager),
        host_dot: paths::host_dot(manager),
        path: paths::policy(manager),
        forwarding: trust.forwarding,
        client_certificate: trust.certificates,
        separator: Separator::Comma,
        timeouts: timeouts::of_manager(manager, notes)?,
        head: protocol::head_limits(manager),
        http1: protocol::http1(manager, notes)?,
        http2: protocol::http2(manager, notes)?,
        requests_per_connection_max: requests_max.and_then(|most| NonZeroU32::new(most.value)),
        upgrades: upgrades.known,
        upgrades_by_route: upgrades.by_route,
        filters: http_filters.filters,
        manners: Some(Arc::new(manners::of(
            manager,
            &trust,
            http_filters.router,
            notes,
        )?)),
        request_id: identity::request_id(manager, &trust),
        tracing: tracing::read(manager.tracing.as_ref(), of.context, notes)?,
        access_logs: access_log::logs(&manager.access_log, of.context, notes)?,
        ..HttpSettings::default()
    };
    Ok((http, manager.stat_prefix.as_str().into(), source))
}

/// What Envoy refuses beyond constraints, and what says who may pass in a way that is not known here.
fn refuse_contradictions(manager: &HttpConnectionManager) -> Result<(), Reject> {
    let strips_any = matches!(
        manager.strip_port_mode,
        Some(StripPortMode::StripAnyHostPort(true))
    );
    if strips_any && manager.strip_matching_host_port {
        return Err(Reject::Resource(
            "Error: Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.".to_owned(),
        ));
    }
    if manager.codec_type() == CodecType::Http3 {
        return Err(Reject::Resource(
            "HTTP/3 codec configured on non-QUIC listener.".to_owned(),
        ));
    }
    let restricting = [
        (
            "skip_xff_append",
            manager.skip_xff_append && truth(manager.use_remote_address),
        ),
        (
            "early_header_mutation_extensions",
            !manager.early_header_mutation_extensions.is_empty(),
        ),
        (
            "forward_client_cert_matcher",
            manager.forward_client_cert_matcher.is_some(),
        ),
        (
            "typed_header_validation_config",
            manager.typed_header_validation_config.is_some(),
        ),
    ];
    match restricting.iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(unsupported_field("http_connection_manager", field)),
        None => Ok(()),
    }
}

fn note_without_effect(manager: &HttpConnectionManager, notes: &mut Notes) {
    notes.add_set(&[
        ("codec_type", manager.codec_type() != CodecType::Auto),
        ("add_user_agent", truth(manager.add_user_agent)),
        (
            "scheme_header_transformation",
            manager.scheme_header_transformation.is_some(),
        ),
        (
            "internal_address_config",
            manager.internal_address_config.is_some(),
        ),
        (
            "path_normalization_options",
            manager.path_normalization_options.is_some(),
        ),
        ("proxy_status_config", manager.proxy_status_config.is_some()),
        ("append_x_forwarded_port", manager.append_x_forwarded_port),
        ("append_local_overload", manager.append_local_overload),
        ("forward_proto_config", manager.forward_proto_config.is_some()),
        ("http3_protocol_options", manager.http3_protocol_options.is_some()),
        ("access_log_options", manager.access_log_options.is_some()),
        ("request_id_extension", manager.request_id_extension.is_some()),
        (
            "stream_error_on_invalid_http_message",
            manager.stream_error_on_invalid_http_message.is_some(),
        ),
        ("proxy_100_continue", manager.proxy_100_continue),
        (
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            manager.represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        ),
    ]);
}

fn route_source(
    of: &OfListener<'_>,
    hash: u128,
    manager: &HttpConnectionManager,
    notes: &mut Notes,
) -> Result<(Arc<str>, RouteSource), Reject> {
    match &manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let name: Arc<str> = rds.route_config_name.as_str().into();
            let initial_fetch_timeout = fetch_timeout(rds)?;
            let source = RouteSource::Rds {
                name: Arc::clone(&name),
                initial_fetch_timeout,
            };
            Ok((name, source))
        }
        Some(RouteSpecifier::RouteConfig(inline)) => {
            let name: Arc<str> = format!("inline:{}:{hash:032x}", of.name).into();
            let read = routes(&Bytes::from(inline.encode_to_vec()), &[], of.context)?;
            notes.within("route_config", |notes| notes.extend(&read.notes));
            Ok((name, RouteSource::Inline(Arc::new(read))))
        }
        Some(RouteSpecifier::ScopedRoutes(_)) | None => {
            Err(unsupported_field("http_connection_manager", "scoped_routes"))
        }
    }
}

/// How long a listener waits for its routes; `None` for ever. They come by ADS, or by the one control plane that there is.
fn fetch_timeout(rds: &Rds) -> Result<Option<Duration>, Reject> {
    let source = rds.config_source.as_ref().ok_or_else(|| {
        Reject::Resource(format!(
            "An RDS config must have either a 'config_source' or an xDS-TP based 'route_config_name'. Error while parsing \
             RDS config:\nroute_config_name: \"{}\"\n",
            rds.route_config_name
        ))
    })?;
    if let Some(ConfigSourceSpecifier::PathConfigSource(_)) = &source.config_source_specifier {
        return Err(unsupported_field("rds.config_source", "path_config_source"));
    }
    let timeout = duration(source.initial_fetch_timeout.as_ref())?;
    let timeout = timeout.unwrap_or(limits::INITIAL_FETCH_TIMEOUT);
    Ok((!timeout.is_zero()).then_some(timeout))
}

fn truth(value: Option<envoy_types::pb::google::protobuf::BoolValue>) -> bool {
    value.is_some_and(|value| value.value)
}
