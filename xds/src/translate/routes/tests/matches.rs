//! Which route of a virtual host takes a request.

use envoy_types::pb::envoy::config::core::v3::{RuntimeFractionalPercent, TypedExtensionConfig};
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier as Header;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier as Query;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, Int64Range};
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::util::pack_any;
use tidegate_proxy::route::PathRule;

use super::*;
use crate::translate::runtime::Runtime;
use crate::translate::runtime::tests::layer;

fn takes(matches: pb::RouteMatch, target: &str, fields: &[(&str, &str)]) -> bool {
    let config = read(&of_routes(vec![named("it", matches)])).unwrap();
    found(&config, &format!("http://a{target}"), fields).is_some()
}

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.into(),
        ..RegexMatcher::default()
    }
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(pattern),
        ignore_case: false,
    }
}

#[test]
fn a_path_is_matched_without_its_query() {
    let check = |specifier: PathSpecifier, yes: &[&str], no: &[&str]| {
        for (targets, expected) in [(yes, true), (no, false)] {
            for target in targets {
                assert_eq!(
                    takes(path(specifier.clone()), target, &[]),
                    expected,
                    "{specifier:?} {target}"
                );
            }
        }
    };
    check(PathSpecifier::Prefix("/".into()), &["/", "/a?b"], &[]);
    check(
        PathSpecifier::Prefix("/foo".into()),
        &["/foo", "/foobar", "/foo?x"],
        &["/Foo", "/fo"],
    );
    check(
        PathSpecifier::Path("/foo".into()),
        &["/foo", "/foo?x"],
        &["/foo/", "/foobar"],
    );
    check(
        PathSpecifier::SafeRegex(regex("/[0-9]+")),
        &["/12?x"],
        &["/12a", "/x/12"],
    );
    let separated = PathSpecifier::PathSeparatedPrefix("/sep".into());
    check(separated, &["/sep", "/sep/a", "/sep?x"], &["/sepa"]);
    check(PathSpecifier::ConnectMatcher(Default::default()), &[], &["/"]);
}

/// A rewrite takes its slash away.
#[test]
fn the_prefix_of_all_paths_is_a_prefix_too() {
    let config = read(&of_routes(vec![route(prefix("/"), to("c"))])).unwrap();
    let route = found(&config, "http://a/", &[]).unwrap();
    assert_eq!(route.matcher.path.rule(), PathRule::Prefix("/"));
}

#[test]
fn a_path_may_ignore_case_and_parameters() {
    let insensitive = pb::RouteMatch {
        case_sensitive: Some(BoolValue { value: false }),
        ..path(PathSpecifier::Path("/Foo".into()))
    };
    assert!(takes(insensitive, "/fOO", &[]));
    let mut table = of_routes(vec![named("it", path(PathSpecifier::Path("/a".into())))]);
    assert!(found(&read(&table).unwrap(), "http://a/a;v=1", &[]).is_none());
    table.ignore_path_parameters_in_path_matching = true;
    assert!(found(&read(&table).unwrap(), "http://a/a;v=1", &[]).is_some());
}

#[test]
fn a_uri_template_matches_segment_by_segment() {
    let check = |template: &str, yes: &[&str], no: &[&str]| {
        let config = UriTemplateMatchConfig {
            path_template: template.into(),
        };
        let policy = PathSpecifier::PathMatchPolicy(TypedExtensionConfig {
            name: "x".into(),
            typed_config: Some(pack_any(config)),
        });
        for (targets, expected) in [(yes, true), (no, false)] {
            for target in targets {
                assert_eq!(
                    takes(path(policy.clone()), target, &[]),
                    expected,
                    "{template} {target}"
                );
            }
        }
    };
    check("/a/{b}/c", &["/a/x/c"], &["/a/x/y/c", "/a//c", "/a/x/c/d"]);
    check("/a/*", &["/a/x"], &["/a/", "/a/x/y"]);
    check("/**.m3u8", &["/x/y.m3u8", "/.m3u8"], &["/x/y.m3u"]);
    check("/{v=a/*}/**", &["/a/b/", "/a/b/c/d"], &["/b/b/c"]);
}

#[test]
#[expect(
    deprecated,
    reason = "control planes still send the forms that Envoy has deprecated"
)]
fn a_header_is_matched_in_each_form() {
    let check = |specifier: Option<Header>, yes: &[&str], no: &[&str]| {
        let matcher = pb::HeaderMatcher {
            name: "x".into(),
            header_match_specifier: specifier.clone(),
            ..pb::HeaderMatcher::default()
        };
        let matches = pb::RouteMatch {
            headers: vec![matcher],
            ..prefix("/")
        };
        for (values, expected) in [(yes, true), (no, false)] {
            for value in values {
                let fields: &[_] = if *value == "-" { &[] } else { &[("x", *value)] };
                assert_eq!(
                    takes(matches.clone(), "/", fields),
                    expected,
                    "{specifier:?} {value}"
                );
            }
        }
    };
    check(None, &["", "a"], &["-"]);
    check(Some(Header::PresentMatch(true)), &["a"], &["-"]);
    check(Some(Header::PresentMatch(false)), &["-"], &["a"]);
    check(Some(Header::ExactMatch("a".into())), &["a"], &["A", "ab", "-"]);
    check(Some(Header::PrefixMatch("a".into())), &["ab"], &["ba"]);
    check(Some(Header::SuffixMatch("a".into())), &["ba"], &["ab"]);
    check(Some(Header::ContainsMatch("a".into())), &["bab"], &["b"]);
    check(Some(Header::SafeRegexMatch(regex("a+"))), &["aa"], &["ab"]);
    check(
        Some(Header::RangeMatch(Int64Range { start: -1, end: 3 })),
        &["-1", "2"],
        &["3", "a"],
    );
    check(
        Some(Header::RangeMatch(Int64Range { start: 5, end: 5 })),
        &[],
        &["5"],
    );
    check(
        Some(Header::StringMatch(text(MatchPattern::Exact("a".into())))),
        &["a"],
        &["b", "-"],
    );
    let insensitive = StringMatcher {
        ignore_case: true,
        ..text(MatchPattern::Contains("B".into()))
    };
    check(Some(Header::StringMatch(insensitive)), &["abc"], &["ac"]);
}

#[test]
fn a_header_condition_may_be_turned_round_and_a_missing_one_be_empty() {
    let check = |specifier: Header, [invert, empty]: [bool; 2], fields: &[(&str, &str)], expected| {
        let matcher = pb::HeaderMatcher {
            name: "x".into(),
            header_match_specifier: Some(specifier.clone()),
            invert_match: invert,
            treat_missing_header_as_empty: empty,
        };
        let matches = pb::RouteMatch {
            headers: vec![matcher],
            ..prefix("/")
        };
        assert_eq!(
            takes(matches, "/", fields),
            expected,
            "{specifier:?} {invert} {empty} {fields:?}"
        );
    };
    let a = || Header::StringMatch(text(MatchPattern::Exact("a".into())));
    check(a(), [true, false], &[("x", "a")], false);
    check(a(), [true, false], &[("x", "b")], true);
    check(a(), [true, false], &[], false);
    check(a(), [true, true], &[], true);
    check(Header::PresentMatch(true), [true, false], &[], true);
    check(Header::PresentMatch(true), [false, true], &[], true);
    check(Header::PresentMatch(false), [false, true], &[], false);
    // Each value of a field counts by itself.
    check(a(), [false, false], &[("x", "b"), ("x", "a")], true);
}

#[test]
fn parts_of_the_request_line_are_headers_too() {
    let check = |name: &str, value: &str, expected: bool| {
        let matcher = pb::HeaderMatcher {
            name: name.into(),
            header_match_specifier: Some(Header::StringMatch(text(MatchPattern::Exact(value.into())))),
            ..pb::HeaderMatcher::default()
        };
        let matches = pb::RouteMatch {
            headers: vec![matcher],
            ..prefix("/")
        };
        let fields = [("host", "a"), ("x-forwarded-proto", "https")];
        assert_eq!(takes(matches, "/p?q", &fields), expected, "{name} {value}");
    };
    check(":method", "GET", true);
    check(":method", "POST", false);
    check(":path", "/p?q", true);
    check(":authority", "a", true);
    check(":scheme", "https", true);
    check(":scheme", "http", false);
}

#[test]
fn query_parameters_and_cookies_are_matched() {
    let query = |specifier: Option<Query>, target: &str| {
        let parameter = pb::QueryParameterMatcher {
            name: "q".into(),
            query_parameter_match_specifier: specifier,
        };
        let matches = pb::RouteMatch {
            query_parameters: vec![parameter],
            ..prefix("/")
        };
        takes(matches, target, &[])
    };
    let a = || text(MatchPattern::Exact("a".into()));
    assert!(query(Some(Query::StringMatch(a())), "/?q=a&q=b"));
    assert!(!query(Some(Query::StringMatch(a())), "/?q=b&q=a"));
    assert!(query(None, "/?q"));
    assert!(query(Some(Query::PresentMatch(true)), "/?q"));
    assert!(query(Some(Query::PresentMatch(false)), "/?p"));
    let cookie = |invert_match: bool, sent: &str| {
        let cookie = pb::CookieMatcher {
            name: "s".into(),
            string_match: Some(a()),
            invert_match,
        };
        let matches = pb::RouteMatch {
            cookies: vec![cookie],
            ..prefix("/")
        };
        takes(matches, "/", &[("cookie", sent)])
    };
    assert!(cookie(false, "t=b; s=a"));
    assert!(!cookie(false, "s=b"));
    assert!(cookie(true, "s=b"));
    assert!(!cookie(false, "ss=a"));
    assert!(cookie(true, "ss=a"));
}

#[test]
fn a_share_of_requests_and_grpc_calls_are_matched() {
    let share = |numerator: u32| {
        let fraction = FractionalPercent {
            numerator,
            denominator: DenominatorType::TenThousand.into(),
        };
        let matches = pb::RouteMatch {
            runtime_fraction: Some(RuntimeFractionalPercent {
                default_value: Some(fraction),
                runtime_key: String::new(),
            }),
            ..prefix("/")
        };
        takes(matches, "/", &[])
    };
    assert!(share(10_000));
    assert!(!share(0));
    let grpc = pb::RouteMatch {
        grpc: Some(pb::route_match::GrpcRouteMatchOptions {}),
        ..prefix("/")
    };
    assert!(takes(
        grpc.clone(),
        "/",
        &[("content-type", "application/grpc+proto")]
    ));
    assert!(!takes(grpc, "/", &[("content-type", "application/grpc-web")]));
}

#[test]
fn a_share_goes_by_the_runtime_where_that_has_its_key() {
    let context = Context {
        runtime: Runtime::of(&[layer("{none: 0, all: 100}")]),
        ..context()
    };
    let check = |key: &str, default: u32, expected: u32| {
        let fraction = RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator: default,
                ..FractionalPercent::default()
            }),
            runtime_key: key.to_owned(),
        };
        let matches = pb::RouteMatch {
            runtime_fraction: Some(fraction),
            ..prefix("/")
        };
        let mut shared = Shared::default();
        let table = pb::RouteConfiguration::default();
        let mut reading = Reading::new(&table, &mut shared, &context);
        let matcher = reading.matcher(&matches).unwrap();
        assert_eq!(
            matcher.fraction.as_ref().map(|fraction| fraction.take),
            Some(expected),
            "{key}"
        );
    };
    check("none", 100, 0);
    check("all", 0, 1_000_000);
    check("other", 7, 70_000);
}
