//! Which protocols meet in the proxy, and how does a test bring them there?

use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tidegate_proxy::cluster::{Protocol, TransportSettings};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::tls::trust::Trust;
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, ServerName};
use tidegate_testkit::body::Body;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::Upstream;

use super::edge::{handshake, open, server_tls};
use super::{Front, HOST, everything_to, over};

/// The name that upstreams have in their certificates.
const UPSTREAM: &str = "upstream.example";

/// What one side of the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1 over TCP.
    Http1,
    /// HTTP/2 over TCP, by prior knowledge.
    H2c,
    /// HTTP/2 over TLS, by ALPN.
    H2Tls,
}

/// A client's and an upstream's protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) downstream: Speaks,
    pub(crate) upstream: Speaks,
}

/// A proxy that stands between the two, and its upstream.
#[derive(Debug)]
pub(crate) struct Between {
    pub(crate) front: Front,
    pub(crate) upstream: Upstream,
    downstream: Speaks,
    authority: Authority,
}

impl Pair {
    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let sides = [Speaks::Http1, Speaks::H2c, Speaks::H2Tls];
        sides
            .into_iter()
            .flat_map(move |downstream| sides.map(|upstream| Self { downstream, upstream }))
    }

    /// A proxy in front of an upstream that answers by `handler`.
    pub(crate) async fn start<H, F>(self, handler: H) -> Between
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let authority = Authority::new("tests");
        let upstream = match self.upstream_tls(&authority) {
            None => Upstream::start(handler).await,
            Some(config) => Upstream::start_tls(config, handler).await,
        };
        self.front(authority, upstream)
    }

    /// A proxy in front of an upstream that echoes WebSocket messages.
    pub(crate) async fn start_websocket(self) -> Between {
        let authority = Authority::new("tests");
        let tls = self.upstream_tls(&authority);
        let upstream = Upstream::websocket_over_http2(tls).await;
        self.front(authority, upstream)
    }

    fn upstream_tls(self, authority: &Authority) -> Option<ServerConfig> {
        let config = || Authority::server_config(&authority.server(UPSTREAM), &["h2"], None);
        (self.upstream == Speaks::H2Tls).then(config)
    }

    fn front(self, authority: Authority, upstream: Upstream) -> Between {
        let transport = transport(self.upstream, &authority);
        let snapshot = everything_to(&over(transport, &[upstream.address()]), None);
        let front = match self.downstream {
            Speaks::Http1 | Speaks::H2c => Front::start(snapshot),
            Speaks::H2Tls => {
                let tls = server_tls(&authority, &[HOST]);
                Front::behind(
                    open(vec![FilterChain::tls(tls, HttpSettings::default())]),
                    snapshot,
                )
            }
        };
        Between {
            front,
            upstream,
            downstream: self.downstream,
            authority,
        }
    }
}

impl Between {
    /// A client of the proxy.
    pub(crate) async fn client(&self) -> Client {
        let address: SocketAddr = self.front.address;
        match self.downstream {
            Speaks::Http1 => Client::http1(address).await,
            Speaks::H2c => Client::http2(address).await,
            Speaks::H2Tls => {
                let stream = handshake(&self.authority, address, HOST, &["h2"]).await;
                Client::http2_over(stream.expect("a handshake")).await
            }
        }
    }
}

fn transport(speaks: Speaks, authority: &Authority) -> TransportSettings {
    let protocol = match speaks {
        Speaks::Http1 => Protocol::Http1,
        Speaks::H2c | Speaks::H2Tls => Protocol::Http2,
    };
    let tls = (speaks == Speaks::H2Tls).then(|| {
        let trust = Trust::in_pem(authority.pem.as_bytes()).expect("an authority's certificate");
        ClientTls::new(ClientTlsSettings {
            server_name: ServerName::Literal(UPSTREAM.into()),
            ..ClientTlsSettings::trusting(trust)
        })
        .expect("usable settings")
    });
    TransportSettings {
        protocol,
        tls,
        ..TransportSettings::default()
    }
}
