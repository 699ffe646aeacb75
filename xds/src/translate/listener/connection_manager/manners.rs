//! What clients and upstreams are told beside what they say to each other, by the names that Envoy has for it.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::ServerHeaderTransformation;
use http::{HeaderName, HeaderValue};
use tidegate_proxy::config::manners::{Manners, ServerField};

use super::identity::Trust;
use super::replies;
use crate::translate::Reject;
use crate::translate::filter::RouterSettings;
use crate::translate::notes::Notes;

const SERVER: &str = "envoy";
const UPSTREAM_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
const TIME_LEFT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// What is told under this connection manager.
pub(super) fn of(
    manager: &HttpConnectionManager,
    trust: &Trust,
    router: Option<RouterSettings>,
    notes: &mut Notes,
) -> Result<Manners, Reject> {
    let told = !router.unwrap_or_default().suppress_fields;
    let name = |name: HeaderName| told.then_some(name);
    Ok(Manners {
        server: server(manager)?,
        via: match manager.via.as_str() {
            "" => None,
            via => Some(value("via", via)?),
        },
        upstream_time: name(UPSTREAM_TIME),
        time_left: name(TIME_LEFT),
        original_path: name(ORIGINAL_PATH),
        original_host: name(ORIGINAL_HOST),
        client_address: trust.is_edge.then_some(EXTERNAL_ADDRESS),
        replies: Some(replies::replies(manager.local_reply_config.as_ref(), notes)?),
    })
}

fn server(manager: &HttpConnectionManager) -> Result<ServerField, Reject> {
    let name = match manager.server_name.as_str() {
        "" => SERVER,
        name => name,
    };
    let name = value("server_name", name)?;
    Ok(match manager.server_header_transformation() {
        ServerHeaderTransformation::Overwrite => ServerField::Overwrite(name),
        ServerHeaderTransformation::AppendIfAbsent => ServerField::IfAbsent(name),
        ServerHeaderTransformation::PassThrough => ServerField::Pass,
    })
}

fn value(field: &str, text: &str) -> Result<HeaderValue, Reject> {
    HeaderValue::from_str(text).map_err(|_| {
        Reject::Resource(format!(
            "http_connection_manager.{field}: no header can have this value"
        ))
    })
}
