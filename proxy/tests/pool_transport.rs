//! How are upstream connections made, how long do they live, and who may share them?

mod support;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{CLUSTER, Front, HOST, everything_to, over, with_endpoints};
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::transport::{
    Connector, EndpointTransport, ProxyHeader, TcpKeepalive, TransportChoices,
};
use tidegate_proxy::cluster::{Address, Cluster, ClusterSettings, Endpoint, Protocol, TransportSettings};
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

#[tokio::test]
async fn a_connection_takes_as_many_requests_as_it_may() {
    let upstream = Upstream::echo().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let settings = TransportSettings {
            protocol,
            requests_per_connection_max: NonZeroU64::new(2),
            ..TransportSettings::default()
        };
        let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
        let before = upstream.counts().connections();
        for _ in 0..5 {
            assert_eq!(get(front.address, HOST, "/").await.status, 200);
        }
        assert_eq!(upstream.counts().connections() - before, 3, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_old_takes_no_more_requests() {
    let upstream = Upstream::echo().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let settings = TransportSettings {
            protocol,
            connection_max: Some(Duration::ZERO),
            ..TransportSettings::default()
        };
        let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
        let before = upstream.counts().connections();
        for _ in 0..3 {
            assert_eq!(get(front.address, HOST, "/").await.status, 200);
        }
        assert_eq!(upstream.counts().connections() - before, 3, "{protocol:?}");
    }
}

#[tokio::test]
async fn connections_survive_a_snapshot_that_brings_their_cluster_anew() {
    let upstream = Upstream::echo().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let snapshot = || everything_to(&support::cluster(protocol, &[upstream.address()]), None);
        let front = Front::start(snapshot());
        let before = upstream.counts().connections();
        for _ in 0..3 {
            assert_eq!(get(front.address, HOST, "/").await.status, 200);
            front.config.publish(snapshot());
        }
        assert_eq!(upstream.counts().connections() - before, 1, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_unix_domain_socket_is_dialled() {
    let path = std::env::temp_dir().join(format!("tidegate-pool-{}.sock", std::process::id()));
    _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
    let address = Address::Unix(path.as_path().into());
    cluster.set_endpoints(vec![Endpoint::new(address).into()]);
    let front = Front::start(everything_to(&cluster, None));
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(FINE.as_bytes()).await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(get(front.address, HOST, "/"), serving);
    assert_eq!(answer.text(), "fine");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn sockets_are_set_up_as_the_cluster_says() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(FINE).await;
        connection.wire.rest().await;
    })
    .await;
    let probes = TcpKeepalive {
        time: Duration::from_secs(30),
        interval: Duration::from_secs(5),
        probes: 3,
    };
    for (source, status) in [("127.0.0.1:0", 200), ("192.0.2.1:0", 503)] {
        let settings = TransportSettings {
            tcp_keepalive: Some(probes),
            source: Some(source.parse().unwrap()),
            ..TransportSettings::default()
        };
        let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
        assert_eq!(get(front.address, HOST, "/").await.status, status, "{source}");
    }
}

#[tokio::test]
async fn endpoints_of_one_cluster_may_be_connected_to_in_different_ways() {
    let upstream = |introduced: bool| {
        RawUpstream::start(move |mut connection: RawConnection| async move {
            if introduced {
                assert!(connection.wire.line().await.starts_with("PROXY "));
            }
            let head = connection.wire.head().await;
            assert!(head.raw.starts_with(b"GET / "));
            let body = if introduced { "with" } else { "none" };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n{body}");
            connection.wire.send(answer).await;
        })
    };
    let (plain, introduced) = (upstream(false).await, upstream(true).await);
    let way = TransportSettings {
        proxy_header: Some(ProxyHeader::V1),
        ..TransportSettings::default()
    };
    let choices = TransportChoices::new([EndpointTransport::new(way)], |endpoint| {
        endpoint.hostname().map(|_| 0)
    });
    let cluster = Cluster::new(ClusterSettings {
        choices: Some(Box::new(choices)),
        ..ClusterSettings::new(CLUSTER)
    });
    cluster.set_endpoints(vec![
        Endpoint::new(plain.address()).into(),
        Endpoint::new(introduced.address()).with_hostname("a").into(),
    ]);
    let front = Front::start(everything_to(&cluster, None));
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(get(front.address, HOST, "/").await.text());
    }
    answers.sort();
    assert_eq!(answers, ["none", "none", "with", "with"]);
}

#[tokio::test]
async fn a_proxy_header_names_the_client_whose_connection_it_begins() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let header = connection.wire.line().await;
        while connection.wire.try_send("").await.is_ok() {
            connection.wire.head().await;
            let length = header.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{header}");
            connection.wire.send(answer).await;
        }
    })
    .await;
    let settings = TransportSettings {
        proxy_header: Some(ProxyHeader::V1),
        ..TransportSettings::default()
    };
    let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
    for connections in 1..=2 {
        let mut client = Wire::connect(front.address).await;
        let (from, to) = (client.local_addr(), front.address);
        let header = format!(
            "PROXY TCP4 {} {} {} {}",
            from.ip(),
            to.ip(),
            from.port(),
            to.port()
        );
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(client.message().await.text(), header);
        }
        assert_eq!(upstream.connections(), connections);
    }
}

#[tokio::test]
async fn a_proxy_header_names_the_client_also_where_its_connection_died_and_was_dialled_anew() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let header = connection.wire.line().await;
        connection.wire.head().await;
        let length = header.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{header}");
        connection.wire.send(answer).await;
        connection.wire.head().await;
    })
    .await;
    let settings = TransportSettings {
        proxy_header: Some(ProxyHeader::V1),
        ..TransportSettings::default()
    };
    let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
    let mut client = Wire::connect(front.address).await;
    let mut headers = Vec::new();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        headers.push(client.message().await.text());
    }
    assert_eq!(upstream.connections(), 2);
    assert_eq!(headers.first(), headers.last());
}

#[tokio::test]
async fn a_connector_of_ones_own_makes_the_connections() {
    let upstream = Upstream::echo().await;
    let (behind, dials) = (upstream.address(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&dials);
    let connector = tower::service_fn(move |_address: Address| {
        counted.fetch_add(1, Ordering::SeqCst);
        TcpStream::connect(behind)
    });
    let settings = TransportSettings {
        protocol: Protocol::Http2,
        connector: Some(Connector::new(connector)),
        ..TransportSettings::default()
    };
    let nowhere = "192.0.2.1:80".parse().unwrap();
    let front = Front::start(everything_to(&over(settings, &[nowhere]), None));
    for _ in 0..2 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert_eq!(dials.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_connections_are_dialled_than_the_breaker_allows_and_requests_wait() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let one = Thresholds {
        connections: Some(1),
        pending: Some(1),
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
    let front = Front::start(everything_to(
        &with_endpoints(settings, &[upstream.address()]),
        None,
    ));
    let mut client = Client::http2(front.address).await;
    let mut running = tokio::task::JoinSet::from_iter([client.send(get_request(HOST, "/"))]);
    upstream.runs(1).await;
    for _ in 0..2 {
        running.spawn(client.send(get_request(HOST, "/")));
    }
    // One waits for the connection, and one is one too many.
    let refused = running.join_next().await.unwrap().unwrap();
    assert_eq!(refused.unwrap().status(), 503);
    gate.open();
    let answers = running.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status() == 200)
    );
    assert_eq!(upstream.counts().connections(), 1);
    upstream.cut_connections();
    eventually("the place of the connection that was cut", async || {
        get(front.address, HOST, "/").await.status == 200
    })
    .await;
}
