//! Virtual hosts, routes and requests by chance, from alphabets so small that they meet.

use std::sync::Arc;

use fastrand::Rng;
use http::{Method, StatusCode};
use tidegate_proxy::route::{
    Action, Domain, Forward, HeaderMatch, HeaderMutations, HostRewrite, Matcher, Mutation, MutationOrder,
    PathMatch, PathRewrite, PortMatching, QueryMatch, Redirect, RedirectPath, RedirectQuery, RedirectStatus,
    Route, Split, TableSettings, TextMatch, VirtualHost, WeightedCluster, Write,
};

/// The clusters that exist; routes name one more.
pub(crate) const CLUSTERS: [&str; 2] = ["ns/one", "ns/two"];

const DOMAINS: [&str; 12] = [
    "a.example",
    "b.example",
    "*.example",
    "*-a.example",
    "a.*",
    "a.e*",
    "*",
    "*.a.example",
    "b.example:8080",
    "a.example:*",
    "x-a.example",
    "*ample",
];

const HOSTS: [&str; 12] = [
    "a.example",
    "A.Example",
    "b.example",
    "b.example:8080",
    "a.example:80",
    "x-a.example",
    "y-a.example",
    "a.org",
    "c.a.example",
    "other",
    "a.ex",
    "example",
];

const PATHS: [&str; 14] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/A/b",
    "/b",
    "/a/b?q=1",
    "/a?q=2&q=1&r",
    "/a/b/c",
    "/a?q",
    "/a%2Fb",
    "//a",
    "/a/12",
];

const NAMES: [&str; 3] = ["x-a", "x-b", "x-h"];

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    /// The values of `x-h`.
    pub(crate) fields: &'static [&'static str],
    pub(crate) body: &'static str,
}

impl Ask {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let method = one(
            rng,
            &[Method::GET, Method::GET, Method::POST, Method::PUT, Method::HEAD],
        );
        let has_body = method == Method::POST;
        Self {
            method,
            host: one(rng, &HOSTS),
            path: one(rng, &PATHS),
            fields: one(
                rng,
                &[&[][..], &["1"], &["12"], &["Abc"], &["1", "abc"], &["", "7"]],
            ),
            body: if has_body { "a body" } else { "" },
        }
    }
}

pub(crate) fn world(rng: &mut Rng, number: usize) -> (TableSettings, Vec<Arc<VirtualHost>>) {
    let settings = TableSettings {
        headers: mutations(rng, "table"),
        order: if number.is_multiple_of(2) {
            MutationOrder::TableLast
        } else {
            MutationOrder::MostSpecificLast
        },
        ports: if number.is_multiple_of(3) {
            PortMatching::Ignored
        } else {
            PortMatching::Significant
        },
        ..TableSettings::default()
    };
    let mut hosts = Vec::new();
    for domain in DOMAINS {
        if rng.usize(..4) == 0 {
            continue;
        }
        let routes: Vec<_> = (0..1 + rng.usize(..5))
            .map(|place| route(rng, &format!("{domain}/{place}")))
            .collect();
        let parsed = Domain::parse(domain).expect("it is one");
        let mut host = VirtualHost::new(domain, [parsed], routes);
        host.headers = mutations(rng, "host");
        hosts.push(host.into());
    }
    (settings, hosts)
}

fn one<T: Clone>(rng: &mut Rng, all: &[T]) -> T {
    all.get(rng.usize(..all.len())).cloned().expect("there is one")
}

fn route(rng: &mut Rng, name: &str) -> Route {
    let mut route = match rng.usize(..6) {
        0 => Route::redirect(redirect(rng)),
        1 => Route::respond(
            one(rng, &[StatusCode::OK, StatusCode::FORBIDDEN]),
            one(rng, &["", "a text"]),
        ),
        _ => Route::new(Action::Forward(Arc::new(forward(rng)))),
    };
    route.name = Some(name.into());
    route.matcher = matcher(rng).into();
    route.headers = mutations(rng, "route");
    route
}

fn forward(rng: &mut Rng) -> Forward {
    let cluster = one(rng, &[CLUSTERS[0], CLUSTERS[0], CLUSTERS[1], "ns/missing"]);
    let part = WeightedCluster {
        cluster: cluster.into(),
        weight: 100,
        headers: mutations(rng, cluster),
        overrides: Default::default(),
        host: None,
    };
    let mut forward = Forward::split(Split::new([part]).expect("it has a weight"));
    forward.path = match rng.usize(..8) {
        0 => PathRewrite::prefix("/new").expect("it is one"),
        1 => PathRewrite::prefix("/").expect("it is one"),
        2 => PathRewrite::regex("^/a(.*)$", r"/r\1").expect("it is one"),
        3 => PathRewrite::regex("[ab]", r"-\0-").expect("it is one"),
        4 => PathRewrite::whole("/whole").expect("it is one"),
        _ => PathRewrite::default(),
    };
    forward.host = match rng.usize(..6) {
        0 => HostRewrite::literal("rewritten.example").expect("it is one"),
        1 => HostRewrite::literal("kept.example")
            .expect("it is one")
            .keeping_original(),
        _ => HostRewrite::default(),
    };
    forward
}

fn redirect(rng: &mut Rng) -> Redirect {
    let mut redirect = if rng.bool() {
        Redirect::to_https()
    } else {
        Redirect::default()
    };
    redirect.status = one(
        rng,
        &[
            RedirectStatus::MovedPermanently,
            RedirectStatus::Found,
            RedirectStatus::PermanentRedirect,
        ],
    );
    redirect.query = one(rng, &[RedirectQuery::Keep, RedirectQuery::Strip]);
    redirect.path = match rng.usize(..5) {
        0 => RedirectPath::to("/else").expect("it is one"),
        1 => RedirectPath::to("/else?x=y").expect("it is one"),
        2 => RedirectPath::rewritten(PathRewrite::prefix("/pre").expect("it is one")),
        3 => RedirectPath::rewritten(PathRewrite::regex("b", "c").expect("it is one")),
        _ => RedirectPath::default(),
    };
    if rng.bool() {
        redirect = redirect.with_host("to.example").expect("it is one");
    }
    if rng.usize(..3) == 0 {
        redirect = redirect.with_port(8443).expect("it is one");
    }
    redirect
}

fn matcher(rng: &mut Rng) -> Matcher {
    let path = match rng.usize(..9) {
        0 => PathMatch::prefix("/a"),
        1 => PathMatch::prefix("/a/"),
        2 => PathMatch::exact("/a/b"),
        3 => PathMatch::segments("/a").expect("it is one"),
        4 => PathMatch::regex("/a(/.*)?|/b").expect("it is one"),
        5 => PathMatch::prefix("/a").ignoring_case(),
        6 => PathMatch::exact("/A/B").ignoring_case(),
        7 => PathMatch::regex(r"/a/\d+").expect("it is one"),
        _ => PathMatch::default(),
    };
    Matcher {
        path,
        methods: one(
            rng,
            &[vec![], vec![], vec![Method::GET], vec![Method::GET, Method::POST]],
        ),
        headers: (0..rng.usize(..2)).map(|_| header(rng)).collect(),
        query: (0..rng.usize(..8) / 6).map(|_| query(rng)).collect(),
        ..Matcher::default()
    }
}

fn header(rng: &mut Rng) -> HeaderMatch {
    let name = one(rng, &["x-h", "x-h", "x-h", ":path", ":authority", ":method"]);
    let condition = match rng.usize(..9) {
        0 => HeaderMatch::present(name),
        1 => HeaderMatch::absent("x-h"),
        2 => HeaderMatch::exact(name, "1"),
        3 => HeaderMatch::text(name, TextMatch::prefix("/a")),
        4 => HeaderMatch::text(name, TextMatch::suffix("b")),
        5 => HeaderMatch::text(name, TextMatch::contains("A").ignoring_case()),
        6 => HeaderMatch::text(name, TextMatch::regex("x-h", "[a-z/]*").expect("it is one")),
        7 => HeaderMatch::text(name, TextMatch::exact("ABC").ignoring_case()),
        _ => HeaderMatch::range("x-h", 1, 12),
    };
    let condition = condition.expect("it is one");
    match rng.usize(..5) {
        0 => condition.inverted(),
        1 => condition.missing_is_empty(),
        _ => condition,
    }
}

fn query(rng: &mut Rng) -> QueryMatch {
    match rng.usize(..4) {
        0 => QueryMatch::present("q"),
        1 => QueryMatch::absent("r"),
        2 => QueryMatch::text("q", TextMatch::exact("1")),
        _ => QueryMatch::text("q", TextMatch::regex("q", "[12]").expect("it is one")),
    }
}

/// Changes of request and response that say who made them.
fn mutations(rng: &mut Rng, who: &str) -> HeaderMutations {
    let (mut request, mut response) = (Vec::new(), Vec::new());
    for list in [&mut request, &mut response] {
        for _ in 0..rng.usize(..5) / 2 {
            let name = one(rng, &NAMES);
            let how = one(
                rng,
                &[
                    Write::Append,
                    Write::AddIfAbsent,
                    Write::Overwrite,
                    Write::OverwriteIfPresent,
                ],
            );
            // What is written twice, Envoy can only be told to add to: the encoder refuses the rest by name.
            let again = list
                .iter()
                .any(|before: &Mutation| before.name().as_str() == name);
            let how = if again { Write::Append } else { how };
            let value = match rng.usize(..4) {
                0 => format!("{who} %REQ(x-h)%"),
                1 => "%REQ(:method)% %REQ(x-none?x-h)% 5%%".to_owned(),
                _ => who.to_owned(),
            };
            list.push(Mutation::write(name, &value, how).expect("it is one"));
        }
        if rng.usize(..6) == 0 {
            list.insert(0, Mutation::remove("x-h").expect("it is one"));
        }
    }
    HeaderMutations::new(request, response).expect("they are few")
}
