//! Does a route do in Envoy what it does in our proxy, once it is written as Envoy's resource?
//!
//! Virtual hosts, routes and requests are made by chance, the same in each run: a world of them is served by our proxy from the
//! configuration itself and by Envoy from the resources that our server gives it, in front of one upstream that says what it
//! saw. What the two are known to differ in is in [`IGNORED`].

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

use fastrand::Rng;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tidegate_proxy::route::RouteTable;
use tidegate_testkit::body::{self, Body};
use tidegate_testkit::peers;
use tidegate_testkit::upstream::Upstream;

#[path = "envoy_routes/generate.rs"]
mod generate;
#[path = "envoy_routes/pair.rs"]
mod pair;

use pair::Pair;

/// How many worlds there are, and how many requests to each.
const WORLDS: usize = 12;
const REQUESTS: usize = 300;

/// Fields that are not compared: what an Envoy adds by itself, which is for the ingress to add and not for the library; and what
/// differs from one response to the next.
const IGNORED: [&str; 12] = [
    "date",
    "server",
    "x-request-id",
    "x-forwarded-proto",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "connection",
    "x-forwarded-for",
    // How a body is framed is the connection's.
    "transfer-encoding",
    // Of the echo, which says what is ignored too.
    "content-length",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_and_the_proxy_do_the_same() {
    let Some(envoy) = peers::envoy("routes compared with Envoy's") else {
        return;
    };
    let mut rng = Rng::with_seed(4);
    let upstream = Upstream::start(echo).await;
    let mut pair = Pair::start(&envoy, upstream.address()).await;
    let mut differences = Vec::new();
    for world in 0..WORLDS {
        let (settings, hosts) = generate::world(&mut rng, world);
        pair.publish(&settings, hosts.clone(), world).await;
        for _ in 0..REQUESTS {
            let ask = generate::Ask::new(&mut rng);
            let (ours, theirs) = pair.ask(&ask).await;
            if ours != theirs {
                let table = RouteTable::new(settings.clone(), hosts.iter().cloned());
                let host = tidegate_proxy::normalize::host::Host::parse(ask.host.as_bytes()).ok();
                let found = host.and_then(|host| table.find(&host).cloned());
                differences.push(format!(
                    "world {world}: {ask:?}\nours:   {ours:?}\nEnvoy:  {theirs:?}\n{settings:?}\n{found:?}"
                ));
            }
        }
    }
    let count = differences.len();
    differences.truncate(3);
    assert!(
        count == 0,
        "{count} differences, the first ones:\n{}",
        differences.join("\n\n")
    );
}

/// Says what it saw: method, target, fields in the order of their names, and the body.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let mut text = format!("{} {}\n", head.method, head.uri);
    for (name, value) in fields(&head.headers) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&String::from_utf8_lossy(&body));
    let mut response = Response::new(body::full(text));
    let headers = response.headers_mut();
    headers.insert("x-up", "up".parse().expect("it is a value"));
    headers.insert("x-a", "of upstream".parse().expect("it is a value"));
    response
}

/// The fields that are compared, in the order of their names.
fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let compared = headers
        .iter()
        .filter(|(name, _)| !IGNORED.contains(&name.as_str()));
    let mut fields: Vec<_> = compared
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    fields.sort();
    fields
}
