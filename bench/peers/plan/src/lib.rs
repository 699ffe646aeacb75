//! What is a peer asked to do: where to listen, where to send, for which hosts, with which header edits?

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use http::{HeaderName, HeaderValue};

/// The command line of every peer that is built here.
#[derive(Clone, Debug, clap::Parser)]
pub struct Plan {
    /// Listens here for HTTP/1.1.
    #[arg(long)]
    pub h1: SocketAddr,
    /// Listens here for HTTP/2 by prior knowledge, with an HTTP/1.1 backend.
    #[arg(long)]
    pub h2: SocketAddr,
    /// Listens here for HTTP/2 by prior knowledge, with a backend that speaks it too.
    #[arg(long)]
    pub grpc: SocketAddr,
    /// Listens here for TLS.
    #[arg(long)]
    pub tls: SocketAddr,
    /// The certificate of the TLS port, PEM.
    #[arg(long)]
    pub certificate: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    pub key: PathBuf,
    /// The backend that speaks HTTP/1.1.
    #[arg(long)]
    pub backend: SocketAddr,
    /// The backend that speaks HTTP/2 by prior knowledge.
    #[arg(long)]
    pub grpc_backend: SocketAddr,
    /// A file with the hosts to serve, one a line; any other gets a 404.
    #[arg(long)]
    pub hosts: PathBuf,
    /// Sets this field of each request: `name=value`.
    #[arg(long = "set")]
    pub edits: Vec<Edit>,
}

/// A field to set.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

impl FromStr for Edit {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, value) = text.split_once('=').context("name=value")?;
        Ok(Self {
            name: name.parse()?,
            value: value.parse()?,
        })
    }
}

impl Plan {
    /// The hosts to serve.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known(&self) -> anyhow::Result<HashSet<String>> {
        let text = std::fs::read_to_string(&self.hosts)
            .with_context(|| format!("cannot read {}", self.hosts.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// A new id for a request, as Envoy and we make one.
///
/// # Errors
/// Never: it is ASCII.
pub fn request_id() -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut text = uuid::Uuid::encode_buffer();
    HeaderValue::from_str(uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text))
}
