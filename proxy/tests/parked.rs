//! What becomes of a request that a layer keeps waiting: when its client leaves, and when it may go on?

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use support::edge::{chain, handshake, open};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::Body;
use tidegate_proxy::cluster::{Endpoint, Protocol};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::upstream::Upstream as Sender;
use tidegate_testkit::body::full;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::{Client, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::wire::Wire;
use tokio::io::AsyncWriteExt;
use tower::layer::layer_fn;
use tower::{ServiceExt, service_fn};

/// Nothing is sent for so long, where nothing must be.
const QUIET: Duration = Duration::from_millis(200);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const EXPECT: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";

/// A layer at whose gate requests wait.
#[derive(Clone)]
struct Parking {
    gate: Gate,
    /// One clone for each request that waits.
    waiting: Arc<()>,
}

impl Parking {
    fn new() -> Self {
        let (gate, waiting) = (Gate::closed(), Arc::new(()));
        Self { gate, waiting }
    }

    fn layers(&self) -> Layers {
        let (gate, waiting) = (self.gate.clone(), Arc::downgrade(&self.waiting));
        Layers::new(layer_fn(move |upstream: Sender| {
            let (gate, waiting) = (gate.clone(), waiting.clone());
            service_fn(move |request: Request<Body>| {
                let (gate, waits, upstream) = (gate.clone(), waiting.upgrade(), upstream.clone());
                async move {
                    gate.pass().await;
                    drop(waits);
                    upstream.oneshot(request).await
                }
            })
        }))
    }

    async fn waits(&self, count: usize) {
        eventually(&format!("{count} requests wait"), async || {
            let waiting = Arc::strong_count(&self.waiting) - 1;
            (waiting == count).then_some(()).ok_or(format!("{waiting} wait"))
        })
        .await;
    }
}

async fn parked() -> (Front, Parking, Upstream) {
    let (parking, upstream) = (Parking::new(), Upstream::echo().await);
    (
        Front::through(parking.layers(), upstream.address()),
        parking,
        upstream,
    )
}

/// Whatever a client has sent, its leaving is seen while nobody reads: only where the system tells the end of input
/// apart from the input.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_is_dropped_at_once_whatever_it_had_sent() {
    let (front, parking, upstream) = parked().await;
    let unread = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for request in [
        GET,
        &unread,
        chunked,
        EXPECT,
        &format!("{GET}{GET}"),
        &format!("{GET}{unread}"),
    ] {
        for reset in [false, true] {
            let mut wire = Wire::connect(front.address).await;
            wire.send(request).await;
            parking.waits(1).await;
            if reset {
                wire.reset();
            } else {
                drop(wire);
            }
            parking.waits(0).await;
        }
    }
    assert_eq!(upstream.counts().connections(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_says_no_more_counts_as_gone() {
    let (front, parking, _upstream) = parked().await;
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    parking.waits(1).await;
    wire.half_close().await;
    parking.waits(0).await;
}

/// How many clients send so many bytes each.
const UPLOADS: usize = 4;
const UPLOAD: usize = 64 << 20;
/// What the sockets' own buffers hold of one of them, and then some.
const TAKEN_MAX: usize = 16 << 20;

#[tokio::test]
async fn bodies_stay_with_their_clients_while_requests_wait() {
    let (front, parking, upstream) = parked().await;
    let piece = vec![b'x'; 1 << 20];
    let mut wires = Vec::new();
    for waiting in 1..=UPLOADS {
        let mut wire = Wire::connect(front.address).await;
        wire.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n"
        ))
        .await;
        parking.waits(waiting).await;
        let mut taken = 0;
        while tokio::time::timeout(QUIET, wire.send(&piece)).await.is_ok() {
            taken += piece.len();
            assert!(taken < TAKEN_MAX, "{taken} bytes of a body that nobody asked for");
        }
        wires.push(wire);
    }
    assert_eq!(upstream.counts().connections(), 0);
}

/// How a client leaves that came by TLS.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// `close_notify`, then the end of the connection.
    InOrder,
    /// The end of the connection alone, which TLS sees only where it reads.
    Truncated,
    Reset,
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_below_tls_is_dropped_at_once() {
    let authority = Authority::new("tests");
    let (parking, upstream) = (Parking::new(), Upstream::echo().await);
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let snapshot = everything_to(&cluster, Some(parking.layers()));
    let front = Front::behind(open(vec![chain(&authority, &[HOST])]), snapshot);
    let request = GET.replace("host: a", "host: app.example");
    for leaving in [Leaving::InOrder, Leaving::Truncated, Leaving::Reset] {
        let stream = handshake(&authority, front.address, HOST, &["http/1.1"]).await;
        let mut stream = stream.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        parking.waits(1).await;
        match leaving {
            Leaving::InOrder => stream.shutdown().await.unwrap(),
            Leaving::Truncated => drop(stream.into_inner().0),
            Leaving::Reset => Wire::new(stream.into_inner().0).reset(),
        }
        parking.waits(0).await;
    }
    assert_eq!(upstream.counts().connections(), 0);
}

#[tokio::test]
async fn an_http2_client_gives_up_one_stream_or_all() {
    let (front, parking, upstream) = parked().await;
    let mut client = Client::http2(front.address).await;
    let request = client.send(post_request(HOST, "/", full("hello")));
    tokio::select! { _ = request => panic!("the gate is closed"), () = parking.waits(1) => {} }
    parking.waits(0).await;
    let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let request = || Request::get("http://app.example/").body(()).unwrap();
    let sent = [
        sender.send_request(request(), true).unwrap(),
        sender.send_request(request(), true).unwrap(),
    ];
    tokio::select! { _ = connection => panic!("the connection ended"), () = parking.waits(2) => {} }
    parking.waits(0).await;
    drop(sent);
    assert_eq!(upstream.counts().connections(), 0);
}

#[tokio::test]
async fn permission_to_send_the_body_is_given_after_the_wait() {
    let (front, parking, _upstream) = parked().await;
    let mut wire = Wire::connect(front.address).await;
    wire.send(EXPECT).await;
    parking.waits(1).await;
    wire.stays_silent(QUIET).await;
    parking.gate.open();
    assert_eq!(wire.head().await.status(), 100);
    wire.send("hello").await;
    assert_eq!(wire.message().await.text(), "hello");
}

#[tokio::test]
async fn after_the_wait_everything_is_as_it_was() {
    let (front, parking, upstream) = parked().await;
    let mut wire = Wire::connect(front.address).await;
    let body = "x".repeat(100_000);
    let post = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.send(format!("{post}{post}")).await;
    for _ in 0..2 {
        parking.waits(1).await;
        parking.gate.admit(1);
        assert_eq!(wire.message().await.text(), body);
    }
    assert_eq!(upstream.counts().connections(), 1);
}

#[tokio::test]
async fn who_waits_sees_endpoints_that_came_later() {
    let (parking, upstream) = (Parking::new(), Upstream::echo().await);
    let cluster = cluster(Protocol::Http1, &[nobody().await]);
    let front = Front::start(everything_to(&cluster, Some(parking.layers())));
    let mut client = Client::http1(front.address).await;
    let (answer, ()) = tokio::join!(client.call(get_request(HOST, "/")), async {
        parking.waits(1).await;
        front.config.publish(everything_to(
            &tidegate_proxy::cluster::Cluster::new(cluster.settings().clone()),
            None,
        ));
        cluster.set_endpoints(vec![Arc::new(Endpoint::new(upstream.address()))]);
        parking.gate.open();
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_drain_waits_for_who_waits() {
    let (front, parking, _upstream) = parked().await;
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    parking.waits(1).await;
    front.drain.start();
    let (outcome, message) = tokio::join!(front.finish(support::GRACE), async {
        wire.stays_silent(QUIET).await;
        parking.gate.open();
        wire.message().await
    });
    assert_eq!((outcome.forced, message.status()), (0, 200));
    soon("the end", wire.ends()).await;
}
