//! How is HAProxy set up to do what we do?

use super::{Places, Site};
use crate::fixture;

/// Its configuration.
pub(super) fn config(site: &Site, places: &Places) -> String {
    let Places { h1, h2, grpc, tls } = places;
    let (backend, grpc_backend) = (site.backend, site.grpc_backend);
    let edits = fixture::set_by_peers()
        .map(|(name, value)| format!("    http-request set-header {name} {value}\n"))
        .concat();
    let hosts: Vec<String> = site.hosts().collect();
    let known = hosts
        .chunks(50)
        .map(|some| format!("    acl known hdr(host) -i {}\n", some.join(" ")));
    let known = known.collect::<String>();
    // Both in one file, as it wants it.
    let pair = site.pair.display();
    let rules = format!(
        "{known}    http-request deny deny_status 404 unless known
{edits}    http-request set-header x-request-id %[uuid()]
    http-request set-header x-forwarded-proto http
    option forwardfor"
    );
    format!(
        "global
    nbthread 1
    maxconn 8192
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    timeout tunnel 60s
    http-reuse always
frontend edge
    bind {h1}
    bind {h2} proto h2
    bind {tls} ssl crt {pair} alpn http/1.1
{rules}
    default_backend app
frontend calls
    bind {grpc} proto h2
{rules}
    default_backend calls
backend app
    server one {backend}
backend calls
    server one {grpc_backend} proto h2
"
    )
}
