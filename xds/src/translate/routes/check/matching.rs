//! The constraints of what a route matches.

use envoy_types::pb::envoy::config::core::v3::{RuntimeFractionalPercent, TypedExtensionConfig};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;

use crate::translate::constraint::{Checked, Rules, one_of};
use crate::translate::text_match::{check_regex, check_string};

/// Envoy's pattern of a prefix that ends where a segment does.
const SEPARATED_PREFIX: &str = r#"value does not match regex pattern "^[^?#]+[^?#/]$""#;
/// What Envoy allows the name of a query parameter or a cookie, in bytes.
const NAME_BYTES_MAX: usize = 1024;

pub(super) fn route_match(matches: &pb::RouteMatch) -> Checked {
    let rules = Rules::of("RouteMatch");
    rules.each("Headers", &matches.headers, header)?;
    rules.each("QueryParameters", &matches.query_parameters, query)?;
    rules.optional("RuntimeFraction", matches.runtime_fraction.as_ref(), fraction)?;
    rules.each("Cookies", &matches.cookies, cookie)?;
    match one_of("path_specifier", matches.path_specifier.as_ref())? {
        PathSpecifier::SafeRegex(regex) => rules.within("SafeRegex", check_regex(regex)),
        PathSpecifier::PathSeparatedPrefix(prefix) => {
            let fits = prefix.chars().count() >= 2 && !prefix.contains(['?', '#']) && !prefix.ends_with('/');
            match fits {
                true => Ok(()),
                false => Err(rules.broken("PathSeparatedPrefix", SEPARATED_PREFIX)),
            }
        }
        PathSpecifier::PathMatchPolicy(policy) => rules.within("PathMatchPolicy", extension(policy)),
        PathSpecifier::Prefix(_) | PathSpecifier::Path(_) | PathSpecifier::ConnectMatcher(_) => Ok(()),
    }
}

pub(super) fn extension(extension: &TypedExtensionConfig) -> Checked {
    let rules = Rules::of("TypedExtensionConfig");
    rules.not_empty("Name", &extension.name)?;
    rules.required("TypedConfig", extension.typed_config.as_ref(), |_| Ok(()))
}

pub(super) fn fraction(fraction: &RuntimeFractionalPercent) -> Checked {
    let rules = Rules::of("RuntimeFractionalPercent");
    rules.required("DefaultValue", fraction.default_value.as_ref(), |value| {
        Rules::of("FractionalPercent").defined::<DenominatorType>("Denominator", value.denominator)
    })
}

#[expect(
    deprecated,
    reason = "control planes still send the forms that Envoy has deprecated"
)]
pub(super) fn header(header: &pb::HeaderMatcher) -> Checked {
    let rules = Rules::of("HeaderMatcher");
    rules.not_empty("Name", &header.name)?;
    rules.header_text("Name", &header.name)?;
    match &header.header_match_specifier {
        Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => {
            rules.within("SafeRegexMatch", check_regex(regex))
        }
        Some(HeaderMatchSpecifier::PrefixMatch(text)) => rules.not_empty("PrefixMatch", text),
        Some(HeaderMatchSpecifier::SuffixMatch(text)) => rules.not_empty("SuffixMatch", text),
        Some(HeaderMatchSpecifier::ContainsMatch(text)) => rules.not_empty("ContainsMatch", text),
        Some(HeaderMatchSpecifier::StringMatch(text)) => rules.within("StringMatch", check_string(text)),
        Some(
            HeaderMatchSpecifier::ExactMatch(_)
            | HeaderMatchSpecifier::RangeMatch(_)
            | HeaderMatchSpecifier::PresentMatch(_),
        )
        | None => Ok(()),
    }
}

fn query(query: &pb::QueryParameterMatcher) -> Checked {
    let rules = Rules::of("QueryParameterMatcher");
    name(rules, &query.name)?;
    match &query.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
            rules.within("StringMatch", check_string(text))
        }
        Some(QueryParameterMatchSpecifier::PresentMatch(_)) | None => Ok(()),
    }
}

fn cookie(cookie: &pb::CookieMatcher) -> Checked {
    let rules = Rules::of("CookieMatcher");
    name(rules, &cookie.name)?;
    rules.required("StringMatch", cookie.string_match.as_ref(), check_string)
}

fn name(rules: Rules, name: &str) -> Checked {
    rules.not_empty("Name", name)?;
    if name.len() > NAME_BYTES_MAX {
        let why = format!("value length must be at most {NAME_BYTES_MAX} bytes");
        return Err(rules.broken("Name", why));
    }
    Ok(())
}
