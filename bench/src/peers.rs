//! Beside whom are we compared, and how is each set up to do what we do?
//!
//! Every peer gets one worker, the same 1 000 hosts, the same two header edits, keep-alive to the backend and no access
//! log. Its configuration lies in a temporary folder.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::child::{self, Process};
use crate::fixture;

/// A proxy that we are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// HAProxy 2.6 or newer.
    Haproxy,
    /// nginx 1.22 or newer.
    Nginx,
    /// Envoy.
    Envoy,
}

/// Where a peer takes requests, and where they go.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    h1: SocketAddr,
    h2: SocketAddr,
    backend: SocketAddr,
}

/// A proxy that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Where it speaks HTTP/1.1.
    pub h1: SocketAddr,
    /// Where it speaks HTTP/2 by prior knowledge.
    pub h2: SocketAddr,
    /// Where its configuration lies, until it is dropped.
    pub folder: Option<tempfile::TempDir>,
}

impl Peer {
    /// Every peer.
    pub const ALL: [Self; 3] = [Self::Haproxy, Self::Nginx, Self::Envoy];

    /// The name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }

    /// Its program, if it is installed: by `cargo xtask peers` beside this program, or on the `PATH`.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let own = std::env::current_exe().ok();
        let target = own.as_deref().and_then(Path::parent).and_then(Path::parent);
        let fetched = target.map(|target| target.join("peers").join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers where only root's PATH looks.
        let system = [PathBuf::from("/usr/sbin")];
        let folders = fetched
            .into_iter()
            .chain(std::env::split_paths(&path))
            .chain(system);
        folders
            .map(|folder| folder.join(self.name()))
            .find(|program| program.is_file())
    }

    /// Starts it on `core`, in front of `backend`.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(self, program: &Path, backend: SocketAddr, core: usize) -> anyhow::Result<Running> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let addresses = Addresses {
            h1: child::free_address()?,
            h2: child::free_address()?,
            backend,
        };
        let config = match self {
            Self::Haproxy => haproxy(addresses),
            Self::Nginx => nginx(addresses, folder.path()),
            Self::Envoy => envoy(addresses),
        };
        let file = folder.path().join(if self == Self::Envoy {
            "envoy.yaml"
        } else {
            "config"
        });
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let file = file
            .to_str()
            .context("temporary folders have names that are text")?;
        let prefix = folder.path().to_string_lossy();
        let arguments = match self {
            Self::Haproxy => vec!["-db", "-f", file],
            Self::Nginx => vec!["-p", &*prefix, "-e", "stderr", "-c", file],
            Self::Envoy => vec![
                "-c",
                file,
                "--concurrency",
                "1",
                "--log-level",
                "error",
                "--use-dynamic-base-id",
            ],
        };
        let mut process = Process::start(program, arguments, Some(core))?;
        for address in [addresses.h1, addresses.h2] {
            process.accepts(address).await?;
        }
        Ok(Running {
            process,
            h1: addresses.h1,
            h2: addresses.h2,
            folder: Some(folder),
        })
    }
}

fn hosts() -> impl Iterator<Item = String> {
    (0..fixture::HOSTS).map(fixture::host)
}

fn haproxy(Addresses { h1, h2, backend }: Addresses) -> String {
    let [(namespace_name, namespace), (revision_name, revision)] = fixture::EDITS;
    let hosts: Vec<String> = hosts().collect();
    let known = hosts
        .chunks(50)
        .map(|some| format!("    acl known hdr(host) -i {}\n", some.join(" ")));
    format!(
        "global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend edge
    bind {h1}
    bind {h2} proto h2
{known}    http-request deny deny_status 404 unless known
    http-request set-header {namespace_name} {namespace}
    http-request set-header {revision_name} {revision}
    http-request set-header x-forwarded-proto http
    option forwardfor
    default_backend app
backend app
    server one {backend}
",
        known = known.collect::<String>()
    )
}

fn nginx(Addresses { h1, h2, backend }: Addresses, folder: &Path) -> String {
    let edits = fixture::EDITS
        .map(|(name, value)| format!("      proxy_set_header {name} {value};\n"))
        .concat();
    let names = hosts().map(|host| format!(" {host}")).collect::<String>();
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
events {{ worker_connections 4096; }}
http {{
  access_log off;
{temporary}  server_names_hash_max_size 8192;
  server_names_hash_bucket_size 128;
  keepalive_requests 1000000000;
  upstream app {{
    server {backend};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {h1} default_server;
    listen {h2} default_server http2;
    return 404;
  }}
  server {{
    listen {h1};
    listen {h2} http2;
    server_name{names};
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 256k;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto http;
{edits}    }}
  }}
}}
"
    )
}

fn envoy(Addresses { h1, h2, backend }: Addresses) -> String {
    let listeners = [("h1", h1), ("h2", h2)]
        .map(|(name, address)| envoy_listener(name, address))
        .concat();
    format!(
        "static_resources:
  listeners:
{listeners}  clusters:
  - name: app
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
",
        backend.ip(),
        backend.port()
    )
}

fn envoy_listener(name: &str, address: SocketAddr) -> String {
    let edits = fixture::EDITS.map(|(name, value)| {
        format!("{{ header: {{ key: {name}, value: {value} }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}")
    });
    let edits = edits.join(", ");
    let hosts: String = hosts()
        .map(|host| {
            format!(
                "            - {{ name: {host}, domains: [{host}], routes: [{{ match: {{ prefix: / }}, \
                 route: {{ cluster: app, timeout: 0s }}, request_headers_to_add: [{edits}] }}] }}\n"
            )
        })
        .collect();
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
          route_config:
            virtual_hosts:
{hosts}          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
",
        address.ip(),
        address.port()
    )
}
