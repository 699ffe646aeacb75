//! What does Envoy start with in a test? A control plane, or a listener that answers by itself.

use std::net::SocketAddr;

/// How Envoy speaks with a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// One stream for all, the state of the world (`StreamAggregatedResources`).
    Sotw,
    /// One stream for all, changes only (`DeltaAggregatedResources`).
    Delta,
    /// A stream for each kind, the state of the world. What CDS and LDS deliver names its own sources: [`Variant::source`].
    PerKind,
    /// A stream for each kind, changes only.
    DeltaPerKind,
}

impl Variant {
    /// The `ConfigSource` by which a resource of this variant's control plane names where others come from, as JSON.
    #[must_use]
    pub fn source(self) -> String {
        match self {
            Self::Sotw | Self::Delta => r#"{"resource_api_version": "V3", "ads": {}}"#.to_owned(),
            Self::PerKind | Self::DeltaPerKind => {
                format!(
                    r#"{{"resource_api_version": "V3", "api_config_source": {}}}"#,
                    self.api()
                )
            }
        }
    }

    fn api(self) -> String {
        let kind = match self {
            Self::Sotw | Self::PerKind => "GRPC",
            Self::Delta | Self::DeltaPerKind => "DELTA_GRPC",
        };
        // A test does not wait for the default of up to half a minute.
        let again = r#"{"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}"#;
        let service =
            format!(r#"{{"envoy_grpc": {{"cluster_name": "{CONTROL_PLANE}", "retry_policy": {again}}}}}"#);
        format!(
            r#"{{"api_type": "{kind}", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                 "grpc_services": [{service}]}}"#
        )
    }

    fn dynamic_resources(self) -> String {
        let source = self.source();
        let both = format!(r#""cds_config": {source}, "lds_config": {source}"#);
        match self {
            Self::Sotw | Self::Delta => format!(r#"{{"ads_config": {}, {both}}}"#, self.api()),
            Self::PerKind | Self::DeltaPerKind => format!("{{{both}}}"),
        }
    }
}

/// The cluster of the control plane, in [`xds`].
pub const CONTROL_PLANE: &str = "control_plane";

/// Everything comes from the control plane at an address, for the node of this id, whose cluster is `test`.
#[must_use]
pub fn xds(control_plane: SocketAddr, variant: Variant, node: &str) -> String {
    let (host, port) = (control_plane.ip(), control_plane.port());
    let dynamic = variant.dynamic_resources();
    format!(
        r#"{{"node": {{"id": "{node}", "cluster": "test"}},
"dynamic_resources": {dynamic},
"static_resources": {{"clusters": [{{
  "name": "{CONTROL_PLANE}", "type": "STATIC", "connect_timeout": "5s",
  "typed_extension_protocol_options": {{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {{
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {{"http2_protocol_options": {{}}}}}}}},
  "load_assignment": {{"cluster_name": "{CONTROL_PLANE}", "endpoints": [{{"lb_endpoints": [{{"endpoint": {{
    "address": {{"socket_address": {{"address": "{host}", "port_value": {port}}}}}}}}}]}}]}}}}]}}}}"#
    )
}

/// One listener of this name, whose every answer is `status`.
#[must_use]
pub fn direct_response(listener: &str, status: u16) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - name: {listener}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {listener}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, direct_response: {{status: {status}}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#
    )
}
