//! What a route makes of path and host.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route_action::HostRewriteSpecifier;
use http::HeaderName;
use tidegate_proxy::route::{HostRewrite, InvalidField, PathRewrite};

use super::reading::Reading;
use crate::translate::Reject;
use crate::translate::any::unsupported_field;
use crate::translate::text_match;

pub(super) mod template;

impl Reading<'_> {
    /// What becomes of the path.
    pub(super) fn path_rewrite(
        &self,
        action: &pb::RouteAction,
        matches: &pb::RouteMatch,
    ) -> Result<PathRewrite, Reject> {
        let ways = [
            !action.prefix_rewrite.is_empty(),
            action.regex_rewrite.is_some(),
            action.path_rewrite_policy.is_some(),
            !action.path_rewrite.is_empty(),
        ];
        if ways.into_iter().filter(|is_set| *is_set).count() > 1 {
            let why = "Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy";
            return Err(Reject::Resource(why.to_owned()));
        }
        if let Some(rewrite) = &action.regex_rewrite {
            let (pattern, replacement) = text_match::substitution(rewrite)?;
            let rewrite = PathRewrite::regex(pattern, replacement);
            return rewrite.map_err(|error| text_match::bad_regex(pattern, &error));
        }
        if let Some(policy) = &action.path_rewrite_policy {
            return template::rewrite(policy, matches);
        }
        if !action.path_rewrite.is_empty() {
            if action.path_rewrite.contains('%') {
                return Err(unsupported_field(
                    self.notes.place(),
                    "path_rewrite with a command",
                ));
            }
            return PathRewrite::whole(&action.path_rewrite).map_err(invalid);
        }
        match action.prefix_rewrite.as_str() {
            "" => Ok(PathRewrite::default()),
            prefix => PathRewrite::prefix(prefix).map_err(invalid),
        }
    }

    /// What becomes of the host.
    pub(super) fn host_rewrite(&self, action: &pb::RouteAction) -> Result<HostRewrite, Reject> {
        let rewrite = match &action.host_rewrite_specifier {
            None => return Ok(HostRewrite::default()),
            Some(HostRewriteSpecifier::AutoHostRewrite(auto)) if !auto.value => {
                return Ok(HostRewrite::default());
            }
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if host.is_empty() => {
                return Ok(HostRewrite::default());
            }
            Some(HostRewriteSpecifier::AutoHostRewrite(_)) => HostRewrite::endpoint(),
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                HostRewrite::literal(host).map_err(invalid)?
            }
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
                let name = HeaderName::from_bytes(name.as_bytes());
                let wrong = |error| Reject::Resource(format!("host_rewrite_header: {error}"));
                HostRewrite::header(name.map_err(wrong)?)
            }
            Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => {
                let (pattern, replacement) = text_match::substitution(rewrite)?;
                let rewrite = HostRewrite::path_regex(pattern, replacement);
                rewrite.map_err(|error| text_match::bad_regex(pattern, &error))?
            }
            Some(HostRewriteSpecifier::HostRewrite(_)) => {
                return Err(unsupported_field(self.notes.place(), "host_rewrite"));
            }
        };
        Ok(if action.append_x_forwarded_host {
            rewrite.keeping_original()
        } else {
            rewrite
        })
    }
}

fn invalid(error: InvalidField) -> Reject {
    Reject::Resource(error.to_string())
}
