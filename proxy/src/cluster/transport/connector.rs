//! How an embedder connects to endpoints by means of its own.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tower::{Service, ServiceExt};

use crate::cluster::Address;
use crate::error::BoxError;

/// Bytes both ways. What is seldom connected is connected as one of these in a box: what is spoken over it is built once then,
/// whatever carries it.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Dialling = Pin<Box<dyn Future<Output = Result<Box<dyn Duplex>, BoxError>> + Send>>;

/// A tower service from an [`Address`] to a connection: through another proxy, into this process, out of a test.
///
/// It is cloned and boxed once for each connection, which is rare next to requests. Two connectors are equal if one is
/// a clone of the other.
///
/// ```
/// use tidegate_proxy::cluster::Address;
/// use tidegate_proxy::cluster::transport::{Connector, TransportSettings};
///
/// // Whoever connects is connected to nobody.
/// let nobody = tower::service_fn(async |_address: Address| Ok::<_, std::io::Error>(tokio::io::duplex(1024).0));
/// let settings = TransportSettings { connector: Some(Connector::new(nobody)), ..TransportSettings::default() };
/// assert_eq!(settings, settings.clone());
/// ```
#[derive(Clone)]
pub struct Connector(Arc<dyn Fn(Address) -> Dialling + Send + Sync>);

impl Connector {
    /// Connects by `service`.
    #[must_use]
    pub fn new<S>(service: S) -> Self
    where
        S: Service<
                Address,
                Response: AsyncRead + AsyncWrite + Send + Unpin,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(move |address| {
            let service = service.clone();
            Box::pin(async move {
                let stream = service.oneshot(address).await.map_err(Into::into)?;
                Ok(Box::new(stream) as Box<dyn Duplex>)
            })
        }))
    }

    pub(crate) async fn connect(&self, address: Address) -> Result<Box<dyn Duplex>, BoxError> {
        (self.0)(address).await
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connector {}

impl Hash for Connector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}
