//! URI templates: `/api/{version}/*`, matched and rewritten, as regular expressions.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::route::v3::RouteMatch;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
use prost::{Message, Name};
use tidegate_proxy::route::{PathMatch, PathRewrite};

use crate::translate::Reject;
use crate::translate::any::{is, unpack, unregistered};
use crate::translate::text_match::bad_regex;

/// What a path may have between slashes.
const SEGMENT: &str = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=]+";
/// The same, and slashes; may be nothing.
const REST: &str = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=/]*";

/// A template as a regular expression with one group for each variable.
struct Template {
    regex: String,
    variables: Vec<String>,
}

/// A `path_match_policy` as a condition.
pub(in crate::translate::routes) fn matcher(policy: &TypedExtensionConfig) -> Result<PathMatch, Reject> {
    let template = Template::parse(&path_template(policy)?)?;
    PathMatch::regex(&template.regex).map_err(|error| bad_regex(&template.regex, &error))
}

/// A `path_rewrite_policy` of a route with a `path_match_policy`.
pub(in crate::translate::routes) fn rewrite(
    policy: &TypedExtensionConfig,
    matches: &RouteMatch,
) -> Result<PathRewrite, Reject> {
    let to = config::<UriTemplateRewriteConfig>(policy)?.path_template_rewrite;
    let Some(PathSpecifier::PathMatchPolicy(from)) = &matches.path_specifier else {
        let why = "unable to use envoy.path.rewrite.uri_template.uri_template_rewriter extension without \
                   envoy.path.match.uri_template.uri_template_matcher extension";
        return Err(Reject::Resource(why.to_owned()));
    };
    let from = path_template(from)?;
    let template = Template::parse(&from)?;
    let mismatch = || {
        Reject::Resource(format!(
            "mismatch between variables in path_match_policy {from} and path_rewrite_policy {to}"
        ))
    };
    let replacement = template.replacement(&to).ok_or_else(mismatch)?;
    let pattern = format!("^{}$", template.regex);
    PathRewrite::regex(&pattern, &replacement).map_err(|error| Reject::Resource(error.to_string()))
}

fn path_template(policy: &TypedExtensionConfig) -> Result<String, Reject> {
    Ok(config::<UriTemplateMatchConfig>(policy)?.path_template)
}

fn config<M: Message + Name + Default>(extension: &TypedExtensionConfig) -> Result<M, Reject> {
    match &extension.typed_config {
        Some(config) if is::<M>(config) => unpack(config),
        config => Err(unregistered(&extension.name, config.as_ref())),
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, Reject> {
        let invalid = |why: &str| {
            Reject::Resource(format!(
                "path_match_policy.path_template {text} is invalid: {why}"
            ))
        };
        if !text.starts_with('/') {
            return Err(invalid("Pattern does not start with \"/\""));
        }
        let mut template = Self {
            regex: String::new(),
            variables: Vec::new(),
        };
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, bracket) = rest.split_at_checked(at).unwrap_or((rest, ""));
            push(&mut template.regex, literal);
            let inner = bracket.strip_prefix('{');
            let (variable, after) = inner.and_then(|inner| inner.split_once('}')).ok_or_else(|| {
                invalid(&format!(
                    "Unmatched variable bracket in mixed pattern: \"{bracket}\""
                ))
            })?;
            let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty()
                || !name.chars().all(plain)
                || name.starts_with(|c: char| !c.is_ascii_alphabetic())
            {
                return Err(invalid(&format!("Invalid variable name: \"{name}\"")));
            }
            if template.variables.iter().any(|known| known == name) {
                return Err(invalid(&format!("Repeated variable name: \"{name}\"")));
            }
            template.variables.push(name.to_owned());
            template.regex.push('(');
            push(&mut template.regex, pattern);
            template.regex.push(')');
            rest = after;
        }
        push(&mut template.regex, rest);
        Ok(template)
    }

    /// What replaces a path that matches; `None` where it names a variable that the template lacks, or a bracket stands alone.
    fn replacement(&self, to: &str) -> Option<String> {
        let (mut replacement, mut rest) = (String::new(), to);
        while let Some(at) = rest.find('{') {
            let (literal, bracket) = rest.split_at_checked(at)?;
            replacement.push_str(&literal.replace('\\', "\\\\"));
            let (name, after) = bracket.strip_prefix('{')?.split_once('}')?;
            let group = self.variables.iter().position(|known| known == name)? + 1;
            replacement.push_str(&format!("\\{group}"));
            rest = after;
        }
        replacement.push_str(&rest.replace('\\', "\\\\"));
        Some(replacement)
    }
}

/// Adds literal text with globs.
fn push(regex: &mut String, text: &str) {
    let mut parts = text.split("**").peekable();
    while let Some(part) = parts.next() {
        let mut literals = part.split('*').peekable();
        while let Some(literal) = literals.next() {
            regex.push_str(&regex::escape(literal));
            if literals.peek().is_some() {
                regex.push_str(SEGMENT);
            }
        }
        if parts.peek().is_some() {
            regex.push_str(REST);
        }
    }
}
