//! Is the path that a route matched the one that its upstream gets, however it was written?

mod support;

use std::sync::Arc;

use http::StatusCode;
use support::{CLUSTER, Front, cluster, host};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::route::{Matcher, PathMatch, Route, Split};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

/// Only what is below `/open/` reaches the upstream; the rest is 403.
async fn front() -> (Front, Upstream) {
    let upstream = Upstream::echo().await;
    let open = Route {
        matcher: Matcher {
            path: PathMatch::prefix("/open/"),
            ..Matcher::default()
        }
        .into(),
        ..Route::forward(Split::single(CLUSTER, [].into()))
    };
    let routes = vec![
        Arc::new(open),
        Arc::new(Route::respond(StatusCode::FORBIDDEN, "no")),
    ];
    let clusters = [cluster(Protocol::Http1, &[upstream.address()])];
    (
        Front::start(Snapshot::new([host("*", routes)], clusters)),
        upstream,
    )
}

/// The status of a request for these bytes, and what the upstream saw of them.
async fn asked(target: &[u8]) -> (u16, Option<String>) {
    let (front, upstream) = front().await;
    let mut wire = Wire::connect(front.address).await;
    wire.send([b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat())
        .await;
    let status = wire.message().await.status();
    (status, upstream.seen().pop().map(|seen| seen.uri.to_string()))
}

#[tokio::test]
async fn what_is_matched_is_what_is_forwarded() {
    for (target, forwarded) in [
        ("/open/a", "/open/a"),
        ("/open/./a", "/open/a"),
        ("/x/../open/a", "/open/a"),
        ("/x/%2e%2E/open/a", "/open/a"),
        ("http://a/open/a", "/open/a"),
        ("/open//a", "/open//a"),
        ("/open/a;p=1", "/open/a;p=1"),
        ("/open/..;/a", "/open/..;/a"),
        ("/open/%2f%2F%5c%5C", "/open/%2f%2F%5c%5C"),
        ("/open/%c3%A9%ff", "/open/%c3%A9%ff"),
        // As the `http` crate has it: bytes that are no UTF-8 are refused, others pass.
        ("/open/\u{e9}", "/open/\u{e9}"),
        ("/open/%252e%252e/a", "/open/%252e%252e/a"),
    ] {
        assert_eq!(
            asked(target.as_bytes()).await,
            (200, Some(forwarded.to_owned())),
            "{target}"
        );
    }
}

#[tokio::test]
async fn no_spelling_leads_out_of_a_route_or_into_it() {
    for target in [
        "/open/../secret",
        "/open/%2e%2e/secret",
        "/open/.%2E/secret",
        "/open/a/../../secret",
        "/Open/a",
        "//open/a",
        "/%6fpen/a",
        "/open%2fa",
        "/open",
    ] {
        assert_eq!(asked(target.as_bytes()).await, (403, None), "{target}");
    }
}

#[tokio::test]
async fn what_servers_read_differently_is_refused() {
    for target in [
        b"/open/a%00".as_slice(),
        b"/open\\a",
        b"/open/..\\secret",
        b"/open/%",
        b"/open/%2",
        b"/open/%zz",
        b"/open/\xff",
    ] {
        let shown = String::from_utf8_lossy(target);
        assert_eq!(asked(target).await, (400, None), "{shown}");
    }
}
