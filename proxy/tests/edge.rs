//! Does an external listener keep from upstreams what strangers may not say, and from strangers what is not theirs?

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use support::{Front, HOST, host, listen};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Route, RouteTable, TableSettings};
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::frames::{Frame, Frames, hpack};
use tidegate_testkit::upstream::{Seen, Upstream};
use tidegate_testkit::wire::Wire;

/// Removes `k-internal`, writes `x-hop` anew.
fn external() -> HttpSettings {
    let edge = EdgePolicy::removing([HeaderName::from_static("k-internal")])
        .overwriting(HeaderName::from_static("x-hop"), HeaderValue::from_static("ours"));
    HttpSettings {
        edge,
        ..HttpSettings::default()
    }
}

/// Nothing of a listed name that the client sent is there, however it was spelt, and the rest is.
fn check_edge(seen: &Seen) {
    let spoofed = |value: &HeaderValue| value.as_bytes().starts_with(b"spoofed");
    assert!(!seen.headers.values().any(spoofed), "{seen:?}");
    let hops: Vec<_> = seen.headers.get_all("x-hop").iter().collect();
    assert_eq!(hops, ["ours"], "{seen:?}");
    for (name, value) in PASSING {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
}

/// What no list names passes as it came: nothing goes by its prefix, and a user agent earns no trust and no refusal.
const PASSING: [(&str, &str); 7] = [
    ("k-internal-not", "1"),
    ("x_other", "2"),
    ("x-envoy-unlisted", "3"),
    ("x-request-id", "4"),
    ("user-agent", "kube-probe/1.30"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("tracestate", "a=b"),
];

#[tokio::test]
async fn listed_fields_of_an_http1_client_never_arrive_however_they_are_spelt() {
    let upstream = Upstream::echo().await;
    let front = Front::speaking(external(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    let passing: String = PASSING
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    for names in [
        ["k-internal", "k-internal", "x-hop", "x-hop"],
        ["K-Internal", "K-INTERNAL", "X-Hop", "X-HOP"],
        ["k_internal", "K_Internal", "x_hop", "X_HOP"],
        ["K-INTERNAL", "k_internal", "X_Hop", "x-hop"],
    ] {
        let fields: String = names.iter().map(|name| format!("{name}: spoofed\r\n")).collect();
        wire.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}{passing}\r\n"))
            .await;
        assert_eq!(wire.message().await.status(), 200);
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 4);
    seen.iter().for_each(check_edge);
}

#[tokio::test]
async fn listed_fields_of_an_http2_client_never_arrive_however_they_are_spelt() {
    let upstream = Upstream::echo().await;
    let front = Front::speaking(external(), upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    for (stream, names) in [
        (1, ["k-internal", "k-internal", "x-hop", "x-hop"]),
        (3, ["k_internal", "k-internal", "x_hop", "x-hop"]),
        (5, ["k_internal", "k_internal", "x_hop", "x_hop"]),
    ] {
        let spoofed = names.into_iter().map(|name| (name, "spoofed"));
        let fields: Vec<_> = spoofed.chain(PASSING).collect();
        let block = hpack::request("GET", HOST, "/", &fields);
        frames.send(Frame::request(stream, block)).await;
        assert_eq!(frames.response(stream).await, 200, "{names:?}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    seen.iter().for_each(check_edge);
}

#[tokio::test]
async fn a_host_of_the_inner_listener_is_unknown_at_the_outer_one() {
    let saying = |text| vec![Arc::new(Route::respond(StatusCode::OK, text))];
    let table = |hosts| RouteTable::new(TableSettings::default(), hosts);
    let outer = table(vec![host(HOST, saying("outer"))]);
    let inner = table(vec![
        host(HOST, saying("inner")),
        host("app.local", saying("local")),
    ]);
    let tables = [("outer".into(), outer), ("inner".into(), inner)];
    let config = Handle::new(Snapshot::with_tables(tables, []));
    let front = |table: &str| {
        let http = HttpSettings {
            route_table: table.into(),
            ..HttpSettings::default()
        };
        let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
        Front::following(config.clone(), listener)
    };
    let (outer, inner) = (front("outer"), front("inner"));
    assert_eq!(get(inner.address, "app.local", "/").await.text(), "local");
    for asked in ["app.local", "APP.LOCAL", "app.local.", "app.local:8081"] {
        assert_eq!(get(outer.address, asked, "/").await.status, 404, "{asked}");
        let answer = Client::http2(outer.address).await.get(asked, "/").await;
        assert_eq!(answer.status, 404, "{asked} by HTTP/2");
    }
    assert_eq!(get(outer.address, HOST, "/").await.text(), "outer");
}
