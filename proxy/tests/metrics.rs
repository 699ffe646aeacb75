//! Is everything that was accepted accounted for, once, and is the page true when all is quiet?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use support::{Front, GRACE, HOST, cluster, everything_to, host, route};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::observe::metrics as names;
use tidegate_proxy::route::{Route, Split};
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, nobody};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;

/// Runs a scenario in one thread, where nobody else's metrics are.
fn recorded(scenario: impl AsyncFnOnce(Page)) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = Page(recorder.handle());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    metrics::with_local_recorder(&recorder, || runtime.block_on(scenario(page)));
}

/// What `/metrics` would show.
struct Page(PrometheusHandle);

impl Page {
    /// The sum of a metric over its labels.
    fn sum(&self, name: &str) -> f64 {
        self.with(name, "").values().sum()
    }

    /// The samples of a metric whose labels contain `label`.
    fn with(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let text = self.0.render();
        let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        let named =
            samples.filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(label));
        named
            .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
            .collect()
    }

    fn failed(&self, reason: &str) -> f64 {
        self.with(names::REQUESTS_FAILED, &format!("\"{reason}\""))
            .values()
            .sum()
    }

    async fn becomes(&self, name: &str, value: f64) {
        eventually(name, async || {
            let sum = self.sum(name);
            (sum == value).then_some(()).ok_or(format!("{sum}"))
        })
        .await;
    }

    fn assert_balanced(&self) {
        let ended = [
            names::REQUESTS_ANSWERED,
            names::REQUESTS_FAILED,
            names::REQUESTS_ABORTED,
        ];
        let ended: f64 = ended.iter().map(|name| self.sum(name)).sum();
        assert_eq!(self.sum(names::REQUESTS_ACCEPTED), ended, "{}", self.0.render());
    }
}

#[test]
fn answers_and_failures_add_up() {
    recorded(async |page| {
        let nowhere = Arc::new(Route::forward(Split::single("not-there", [].into())));
        let (missing, unknown) = ("missing.example", "unknown.example");
        let hosts = [host(HOST, vec![route(None)]), host(missing, vec![nowhere])];
        let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
        let clusters = [cluster(Protocol::Http1, &[upstream.address()])];
        let front = Front::start(Snapshot::new(hosts, clusters));
        let mut client = Client::http1(front.address).await;
        for host in [missing, HOST, missing, unknown, HOST] {
            client.get(host, "/").await;
        }
        let failed = (page.failed("cluster_missing"), page.failed("no_route"));
        assert_eq!(failed, (2.0, 1.0));
        assert_eq!(
            page.with(names::REQUESTS_ANSWERED, "2xx").values().sum::<f64>(),
            2.0
        );
        assert_eq!(page.sum(names::REQUESTS_ACCEPTED), 5.0);
        page.assert_balanced();
    });
}

#[test]
fn clients_that_leave_add_up_too() {
    recorded(async |page| {
        let upstream = Upstream::held(&Gate::closed()).await;
        let front = Front::to(upstream.address());
        let mut leaving = Wire::connect(front.address).await;
        leaving
            .send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        let mut streams = Client::http2(front.address).await;
        let given_up = streams.send(get_request(HOST, "/"));
        tokio::select! { _ = given_up => panic!("the gate is closed"), () = upstream.runs(2) => {} }
        drop(leaving);
        page.becomes(names::REQUESTS_ABORTED, 2.0).await;
        assert_eq!(page.sum(names::REQUESTS_ACCEPTED), 2.0);
        page.assert_balanced();
    });
}

#[test]
fn connections_are_counted_while_they_are_open_however_they_end() {
    recorded(async |page| {
        let upstream = Upstream::websocket().await;
        let front = Front::to(upstream.address());
        let mut clients = vec![
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ];
        for client in &mut clients {
            client.get(HOST, "/").await;
        }
        let tunnel = WebSocket::connect(front.address, HOST, "/")
            .await
            .expect("an upgrade");
        let silent = Wire::connect(front.address).await;
        page.becomes(names::CONNECTIONS, 4.0).await;
        tunnel.close().await;
        page.becomes(names::CONNECTIONS, 3.0).await;
        drop(silent);
        page.becomes(names::CONNECTIONS, 2.0).await;
        front.finish(GRACE).await;
        page.becomes(names::CONNECTIONS, 0.0).await;
    });
}

#[test]
fn a_cut_ends_the_count_too() {
    recorded(async |page| {
        let upstream = Upstream::held(&Gate::closed()).await;
        let front = Front::to(upstream.address());
        let mut client = Client::http1(front.address).await;
        let request = client.send(get_request(HOST, "/"));
        let (answer, ()) = tokio::join!(request, async {
            upstream.runs(1).await;
            drop(front);
        });
        answer.expect_err("it was cut");
        page.becomes(names::CONNECTIONS, 0.0).await;
        page.assert_balanced();
    });
}

/// An upstream whose connections die of their second request.
async fn one_answer_each() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.message().await;
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        connection.wire.head().await;
    })
    .await
}

#[test]
fn what_happens_at_a_cluster_has_its_name() {
    recorded(async |page| {
        let upstream = one_answer_each().await;
        let front = Front::to(upstream.address());
        let mut client = Client::http1(front.address).await;
        for _ in 0..2 {
            assert_eq!(client.get(HOST, "/").await.status, 200);
        }
        let dead = Front::to(nobody().await);
        assert_eq!(get(dead.address, HOST, "/").await.status, 503);
        let check = |name, value: f64| {
            let found: f64 = page.with(name, "cluster=\"app\"").values().sum();
            assert_eq!(found, value, "{name}");
        };
        check(names::UPSTREAM_REQUESTS, 3.0);
        check(names::UPSTREAM_RETRIES, 1.0);
        check(names::UPSTREAM_CONNECTS, 3.0);
        check(names::UPSTREAM_CONNECT_FAILURES, 1.0);
    });
}

#[test]
fn durations_and_classes_are_recorded_for_grpc_and_errors_alike() {
    recorded(async |page| {
        names::describe();
        let upstream = Upstream::fixed(StatusCode::NOT_FOUND, "none").await;
        let front = Front::start(everything_to(
            &cluster(Protocol::Http2, &[upstream.address()]),
            None,
        ));
        let mut request = post_request(HOST, "/", tidegate_testkit::body::empty());
        request
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        assert_eq!(Client::http2(front.address).await.call(request).await.status, 404);
        front.config.publish(Snapshot::default());
        assert_eq!(get(front.address, HOST, "/").await.status, 404);
        assert_eq!(
            page.with(names::REQUESTS_ANSWERED, "4xx").values().sum::<f64>(),
            1.0
        );
        assert_eq!(page.sum(&format!("{}_count", names::REQUEST_SECONDS)), 2.0);
        assert!(
            page.0
                .render()
                .contains("# HELP tidegate_requests_accepted_total Requests whose head was complete")
        );
    });
}
