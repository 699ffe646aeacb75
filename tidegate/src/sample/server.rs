//! How does a sample server take connections, and how does it end?

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::limits::{ACCEPT_PAUSE, CONNECTIONS_MAX, DRAIN_MAX, HEAD_MAX};
use super::{App, websocket};

/// Serves until `stop`, then finishes the requests under way.
pub(super) async fn serve(listener: TcpListener, app: App, stop: Stop) {
    let app = Arc::new(app);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.asked() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&app), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_MAX, finished).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut connections that did not end in {DRAIN_MAX:?}"
        );
    }
}

/// What the requests of one connection share.
pub(super) struct Connection {
    pub(super) stop: Stop,
    /// The WebSocket that takes the connection over once its `101` was sent.
    pub(super) upgrade: Mutex<Option<OnUpgrade>>,
}

async fn serve_connection(stream: TcpStream, app: Arc<App>, stop: Stop) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection without TCP_NODELAY");
    }
    let shared = Arc::new(Connection {
        stop: stop.clone(),
        upgrade: Mutex::new(None),
    });
    let service = service_fn(|request: Request<Incoming>| {
        let (app, shared) = (Arc::clone(&app), Arc::clone(&shared));
        async move { Ok::<_, Infallible>(app.answer(request, &shared).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX);
    builder.http2().timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke off");
    }
    let upgrade = shared
        .upgrade
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(upgrade) = upgrade {
        websocket::echo(upgrade, &stop).await;
    }
}

/// Says when the server was asked to end. Clones are the same.
#[derive(Clone)]
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
}

impl Stop {
    /// Asked by dropping or setting the sender.
    pub(super) fn by(asked: watch::Receiver<bool>) -> Self {
        Self { asked }
    }

    /// Asked by SIGTERM or Ctrl-C, as long as the returned future is polled. That one ends when asked a second time.
    ///
    /// # Errors
    /// When the process cannot listen for signals.
    pub(super) fn on_signals() -> std::io::Result<(Self, impl Future<Output = ()>)> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut either = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let (ask, asked) = watch::channel(false);
        let signals = async move {
            either().await;
            ask.send_replace(true);
            either().await;
        };
        Ok((Self::by(asked), signals))
    }

    /// Returns once the end was asked for. Cancel-safe.
    pub(super) async fn asked(&self) {
        // A sender that is gone asks for the end, too.
        drop(self.asked.clone().wait_for(|asked| *asked).await);
    }
}
