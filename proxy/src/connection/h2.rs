//! HTTP/2 from clients, on the `h2` crate: the connection, its settings, its idle time, its end.
//!
//! Each stream is a task of its own: it is woken by its own upstream, and the connection is not polled for it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::clock;
use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::drain::Guard;
use crate::observe::counts::one;
use crate::observe::metrics::ProxyMetrics;
use crate::process;
use crate::worker::Proxy;

mod duplex;
mod head;
mod io;
mod keep_alive;
mod link;
pub(crate) mod meter;
mod request_body;
mod send;
mod split;
mod stream;
mod watch;

use io::{Metered, Verdict};
use keep_alive::KeepAlive;
use link::Link;
pub(super) use request_body::StreamBody;
use watch::Watch;

/// Serves streams until the client leaves, it asks for too much, nothing happened for too long, or the drain asks for
/// the end.
pub(super) async fn serve<S>(socket: S, proxy: Proxy, guard: Guard)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let settings = proxy.peer().http();
    let verdict: Verdict = Arc::new(OnceLock::new());
    let meter = meter::Meter::new(settings.head.bytes_max).of(settings.http2.streams_of);
    let socket = Metered::new(socket, meter, Arc::clone(&verdict));
    let handshake = builder(settings).handshake::<_, Bytes>(socket);
    match tokio::time::timeout(settings.timeouts.request_head, handshake).await {
        Ok(Ok(connection)) => Life::new(&proxy, guard, verdict).run(connection).await,
        Ok(Err(error)) => tracing::debug!(%error, "HTTP/2 handshake failed"),
        Err(_elapsed) => tracing::debug!("HTTP/2 handshake took too long"),
    }
}

fn builder(settings: &HttpSettings) -> Builder {
    let mut builder = Builder::new();
    let faults = usize::try_from(limits::H2_FAULTY_STREAMS_MAX).unwrap_or(usize::MAX);
    builder
        .max_concurrent_streams(settings.http2.streams_max)
        .initial_window_size(settings.http2.stream_window_bytes)
        .initial_connection_window_size(settings.http2.connection_window_bytes)
        .max_header_list_size(u32::try_from(settings.head.bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(limits::H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(faults));
    if !settings.upgrades.is_empty() {
        builder.enable_connect_protocol();
    }
    builder
}

/// What one connection's end depends on.
struct Life<'a> {
    proxy: &'a Proxy,
    settings: &'a HttpSettings,
    guard: Guard,
    verdict: Verdict,
    streams: Arc<Streams>,
    watch: Watch,
    requests_left: Option<u32>,
    stage: Stage,
    /// When the stage is looked at again.
    wake: Instant,
}

/// How far a connection is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The client was told to open no more streams, at this time.
    Draining(Instant),
    /// It was told that there will be no more of any.
    Ending,
}

/// Why a connection is over before `h2` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    NotYet,
    Drain,
    Cut,
}

impl<'a> Life<'a> {
    fn new(proxy: &'a Proxy, guard: Guard, verdict: Verdict) -> Self {
        let settings = proxy.peer().http();
        let mut life = Self {
            proxy,
            settings,
            guard,
            verdict,
            streams: Arc::new(Streams::new()),
            watch: Watch::default(),
            requests_left: settings.requests_per_connection_max.map(Into::into),
            stage: Stage::Open,
            wake: Instant::now(),
        };
        life.due();
        life
    }

    async fn run<S>(mut self, mut connection: Connection<Metered<S>, Bytes>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut keep_alive = KeepAlive::of(&mut connection, self.settings.http2.keep_alive);
        let mut draining = self.proxy.drain().draining();
        let timer = tokio::time::sleep_until(self.wake);
        tokio::pin!(timer);
        loop {
            if timer.deadline() != self.wake {
                timer.as_mut().reset(self.wake);
            }
            tokio::select! {
                biased;
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        self.start(request, respond);
                        let spent = self.requests_left == Some(0);
                        if spent && self.stage == Stage::Open {
                            one(&self.proxy.peer().counts().cells().connections_spent);
                        }
                        if spent || self.proxy.drain().lets_go() {
                            self.drain(&mut connection);
                        }
                    }
                    Some(Err(error)) => return self.failed(&error),
                    None => return,
                },
                () = exceeded(&self.verdict), if self.stage != Stage::Ending => self.calm(&mut connection),
                () = &mut draining, if self.stage == Stage::Open => self.drain(&mut connection),
                () = &mut timer => match self.due() {
                    Due::NotYet => {}
                    Due::Drain => {
                        self.count_end();
                        self.drain(&mut connection);
                    }
                    Due::Cut => return tracing::debug!("connection cut: its streams had their time"),
                },
                () = KeepAlive::lost(keep_alive.as_mut()) => {
                    ProxyMetrics::connection_cut("keep_alive");
                    return tracing::debug!("connection cut: the client does not answer PING");
                }
            }
        }
    }

    fn start(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (proxy, open) = (self.proxy.clone(), Open::of(&self.streams));
        self.requests_left = self.requests_left.map(|left| left.saturating_sub(1));
        let link = Arc::new(Link::new(self.settings.timeouts.stream_idle));
        self.watch.add(&link);
        self.wake = self.watch.until().map_or(self.wake, |until| until.min(self.wake));
        // Made where it stays: a task's future is moved again and again on its way into the runtime, and out of it.
        let served = Box::write(
            Box::new_uninit(),
            stream::serve(request, respond, proxy, (link, open)),
        );
        process::spawn("h2-stream", self.guard.clone(), Box::into_pin(served));
    }

    /// Tells the client to open no more streams, and lets those that are open finish.
    fn drain<S>(&mut self, connection: &mut Connection<Metered<S>, Bytes>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.stage == Stage::Open {
            self.stage = Stage::Draining(Instant::now());
            self.wake = Instant::now() + limits::H2_FAREWELL_TIMEOUT;
            connection.graceful_shutdown();
        }
    }

    /// Ends a connection that makes too much work, with all its streams.
    fn calm<S>(&mut self, connection: &mut Connection<Metered<S>, Bytes>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let reason = self.verdict.get().map_or("", |excess| excess.name());
        tracing::debug!(reason, "connection ended: too many frames");
        ProxyMetrics::connection_cut(reason);
        self.stage = Stage::Ending;
        self.wake = Instant::now() + limits::H2_FAREWELL_TIMEOUT * 2;
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    }

    /// Counts what its time was over for.
    fn count_end(&self) {
        let cells = self.proxy.peer().counts().cells();
        let longest = self.settings.timeouts.connection_max;
        let old = longest.is_some_and(|max| self.streams.began.elapsed() >= max);
        one(if old {
            &cells.connections_too_old
        } else {
            &cells.connections_idle
        });
    }

    fn failed(&self, error: &h2::Error) {
        tracing::debug!(%error, "downstream connection failed");
        if error.is_library() && error.is_go_away() {
            let calm = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
            ProxyMetrics::connection_cut(if calm { "h2_calm" } else { "h2_protocol" });
        }
    }

    /// What the time says, and when to look again.
    fn due(&mut self) -> Due {
        let (now, timeouts) = (Instant::now(), &self.settings.timeouts);
        self.watch.look(now);
        let idle_since = self.streams.idle_since();
        let (due, wake) = match self.stage {
            Stage::Open => {
                // An open stream is not idleness.
                let idle = idle_since.unwrap_or(now) + timeouts.idle;
                let end = timeouts.connection_max.map(|max| self.streams.began + max);
                (Due::Drain, end.map_or(idle, |end| end.min(idle)))
            }
            // The client's answer to GOAWAY, or its last stream's end, would have closed it.
            Stage::Draining(since) => {
                let idle = idle_since.map(|idle| idle.max(since) + limits::H2_FAREWELL_TIMEOUT);
                (Due::Cut, idle.unwrap_or(since + timeouts.drain))
            }
            Stage::Ending => (Due::Cut, self.wake),
        };
        if wake <= now {
            return due;
        }
        // A drain with open streams is looked at now and then, as their end wakes nobody here.
        self.wake = match self.stage {
            Stage::Draining(_) => wake.min(now + limits::H2_FAREWELL_TIMEOUT),
            Stage::Open => self.watch.until().map_or(wake, |until| until.min(wake)),
            Stage::Ending => wake,
        };
        Due::NotYet
    }
}

/// Resolves when the meter has had enough: it wakes the task, which polls this.
async fn exceeded(verdict: &Verdict) {
    poll_fn(|_cx| match verdict.get() {
        Some(_) => Poll::Ready(()),
        None => Poll::Pending,
    })
    .await;
}

/// The streams of one connection.
#[derive(Debug)]
struct Streams {
    began: Instant,
    /// How many are open, in the lowest [`OPEN_BITS`]; above them when the last of them ended, in milliseconds after
    /// the connection began.
    state: AtomicU64,
}

/// Room for more streams than one connection can have.
const OPEN_BITS: u32 = 24;
const OPEN: u64 = (1 << OPEN_BITS) - 1;

impl Streams {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            state: AtomicU64::new(0),
        }
    }

    /// Since when no stream is open.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state.load(Ordering::Acquire);
        let ended = Duration::from_millis(state >> OPEN_BITS);
        (state & OPEN == 0).then(|| self.began + ended)
    }

    /// Counts one less. Only the last of them looks at the clock.
    fn end_one(&self) {
        let next = |state: u64| {
            let left = (state & OPEN).saturating_sub(1);
            if left > 0 {
                return Some(state - 1);
            }
            let now = u64::try_from(clock::now().duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
            Some(now << OPEN_BITS)
        };
        _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

/// Counts one stream until it is dropped.
struct Open(Arc<Streams>);

impl Open {
    fn of(streams: &Arc<Streams>) -> Self {
        streams.state.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(streams))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end_one();
    }
}

#[cfg(test)]
mod tests;
