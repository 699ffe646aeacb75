//! Which requests a route takes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use http::Method;
use tidegate_proxy::route::{
    CookieMatch, Fraction, HeaderMatch, InvalidField, Matcher, PathMatch, ProtocolMatch, QueryMatch, Shared,
    TextMatch,
};

use super::reading::Reading;
use super::rewrite::template;
use crate::translate::Reject;
use crate::translate::any::unsupported_field;
use crate::translate::fraction::MILLION;
use crate::translate::text_match;

impl Reading<'_> {
    /// What a route matches, its constraints hold; shared with the routes that match the same.
    pub(super) fn matcher(&mut self, matches: &pb::RouteMatch) -> Result<Shared<Matcher>, Reject> {
        let hash = self.shared.hash_of(matches);
        if let Some(known) = self.shared.matcher(hash) {
            return Ok(known);
        }
        let matcher = self.own_matcher(matches)?.into();
        self.shared.keep_matcher(hash, &matcher);
        Ok(matcher)
    }

    fn own_matcher(&self, matches: &pb::RouteMatch) -> Result<Matcher, Reject> {
        let unsupported = [
            ("match.tls_context", matches.tls_context.is_some()),
            ("match.dynamic_metadata", !matches.dynamic_metadata.is_empty()),
            ("match.filter_state", !matches.filter_state.is_empty()),
        ];
        for (field, is_set) in unsupported {
            if is_set {
                return Err(unsupported_field(self.notes.place(), field));
            }
        }
        let fraction = matches.runtime_fraction.as_ref();
        let connect = matches!(matches.path_specifier, Some(PathSpecifier::ConnectMatcher(_)));
        Ok(Matcher {
            path: self.path(matches)?,
            methods: if connect {
                vec![Method::CONNECT]
            } else {
                Vec::new()
            },
            headers: all(&matches.headers, header)?,
            query: all(&matches.query_parameters, query)?,
            cookies: all(&matches.cookies, cookie)?,
            fraction: fraction.map(|fraction| Fraction {
                take: self.context.runtime.per_million(Some(fraction), MILLION),
                of: MILLION,
            }),
            protocol: match matches.grpc {
                Some(_) => ProtocolMatch::Grpc,
                None => ProtocolMatch::Any,
            },
        })
    }

    fn path(&self, matches: &pb::RouteMatch) -> Result<PathMatch, Reject> {
        let path = match &matches.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) => PathMatch::prefix(prefix.as_str()),
            Some(PathSpecifier::Path(path)) => PathMatch::exact(path.as_str()),
            Some(PathSpecifier::SafeRegex(regex)) => {
                let regex = &regex.regex;
                PathMatch::regex(regex).map_err(|error| text_match::bad_regex(regex, &error))?
            }
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                PathMatch::segments(prefix.as_str()).map_err(invalid)?
            }
            Some(PathSpecifier::PathMatchPolicy(policy)) => template::matcher(policy)?,
            Some(PathSpecifier::ConnectMatcher(_)) | None => PathMatch::default(),
        };
        let sensitive = matches.case_sensitive.as_ref().is_none_or(|case| case.value);
        let path = if sensitive { path } else { path.ignoring_case() };
        Ok(if self.table.ignore_path_parameters_in_path_matching {
            path.ignoring_parameters()
        } else {
            path
        })
    }
}

fn all<P, T>(protos: &[P], read: impl Fn(&P) -> Result<T, Reject>) -> Result<Vec<T>, Reject> {
    // Most lists have one item, and there are many of them: no more room than that.
    let mut all = Vec::with_capacity(protos.len());
    for proto in protos {
        all.push(read(proto)?);
    }
    Ok(all)
}

fn invalid(error: InvalidField) -> Reject {
    Reject::Resource(error.to_string())
}

/// A condition on a header, in whichever form.
#[expect(
    deprecated,
    reason = "control planes still send the forms that Envoy has deprecated"
)]
pub(crate) fn header(proto: &pb::HeaderMatcher) -> Result<HeaderMatch, Reject> {
    let name = &proto.name;
    let text = |condition| HeaderMatch::text(name, condition).map_err(invalid);
    let matcher = match &proto.header_match_specifier {
        None => HeaderMatch::present(name).map_err(invalid)?,
        // A field that is missing counts as there, and empty, where that is asked for.
        Some(HeaderMatchSpecifier::PresentMatch(present)) => {
            if *present {
                HeaderMatch::present(name).map_err(invalid)?
            } else {
                HeaderMatch::absent(name).map_err(invalid)?
            }
        }
        Some(HeaderMatchSpecifier::ExactMatch(exact)) => text(TextMatch::exact(exact.as_str()))?,
        Some(HeaderMatchSpecifier::PrefixMatch(prefix)) => text(TextMatch::prefix(prefix.as_str()))?,
        Some(HeaderMatchSpecifier::SuffixMatch(suffix)) => text(TextMatch::suffix(suffix.as_str()))?,
        Some(HeaderMatchSpecifier::ContainsMatch(part)) => text(TextMatch::contains(part.as_str()))?,
        Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => text(text_match::text_regex(&regex.regex)?)?,
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => text(text_match::string(matcher)?)?,
        // Envoy takes a range without a number in it: it matches nothing, as nothing is inside and outside of a word.
        Some(HeaderMatchSpecifier::RangeMatch(range)) if range.start >= range.end => {
            text(text_match::text_regex(r"\b\B")?)?
        }
        Some(HeaderMatchSpecifier::RangeMatch(range)) => {
            HeaderMatch::range(name, range.start, range.end).map_err(invalid)?
        }
    };
    let matcher = if proto.treat_missing_header_as_empty {
        matcher.missing_is_empty()
    } else {
        matcher
    };
    Ok(if proto.invert_match {
        matcher.inverted()
    } else {
        matcher
    })
}

fn query(proto: &pb::QueryParameterMatcher) -> Result<QueryMatch, Reject> {
    let name = proto.name.as_str();
    Ok(match &proto.query_parameter_match_specifier {
        None | Some(QueryParameterMatchSpecifier::PresentMatch(true)) => QueryMatch::present(name),
        Some(QueryParameterMatchSpecifier::PresentMatch(false)) => QueryMatch::absent(name),
        Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
            QueryMatch::text(name, text_match::string(matcher)?)
        }
    })
}

fn cookie(proto: &pb::CookieMatcher) -> Result<CookieMatch, Reject> {
    let condition = match &proto.string_match {
        Some(matcher) => text_match::string(matcher)?,
        None => TextMatch::exact(""),
    };
    let matcher = CookieMatch::new(proto.name.as_str(), condition);
    Ok(if proto.invert_match {
        matcher.inverted()
    } else {
        matcher
    })
}
