//! Which constraints a connection manager breaks.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use pb::HttpConnectionManager;
use pb::http_connection_manager::{CodecType, ForwardClientCertDetails, ServerHeaderTransformation, Tracing};

use crate::translate::cluster::constraints::{common_http, http2};
use crate::translate::constraint::{Checked, Rules, one_of};

/// In the order of Envoy's validator.
pub(super) fn check(manager: &HttpConnectionManager) -> Checked {
    let rules = Rules::of("HttpConnectionManager");
    rules.defined::<CodecType>("CodecType", manager.codec_type)?;
    rules.not_empty("StatPrefix", &manager.stat_prefix)?;
    rules.each("HttpFilters", &manager.http_filters, |filter| {
        Rules::of("HttpFilter").not_empty("Name", &filter.name)
    })?;
    rules.optional("Tracing", manager.tracing.as_ref(), tracing)?;
    let common = manager.common_http_protocol_options.as_ref();
    rules.optional("CommonHttpProtocolOptions", common, common_http)?;
    rules.optional(
        "Http2ProtocolOptions",
        manager.http2_protocol_options.as_ref(),
        http2,
    )?;
    let transformation = manager.server_header_transformation;
    rules.defined::<ServerHeaderTransformation>("ServerHeaderTransformation", transformation)?;
    if manager
        .max_request_headers_kb
        .is_some_and(|size| !(1..=8192).contains(&size.value))
    {
        return Err(rules.broken("MaxRequestHeadersKb", "value must be inside range (0, 8192]"));
    }
    let details = manager.forward_client_cert_details;
    rules.defined::<ForwardClientCertDetails>("ForwardClientCertDetails", details)?;
    one_of("route_specifier", manager.route_specifier.as_ref())?;
    Ok(())
}

fn tracing(tracing: &Tracing) -> Checked {
    let rules = Rules::of("Tracing");
    rules.percent("ClientSampling", tracing.client_sampling.as_ref())?;
    rules.percent("RandomSampling", tracing.random_sampling.as_ref())?;
    rules.percent("OverallSampling", tracing.overall_sampling.as_ref())
}
