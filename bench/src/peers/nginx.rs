//! How is nginx set up to do what we do?

use std::net::SocketAddr;
use std::path::Path;

use super::{Places, Site};
use crate::fixture;

/// Its configuration, with all that it writes in `folder`.
pub(super) fn config(site: &Site, places: &Places, folder: &Path) -> String {
    let (certificate, key) = (site.certificate.display(), site.key.display());
    let pid = folder.join("nginx.pid");
    let pid = pid.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {pid};
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
{temporary}  server_names_hash_max_size {names_max};
  server_names_hash_bucket_size 128;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  map $http_upgrade $upgrading {{ default upgrade; '' ''; }}
{upstreams}{servers}}}
",
        names_max = (site.host_count * NAMES_ROOM).max(NAMES_LEAST),
        upstreams = [
            upstream("app", site.backend),
            upstream("calls", site.grpc_backend)
        ]
        .concat(),
        servers = servers(site, places),
    )
}

fn upstream(name: &str, backend: SocketAddr) -> String {
    format!(
        "  upstream {name} {{
    server {backend};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
"
    )
}

fn servers(site: &Site, Places { h1, h2, grpc, tls }: &Places) -> String {
    let edits = |directive: &str| {
        fixture::set_by_peers()
            .map(|(name, value)| format!("      {directive} {name} {value};\n"))
            .concat()
    };
    let (proxied, called) = (edits("proxy_set_header"), edits("grpc_set_header"));
    let names = site.hosts().map(|host| format!(" {host}")).collect::<String>();
    format!(
        "  server {{
    listen {h1} default_server;
    listen {h2} default_server http2;
    listen {grpc} default_server http2;
    listen {tls} default_server ssl;
    return 404;
  }}
  server {{
    listen {h1};
    listen {h2} http2;
    listen {tls} ssl;
    server_name{names};
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 256k;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrading;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
{proxied}    }}
  }}
  server {{
    listen {grpc} http2;
    server_name{names};
    location / {{
      grpc_pass grpc://calls;
      grpc_set_header Host $host;
      grpc_set_header X-Forwarded-For $remote_addr;
      grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header X-Request-Id $request_id;
{called}    }}
  }}
"
    )
}

/// Room in the hash of names for each host, so that none collide.
const NAMES_ROOM: usize = 8;
const NAMES_LEAST: usize = 8_192;
