//! `envoy.type.matcher.v3` as conditions on texts: `StringMatcher`, `RegexMatcher`, `RegexMatchAndSubstitute`.

use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher};
use tidegate_proxy::route::{InvalidField, TextMatch};

use super::Reject;
use super::constraint::{Checked, Rules, one_of};

/// The constraints of a `StringMatcher`.
///
/// # Errors
/// Where one is broken.
pub fn check_string(matcher: &StringMatcher) -> Checked {
    let rules = Rules::of("StringMatcher");
    match one_of("match_pattern", matcher.match_pattern.as_ref())? {
        MatchPattern::Prefix(text) => rules.not_empty("Prefix", text),
        MatchPattern::Suffix(text) => rules.not_empty("Suffix", text),
        MatchPattern::Contains(text) => rules.not_empty("Contains", text),
        MatchPattern::SafeRegex(regex) => rules.within("SafeRegex", check_regex(regex)),
        MatchPattern::Exact(_) | MatchPattern::Custom(_) => Ok(()),
    }
}

/// The constraints of a `RegexMatcher`.
///
/// # Errors
/// Where one is broken.
pub fn check_regex(matcher: &RegexMatcher) -> Checked {
    Rules::of("RegexMatcher").not_empty("Regex", &matcher.regex)
}

/// The constraints of a `RegexMatchAndSubstitute`.
///
/// # Errors
/// Where one is broken.
pub fn check_substitution(rewrite: &RegexMatchAndSubstitute) -> Checked {
    let rules = Rules::of("RegexMatchAndSubstitute");
    rules.required("Pattern", rewrite.pattern.as_ref(), check_regex)?;
    rules.header_text("Substitution", &rewrite.substitution)
}

/// A `StringMatcher` as a condition.
///
/// # Errors
/// For a bad regular expression, and for an extension in its place.
pub fn string(matcher: &StringMatcher) -> Result<TextMatch, Reject> {
    let condition = match one_of("match_pattern", matcher.match_pattern.as_ref())? {
        MatchPattern::Exact(text) => TextMatch::exact(text.as_str()),
        MatchPattern::Prefix(text) => TextMatch::prefix(text.as_str()),
        MatchPattern::Suffix(text) => TextMatch::suffix(text.as_str()),
        MatchPattern::Contains(text) => TextMatch::contains(text.as_str()),
        MatchPattern::SafeRegex(regex) => return text_regex(&regex.regex),
        MatchPattern::Custom(extension) => {
            let why = format!("string_match.custom: '{}' is not supported", extension.name);
            return Err(Reject::Resource(why));
        }
    };
    Ok(if matcher.ignore_case {
        condition.ignoring_case()
    } else {
        condition
    })
}

/// A regular expression as a condition on a whole text.
///
/// # Errors
/// Where it is none.
pub fn text_regex(regex: &str) -> Result<TextMatch, Reject> {
    TextMatch::regex("regex", regex).map_err(|error| bad_regex(regex, &error))
}

/// A regular expression and what replaces what it matches.
///
/// # Errors
/// Where there is no pattern, which the constraints refuse already.
pub fn substitution(rewrite: &RegexMatchAndSubstitute) -> Result<(&str, &str), Reject> {
    check_substitution(rewrite)?;
    let pattern = rewrite.pattern.as_ref().map_or("", |pattern| &pattern.regex);
    Ok((pattern, &rewrite.substitution))
}

/// What RE2, and so Envoy, says about a regular expression that is none.
#[must_use]
pub fn bad_regex(regex: &str, error: &InvalidField) -> Reject {
    let (reason, from) = (error.reason(), |start: char| {
        regex.find(start).and_then(|at| regex.get(at..)).unwrap_or(regex)
    });
    let text = if reason.contains("unclosed group") {
        format!("missing ): {regex}")
    } else if reason.contains("unopened group") {
        format!("unexpected ): {regex}")
    } else if reason.contains("unclosed character class") {
        format!("missing ]: {}", from('['))
    } else if reason.contains("repetition operator missing expression") {
        let operator = regex.chars().find(|c| "*+?{".contains(*c)).unwrap_or('*');
        format!("no argument for repetition operator: {operator}")
    } else if reason.contains("look-around") {
        format!("invalid perl operator: {}", from('(').get(..3).unwrap_or("(?"))
    } else {
        format!("{reason}: {regex}")
    };
    Reject::Resource(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_regular_expression_is_worded_as_by_re2() {
        let check = |regex: &str, expected: &str| {
            assert_eq!(text_regex(regex).unwrap_err(), Reject::Resource(expected.into()));
        };
        check("(a", "missing ): (a");
        check("a(", "missing ): a(");
        check("a)", "unexpected ): a)");
        check("*a", "no argument for repetition operator: *");
        check("x[a", "missing ]: [a");
        check("x(?=a)b", "invalid perl operator: (?=");
    }

    #[test]
    fn a_matcher_without_what_it_needs_breaks_a_constraint() {
        let check = |pattern: Option<MatchPattern>, expected: &str| {
            let matcher = StringMatcher {
                match_pattern: pattern,
                ignore_case: false,
            };
            let text = check_string(&matcher).unwrap_err().to_string();
            assert_eq!(text, format!("Proto constraint validation failed ({expected})"));
        };
        check(None, r#"field: "match_pattern", reason: is required"#);
        let least = "value length must be at least 1 characters";
        let prefix = MatchPattern::Prefix(String::new());
        check(
            Some(prefix),
            &format!("StringMatcherValidationError.Prefix: {least}"),
        );
        let regex = MatchPattern::SafeRegex(RegexMatcher::default());
        let inner = format!("RegexMatcherValidationError.Regex: {least}");
        let outer = "StringMatcherValidationError.SafeRegex: embedded message failed validation";
        check(Some(regex), &format!("{outer} | caused by {inner}"));
    }
}
