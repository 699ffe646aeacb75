//! Is what Knative's programs say to each other believed of nobody outside, and of everybody inside?

#![expect(clippy::expect_used, reason = "a test says what it waited for")]

mod support;

use std::net::SocketAddr;

use support::{Gateway, Ports, items};
use tidegate_knative::headers::passes_the_edge;
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::{Seen, Upstream};

const SAID: [(&str, &str); 13] = [
    ("k-original-host", "a.example"),
    ("k_original_host", "a.example"),
    ("k-proxy-request", "activator"),
    ("k-kubelet-probe", "queue"),
    ("k-passthrough-lb", "true"),
    ("knative-direct-lb", "true"),
    ("knative-serving-revision", "hello-00001"),
    ("knative-serving-namespace", "other"),
    ("knative-serving-default-route", "true"),
    ("k-network-probe", "queue"),
    ("user-agent", "Knative-Activator-Probe"),
    ("x-mine", "1"),
    ("knative-serving-tag", "blue"),
];

/// What the upstream gets of a client who says all of it at this address.
async fn sent_through(address: SocketAddr, host: &str, upstream: &Upstream) -> Seen {
    let mut request = get_request(host, "/");
    for (name, value) in SAID {
        let value = http::HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    assert_eq!(Client::http1(address).await.call(request).await.status, 200);
    upstream.seen().pop().expect("the request")
}

#[tokio::test]
async fn outside_it_is_removed_and_inside_it_stays() {
    let upstream = Upstream::echo().await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let gateway = Gateway::start(&control_plane, ports);
    let host = service.external_host();
    gateway.answers(&host, 200).await;

    let outside = sent_through(gateway.external(), &host, &upstream).await;
    let inside = SocketAddr::from(([127, 0, 0, 1], ports.internal));
    let inside = sent_through(inside, &format!("{}.default", service.name), &upstream).await;
    for (name, value) in SAID {
        let of_route = ["knative-serving-revision", "knative-serving-namespace"].contains(&name);
        let passes = passes_the_edge(name, value.as_bytes());
        assert_eq!(outside.header(name) == Some(value), passes, "{name} from outside");
        assert_eq!(
            inside.header(name) == Some(value),
            !of_route,
            "{name} from inside"
        );
    }
}
