//! Which requests a route takes.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::{GrpcRouteMatchOptions, PathSpecifier};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher};
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, Int64Range};
use envoy_types::pb::google::protobuf::BoolValue;
use http::Method;
use tidegate_proxy::route::{
    Case, Fraction, HeaderMatch, Matcher, PathRule, ProtocolMatch, QueryMatch, Rule, Substitution, TextMatch,
    TextRule,
};

use super::Unsupported;

pub(super) fn matcher(matcher: &Matcher) -> Result<RouteMatch, Unsupported> {
    let Matcher {
        path,
        methods: of_methods,
        headers,
        query,
        cookies,
        fraction,
        protocol,
    } = matcher;
    if path.ignores_parameters() {
        return Err(Unsupported::new(
            "matcher",
            "a path whose parameters do not count",
        ));
    }
    let sensitive = path.case() == Case::Sensitive;
    let path = match path.rule() {
        PathRule::Any => PathSpecifier::Prefix(String::new()),
        PathRule::Prefix(prefix) => PathSpecifier::Prefix(prefix.to_owned()),
        PathRule::Exact(path) => PathSpecifier::Path(path.to_owned()),
        PathRule::Segments(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        PathRule::Regex(text) => PathSpecifier::SafeRegex(regex(text)),
    };
    let method = methods(of_methods);
    let headers = headers.iter().map(header);
    if !cookies.is_empty() {
        return Err(Unsupported::new("matcher", "a condition on a cookie"));
    }
    let query = query.iter().map(self::query);
    let grpc = *protocol == ProtocolMatch::Grpc;
    Ok(RouteMatch {
        path_specifier: Some(path),
        case_sensitive: (!sensitive).then_some(BoolValue { value: false }),
        headers: method
            .into_iter()
            .map(Ok)
            .chain(headers)
            .collect::<Result<_, _>>()?,
        query_parameters: query.collect::<Result<_, _>>()?,
        runtime_fraction: fraction.map(self::fraction).transpose()?,
        grpc: grpc.then(GrpcRouteMatchOptions::default),
        ..RouteMatch::default()
    })
}

/// One of several methods; a method has no character that a regular expression reads otherwise but those of a token.
fn methods(methods: &[Method]) -> Option<HeaderMatcher> {
    let pattern = match methods {
        [] => return None,
        [only] => MatchPattern::Exact(only.to_string()),
        several => {
            let several: Vec<_> = several.iter().map(|method| escape(method.as_str())).collect();
            MatchPattern::SafeRegex(regex(&several.join("|")))
        }
    };
    Some(HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(text(pattern, Case::Sensitive))),
        ..HeaderMatcher::default()
    })
}

fn escape(text: &str) -> String {
    let escaped = text.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            format!("\\{c}")
        }
    });
    escaped.collect()
}

fn header(header: &HeaderMatch) -> Result<HeaderMatcher, Unsupported> {
    let specifier = match header.rule() {
        Rule::Present => HeaderMatchSpecifier::PresentMatch(true),
        Rule::Absent => HeaderMatchSpecifier::PresentMatch(false),
        Rule::Text(condition) => HeaderMatchSpecifier::StringMatch(string(condition)),
        Rule::Range { start, end } => HeaderMatchSpecifier::RangeMatch(Int64Range { start, end }),
    };
    Ok(HeaderMatcher {
        name: header.name().to_owned(),
        invert_match: header.is_inverted(),
        treat_missing_header_as_empty: header.takes_missing_as_empty(),
        header_match_specifier: Some(specifier),
    })
}

fn query(query: &QueryMatch) -> Result<QueryParameterMatcher, Unsupported> {
    let specifier = match query.rule() {
        Rule::Present => QueryParameterMatchSpecifier::PresentMatch(true),
        Rule::Absent => QueryParameterMatchSpecifier::PresentMatch(false),
        Rule::Text(condition) => QueryParameterMatchSpecifier::StringMatch(string(condition)),
        Rule::Range { .. } => {
            let place = format!("query parameter {}", query.name());
            return Err(Unsupported::new(place, "a range of numbers"));
        }
    };
    Ok(QueryParameterMatcher {
        name: query.name().to_owned(),
        query_parameter_match_specifier: Some(specifier),
    })
}

fn string(condition: &TextMatch) -> StringMatcher {
    let pattern = match condition.rule() {
        TextRule::Exact(part) => MatchPattern::Exact(part.to_owned()),
        TextRule::Prefix(part) => MatchPattern::Prefix(part.to_owned()),
        TextRule::Suffix(part) => MatchPattern::Suffix(part.to_owned()),
        TextRule::Contains(part) => MatchPattern::Contains(part.to_owned()),
        TextRule::Regex(part) => MatchPattern::SafeRegex(regex(part)),
    };
    text(pattern, condition.case())
}

fn text(pattern: MatchPattern, case: Case) -> StringMatcher {
    StringMatcher {
        // A regular expression says itself whether case matters.
        ignore_case: case == Case::Ignored && !matches!(pattern, MatchPattern::SafeRegex(_)),
        match_pattern: Some(pattern),
    }
}

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.to_owned(),
        ..RegexMatcher::default()
    }
}

pub(super) fn substitution(substitution: &Substitution) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex(substitution.pattern().text())),
        substitution: substitution.replacement(),
    }
}

/// A share, by one of the three denominators that Envoy has.
fn fraction(fraction: Fraction) -> Result<RuntimeFractionalPercent, Unsupported> {
    let denominators = [
        (100, DenominatorType::Hundred),
        (10_000, DenominatorType::TenThousand),
        (1_000_000, DenominatorType::Million),
    ];
    let fits = denominators
        .iter()
        .find(|(of, _)| fraction.of > 0 && u64::from(fraction.take) * of % u64::from(fraction.of) == 0);
    let (of, denominator) =
        fits.ok_or_else(|| Unsupported::new("fraction", "a share finer than a millionth"))?;
    let numerator = u64::from(fraction.take) * of / u64::from(fraction.of);
    Ok(RuntimeFractionalPercent {
        default_value: Some(FractionalPercent {
            numerator: u32::try_from(numerator).unwrap_or(u32::MAX),
            denominator: (*denominator).into(),
        }),
        ..RuntimeFractionalPercent::default()
    })
}
