//! Do the examples do what they say? Each is a module here, so that what a person copies is what runs.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use tidegate_proxy::drain::Drain;
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::upstream::Upstream;

#[path = "../examples/connector.rs"]
#[allow(dead_code, reason = "its `main` is for people")]
mod connector;
#[path = "../examples/filter.rs"]
#[allow(dead_code, reason = "its `main` is for people")]
mod filter;
#[path = "../examples/gateway.rs"]
#[allow(dead_code, reason = "its `main` is for people")]
mod gateway;
#[path = "../examples/in_process.rs"]
#[allow(dead_code, reason = "its `main` is for people")]
mod in_process;

const HOST: &str = "any.example";

fn free_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn ends_well(drain: Drain) {
    assert_eq!(drain.finish(Duration::from_secs(8)).await.forced, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_tells_two_services_apart_by_path() {
    let site = Upstream::fixed(http::StatusCode::OK, "site").await;
    let api = Upstream::fixed(http::StatusCode::OK, "api").await;
    let (address, drain) = gateway::start(free_port(), [site.address(), api.address()]).unwrap();
    for (path, text) in [("/", "site"), ("/api/users", "api"), ("/apis", "site")] {
        assert_eq!(get(address, HOST, path).await.text(), text, "{path}");
    }
    ends_well(drain).await;
}

#[test]
fn the_gateway_is_short() {
    let lines = include_str!("../examples/gateway.rs").lines().count();
    assert!(lines < 60, "{lines} lines");
}

#[tokio::test]
async fn the_filter_lets_only_the_key_pass_and_keeps_it() {
    let service = Upstream::echo().await;
    let (address, drain) = filter::start(free_port(), service.address(), "secret").unwrap();
    let mut client = Client::http2(address).await;
    for (keys, status) in [
        (&[][..], 401),
        (&["wrong"], 401),
        (&["secret", "x"], 401),
        (&["secret"], 200),
    ] {
        let mut request = get_request(HOST, "/");
        for key in keys {
            request
                .headers_mut()
                .append("x-api-key", HeaderValue::from_static(key));
        }
        assert_eq!(client.call(request).await.status, status, "{keys:?}");
    }
    let [seen] = service.seen().try_into().unwrap();
    assert_eq!(seen.header("x-api-key"), None);
    drop(client);
    ends_well(drain).await;
}

#[tokio::test]
async fn the_app_in_the_process_answers_beside_a_service() {
    let service = Upstream::fixed(http::StatusCode::OK, "service").await;
    let (address, drain) = in_process::start(free_port(), service.address()).unwrap();
    for mut client in [Client::http1(address).await, Client::http2(address).await] {
        assert_eq!(client.get(HOST, "/app/hello/you").await.text(), "hello you\n");
        let shout = post_request(HOST, "/app/shout", full("hello"));
        assert_eq!(client.call(shout).await.text(), "HELLO");
        assert_eq!(client.get(HOST, "/app/nothing").await.status, 404);
        assert_eq!(client.get(HOST, "/").await.text(), "service");
    }
    ends_well(drain).await;
}

#[tokio::test]
async fn the_connector_reaches_the_app_without_a_socket() {
    let (address, drain) = connector::start(free_port()).unwrap();
    for mut client in [Client::http1(address).await, Client::http2(address).await] {
        for _ in 0..2 {
            assert_eq!(client.get(HOST, "/anything").await.text(), "hello from memory\n");
        }
    }
    ends_well(drain).await;
}
