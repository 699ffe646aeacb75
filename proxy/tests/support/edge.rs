//! How does a test open a listener that does more than plain HTTP?

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use rustls::ClientConfig;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::{Listener, ListenerSettings};
use tidegate_proxy::tls::identity::Identity;
use tidegate_proxy::tls::server::ServerTls;
use tidegate_testkit::certificates::{Authority, Identity as Files};
use tidegate_testkit::client::Client;
use tidegate_testkit::tls;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A free loopback port.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// What a test's certificate files hold.
pub(crate) fn identity(files: &Files) -> Identity {
    Identity::from_pem(files.certificate_pem.as_bytes(), files.key_pem.as_bytes()).expect("a good pair")
}

/// TLS that shows certificates for these names, one for each, with the defaults.
pub(crate) fn server_tls(authority: &Authority, names: &[&str]) -> Arc<ServerTls> {
    let identities = names.iter().map(|name| identity(&authority.server(name)));
    Arc::new(ServerTls::showing(identities.collect()).expect("there is a certificate"))
}

/// A chain for these names, with a certificate for each.
pub(crate) fn chain(authority: &Authority, names: &[&str]) -> FilterChain {
    FilterChain::tls(server_tls(authority, names), HttpSettings::default())
        .for_names(names.iter().copied())
        .named(names.join(" "))
}

/// The settings of a listener with these chains on a free port.
pub(crate) fn settings(chains: Vec<FilterChain>) -> ListenerSettings {
    let chains = FilterChains::new(chains, None).expect("chains that go together");
    ListenerSettings::new("test", ANY, chains)
}

/// A listener with these chains, for one worker.
pub(crate) fn open(chains: Vec<FilterChain>) -> Listener {
    open_with(settings(chains))
}

/// A listener with these settings, for one worker.
pub(crate) fn open_with(settings: ListenerSettings) -> Listener {
    Listener::open(settings, NonZeroUsize::MIN).expect("a free port")
}

/// What a client that trusts `authority` makes of a handshake.
pub(crate) async fn handshake(
    authority: &Authority,
    address: SocketAddr,
    name: &str,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let config: Arc<ClientConfig> = Arc::new(authority.client_config(alpn, None));
    tls::connect(address, name, &config).await
}

/// An HTTP/1.1 client over TLS.
pub(crate) async fn client(authority: &Authority, address: SocketAddr, name: &str) -> Client {
    let stream = handshake(authority, address, name, &["http/1.1"]).await;
    Client::http1_over(stream.expect("a handshake")).await
}
