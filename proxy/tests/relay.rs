//! Do bytes that are no HTTP get to a cluster and back as they are, and does each end of a connection learn how the other ended?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use support::edge::{handshake, open, server_tls};
use support::{CLUSTER, Front, GRACE, HOST, cluster, everything_to, over, with_endpoints};
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Protocol, TransportSettings};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::observe::access_log::{AccessLog, Format, Sink};
use tidegate_proxy::observe::counts::relay::RelayTotals;
use tidegate_proxy::relay::RelaySettings;
use tidegate_proxy::route::Split;
use tidegate_proxy::tls::trust::Trust;
use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, ServerName};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::tls::{self, Handshake};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, bind, nobody};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::wire::Wire;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

/// Keeps the lines of a log.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Sink for Lines {
    fn write(&self, line: Vec<u8>) {
        self.0.lock().unwrap().push(String::from_utf8(line).unwrap());
    }
}

impl Lines {
    async fn first(&self) -> String {
        eventually("a line", async || self.0.lock().unwrap().first().cloned()).await
    }
}

fn settings() -> RelaySettings {
    RelaySettings::to(Split::single(CLUSTER, [].into()))
}

/// A log of one line for each connection, with flags, bytes and the cluster.
fn logged() -> (Arc<Lines>, RelaySettings) {
    let lines = Arc::new(Lines::default());
    let format = Format::text(
        "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER%",
    );
    let log = AccessLog::new(format.unwrap(), lines.clone());
    let relay = RelaySettings {
        access_logs: vec![log],
        ..settings()
    };
    (lines, relay)
}

fn front(relay: RelaySettings, cluster: &Arc<Cluster>) -> Front {
    let listener = open(vec![FilterChain::relay(relay)]);
    Front::behind(listener, everything_to(cluster, None))
}

fn to(upstream: SocketAddr) -> Arc<Cluster> {
    cluster(Protocol::Http1, &[upstream])
}

fn totals(front: &Front) -> RelayTotals {
    front.config.counts().listeners()[0].relays()[0].1.totals()
}

/// Says what it has read, once the client has ended.
async fn repeating() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        let all = connection.wire.rest().await;
        connection.wire.send([b"you said ", &*all].concat()).await;
    })
    .await
}

#[tokio::test]
async fn each_side_may_go_on_after_the_other_has_ended() {
    let upstream = repeating().await;
    let (lines, relay) = logged();
    let front = front(relay, &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    client.send("hi").await;
    client.half_close().await;
    assert_eq!(client.rest().await, b"you said hi");
    assert_eq!(lines.first().await, "- 0 - 2 11 app");
    let totals = totals(&front);
    assert_eq!((totals.connections, totals.received, totals.sent), (1, 2, 11));
    drop(client);
    assert_eq!(front.finish(GRACE).await.forced, 0);
}

#[tokio::test]
async fn an_upstream_may_speak_first_and_end_first() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.send("220 ready\r\n").await;
        connection.wire.half_close().await;
        assert_eq!(connection.wire.rest().await, b"and still read");
    })
    .await;
    let front = front(settings(), &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    assert_eq!(client.rest().await, b"220 ready\r\n");
    client.send("and still read").await;
    client.half_close().await;
    upstream.finish().await;
}

#[tokio::test]
async fn a_reset_of_one_side_is_one_of_the_other() {
    let (heard, mut hears) = mpsc::channel(1);
    let upstream = RawUpstream::start(move |mut connection: RawConnection| {
        let heard = heard.clone();
        async move {
            let first = connection.wire.bytes(1).await;
            if first == b"r" {
                return connection.wire.reset();
            }
            connection.wire.reset_by_peer().await;
            heard.send(()).await.unwrap();
        }
    })
    .await;
    let front = front(settings(), &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    client.send("r").await;
    client.reset_by_peer().await;
    let mut client = Wire::connect(front.address).await;
    client.send("x").await;
    eventually("the byte", async || totals(&front).received == 2).await;
    client.reset();
    soon("the reset", hears.recv()).await.unwrap();
}

#[tokio::test]
async fn a_connection_in_which_nothing_moves_is_closed() {
    let upstream = repeating().await;
    let relay = RelaySettings {
        idle: Some(Duration::from_millis(50)),
        ..settings()
    };
    let front = front(relay, &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    client.ends().await;
    eventually("the count", async || totals(&front).idle_timeouts == 1).await;
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_one_may() {
    let upstream = repeating().await;
    let (lines, relay) = logged();
    let relay = RelaySettings {
        lasts_max: Some(Duration::from_millis(50)),
        ..relay
    };
    let front = front(relay, &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    client.ends().await;
    assert_eq!(lines.first().await, "- 0 DT 0 0 app");
    eventually("the count", async || totals(&front).too_long == 1).await;
}

#[tokio::test]
async fn tls_ends_in_front_and_begins_anew_behind_without_alpn() {
    let (clients, servers) = (Authority::new("clients"), Authority::new("servers"));
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    let trust = Trust::in_pem(servers.pem.as_bytes()).unwrap();
    let tls = ClientTls::new(ClientTlsSettings {
        server_name: ServerName::Literal(HOST.into()),
        ..ClientTlsSettings::trusting(trust)
    });
    let transport = TransportSettings {
        tls: Some(tls.unwrap()),
        ..TransportSettings::default()
    };
    let chain = FilterChain {
        tls: Some(server_tls(&clients, &[HOST])),
        ..FilterChain::relay(settings())
    };
    let snapshot = everything_to(&over(transport, &[address]), None);
    let front = Front::behind(open(vec![chain]), snapshot);
    // One that insists on a protocol refuses who offers another.
    let config: ServerConfig = Authority::server_config(&servers.server(HOST), &["mine"], None);
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tls::accept(stream, &Arc::new(config)).await.unwrap();
        let alpn = Handshake::of(&stream).alpn;
        let mut wire = Wire::over(stream);
        let all = wire.rest().await;
        wire.send([b"you said ", &*all].concat()).await;
        wire.half_close().await;
        alpn
    };
    let asking = async {
        let stream = handshake(&clients, front.address, HOST, &[]).await.unwrap();
        let mut wire = Wire::over(stream);
        wire.send("hi").await;
        wire.half_close().await;
        assert_eq!(wire.rest().await, b"you said hi");
    };
    let (alpn, ()) = soon("the exchange", async { tokio::join!(serving, asking) }).await;
    assert_eq!(alpn, None);
}

/// A server that shows a certificate for this name, and echoes one byte.
async fn tls_echo(authority: &Authority, name: &str) -> (SocketAddr, tokio::task::JoinSet<()>) {
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    let config = Arc::new(Authority::server_config(&authority.server(name), &[], None));
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut wire = Wire::over(tls::accept(stream, &config).await.unwrap());
            let byte = wire.bytes(1).await;
            wire.send(byte).await;
        }
    });
    (address, serving)
}

#[tokio::test]
async fn tls_is_passed_on_by_its_server_name_beside_chains_that_speak_it() {
    let authority = Authority::new("tests");
    let (inner, _serving) = tls_echo(&authority, "inner.example").await;
    let clear = repeating().await;
    let chains = vec![
        FilterChain::relay(settings()).for_names(["inner.example"]),
        FilterChain {
            tls: Some(server_tls(&authority, &["outer.example"])),
            ..FilterChain::relay(RelaySettings::to(Split::single("clear", [].into())))
        }
        .for_names(["outer.example"]),
    ];
    let clusters = [
        to(inner),
        with_endpoints(ClusterSettings::new("clear"), &[clear.address()]),
    ];
    let front = Front::behind(
        open(chains),
        Snapshot::new([support::host("*", Vec::new())], clusters),
    );
    for _ in 0..2 {
        let inner = handshake(&authority, front.address, "inner.example", &[]);
        let mut wire = Wire::over(inner.await.unwrap());
        wire.send("x").await;
        assert_eq!(wire.bytes(1).await, b"x");
        let outer = handshake(&authority, front.address, "outer.example", &[]);
        let mut wire = Wire::over(outer.await.unwrap());
        wire.half_close().await;
        assert_eq!(wire.rest().await, b"you said ");
    }
    handshake(&authority, front.address, "other.example", &[])
        .await
        .unwrap_err();
    Wire::connect(front.address).await.send("GET / HTTP/1.1").await;
    assert_eq!(totals(&front).connections, 4);
}

#[tokio::test]
async fn a_client_hello_that_comes_byte_by_byte_is_passed_on_whole() {
    let authority = Authority::new("tests");
    let (inner, _serving) = tls_echo(&authority, "inner.example").await;
    let chain = FilterChain::relay(settings()).for_names(["inner.example"]);
    let front = Front::behind(open(vec![chain]), everything_to(&to(inner), None));
    // What the client says is passed on one byte at a time.
    let (near, far) = tokio::io::duplex(64);
    let dripping = async {
        let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut far, mut stream) = (far, stream);
        _ = tokio::io::copy_bidirectional_with_sizes(&mut far, &mut stream, 1, 4096).await;
    };
    let asking = async {
        let config = Arc::new(authority.client_config(&[], None));
        let name = "inner.example".try_into().unwrap();
        let stream = TlsConnector::from(config).connect(name, near);
        let mut wire = Wire::over(soon("the handshake", stream).await.unwrap());
        wire.send("x").await;
        assert_eq!(wire.bytes(1).await, b"x");
    };
    tokio::select! {
        () = dripping => panic!("the connection ended"),
        () = asking => {}
    }
}

#[tokio::test]
async fn where_nobody_accepts_the_next_is_tried_as_often_as_may_be() {
    let (upstream, nobody) = (repeating().await, nobody().await);
    let twice = |relay| RelaySettings {
        attempts_max: NonZeroU32::new(2).unwrap(),
        ..relay
    };
    let both = cluster(Protocol::Http1, &[nobody, upstream.address()]);
    let reached = front(twice(settings()), &both);
    for _ in 0..4 {
        let mut client = Wire::connect(reached.address).await;
        client.half_close().await;
        assert_eq!(client.rest().await, b"you said ");
    }
    let (lines, relay) = logged();
    let dead = to(nobody);
    let refused = front(twice(relay), &dead);
    Wire::connect(refused.address).await.ends().await;
    assert_eq!(lines.first().await, "- 0 UF,URX 0 0 app");
    let totals = dead.counts().totals();
    assert_eq!((totals.connects_failed, totals.connects_exhausted), (2, 1));
}

#[tokio::test]
async fn a_connection_that_goes_nowhere_is_closed_and_the_log_says_why() {
    let check = async |cluster: &Arc<Cluster>, expected: &str| {
        let (lines, relay) = logged();
        let front = front(relay, cluster);
        Wire::connect(front.address).await.ends().await;
        assert_eq!(lines.first().await, expected);
        totals(&front).no_cluster
    };
    let other = Cluster::new(ClusterSettings::new("other"));
    assert_eq!(check(&other, "- 0 NC 0 0 -").await, 1);
    let empty = Cluster::new(ClusterSettings::new(CLUSTER));
    assert_eq!(check(&empty, "- 0 UH 0 0 app").await, 0);
}

#[tokio::test]
async fn one_connection_more_than_the_breaker_lets_is_closed() {
    let upstream = repeating().await;
    let one = Thresholds {
        connections: Some(1),
        ..Thresholds::default()
    };
    let settings = ClusterSettings {
        breakers: BreakerSettings {
            default: one,
            ..BreakerSettings::default()
        }
        .into(),
        ..ClusterSettings::new(CLUSTER)
    };
    let (lines, relay) = logged();
    let front = front(relay, &with_endpoints(settings, &[upstream.address()]));
    let mut first = Wire::connect(front.address).await;
    first.send("1").await;
    eventually("the first", async || totals(&front).received == 1).await;
    Wire::connect(front.address).await.ends().await;
    assert_eq!(lines.first().await, "- 0 UO 0 0 app");
    first.half_close().await;
    assert_eq!(first.rest().await, b"you said 1");
}

#[tokio::test]
async fn a_connection_goes_on_in_a_drain_and_is_cut_at_its_end() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.send("a").await;
        let heard = connection.wire.bytes(1).await;
        connection.wire.send(heard).await;
        assert_eq!(connection.wire.rest().await, b"");
    })
    .await;
    let front = front(settings(), &to(upstream.address()));
    let mut client = Wire::connect(front.address).await;
    client.bytes(1).await;
    front.drain.start();
    client.send("b").await;
    assert_eq!(client.bytes(1).await, b"b");
    assert_eq!(front.finish(Duration::from_millis(50)).await.forced, 1);
    client.ends().await;
}

#[tokio::test]
async fn what_an_upstream_does_not_read_is_not_taken_from_the_client() {
    let (done, over) = tokio::sync::oneshot::channel::<()>();
    let over = Arc::new(tokio::sync::Mutex::new(over));
    let upstream = RawUpstream::start(move |mut connection: RawConnection| {
        let over = Arc::clone(&over);
        async move {
            _ = (&mut *over.lock().await).await;
            connection.wire.rest().await;
        }
    })
    .await;
    let front = front(settings(), &to(upstream.address()));
    let client = Wire::connect(front.address).await.into_stream();
    let (chunk, mut sent) = (vec![0; 64 * 1024], 0);
    // The kernel's buffers take some; the proxy only what is in its own.
    while tokio::time::timeout(Duration::from_millis(500), client.writable())
        .await
        .is_ok()
    {
        sent += client.try_write(&chunk).unwrap_or_default() as u64;
        assert!(sent < 256 * 1024 * 1024, "there is no end of what is taken");
    }
    done.send(()).unwrap();
    drop(client);
    eventually("the rest", async || totals(&front).received == sent).await;
    upstream.finish().await;
}
