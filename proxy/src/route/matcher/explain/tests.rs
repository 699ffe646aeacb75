//! What is explained is what matches.

use http::Method;
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        Just(TextMatch::exact("a")),
        Just(TextMatch::prefix("A").ignoring_case()),
        Just(TextMatch::regex("x", "[ab]+").unwrap()),
    ]
}

fn header() -> impl Strategy<Value = HeaderMatch> {
    let kind = prop_oneof![
        Just(HeaderMatch::present("x-a").unwrap()),
        Just(HeaderMatch::absent("x-a").unwrap()),
        Just(HeaderMatch::exact(":method", "GET").unwrap()),
        Just(HeaderMatch::range("x-a", 1, 3).unwrap()),
        text().prop_map(|text| HeaderMatch::text("x-a", text).unwrap()),
    ];
    (kind, any::<bool>(), any::<bool>()).prop_map(|(header, inverted, empty)| {
        let header = if inverted { header.inverted() } else { header };
        if empty { header.missing_is_empty() } else { header }
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let path = prop_oneof![
        Just(PathMatch::default()),
        Just(PathMatch::prefix("/a")),
        Just(PathMatch::segments("/a").unwrap()),
    ];
    let methods = prop_oneof![Just(vec![]), Just(vec![Method::GET])];
    let query = prop_oneof![
        Just(vec![]),
        text().prop_map(|text| vec![super::super::QueryMatch::text("q", text)])
    ];
    let protocol = prop_oneof![Just(ProtocolMatch::Any), Just(ProtocolMatch::Grpc)];
    (
        path,
        methods,
        prop::collection::vec(header(), 0..3),
        query,
        protocol,
    )
        .prop_map(|(path, methods, headers, query, protocol)| Matcher {
            path,
            methods,
            headers,
            query,
            protocol,
            ..Matcher::default()
        })
}

proptest! {
    #[test]
    fn there_is_a_mismatch_exactly_where_there_is_no_match(
        matcher in matcher(),
        target in prop::sample::select(vec!["/", "/a", "/ab?q=a", "/a/b?q=b&q=a", "/a?q"]),
        method in prop::sample::select(vec![Method::GET, Method::PUT]),
        values in prop::collection::vec(prop::sample::select(vec!["", "a", "b", "2"]), 0..3),
        cookie in prop::option::of(prop::sample::select(vec!["c=a", "d=a; c=b", "c=z"])),
        grpc in any::<bool>(),
    ) {
        let mut request = Request::builder().method(method).uri(target);
        for value in values {
            request = request.header("x-a", value);
        }
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if grpc {
            request = request.header("content-type", "application/grpc");
        }
        let request = request.body(()).unwrap();
        let mismatches = matcher.mismatches(&request);
        prop_assert_eq!(mismatches.is_empty(), matcher.matches(&request), "{:?}", mismatches);
    }
}

#[test]
fn each_mismatch_is_told_in_words() {
    let check = |matcher: Matcher, expected: &[&str]| {
        let request = Request::put("/a?q=1&r").header("x-a", "b").header("x-a", "c");
        let request = request.body(()).unwrap();
        let found: Vec<_> = matcher
            .mismatches(&request)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    };
    let with_header = |header| Matcher {
        headers: vec![header],
        ..Matcher::default()
    };
    let with_path = |path| Matcher {
        path,
        methods: vec![Method::GET, Method::POST],
        ..Matcher::default()
    };
    check(
        with_path(PathMatch::segments("/b").unwrap()),
        &[
            "path: wanted '/b' or what lies below it, found '/a'",
            "method: wanted GET or POST, found PUT",
        ],
    );
    let exact = HeaderMatch::exact("x-a", "a").unwrap();
    check(
        with_header(exact),
        &["header x-a: wanted exactly 'a', found 'b', 'c'"],
    );
    let absent = HeaderMatch::present("x-a").unwrap().inverted();
    check(
        with_header(absent),
        &["header x-a: wanted not present, found 'b', 'c'"],
    );
    let other = HeaderMatch::text("x-b", TextMatch::prefix("z").ignoring_case()).unwrap();
    check(
        with_header(other),
        &["header x-b: wanted prefix 'z' in any case, found nothing"],
    );
    let query = Matcher {
        query: vec![super::super::QueryMatch::text("q", TextMatch::exact("2"))],
        ..Matcher::default()
    };
    check(query, &["query parameter q: wanted exactly '2', found '1'"]);
}
