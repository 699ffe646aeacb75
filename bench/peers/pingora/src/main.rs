//! A proxy on Pingora, one thread, set up as the comparison needs it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use peer_plan::{Edit, Plan};
use pingora_core::Result;
use pingora_core::apps::HttpServerOptions;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Gateway {
    known: Arc<HashSet<String>>,
    edits: Arc<[Edit]>,
    backend: SocketAddr,
    speaks_h2: bool,
    scheme: &'static str,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> Result<bool> {
        let request = session.req_header();
        let authority = request.uri.authority().map(|authority| authority.as_str());
        let field = request.headers.get("host").and_then(|host| host.to_str().ok());
        let known = authority.or(field).is_some_and(|host| self.known.contains(host));
        if !known {
            session.respond_error(404).await?;
        }
        Ok(!known)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.backend, false, String::new());
        if self.speaks_h2 {
            peer.options.set_http_version(2, 2);
        }
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut (),
    ) -> Result<()> {
        for edit in &*self.edits {
            request.insert_header(edit.name.clone(), edit.value.clone())?;
        }
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("x-forwarded-for", client.ip().to_string())?;
        }
        if let Ok(id) = peer_plan::request_id() {
            request.insert_header("x-request-id", id)?;
        }
        request.insert_header("x-forwarded-proto", self.scheme)
    }
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::parse();
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 1_024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let gateway = Gateway {
        known: Arc::new(plan.known()?),
        edits: plan.edits.clone().into(),
        backend: plan.backend,
        speaks_h2: false,
        scheme: "http",
    };
    let to_h2 = Gateway {
        backend: plan.grpc_backend,
        speaks_h2: true,
        ..gateway.clone()
    };
    for (address, h2c, gateway) in [
        (plan.h1, false, gateway.clone()),
        (plan.h2, true, gateway.clone()),
        (plan.grpc, true, to_h2),
    ] {
        let mut service = http_proxy_service(&server.configuration, gateway);
        if let Some(app) = service.app_logic_mut() {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            app.server_options = Some(options);
        }
        service.add_tcp(&address.to_string());
        server.add_service(service);
    }
    let secure = Gateway {
        scheme: "https",
        ..gateway
    };
    let mut service = http_proxy_service(&server.configuration, secure);
    service.add_tls(
        &plan.tls.to_string(),
        &plan.certificate.to_string_lossy(),
        &plan.key.to_string_lossy(),
    )?;
    server.add_service(service);
    server.run_forever()
}
