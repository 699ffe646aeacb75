//! Does a client stay at the endpoint that served it first?

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use support::{Front, HOST, by_policy, cluster};
use tidegate_proxy::cluster::affinity::{Affinity, AffinityCookie, Carrier, Otherwise};
use tidegate_proxy::cluster::{Cluster, Endpoint, Protocol};
use tidegate_proxy::route::ForwardPolicy;
use tidegate_testkit::client::{Answer, Client, get_request};
use tidegate_testkit::upstream::Upstream;

fn front(cluster: &Arc<Cluster>, otherwise: Otherwise) -> Front {
    let cookie = AffinityCookie {
        name: "at".into(),
        path: "/".into(),
        ttl: None,
    };
    let affinity = Affinity {
        carrier: Carrier::Cookie(cookie),
        otherwise,
    };
    let policy = ForwardPolicy {
        affinity: Some(affinity),
        ..ForwardPolicy::default()
    };
    Front::start(by_policy(cluster, policy))
}

async fn get(front: &Front, cookie: Option<&str>) -> Answer {
    let mut request = get_request(HOST, "/");
    if let Some(Ok(cookie)) = cookie.map(str::parse) {
        request.headers_mut().insert("cookie", cookie);
    }
    Client::http1(front.address).await.call(request).await
}

fn told(answer: &Answer) -> Option<String> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next().map(str::to_owned)
}

/// Two endpoints, and the cookie of a client that the first answer served.
async fn served(otherwise: Otherwise) -> ([Upstream; 2], Arc<Cluster>, Front, String, String) {
    let upstreams = [
        Upstream::fixed(StatusCode::OK, "one").await,
        Upstream::fixed(StatusCode::OK, "two").await,
    ];
    let addresses: Vec<SocketAddr> = upstreams.iter().map(Upstream::address).collect();
    let cluster = cluster(Protocol::Http1, &addresses);
    let front = front(&cluster, otherwise);
    let first = get(&front, None).await;
    let cookie = told(&first).unwrap_or_default();
    (upstreams, cluster, front, first.text(), cookie)
}

#[tokio::test]
async fn a_client_stays_and_is_told_once() {
    let (_upstreams, _cluster, front, first, cookie) = served(Otherwise::Another).await;
    for _ in 0..6 {
        let answer = get(&front, Some(&cookie)).await;
        assert_eq!((answer.text(), told(&answer)), (first.clone(), None));
    }
}

#[tokio::test]
async fn a_client_whose_endpoint_is_gone_gets_another_or_an_error() {
    for otherwise in [Otherwise::Another, Otherwise::Unavailable] {
        let (upstreams, cluster, front, first, cookie) = served(otherwise).await;
        let stays = upstreams
            .iter()
            .zip(["one", "two"])
            .find(|(_, text)| *text != first);
        let address = stays.map(|(upstream, _)| upstream.address());
        cluster.set_endpoints(
            address
                .into_iter()
                .map(|address| Arc::new(Endpoint::new(address)))
                .collect(),
        );
        let answer = get(&front, Some(&cookie)).await;
        if otherwise == Otherwise::Another {
            assert_eq!(answer.status, 200);
            assert!(told(&answer).is_some_and(|told| told != cookie));
        } else {
            assert_eq!(answer.status, 503);
        }
    }
}

#[tokio::test]
async fn a_client_cannot_name_a_server_of_its_own() {
    let foreign = Upstream::fixed(StatusCode::OK, "foreign").await;
    let (_upstreams, _cluster, front, _first, _cookie) = served(Otherwise::Another).await;
    let address = foreign.address().to_string();
    let forged = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, address);
    let answer = get(&front, Some(&format!("at={forged}"))).await;
    assert_ne!(answer.text(), "foreign");
    assert!(foreign.seen().is_empty());
}
