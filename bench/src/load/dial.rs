//! How does the load generator connect: plainly, or over TLS 1.3 without resumption?

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::host;

/// A connection of either kind.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Where to connect, and how.
#[derive(Clone)]
pub(super) struct Dial {
    target: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dial {
    pub(super) fn plain(target: SocketAddr) -> Self {
        Self { target, tls: None }
    }

    /// Over TLS; the server's certificate has to be signed by the authority in this PEM file.
    pub(super) fn tls(target: SocketAddr, authority: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(host()).context("hosts have names")?;
        Ok(Self {
            target,
            tls: Some((TlsConnector::from(Arc::new(config)), name)),
        })
    }

    pub(super) async fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(super) async fn open(&self) -> io::Result<Box<dyn Wire>> {
        let stream = self.tcp().await?;
        Ok(match &self.tls {
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
            None => Box::new(stream),
        })
    }
}
