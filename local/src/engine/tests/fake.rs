//! A container engine of scripted answers, behind a unix socket.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

type Body = BoxBody<Bytes, Infallible>;

/// How this engine differs from one where everything goes well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quirk {
    #[default]
    None,
    /// The image is not here, and can be pulled.
    ImageElsewhere,
    /// The image is nowhere.
    ImageNowhere,
    /// A container does not stop when asked.
    Stubborn,
    /// A container ends by itself with this code, at once.
    Exits(i64),
}

/// The engine, for as long as a test holds it.
pub(super) struct Fake {
    state: Arc<State>,
    directory: tempfile::TempDir,
    _server: JoinSet<()>,
}

struct State {
    quirk: Quirk,
    requests: Mutex<Vec<String>>,
    created: Mutex<Value>,
    exit: watch::Sender<Option<i64>>,
}

impl Fake {
    pub(super) fn start(quirk: Quirk) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("engine.sock")).expect("a socket");
        let exit = match quirk {
            Quirk::Exits(code) => Some(code),
            _ => None,
        };
        let state = Arc::new(State {
            quirk,
            requests: Mutex::default(),
            created: Mutex::default(),
            exit: watch::Sender::new(exit),
        });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Self {
            state,
            directory,
            _server: server,
        }
    }

    pub(super) fn host(&self) -> String {
        format!("unix://{}/engine.sock", self.directory.path().display())
    }

    /// The requests so far, such as `POST /containers/create`, without those that only look.
    pub(super) fn changes(&self) -> Vec<String> {
        let requests = self.state.requests.lock().expect("unpoisoned");
        requests
            .iter()
            .filter(|request| !request.starts_with("GET"))
            .cloned()
            .collect()
    }

    /// What the container was created from.
    pub(super) fn created(&self) -> Value {
        self.state.created.lock().expect("unpoisoned").clone()
    }
}

async fn serve(listener: UnixListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(Arc::clone(&state), request));
            // A client that leaves midway is no failure of the test.
            let _left = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await
                .is_err();
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    state
        .requests
        .lock()
        .expect("unpoisoned")
        .push(format!("{method} {}", anonymous(&path)));
    let body = request
        .into_body()
        .collect()
        .await
        .expect("a whole request")
        .to_bytes();
    let last = path.rsplit('/').next().unwrap_or_default();
    let no_content = || reply(StatusCode::NO_CONTENT, "");
    Ok(match (&method, last) {
        (&Method::GET, "_ping") => reply(StatusCode::OK, "OK"),
        (&Method::GET, "json") if path.starts_with("/images/") => state.image(),
        (&Method::POST, "create") if path.starts_with("/images/") => state.pull(),
        (&Method::POST, "create") => {
            *state.created.lock().expect("unpoisoned") = serde_json::from_slice(&body).expect("JSON");
            reply(
                StatusCode::CREATED,
                &json!({"Id": "c1", "Warnings": []}).to_string(),
            )
        }
        (&Method::GET, "json") if path == "/containers/json" => reply(
            StatusCode::OK,
            &json!([{"Id": "old-1"}, {"Id": "old-2"}]).to_string(),
        ),
        (&Method::GET, "json") => state.inspect(),
        (&Method::GET, "logs") => state.logs(),
        (&Method::POST, "wait") => state.wait(),
        (&Method::POST, "stop") if state.quirk == Quirk::Stubborn => state.ended(no_content()).await,
        (&Method::POST, "stop" | "kill") => {
            state
                .exit
                .send_replace(Some(if last == "stop" { 143 } else { 137 }));
            no_content()
        }
        (&Method::POST, "start") | (&Method::DELETE, _) => no_content(),
        _ => reply(
            StatusCode::NOT_FOUND,
            &json!({"message": "no such page"}).to_string(),
        ),
    })
}

/// A path without the container's random name.
fn anonymous(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if part.starts_with("tidegate-") {
            "NAME"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn reply(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed();
    Response::builder().status(status).body(body).expect("a response")
}

/// A response whose body comes once the container has ended.
fn once_ended(
    exit: &watch::Sender<Option<i64>>,
    text: impl Fn(i64) -> String + Send + Sync + 'static,
) -> Response<Body> {
    let mut exit = exit.subscribe();
    let stream = futures_util::stream::once(async move {
        let code = exit
            .wait_for(Option::is_some)
            .await
            .expect("the engine lives")
            .unwrap_or_default();
        Ok(Frame::data(Bytes::from(text(code))))
    });
    Response::new(BodyExt::boxed(StreamBody::new(stream)))
}

impl State {
    fn image(&self) -> Response<Body> {
        match self.quirk {
            Quirk::ImageElsewhere | Quirk::ImageNowhere => reply(
                StatusCode::NOT_FOUND,
                &json!({"message": "no such image"}).to_string(),
            ),
            _ => reply(StatusCode::OK, "{}"),
        }
    }

    fn pull(&self) -> Response<Body> {
        if self.quirk == Quirk::ImageNowhere {
            return reply(
                StatusCode::OK,
                &json!({"errorDetail": {"message": "manifest unknown"}}).to_string(),
            );
        }
        reply(
            StatusCode::OK,
            "{\"status\":\"Pulling\"}\r\n{\"status\":\"Done\"}\r\n",
        )
    }

    fn inspect(&self) -> Response<Body> {
        let exit = *self.exit.borrow();
        let ports = json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49155"}]});
        let inspected = json!({
            "State": {"Running": exit.is_none(), "ExitCode": exit.unwrap_or(0)},
            "NetworkSettings": {"Ports": if exit.is_none() { ports } else { json!({}) }},
        });
        reply(StatusCode::OK, &inspected.to_string())
    }

    /// One line on each stream, then nothing more until the end.
    fn logs(&self) -> Response<Body> {
        let first = [piece(1, "listen"), piece(2, "warning\n"), piece(1, "ing\n")].concat();
        let first = futures_util::stream::once(async { Ok(Frame::data(Bytes::from(first))) });
        let mut exit = self.exit.subscribe();
        let last = futures_util::stream::once(async move {
            exit.wait_for(Option::is_some).await.expect("the engine lives");
            Ok(Frame::data(Bytes::from(piece(1, "bye"))))
        });
        Response::new(BodyExt::boxed(StreamBody::new(futures_util::StreamExt::chain(
            first, last,
        ))))
    }

    fn wait(&self) -> Response<Body> {
        once_ended(&self.exit, |code| json!({"StatusCode": code}).to_string())
    }

    async fn ended(&self, answer: Response<Body>) -> Response<Body> {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.expect("the engine lives");
        answer
    }
}

/// A piece of a container's output as the engine frames it. source: Docker Engine API, "Attach to a container"
fn piece(stream: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short text").to_be_bytes();
    [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
}
