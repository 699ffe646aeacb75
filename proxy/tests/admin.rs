//! What does the admin port answer, to whom, and until when?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;

use http::{HeaderValue, Request, StatusCode};
use tidegate_proxy::admin::{self, Admin, Readiness};
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::process;
use tidegate_testkit::body::empty;
use tidegate_testkit::client::{Answer, Client, get, get_request};
use tidegate_testkit::wire::Wire;

/// An admin port with a metrics page and a JSON page.
struct Port {
    address: SocketAddr,
    readiness: Readiness,
    drain: Drain,
    watch: Watch,
}

impl Port {
    fn open() -> Self {
        let (readiness, (drain, watch)) = (Readiness::default(), Drain::new());
        let admin = Admin::new(readiness.clone())
            .metrics(|| "up 1\n".to_owned())
            .json("/state", || "{}".to_owned());
        let listener = admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = admin.serve(listener, watch.clone());
        process::spawn("admin", watch.unguarded(), async {
            serving.await.expect("a socket");
        });
        Self {
            address,
            readiness,
            drain,
            watch,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        get(self.address, "localhost", path).await
    }

    async fn send(&self, method: &str, field: Option<(&'static str, &'static str)>) -> StatusCode {
        let mut request = Request::builder().method(method).uri("http://localhost/ready");
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        let request = request.body(empty()).expect("a request");
        Client::http1(self.address).await.call(request).await.status
    }
}

#[tokio::test]
async fn readiness_is_said_and_ends_with_the_drain() {
    let port = Port::open();
    let check = async |status: u16, text: &str| {
        let answer = port.get("/ready").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, text));
    };
    check(503, "not ready\n").await;
    port.readiness.set_ready();
    check(200, "LIVE\n").await;
    port.readiness.set_unready();
    check(503, "not ready\n").await;
    port.readiness.set_ready();
    port.drain.start();
    check(503, "draining\n").await;
    port.drain.finish(support::GRACE).await;
    port.watch.forced().await;
}

#[tokio::test]
async fn pages_have_their_types_and_literal_paths() {
    let port = Port::open();
    for (path, status, content_type) in [
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        (
            "//metrics?name=up",
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        ("/state", 200, "application/json"),
        ("/", 200, "text/plain; charset=utf-8"),
        ("/unknown", 404, "text/plain; charset=utf-8"),
        ("/ready/../metrics", 404, "text/plain; charset=utf-8"),
        ("/%2e/metrics", 404, "text/plain; charset=utf-8"),
        ("/metrics/", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = port.get(path).await;
        let found = (answer.status.as_u16(), answer.header("content-type"));
        assert_eq!(found, (status, Some(content_type)), "{path}");
    }
    assert_eq!(port.get("/metrics").await.text(), "up 1\n");
    assert_eq!(port.get("/").await.text(), "/ready\n/metrics\n/state\n");
    assert_eq!(
        port.get("/x").await.text(),
        "no such page; there are:\n/ready\n/metrics\n/state\n"
    );
}

#[tokio::test]
async fn only_reading_is_allowed_and_not_from_other_sites_pages() {
    let port = Port::open();
    port.readiness.set_ready();
    for (method, field, status) in [
        ("GET", None, 200),
        ("HEAD", None, 200),
        ("POST", None, 405),
        ("DELETE", None, 405),
        ("POST", Some(("origin", "http://evil.example")), 403),
        ("GET", Some(("origin", "null")), 403),
        ("GET", Some(("sec-fetch-site", "cross-site")), 403),
        ("GET", Some(("sec-fetch-site", "same-site")), 403),
        ("GET", Some(("sec-fetch-site", "same-origin")), 200),
        ("GET", Some(("sec-fetch-site", "none")), 200),
    ] {
        assert_eq!(port.send(method, field).await, status, "{method} {field:?}");
    }
    let mut post = get_request("localhost", "/metrics");
    *post.method_mut() = http::Method::POST;
    let answer = Client::http1(port.address).await.call(post).await;
    assert_eq!(
        answer.headers.get("allow"),
        Some(&HeaderValue::from_static("GET, HEAD"))
    );
}

#[tokio::test]
async fn many_silent_clients_do_not_keep_the_operator_out() {
    let port = Port::open();
    let mut silent = Vec::new();
    for _ in 0..63 {
        silent.push(Wire::connect(port.address).await);
    }
    assert_eq!(port.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_a_message() {
    let port = Port::open();
    let error = admin::bind(port.address).expect_err("it is taken").to_string();
    assert_eq!(
        error,
        format!(
            "cannot listen on {}: the port is taken by another program",
            port.address
        )
    );
}
