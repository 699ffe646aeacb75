//! Which route does a request take: by table, host and port, path, method, fields, query?

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{HeaderName, Method, Request, StatusCode};
use support::{Front, HOST, cluster, host, listen, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{
    Action, Destination, Domain, Forward, HeaderMatch, Matcher, PathMatch, PortMatching, QueryMatch, Route,
    RouteTable, TableSettings, TextMatch, VirtualHost,
};
use tidegate_testkit::body::empty;
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::upstream::Upstream;

/// A front whose listener looks requests up in the table `name`.
fn in_table(name: &str, snapshot: Snapshot) -> Front {
    let http = HttpSettings {
        route_table: name.into(),
        ..HttpSettings::default()
    };
    let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    Front::following(Handle::new(snapshot), listener)
}

fn saying(text: &'static str) -> Arc<Route> {
    Arc::new(Route::respond(StatusCode::OK, text))
}

#[tokio::test]
async fn each_listener_has_its_table() {
    let tables = || {
        let table = |text| RouteTable::new(TableSettings::default(), [host("*", vec![saying(text)])]);
        let tables = [("".into(), table("default")), ("inner".into(), table("inner"))];
        Snapshot::with_tables(tables, [])
    };
    for (name, status, text) in [("", 200, "default"), ("inner", 200, "inner")] {
        let answer = get(in_table(name, tables()).address, HOST, "/").await;
        assert_eq!((answer.status.as_u16(), &*answer.text()), (status, text));
    }
    assert_eq!(
        get(in_table("none", tables()).address, HOST, "/").await.status,
        404
    );
}

#[tokio::test]
async fn a_port_is_a_part_of_the_host_where_the_table_says_so() {
    let settings = TableSettings {
        ports: PortMatching::Significant,
        ..TableSettings::default()
    };
    let hosts = ["a.example", "a.example:*", "*.b.example", "c.*"].map(|domain| {
        let domains = [Domain::parse(domain).unwrap()];
        let route = Route::respond(StatusCode::OK, Box::leak(domain.to_owned().into_boxed_str()));
        VirtualHost::new(domain, domains, [route])
    });
    let front = in_table(
        "",
        Snapshot::with_tables([("".into(), RouteTable::new(settings, hosts))], []),
    );
    for (asked, expected) in [
        ("a.example", "a.example"),
        ("A.example", "a.example"),
        ("a.example:8080", "a.example:*"),
        ("x.b.example", "*.b.example"),
        ("c.example:80", "c.*"),
    ] {
        assert_eq!(get(front.address, asked, "/").await.text(), expected, "{asked}");
    }
    assert_eq!(get(front.address, "x.b.example:80", "/").await.status, 404);
}

#[tokio::test]
async fn the_first_route_whose_conditions_hold_takes_the_request() {
    let when = |matcher: Matcher, text| {
        Arc::new(Route {
            matcher: matcher.into(),
            ..Route::respond(StatusCode::OK, text)
        })
    };
    let by_path = |path| Matcher {
        path,
        ..Matcher::default()
    };
    let routes = vec![
        when(by_path(PathMatch::regex("/v[0-9]+/.*").unwrap()), "regex"),
        when(by_path(PathMatch::segments("/seg").unwrap()), "segments"),
        when(by_path(PathMatch::exact("/exact")), "exact"),
        when(
            Matcher {
                methods: vec![Method::DELETE],
                headers: vec![HeaderMatch::exact("x-a", "1").unwrap().inverted()],
                query: vec![QueryMatch::text("q", TextMatch::prefix("yes"))],
                ..Matcher::default()
            },
            "all",
        ),
        saying("rest"),
    ];
    let front = Front::start(Snapshot::new([host("*", routes)], []));
    let mut client = Client::http1(front.address).await;
    for (method, target, field, expected) in [
        (Method::GET, "/v1/x?y", None, "regex"),
        (Method::GET, "/v1", None, "rest"),
        (Method::GET, "/seg/x", None, "segments"),
        (Method::GET, "/segx", None, "rest"),
        (Method::GET, "/x/../exact?y", None, "exact"),
        (Method::DELETE, "/?q=yes!", Some("2"), "all"),
        (Method::DELETE, "/?q=yes!", Some("1"), "rest"),
        (Method::DELETE, "/?q=no", Some("2"), "rest"),
        (Method::GET, "/?q=yes!", Some("2"), "rest"),
    ] {
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("http://{HOST}{target}"));
        if let Some(value) = field {
            request = request.header("x-a", value);
        }
        let answer = client.call(request.body(empty()).unwrap()).await;
        assert_eq!(answer.text(), expected, "{method} {target} {field:?}");
    }
}

#[tokio::test]
async fn a_field_can_name_the_cluster() {
    let upstream = Upstream::fixed(StatusCode::OK, "named").await;
    let to = Destination::Header(HeaderName::from_static("x-cluster"));
    let route = Route::new(Action::Forward(Arc::new(Forward::new(to))));
    let named = with_endpoints(ClusterSettings::new("named"), &[upstream.address()]);
    let other = cluster(Protocol::Http1, &[]);
    let front = Front::start(Snapshot::new([host("*", vec![Arc::new(route)])], [named, other]));
    let mut client = Client::http1(front.address).await;
    for (name, status) in [(Some("named"), 200), (Some("unknown"), 503), (None, 503)] {
        let mut request = get_request(HOST, "/");
        if let Some(name) = name {
            request.headers_mut().insert("x-cluster", name.parse().unwrap());
        }
        assert_eq!(client.call(request).await.status, status, "{name:?}");
    }
}
