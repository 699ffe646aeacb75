//! What do records of TLS do that a client writes by hand, in crumbs, or far too often?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use support::edge::{chain, open};
use support::{Front, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: app.example\r\n\r\n";

/// A client whose every record is the test's own.
struct Session {
    tls: ClientConnection,
    wire: Wire,
}

impl Session {
    async fn begin(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(HOST).unwrap();
        Self {
            tls: ClientConnection::new(Arc::clone(config), name).unwrap(),
            wire: Wire::connect(address).await,
        }
    }

    /// What the client has to say now.
    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut said).unwrap();
        }
        said
    }

    async fn say(&mut self) {
        let said = self.said();
        self.wire.send(said).await;
    }

    /// Takes one record and answers what is to be answered to it.
    async fn hear(&mut self) {
        let head = self.wire.bytes(5).await;
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let record = [head, self.wire.bytes(length).await].concat();
        self.tls.read_tls(&mut record.as_slice()).unwrap();
        self.tls.process_new_packets().unwrap();
        self.say().await;
    }

    async fn shake_hands(&mut self) {
        while self.tls.is_handshaking() {
            self.say().await;
            self.hear().await;
        }
    }

    /// Asks over HTTP/1.1 and reads until the answer's whole body is there.
    async fn get(&mut self) -> String {
        self.tls.writer().write_all(GET).unwrap();
        self.say().await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            self.hear().await;
            // What is not there yet is no error of the test.
            _ = self.tls.reader().read_to_end(&mut answer);
        }
        String::from_utf8(answer).unwrap()
    }
}

async fn front(authority: &Authority) -> (Front, Upstream) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    (
        Front::behind(open(vec![chain(authority, &[HOST])]), snapshot),
        upstream,
    )
}

fn config(authority: &Authority) -> Arc<ClientConfig> {
    Arc::new(authority.client_config(&["http/1.1"], None))
}

#[tokio::test]
async fn a_client_hello_in_records_of_one_byte_is_a_client_hello() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let mut session = Session::begin(front.address, &config(&authority)).await;
    let hello = session.said();
    let (head, hello) = hello.split_at(5);
    for byte in hello {
        let record = [head[0], head[1], head[2], 0, 1, *byte];
        session.wire.send(record).await;
    }
    session.shake_hands().await;
    assert!(session.get().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn keys_may_change_between_requests_and_a_flood_of_changes_ends_the_connection() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let mut session = Session::begin(front.address, &config(&authority)).await;
    session.shake_hands().await;
    for _ in 0..10 {
        session.tls.refresh_traffic_keys().unwrap();
        assert!(session.get().await.starts_with("HTTP/1.1 200"));
    }
    for _ in 0..1000 {
        session.tls.refresh_traffic_keys().unwrap();
        let said = session.said();
        if session.wire.try_send(said).await.is_err() {
            break;
        }
    }
    // Whether by an alert or a reset: it is over.
    session.wire.rest().await;
}

#[tokio::test]
async fn a_session_is_resumed_without_early_data() {
    let authority = Authority::new("tests");
    let (front, _upstream) = front(&authority).await;
    let mut config = authority.client_config(&["http/1.1"], None);
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut session = Session::begin(front.address, &config).await;
        assert!(session.tls.early_data().is_none(), "no ticket allows it");
        session.shake_hands().await;
        session.get().await;
        assert_eq!(session.tls.handshake_kind(), Some(kind));
    }
}
