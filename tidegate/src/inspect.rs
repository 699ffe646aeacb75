//! What `tidegate explain` and `tidegate diff` have in common: where configurations come from, and what is printed.

use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use http::header::{CONNECTION, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tidegate_ingress::Report;
use tidegate_ingress::limits::{DUMP_BYTES_MAX, DUMP_TIMEOUT};
use tidegate_ingress::page::Page;
use tidegate_ingress::resources::Resources;
use tokio::net::TcpStream;

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object with the same keys and texts
    Json,
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line asks for what is not there.
    #[error("{0}")]
    Usage(String),
    /// A configuration is wrong.
    #[error("{0}")]
    Config(#[from] Report),
    /// A running program cannot be asked.
    #[error("{0}")]
    Unavailable(String),
}

impl Failure {
    /// The exit code, of `sysexits.h` where it has one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Config(_) => 65,
            Self::Unavailable(_) => 69,
        }
    }
}

/// Prints what was found, or why there is nothing.
pub(crate) fn end(found: Result<(String, u8), Failure>) -> ExitCode {
    match found {
        Ok((text, code)) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::from(code),
            // Whoever read it has seen enough.
            Err(_) => ExitCode::FAILURE,
        },
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn report(failure: &Failure) {
    eprintln!("error: {failure}");
}

/// The page as it is printed.
pub(crate) fn print(page: &Page, output: Output) -> String {
    match output {
        Output::Text => page.to_text(),
        Output::Json => page.to_json().pretty() + "\n",
    }
}

/// Asks a running program for its configuration: `admin` is the URL of its admin endpoints.
pub(crate) fn ask(admin: &str) -> Result<Resources, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    let url = match admin.contains("://") {
        true => admin.to_owned(),
        false => format!("http://{admin}"),
    };
    let uri: Uri = format!("{}/config_dump?include_eds", url.trim_end_matches('/'))
        .parse()
        .map_err(|error| Failure::Usage(format!("'{admin}' is no URL: {error}")))?;
    let text = runtime.block_on(async {
        let fetched = tokio::time::timeout(DUMP_TIMEOUT, fetch(&uri)).await;
        fetched.unwrap_or_else(|_| Err(format!("no answer within {DUMP_TIMEOUT:?}")))
    });
    let text = text.map_err(|why| Failure::Unavailable(format!("{uri}: {why}")))?;
    Ok(Resources::of_dump(&url, &text)?)
}

async fn fetch(uri: &Uri) -> Result<Vec<u8>, String> {
    let authority = uri.authority().ok_or("the URL has no host")?;
    if uri.scheme_str() != Some("http") {
        return Err("admin endpoints speak http".to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let said = |error: std::io::Error| error.to_string();
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(said)?;
    let broken = |error: hyper::Error| error.to_string();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target)
        .header(HOST, authority.as_str())
        .header(CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), DUMP_BYTES_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes().to_vec())
    };
    // The connection has to be driven while the answer is read, and may be over before it is.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
