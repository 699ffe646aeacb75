//! What is rehearsed is what happens.

use std::sync::Mutex;

use http::Response;
use tower::layer::layer_fn;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::Proxy;
use crate::cluster::{Cluster, ClusterSettings};
use crate::config::{Handle, Snapshot};
use crate::drain::Drain;
use crate::error::BoxError;
use crate::layers::Layers;
use crate::route::{
    Action, Domain, HeaderMutations, HostRewrite, Mutation, PathMatch, PathRewrite, Split, Write,
};
use crate::upstream::Upstream;

fn asked() -> Request<Body> {
    let request = Request::get("http://A.example/api/./users?x=1").header("connection", "x-hop");
    let request = request.header("x-hop", "1").header("x-kept", "2");
    request.body(Body::empty()).unwrap()
}

fn route() -> Route {
    let headers = [
        Mutation::write("x-path", "%REQ(:path)%", Write::Overwrite),
        Mutation::remove("x-kept"),
    ];
    let mut forward = Forward::split(Split::single("app", [].into()));
    forward.path = PathRewrite::prefix("/v1").unwrap();
    forward.host = HostRewrite::literal("b.example").unwrap().keeping_original();
    let mut route = Route::new(Action::Forward(Arc::new(forward)));
    route.matcher.path = PathMatch::segments("/api").unwrap();
    route.headers = HeaderMutations::new(headers.map(Result::unwrap), []).unwrap();
    route
}

#[tokio::test]
async fn an_upstream_gets_what_was_rehearsed() {
    static SEEN: Mutex<Vec<Request<()>>> = Mutex::new(Vec::new());
    let layer = layer_fn(|_upstream: Upstream| {
        service_fn(|request: Request<Body>| async {
            let (head, _) = request.into_parts();
            SEEN.lock().unwrap().push(Request::from_parts(head, ()));
            Ok::<_, BoxError>(Response::new(Body::empty()))
        })
    });
    let real = Route {
        layers: Some(Layers::new(layer)),
        ..route()
    };
    let host = VirtualHost::new("all", [Domain::Any], [real]);
    let app = Cluster::new(ClusterSettings::new("app"));
    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::new(Snapshot::new([host], [app])), watch);
    proxy.oneshot(asked()).await.unwrap();
    let seen = SEEN.lock().unwrap().pop().unwrap();

    let rehearsal = Rehearsal::new(HttpSettings::default(), Client::default());
    let (table, route) = (RouteTable::default(), Arc::new(route()));
    let host = VirtualHost::new("all", [Domain::Any], [Arc::clone(&route)]);
    let mut request = asked();
    let arrived = rehearsal.arrive(&mut request).unwrap();
    let stop = Stop {
        table: &table,
        host: &host,
        route: &route,
        share: None,
    };
    let forward = route.as_forward().unwrap();
    rehearsal.forward(stop, forward, &arrived, &mut request).unwrap();
    assert_eq!(request.uri(), seen.uri());
    assert_eq!(request.uri(), "/v1/users?x=1");
    assert_eq!(request.headers(), seen.headers());
    assert_eq!(request.headers()["x-forwarded-host"], "A.example");
}

#[test]
fn what_is_refused_at_the_door_is_refused_here() {
    let rehearsal = Rehearsal::new(HttpSettings::default(), Client::default());
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    let refused = rehearsal.arrive(&mut request).unwrap_err();
    assert_eq!(refused.kind(), Kind::BadRequest);
    assert_eq!(rehearsal.status(refused.kind()), StatusCode::BAD_REQUEST);
}
