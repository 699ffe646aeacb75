//! Where a route sends clients.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use tidegate_proxy::route::{
    InvalidField, PathRewrite, Redirect, RedirectPath, RedirectQuery, RedirectScheme, RedirectStatus,
};

use crate::translate::Reject;
use crate::translate::any::unsupported_field;
use crate::translate::text_match;

/// A redirect, its constraints hold.
pub(super) fn redirect(proto: &pb::RedirectAction) -> Result<Redirect, Reject> {
    let invalid = |error: InvalidField| Reject::Resource(error.to_string());
    let mut redirect = Redirect::default();
    redirect.status = match RedirectResponseCode::try_from(proto.response_code).unwrap_or_default() {
        RedirectResponseCode::MovedPermanently => RedirectStatus::MovedPermanently,
        RedirectResponseCode::Found => RedirectStatus::Found,
        RedirectResponseCode::SeeOther => RedirectStatus::SeeOther,
        RedirectResponseCode::TemporaryRedirect => RedirectStatus::TemporaryRedirect,
        RedirectResponseCode::PermanentRedirect => RedirectStatus::PermanentRedirect,
    };
    redirect.scheme = scheme(proto)?;
    redirect.path = path(proto)?;
    if proto.strip_query {
        redirect.query = RedirectQuery::Strip;
    }
    let redirect = match proto.host_redirect.as_str() {
        "" => redirect,
        host => redirect.with_host(host).map_err(invalid)?,
    };
    match proto.port_redirect {
        0 => Ok(redirect),
        port => {
            let port = u16::try_from(port)
                .map_err(|_| Reject::Resource(format!("redirect.port_redirect: there is no port {port}")))?;
            redirect.with_port(port).map_err(invalid)
        }
    }
}

fn scheme(proto: &pb::RedirectAction) -> Result<RedirectScheme, Reject> {
    match &proto.scheme_rewrite_specifier {
        None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => Ok(RedirectScheme::Same),
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Ok(RedirectScheme::Https),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => match scheme.to_ascii_lowercase().as_str() {
            "" => Ok(RedirectScheme::Same),
            "http" => Ok(RedirectScheme::Http),
            "https" => Ok(RedirectScheme::Https),
            _ => Err(Reject::Resource(format!(
                "redirect.scheme_redirect: '{scheme}' is neither http nor https"
            ))),
        },
    }
}

fn path(proto: &pb::RedirectAction) -> Result<RedirectPath, Reject> {
    let invalid = |error: InvalidField| Reject::Resource(error.to_string());
    Ok(match &proto.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
            RedirectPath::to(path).map_err(invalid)?
        }
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) if !prefix.is_empty() => {
            RedirectPath::rewritten(PathRewrite::prefix(prefix).map_err(invalid)?)
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            let (pattern, replacement) = text_match::substitution(rewrite)?;
            let rewrite = PathRewrite::regex(pattern, replacement);
            RedirectPath::rewritten(rewrite.map_err(|error| text_match::bad_regex(pattern, &error))?)
        }
        Some(PathRewriteSpecifier::PathRewrite(path)) if !path.is_empty() => {
            return Err(unsupported_field("redirect", "path_rewrite"));
        }
        _ => RedirectPath::default(),
    })
}
