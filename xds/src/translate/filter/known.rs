//! Which HTTP filters Envoy has, how it calls them, and what a request would miss without one that is not here.

use envoy_types::pb::google::protobuf::Any;

use crate::translate::any::type_name;

/// What a filter is for, where it is not done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It says which requests may pass, or where to: without it a request could get where it must not.
    Restricts,
    /// It observes or changes something: without it less is seen or changed.
    Other,
}

/// What the filter does that `config` is the configuration of.
pub(super) fn filter(config: &Any) -> Option<Effect> {
    let message = type_name(config).strip_prefix(PACKAGE)?;
    effect(message, &RESTRICTING, &OTHER)
}

/// What the configuration that a route gives such a filter would do; some have the filter's own message for it.
pub(super) fn per_route(message: &str) -> Option<Effect> {
    let message = message.strip_prefix(PACKAGE)?;
    effect(message, &RESTRICTING_PER_ROUTE, &OTHER_PER_ROUTE)
        .or_else(|| effect(message, &RESTRICTING, &OTHER))
}

/// What Envoy calls the kind of a filter.
pub(super) fn factory(config: &Any) -> String {
    let message = type_name(config);
    let message = message.strip_prefix(PACKAGE).unwrap_or(message);
    let kind = message.split('.').next().unwrap_or_default();
    format!("envoy.filters.http.{kind}")
}

fn effect(message: &str, restricting: &[&str], other: &[&str]) -> Option<Effect> {
    if restricting.contains(&message) {
        Some(Effect::Restricts)
    } else {
        other.contains(&message).then_some(Effect::Other)
    }
}

const PACKAGE: &str = "envoy.extensions.filters.http.";

/// The messages of filters that say which requests may pass, or where to.
const RESTRICTING: [&str; 33] = [
    "adaptive_concurrency.v3.AdaptiveConcurrency",
    "admission_control.v3.AdmissionControl",
    "api_key_auth.v3.ApiKeyAuth",
    "aws_lambda.v3.Config",
    "aws_request_signing.v3.AwsRequestSigning",
    "bandwidth_limit.v3.BandwidthLimit",
    "basic_auth.v3.BasicAuth",
    "buffer.v3.Buffer",
    "cdn_loop.v3.CdnLoopConfig",
    "composite.v3.Composite",
    "credential_injector.v3.CredentialInjector",
    "csrf.v3.CsrfPolicy",
    "dynamic_forward_proxy.v3.FilterConfig",
    "dynamic_modules.v3.DynamicModuleFilter",
    "ext_authz.v3.ExtAuthz",
    "ext_proc.v3.ExternalProcessor",
    "gcp_authn.v3.GcpAuthnFilterConfig",
    "header_to_metadata.v3.Config",
    "ip_tagging.v3.IPTagging",
    "json_to_metadata.v3.JsonToMetadata",
    "jwt_authn.v3.JwtAuthentication",
    "local_ratelimit.v3.LocalRateLimit",
    "lua.v3.Lua",
    "mcp.v3.Mcp",
    "oauth2.v3.OAuth2",
    "rate_limit_quota.v3.RateLimitQuotaFilterConfig",
    "ratelimit.v3.RateLimit",
    "rbac.v3.RBAC",
    "set_filter_state.v3.Config",
    "set_metadata.v3.Config",
    "stateful_session.v3.StatefulSession",
    "thrift_to_metadata.v3.ThriftToMetadata",
    "wasm.v3.Wasm",
];

/// The messages of all other filters.
const OTHER: [&str; 25] = [
    "alternate_protocols_cache.v3.FilterConfig",
    "cache.v3.CacheConfig",
    "cache_v2.v3.CacheV2Config",
    "compressor.v3.Compressor",
    "connect_grpc_bridge.v3.FilterConfig",
    "cors.v3.Cors",
    "custom_response.v3.CustomResponse",
    "decompressor.v3.Decompressor",
    "fault.v3.HTTPFault",
    "file_system_buffer.v3.FileSystemBufferFilterConfig",
    "geoip.v3.Geoip",
    "grpc_field_extraction.v3.GrpcFieldExtractionConfig",
    "grpc_http1_bridge.v3.Config",
    "grpc_http1_reverse_bridge.v3.FilterConfig",
    "grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder",
    "grpc_json_transcoder.v3.GrpcJsonTranscoder",
    "grpc_stats.v3.FilterConfig",
    "grpc_web.v3.GrpcWeb",
    "header_mutation.v3.HeaderMutation",
    "health_check.v3.HealthCheck",
    "kill_request.v3.KillRequest",
    "on_demand.v3.OnDemand",
    "original_src.v3.OriginalSrc",
    "proto_message_extraction.v3.ProtoMessageExtractionConfig",
    "tap.v3.Tap",
];

/// The messages by which routes configure such filters, where those are not the filters' own.
const RESTRICTING_PER_ROUTE: [&str; 16] = [
    "api_key_auth.v3.ApiKeyAuthPerRoute",
    "aws_lambda.v3.PerRouteConfig",
    "aws_request_signing.v3.AwsRequestSigningPerRoute",
    "basic_auth.v3.BasicAuthPerRoute",
    "buffer.v3.BufferPerRoute",
    "composite.v3.CompositePerRoute",
    "dynamic_forward_proxy.v3.PerRouteConfig",
    "dynamic_modules.v3.DynamicModuleFilterPerRoute",
    "ext_authz.v3.ExtAuthzPerRoute",
    "ext_proc.v3.ExtProcPerRoute",
    "jwt_authn.v3.PerRouteConfig",
    "rate_limit_quota.v3.RateLimitQuotaOverride",
    "ratelimit.v3.RateLimitPerRoute",
    "stateful_session.v3.StatefulSessionPerRoute",
    "mcp.v3.McpOverride",
    "oauth2.v3.OAuth2PerRoute",
];

/// The messages by which routes configure all other filters.
const OTHER_PER_ROUTE: [&str; 3] = [
    "grpc_http1_reverse_bridge.v3.FilterConfigPerRoute",
    "header_mutation.v3.HeaderMutationPerRoute",
    "on_demand.v3.PerRouteConfig",
];
