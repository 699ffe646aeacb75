//! How does a filter of your own come between a route and its upstream? As a tower layer: here one that wants a key.
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example filter -- 127.0.0.1:3000 secret
//! $ curl -i http://127.0.0.1:8080/                         # 401
//! $ curl -i -H 'x-api-key: secret' http://127.0.0.1:8080/  # the service's answer
//! ```

#![expect(clippy::print_stderr, reason = "a program says what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::{HeaderValue, Request, Response, StatusCode};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Body, Proxy, process};
use tower::{Layer, Service};

/// Answers 401 to requests without the key; the others pass, without it.
#[derive(Clone, Debug)]
struct RequireKey {
    key: HeaderValue,
}

const KEY: &str = "x-api-key";

impl<S> Layer<S> for RequireKey {
    type Service = KeyRequired<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyRequired {
            key: self.key.clone(),
            inner,
        }
    }
}

/// The service of [`RequireKey`].
#[derive(Clone, Debug)]
struct KeyRequired<S> {
    key: HeaderValue,
    inner: S,
}

impl<S> Service<Request<Body>> for KeyRequired<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<std::future::Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // One key, and nothing else beside it.
        let mut keys = request.headers().get_all(KEY).iter();
        if (keys.next(), keys.next()) == (Some(&self.key), None) {
            request.headers_mut().remove(KEY);
            return Either::Right(self.inner.call(request));
        }
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        Either::Left(std::future::ready(Ok(refusal)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(service), Some(key)) = (words.next(), words.next()) else {
        return Err("usage: filter SERVICE KEY, such as 127.0.0.1:3000 secret".into());
    };
    let (address, drain) = start("127.0.0.1:8080".parse()?, service.parse()?, &key)?;
    eprintln!("http://{address}");
    tokio::signal::ctrl_c().await?;
    drain.finish(Duration::from_secs(10)).await;
    Ok(())
}

/// Serves on all threads of this runtime, until the drain.
pub(crate) fn start(
    at: SocketAddr,
    service: SocketAddr,
    key: &str,
) -> Result<(SocketAddr, Drain), Box<dyn Error>> {
    let filter = RequireKey { key: key.parse()? };
    let route = Route {
        layers: Some(Layers::new(filter)),
        ..Route::forward(Split::single("service", [].into()))
    };
    let host = VirtualHost::new("every host", [Domain::parse("*")?], [route]);
    let cluster = Cluster::new(ClusterSettings::new("service"));
    cluster.set_endpoints(vec![Endpoint::new(service).into()]);
    let config = Handle::new(Snapshot::new([host], [cluster]));

    let (drain, watch) = Drain::new();
    let listener = Listener::bind(
        at,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    )?;
    let address = listener.address();
    for acceptor in listener.into_acceptors() {
        let proxy = Proxy::new(config.clone(), watch.clone());
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy));
    }
    Ok((address, drain))
}
