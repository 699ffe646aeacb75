use super::*;
use crate::normalize::path::DotSegments;

fn rewritten(rewrite: &PathRewrite, matcher: &PathMatch, target: &str) -> Result<String, Error> {
    let mut request = Request::builder().uri(target).body(()).unwrap();
    rewrite.apply(&mut request, matcher, &PathPolicy::default())?;
    Ok(request.uri().to_string())
}

#[test]
fn a_prefix_rewrite_replaces_what_was_matched() {
    let check = |matcher: PathMatch, to: &str, target: &str, expected: &str| {
        let rewrite = PathRewrite::prefix(to).unwrap();
        assert_eq!(
            rewritten(&rewrite, &matcher, target).unwrap(),
            expected,
            "{matcher:?} {to}"
        );
    };
    check(PathMatch::prefix("/api/"), "/", "/api/v1?q=/api/", "/v1?q=/api/");
    check(
        PathMatch::prefix("/API").ignoring_case(),
        "/x",
        "/api/v1",
        "/x/v1",
    );
    check(PathMatch::segments("/api").unwrap(), "/x", "/api", "/x");
    check(PathMatch::exact("/api"), "/x/y", "/api?q", "/x/y?q");
    check(PathMatch::regex("/a+").unwrap(), "/b", "/aa", "/b");
    check(PathMatch::default(), "/x", "/a", "/x/a");
}

#[test]
fn a_whole_or_regex_rewrite_keeps_the_query() {
    let any = PathMatch::default();
    let whole = PathRewrite::whole("/x").unwrap();
    assert_eq!(rewritten(&whole, &any, "/a/b?q").unwrap(), "/x?q");
    let regex = PathRewrite::regex("^/u/(\\d+)$", r"/users/\1/profile").unwrap();
    assert_eq!(rewritten(&regex, &any, "/u/42?q").unwrap(), "/users/42/profile?q");
    assert_eq!(rewritten(&regex, &any, "/u/x").unwrap(), "/u/x");
}

#[test]
fn no_rewrite_makes_a_dot_segment_out_of_harmless_parts() {
    let check = |rewrite: PathRewrite, matcher: PathMatch, target: &str, expected: &str| {
        assert_eq!(
            rewritten(&rewrite, &matcher, target).unwrap(),
            expected,
            "{target}"
        );
    };
    check(
        PathRewrite::prefix("/").unwrap(),
        PathMatch::prefix("/a"),
        "/a../secret",
        "/secret",
    );
    check(
        PathRewrite::prefix("/x/").unwrap(),
        PathMatch::prefix("/a"),
        "/a../secret",
        "/secret",
    );
    let joined = PathRewrite::regex("-", "").unwrap();
    check(joined, PathMatch::default(), "/x/.-./y", "/y");
}

#[test]
fn a_path_stays_as_rewritten_where_the_listener_resolves_none() {
    let policy = PathPolicy {
        dots: DotSegments::Keep,
        ..PathPolicy::default()
    };
    let rewrite = PathRewrite::prefix("/").unwrap();
    let path = rewrite.path("/a../x", &PathMatch::prefix("/a"), &policy);
    assert_eq!(path.unwrap().as_deref(), Some("/../x"));
}

#[test]
fn a_rewrite_that_leaves_no_path_is_an_error_of_the_route() {
    let any = PathMatch::default();
    let empty = PathRewrite::regex("^/.*$", "").unwrap();
    let error = rewritten(&empty, &any, "/a").unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::RewriteFailed);
    let breaks = PathRewrite::regex("a", "%").unwrap();
    assert!(rewritten(&breaks, &any, "/a").is_err());
    let invalid = PathRewrite::regex("a", " \r\n").unwrap();
    assert!(rewritten(&invalid, &any, "/a").is_err());
}

#[test]
fn a_literal_that_is_no_path_is_refused() {
    for bad in ["", "x", "/a?b", "/a#b", "/a b", "/%zz"] {
        assert_eq!(
            PathRewrite::prefix(bad).unwrap_err().field(),
            "path prefix rewrite",
            "{bad}"
        );
        assert_eq!(
            PathRewrite::whole(bad).unwrap_err().field(),
            "path rewrite",
            "{bad}"
        );
    }
}

#[test]
fn a_host_comes_from_where_the_route_says_if_it_is_one() {
    let check = |rewrite: HostRewrite, fields: &[(&str, &str)], expected: &str| {
        let builder = Request::builder().uri("/tenant-a/x").header("host", "old:80");
        let builder = fields
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let mut request = builder.body(()).unwrap();
        rewrite.apply(&mut request);
        assert_eq!(request.headers()[HOST], expected, "{rewrite:?}");
    };
    let by_header = || HostRewrite::header(HeaderName::from_static("x-host"));
    let by_path = || HostRewrite::path_regex("^/([^/]+)/.*$", r"\1.example").unwrap();
    check(HostRewrite::default(), &[], "old:80");
    check(HostRewrite::literal("new:81").unwrap(), &[], "new:81");
    check(by_header(), &[("x-host", "new")], "new");
    check(by_header(), &[], "old:80");
    check(by_header(), &[("x-host", "a/b")], "old:80");
    check(by_path(), &[], "tenant-a.example");
    check(HostRewrite::endpoint(), &[], "old:80");
    assert_eq!(HostRewrite::literal("u@h").unwrap_err().field(), "host rewrite");
}

#[test]
fn the_original_host_goes_along_where_asked_for() {
    let mut request = Request::builder().header("host", "old").body(()).unwrap();
    let rewrite = HostRewrite::literal("new").unwrap().keeping_original();
    rewrite.apply(&mut request);
    assert_eq!(request.headers()[X_FORWARDED_HOST], "old");
}
