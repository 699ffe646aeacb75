//! Which bootstrap do Envoy and the ingress get, so that both do the same?

use std::fmt::Write;
use std::net::SocketAddr;

use super::{Places, Site};
use crate::fixture;

/// The bootstrap, for either.
pub(super) fn config(site: &Site, places: &Places) -> String {
    let listeners = [
        listener(site, "h1", places.h1, APP, ""),
        listener(site, "h2", places.h2, APP, ""),
        listener(site, "grpc", places.grpc, CALLS, ""),
        listener(site, "tls", places.tls, APP, &tls(site)),
    ]
    .concat();
    let clusters = [
        cluster(APP, site.backend, ""),
        cluster(CALLS, site.grpc_backend, HTTP2),
    ]
    .concat();
    format!(
        "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
static_resources:
  listeners:
{listeners}  clusters:
{clusters}"
    )
}

const APP: &str = "app";
const CALLS: &str = "calls";
const HTTP2: &str = "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
";

fn cluster(name: &str, backend: SocketAddr, protocol: &str) -> String {
    format!(
        "  - name: {name}
    type: STATIC
    connect_timeout: 5s
{protocol}    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
",
        backend.ip(),
        backend.port()
    )
}

fn tls(site: &Site) -> String {
    format!(
        "      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}]
",
        site.certificate.display(),
        site.key.display()
    )
}

fn listener(site: &Site, name: &str, address: SocketAddr, cluster: &str, transport: &str) -> String {
    let edits = fixture::EDITS.map(|(name, value)| {
        format!("{{ header: {{ key: {name}, value: {value} }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}")
    });
    let edits = edits.join(", ");
    let hosts = site.hosts().fold(String::new(), |mut hosts, host| {
        // Writing to a String does not fail.
        _ = writeln!(
            hosts,
            "            - {{ name: {host}, domains: [{host}], routes: [{{ match: {{ prefix: / }}, \
             route: {{ cluster: {cluster}, timeout: 0s }}, request_headers_to_add: [{edits}] }}] }}"
        );
        hosts
    });
    format!(
        "  - name: {name}
    address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          codec_type: AUTO
          use_remote_address: true
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            virtual_hosts:
{hosts}          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
{transport}",
        address.ip(),
        address.port()
    )
}
