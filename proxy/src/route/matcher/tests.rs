use super::*;

fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().uri(target);
    headers
        .iter()
        .fold(builder, |builder, (name, value)| builder.header(*name, *value))
        .body(())
        .unwrap()
}

#[test]
fn each_kind_of_path_takes_what_it_should() {
    let check = |path: PathMatch, yes: &[&str], no: &[&str]| {
        let matcher = Matcher {
            path,
            ..Matcher::default()
        };
        for target in yes {
            assert!(matcher.matches(&request(target, &[])), "{matcher:?} {target}");
        }
        for target in no {
            assert!(!matcher.matches(&request(target, &[])), "{matcher:?} {target}");
        }
    };
    check(PathMatch::default(), &["/", "/a?b"], &[]);
    check(PathMatch::prefix(""), &["/", "/a"], &[]);
    check(
        PathMatch::prefix("/a"),
        &["/a", "/ab", "/a/b", "/a?x"],
        &["/", "/A", "/b/a"],
    );
    check(PathMatch::prefix("/A").ignoring_case(), &["/a", "/Ab"], &["/b"]);
    check(PathMatch::exact("/a"), &["/a", "/a?x"], &["/a/", "/ab", "/A"]);
    check(PathMatch::exact("/a").ignoring_case(), &["/A"], &["/"]);
    let segments = || PathMatch::segments("/sep").unwrap();
    check(
        segments(),
        &["/sep", "/sep/a", "/sep?x", "/sep/"],
        &["/sepa", "/se", "/Sep/a"],
    );
    check(segments().ignoring_case(), &["/SEP/a"], &["/SEPa"]);
    check(
        PathMatch::regex("/[a-c]+").unwrap(),
        &["/abc", "/a?x=1"],
        &["/abcd", "/", "/a/"],
    );
}

#[test]
fn a_segment_prefix_is_a_path_without_an_end() {
    let check = |prefix: &str, reason: &str| {
        let error = PathMatch::segments(prefix).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    };
    check("a", "start with");
    check("/a/", "end with");
    check("/", "end with");
    check("/a?b", "query");
}

#[test]
fn headers_match_by_each_condition_and_its_opposite() {
    let check = |condition: Result<HeaderMatch, InvalidField>, headers: &[(&str, &str)], expected: bool| {
        let condition = condition.unwrap();
        let found = condition.matches(&request("/", headers));
        assert_eq!(found, expected, "{condition:?} {headers:?}");
    };
    let there = [("x-a", "1")];
    check(HeaderMatch::present("X-A"), &there, true);
    check(HeaderMatch::present("x-a"), &[], false);
    check(HeaderMatch::present("x-a").map(HeaderMatch::inverted), &[], true);
    check(HeaderMatch::absent("x-a"), &[], true);
    check(HeaderMatch::absent("x-a"), &there, false);
    check(HeaderMatch::exact("x-a", "1"), &there, true);
    check(
        HeaderMatch::exact("x-a", "1"),
        &[("x-a", "2"), ("x-a", "1")],
        true,
    );
    check(HeaderMatch::exact("x-a", "2"), &there, false);
    check(
        HeaderMatch::exact("x-a", "2").map(HeaderMatch::inverted),
        &there,
        true,
    );
    check(
        HeaderMatch::text("x-a", TextMatch::regex("x", "\\d").unwrap()),
        &there,
        true,
    );
    check(HeaderMatch::range("x-a", 1, 10), &there, true);
    check(HeaderMatch::range("x-a", -5, 1), &there, false);
    check(HeaderMatch::range("x-a", 1, 10), &[("x-a", "1x")], false);
    check(HeaderMatch::exact(":method", "GET"), &[], true);
    check(HeaderMatch::exact(":path", "/?"), &[], false);
    check(HeaderMatch::exact(":authority", "a"), &[("host", "a")], true);
}

#[test]
fn a_header_that_is_missing_matches_only_where_that_counts_as_empty() {
    let absent = request("/", &[]);
    let exact = |value| HeaderMatch::exact("x-a", value).unwrap();
    assert!(!exact("").matches(&absent));
    assert!(!exact("1").inverted().matches(&absent));
    assert!(exact("").missing_is_empty().matches(&absent));
    assert!(exact("1").missing_is_empty().inverted().matches(&absent));
    let range = HeaderMatch::range("x-a", 1, 10).unwrap();
    assert!(!range.clone().missing_is_empty().matches(&absent));
    assert!(range.missing_is_empty().inverted().matches(&absent));
}

#[test]
fn bad_header_conditions_name_what_is_wrong() {
    let error = HeaderMatch::present("a b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid header name 'a b': no field can have this name"
    );
    let error = HeaderMatch::range("a", 3, 3).unwrap_err();
    assert_eq!(error.field(), "header range");
}

#[test]
fn query_parameters_match_by_their_first_value() {
    let check = |condition: QueryMatch, target: &str, expected: bool| {
        let matcher = Matcher {
            query: vec![condition],
            ..Matcher::default()
        };
        assert_eq!(
            matcher.matches(&request(target, &[])),
            expected,
            "{matcher:?} {target}"
        );
    };
    let exact = |value: &str| QueryMatch::text("a", TextMatch::exact(value));
    check(exact("1"), "/?a=1", true);
    check(exact("1"), "/?b=2&a=1&a=2", true);
    check(exact("2"), "/?a=1&a=2", false);
    check(exact("1"), "/", false);
    check(exact(""), "/?a", true);
    check(exact("1"), "/?A=1", false);
    check(QueryMatch::present("a"), "/?a", true);
    check(QueryMatch::present("a"), "/?ab=1", false);
    check(QueryMatch::absent("a"), "/?b", true);
    check(QueryMatch::absent("a"), "/?a=", false);
    check(
        QueryMatch::text("a", TextMatch::regex("x", "\\d+").unwrap()),
        "/?a=12",
        true,
    );
}

#[test]
fn methods_protocols_and_shares_narrow_what_is_taken() {
    let get = request("/", &[]);
    let methods = |methods: &[Method]| Matcher {
        methods: methods.to_vec(),
        ..Matcher::default()
    };
    assert!(methods(&[Method::POST, Method::GET]).matches(&get));
    assert!(!methods(&[Method::POST]).matches(&get));
    let grpc = Matcher {
        protocol: ProtocolMatch::Grpc,
        ..Matcher::default()
    };
    assert!(!grpc.matches(&get));
    assert!(grpc.matches(&request("/", &[("content-type", "application/grpc+proto")])));
    let share = |take, of| Matcher {
        fraction: Some(Fraction { take, of }),
        ..Matcher::default()
    };
    let taken = |matcher: Matcher| (0..1000).filter(|_| matcher.matches(&get)).count();
    assert_eq!(
        (taken(share(0, 100)), taken(share(100, 100)), taken(share(1, 0))),
        (0, 1000, 0)
    );
    assert!((1..1000).contains(&taken(share(50, 100))));
}

#[test]
fn cookies_and_the_scheme_narrow_what_is_taken() {
    let check = |matcher: CookieMatch, cookies: &str, expected: bool| {
        let matcher = Matcher {
            cookies: vec![matcher],
            ..Matcher::default()
        };
        assert_eq!(
            matcher.matches(&request("/", &[("cookie", cookies)])),
            expected,
            "{cookies}"
        );
    };
    let session = || CookieMatch::new("s", TextMatch::exact("a"));
    check(session(), "t=b; s=a", true);
    check(session(), "s=b; s=a", false);
    check(session(), "ss=a", false);
    check(session().inverted(), "s=b", true);
    check(session().inverted(), "ss=a", true);
    check(session().inverted(), "s=a", false);
    let tls = Matcher {
        headers: vec![HeaderMatch::exact(":scheme", "https").unwrap()],
        ..Matcher::default()
    };
    assert!(tls.matches(&request("/", &[("x-forwarded-proto", "https")])));
    assert!(!tls.matches(&request("/", &[("x-forwarded-proto", "http")])));
}
