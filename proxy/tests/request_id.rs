//! Which id does a request have upstream, and which does its client see?

mod support;

use http::{HeaderValue, StatusCode};
use support::{Front, HOST};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::observe::request_id::{MakeRequestId, RequestIdPolicy, RequestIdResponse};
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::upstream::{Upstream, nobody};

fn ids(make: MakeRequestId) -> HttpSettings {
    HttpSettings {
        request_id: RequestIdPolicy {
            make,
            response: RequestIdResponse::Set,
        },
        ..HttpSettings::default()
    }
}

/// The id that an upstream saw and the one that the client got, when the client sent `mine`.
async fn seen(http: HttpSettings) -> (Option<String>, Option<String>) {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::speaking(http, upstream.address());
    let mut request = get_request(HOST, "/");
    let mine = HeaderValue::from_static("mine");
    request.headers_mut().insert("x-request-id", mine);
    let answer = Client::http1(front.address).await.call(request).await;
    let upstreams = upstream.seen()[0].header("x-request-id").map(str::to_owned);
    (upstreams, answer.header("x-request-id").map(str::to_owned))
}

#[tokio::test]
async fn a_trusted_client_keeps_its_id_and_sees_it_again() {
    let mine = Some("mine".to_owned());
    assert_eq!(seen(ids(MakeRequestId::Missing)).await, (mine.clone(), mine));
}

#[tokio::test]
async fn a_client_that_nobody_knows_gets_an_id_of_ours() {
    let (upstreams, clients) = seen(ids(MakeRequestId::Always)).await;
    assert_ne!(upstreams.as_deref(), Some("mine"));
    assert_eq!(upstreams.as_ref().map(String::len), Some(36));
    assert_eq!(upstreams, clients);
}

#[tokio::test]
async fn by_default_the_clients_id_is_passed_on_and_the_response_left_alone() {
    let passed = seen(HttpSettings::default()).await;
    assert_eq!(passed, (Some("mine".to_owned()), None));
}

#[tokio::test]
async fn an_error_of_ours_carries_the_id_too() {
    let front = Front::speaking(ids(MakeRequestId::Missing), nobody().await);
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
}
