//! What does `tidegate sample …` serve? Small servers, so that trying Tidegate out needs nothing else installed.
//!
//! Each speaks HTTP/1.1 and h2c on one port, as the Knative runtime contract asks of a container, and ends in order on
//! SIGTERM.

use std::io::ErrorKind::AddrInUse;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use self::server::Stop;

mod echo;
mod grpc;
mod hello;
mod limits;
mod query;
mod server;
mod sleep;
mod sse;
mod websocket;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// `sysexits.h`: a service is unavailable.
const EXIT_PORT_TAKEN: u8 = 69;
const EXIT_FAILED: u8 = 1;

/// The arguments of `tidegate sample`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SampleArgs {
    /// Which server to run
    #[arg(value_enum)]
    sample: Sample,

    /// Port to listen on; 0 takes any free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,

    /// Address to listen on; a container needs 0.0.0.0
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
}

/// The sample servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sample {
    /// Answers `Hello $TARGET!`
    Hello,
    /// Answers with the request it got, body streamed back
    Echo,
    /// Answers after `?ms=`, and says how many requests ran at once
    Sleep,
    /// Sends `?count=` server-sent events, one each `?interval=` ms
    Sse,
    /// Echoes WebSocket messages
    Websocket,
    /// Speaks gRPC over h2c: `tidegate.sample.Echo`, see examples/grpc/echo.proto
    Grpc,
}

/// Runs a sample server until SIGTERM or Ctrl-C; then no new request is taken and those under way are finished, unless it
/// is asked once more. Exit codes as of `up`: 0 in order, 1 when it cannot run, 69 when the port is taken.
pub(crate) fn main(args: SampleArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime
        .context("cannot start the run-time")
        .and_then(|runtime| runtime.block_on(run(args)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be told when standard error is closed.
            writeln!(std::io::stderr(), "tidegate sample: {error:#}").ok();
            let taken = error
                .downcast_ref()
                .is_some_and(|error: &std::io::Error| error.kind() == AddrInUse);
            ExitCode::from(if taken { EXIT_PORT_TAKEN } else { EXIT_FAILED })
        }
    }
}

async fn run(args: SampleArgs) -> anyhow::Result<()> {
    let address = SocketAddr::from((args.bind, args.port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another port by --port or $PORT"))?;
    let (stop, signals) = Stop::on_signals().context("cannot listen for SIGTERM")?;
    // Serving goes on when standard output is closed.
    writeln!(
        std::io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    )
    .ok();
    tokio::select! {
        () = server::serve(listener, App::new(args.sample), stop) => {}
        () = signals => tracing::warn!("asked a second time: ended at once"),
    }
    Ok(())
}

/// What the requests of one sample server share.
struct App {
    sample: Sample,
    target: String,
    sleepers: sleep::Sleepers,
}

impl App {
    fn new(sample: Sample) -> Self {
        Self {
            sample,
            target: hello::target_from_environment(),
            sleepers: sleep::Sleepers::default(),
        }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        connection: &server::Connection,
    ) -> Response<Body> {
        match self.sample {
            Sample::Hello => hello::answer(&self.target),
            Sample::Echo => echo::answer(request),
            Sample::Sleep => sleep::answer(&request, &self.sleepers).await,
            Sample::Sse => sse::answer(&request, connection.stop.clone()),
            Sample::Websocket => websocket::answer(&mut request, connection),
            Sample::Grpc => grpc::answer(request, connection.stop.clone()),
        }
    }
}

/// A whole response of plain text.
fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
