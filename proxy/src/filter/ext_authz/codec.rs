//! How is a service asked that speaks another language than HTTP's own?

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode, Uri, Version};

use super::body::Seen;
use crate::body::Body;
use crate::error::BoxError;
use crate::route::HeaderMutations;

/// Makes of what is known about a request a question for the authorization service, and of its response a decision. The proxy
/// sends the question to the service's cluster and bounds the time and the size of the response.
pub trait Codec: fmt::Debug + Send + Sync {
    /// The question: a request with a path, whatever that may be, and a whole body.
    ///
    /// # Errors
    /// When there is none about such a request: then the request is refused.
    fn question(&self, about: &About<'_>) -> Result<Request<Body>, BoxError>;

    /// What the response means.
    ///
    /// # Errors
    /// When it means nothing: the service has failed.
    fn decision(&self, answer: &Answer) -> Result<Decision, BoxError>;
}

/// A request that a service is asked about.
#[derive(Debug)]
pub struct About<'a> {
    /// Its head: what the upstream would get.
    pub request: &'a Request<Body>,
    /// What was seen of its body; `None` where nobody wants to see it.
    pub body: Option<&'a Seen>,
    /// As what it came in.
    pub version: Version,
    /// Its target as it is now.
    pub target: &'a Uri,
    /// `http` or `https`, as its client sees it.
    pub scheme: &'static str,
    /// The client's address.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to.
    pub destination: Option<SocketAddr>,
    /// The name that the client asked for by TLS (SNI).
    pub server_name: Option<&'a str>,
    /// The certificate that the client showed, in DER.
    pub certificate: Option<&'a [u8]>,
    /// What the route has for the service: names and values, a name once.
    pub context: Vec<(&'a str, &'a str)>,
}

/// What a service has answered, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status of its response.
    pub status: StatusCode,
    /// The fields of its head.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, empty without any.
    pub trailers: HeaderMap,
}

/// What a service changes about a request that passes.
#[derive(Debug, Default)]
pub struct Changes {
    /// About its fields, and those of its response.
    pub fields: HeaderMutations,
    /// About its query, in this order.
    pub query: Vec<QueryChange>,
}

/// A change of a query; names and values are taken as they are written in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryChange {
    /// The parameter of this name has this value, once.
    Set(Box<str>, Box<str>),
    /// There is no parameter of this name.
    Remove(Box<str>),
}

impl From<HeaderMutations> for Changes {
    fn from(fields: HeaderMutations) -> Self {
        let query = Vec::new();
        Self { fields, query }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It passes, with these changes.
    Pass(Changes),
    /// The client gets this.
    Refuse(Response<Bytes>),
}
