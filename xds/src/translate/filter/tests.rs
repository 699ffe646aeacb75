use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::extensions::filters::http as pb;
use envoy_types::util::pack_any;
use prost::Name;

use super::*;
use crate::translate::Note;

fn filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

fn router() -> HttpFilter {
    filter("r", pack_any(pb::router::v3::Router::default()))
}

fn unknown() -> Any {
    Any {
        type_url: "type.googleapis.com/google.protobuf.Struct".to_owned(),
        value: Vec::new(),
    }
}

fn read(filters: &[HttpFilter]) -> (Result<HttpFilters, Reject>, Vec<Note>) {
    let mut notes = Notes::default();
    let read = http_filters(filters, &Context::default(), &mut notes);
    (read, notes.into_list())
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |filters: &[HttpFilter], expected: &str| {
        let refused = read(filters).0.unwrap_err();
        assert_eq!(refused, Reject::Resource(expected.to_owned()));
    };
    let cors = || filter("x", pack_any(pb::cors::v3::Cors::default()));
    check(
        &[cors()],
        "Error: non-terminal filter named x of type envoy.filters.http.cors is the last filter in a http filter chain.",
    );
    check(
        &[router(), cors(), router()],
        "Error: terminal filter named r of type envoy.filters.http.router must be the last filter in a http filter chain.",
    );
    check(
        &[HttpFilter {
            disabled: true,
            ..router()
        }],
        "Error: the last (terminal) filter (r) in the chain cannot be disabled by default.",
    );
    check(
        &[filter("zzz", unknown()), router()],
        "Didn't find a registered implementation for 'zzz' with type URL: 'google.protobuf.Struct'",
    );
    let nameless = HttpFilter {
        name: "zzz".to_owned(),
        ..HttpFilter::default()
    };
    check(
        &[nameless, router()],
        "Didn't find a registered implementation for 'zzz' with type URL: ''",
    );
}

#[test]
fn what_restricts_and_is_not_here_is_refused_unless_it_is_off_or_optional() {
    let jwt = || filter("jwt", pack_any(pb::jwt_authn::v3::JwtAuthentication::default()));
    let refused = read(&[jwt(), router()]).0.unwrap_err().to_string();
    assert!(
        refused.starts_with("http_filters[0]: envoy.extensions.filters.http.jwt_authn"),
        "{refused}"
    );
    for tolerated in [
        HttpFilter {
            disabled: true,
            ..jwt()
        },
        HttpFilter {
            is_optional: true,
            ..jwt()
        },
        filter("fault", pack_any(pb::fault::v3::HttpFault::default())),
        HttpFilter {
            is_optional: true,
            ..filter("zzz", unknown())
        },
    ] {
        let (read, notes) = read(&[tolerated, router()]);
        assert!(read.is_ok());
        assert_eq!(notes[0].path, "http_filters[0]");
    }
}

#[test]
fn what_restricts_and_is_not_here_lets_nothing_pass_where_a_route_switches_it_on() {
    let jwt = HttpFilter {
        disabled: true,
        ..filter("jwt", pack_any(pb::jwt_authn::v3::JwtAuthentication::default()))
    };
    let fault = HttpFilter {
        disabled: true,
        ..filter("fault", pack_any(pb::fault::v3::HttpFault::default()))
    };
    let read = read(&[jwt, fault, router()]).0.unwrap();
    let [jwt, fault] = read.filters.as_slice() else {
        panic!("{:?}", read.filters);
    };
    assert!(matches!(jwt.filter, Filter::Missing) && jwt.initially == Switch::Off);
    assert!(matches!(fault.filter, Filter::Nothing));
}

#[test]
fn routes_switch_filters_off_and_on_and_replace_them() {
    let of = |config: Any| overrides(&HashMap::from([("x".to_owned(), config)]));
    let wrapped = |config: Option<Any>, disabled, is_optional| {
        of(pack_any(FilterConfig {
            config,
            is_optional,
            disabled,
        }))
    };
    let policy = || pack_any(pb::cors::v3::CorsPolicy::default());
    let check = |overrides: Result<FilterOverrides, Reject>, expected: &str| {
        let shown = match overrides {
            Ok(overrides) => overrides
                .get("x")
                .map_or_else(|| "none".to_owned(), |change| format!("{change:?}")),
            Err(error) => error.to_string(),
        };
        assert!(shown.starts_with(expected), "{shown} is not {expected}");
    };
    check(of(policy()), "Replaced(Cors");
    check(wrapped(Some(policy()), false, false), "Replaced(Cors");
    check(wrapped(Some(policy()), true, false), "Disabled");
    check(wrapped(Some(Any::default()), false, false), "Enabled");
    let empty = "Empty route/virtual host per filter configuration for x filter";
    check(wrapped(None, false, false), empty);
    check(wrapped(None, false, true), empty);
    check(wrapped(Some(unknown()), false, true), "none");
    let nobody = "Didn't find a registered implementation for 'x' with type URL: 'google.protobuf.Struct'";
    check(wrapped(Some(unknown()), false, false), nobody);
    check(of(unknown()), nobody);
    check(
        of(pack_any(pb::basic_auth::v3::BasicAuthPerRoute::default())),
        "typed_per_filter_config['x']: envoy.extensions.filters.http.basic_auth",
    );
    check(of(pack_any(pb::rbac::v3::RbacPerRoute::default())), "Disabled");
}

#[test]
fn only_a_limit_that_is_switched_on_limits() {
    use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
    use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, TokenBucket};
    use envoy_types::pb::google::protobuf::Duration;
    let all = || {
        let default_value = Some(FractionalPercent {
            numerator: 100,
            denominator: 0,
        });
        Some(RuntimeFractionalPercent {
            default_value,
            ..RuntimeFractionalPercent::default()
        })
    };
    let limit = pb::local_ratelimit::v3::LocalRateLimit {
        stat_prefix: "x".to_owned(),
        token_bucket: Some(TokenBucket {
            max_tokens: 1,
            tokens_per_fill: None,
            fill_interval: Some(Duration { seconds: 1, nanos: 0 }),
        }),
        ..Default::default()
    };
    let read = |limit: &pb::local_ratelimit::v3::LocalRateLimit| {
        let limit = rate_limit::settings(limit, &mut Notes::default());
        limit.map(|filter| matches!(filter, Filter::RateLimit(_)))
    };
    assert_eq!(read(&limit), Ok(false));
    let on = pb::local_ratelimit::v3::LocalRateLimit {
        filter_enabled: all(),
        filter_enforced: all(),
        ..limit
    };
    assert_eq!(read(&on), Ok(true));
    let marking = pb::local_ratelimit::v3::LocalRateLimit {
        response_headers_to_add: vec![field("x-limited", "1")],
        request_headers_to_add_when_not_enforced: vec![field("x-would-be", "1")],
        ..on.clone()
    };
    let mut notes = Notes::default();
    let limit = rate_limit::settings(&marking, &mut notes);
    let shown = format!("{:?}", limit.expect("a limit"));
    assert!(
        shown.contains("x-limited") && shown.contains("x-would-be"),
        "{shown}"
    );
    assert_eq!(notes.into_list(), []);
    let bucketless = pb::local_ratelimit::v3::LocalRateLimit {
        token_bucket: None,
        ..on
    };
    assert_eq!(read(&bucketless), Ok(false));
}

fn field(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    }
}

#[test]
fn every_name_is_one_that_messages_have() {
    assert_eq!(router::SETTINGS, pb::router::v3::Router::full_name());
    assert_eq!(cors::POLICY, pb::cors::v3::CorsPolicy::full_name());
    assert_eq!(
        rate_limit::SETTINGS,
        pb::local_ratelimit::v3::LocalRateLimit::full_name()
    );
    assert_eq!(compression::SETTINGS, pb::compressor::v3::Compressor::full_name());
    assert_eq!(
        compression::PER_ROUTE,
        pb::compressor::v3::CompressorPerRoute::full_name()
    );
    assert_eq!(rbac::SETTINGS, pb::rbac::v3::Rbac::full_name());
    assert_eq!(rbac::PER_ROUTE, pb::rbac::v3::RbacPerRoute::full_name());
    assert_eq!(scripts::LUA, pb::lua::v3::Lua::full_name());
    assert_eq!(scripts::LUA_PER_ROUTE, pb::lua::v3::LuaPerRoute::full_name());
}

/// Or a route could switch authorization off by the settings of something else.
#[test]
fn settings_for_another_sort_of_filter_are_none() {
    let of = |config: Any| {
        let changes = overrides(&HashMap::from([("x".to_owned(), config)])).unwrap();
        format!("{changes:?}")
    };
    let rbac = r#"sort: Some("envoy.extensions.filters.http.rbac.v3")"#;
    assert!(of(pack_any(pb::rbac::v3::RbacPerRoute::default())).contains(rbac));
    let wrapped = |config: Option<Any>, disabled| {
        of(pack_any(FilterConfig {
            config,
            disabled,
            is_optional: false,
        }))
    };
    let settings = || Some(pack_any(pb::rbac::v3::RbacPerRoute::default()));
    assert!(wrapped(settings(), false).contains(rbac));
    assert!(wrapped(settings(), true).contains("sort: None"));
    let cors = filter("x", pack_any(pb::cors::v3::Cors::default()));
    let filters = read(&[cors, router()]).0.unwrap().filters;
    let sort = filters.as_slice()[0].sort.as_deref();
    assert_eq!(sort, Some("envoy.extensions.filters.http.cors.v3"));
}

#[test]
fn who_takes_a_star_takes_every_origin() {
    use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    let policy = pb::cors::v3::CorsPolicy {
        allow_origin_string_match: vec![StringMatcher {
            match_pattern: Some(MatchPattern::Exact("*".to_owned())),
            ignore_case: false,
        }],
        ..pb::cors::v3::CorsPolicy::default()
    };
    let Ok(Filter::Cors(cors)) = cors::policy(&policy) else {
        panic!("it is a policy");
    };
    assert!(format!("{cors:?}").contains(r#"Prefix("")"#), "{cors:?}");
}
