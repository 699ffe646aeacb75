//! What a route makes of a request's path and host before it is sent.
//!
//! ```
//! use tidegate_proxy::normalize::path::PathPolicy;
//! use tidegate_proxy::route::{PathMatch, PathRewrite};
//!
//! // The upstream does not know that it is mounted below `/api/`.
//! let rewrite = PathRewrite::prefix("/")?;
//! let path = rewrite.path("/api/users", &PathMatch::prefix("/api/"), &PathPolicy::default())?;
//! assert_eq!(path.as_deref(), Some("/users"));
//! assert!(PathRewrite::prefix("users").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;

use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Uri};

use super::PathMatch;
use super::{InvalidField, Substitution};
use crate::config::limits;
use crate::error::Error;
use crate::normalize::host::Host;
use crate::normalize::path::{self, PathPolicy};

/// What becomes of a path; the query stays. The default leaves it alone.
///
/// Whatever comes out is normalised again as the listener says: putting two harmless parts together can make a `..`.
#[derive(Clone, Debug, Default)]
pub struct PathRewrite(Kind);

/// What a [`PathRewrite`] does; for explanations and for other data planes.
#[derive(Clone, Copy, Debug)]
pub enum PathRewriteRule<'a> {
    /// Nothing.
    None,
    /// [`PathRewrite::prefix`].
    Prefix(&'a str),
    /// [`PathRewrite::whole`].
    Whole(&'a str),
    /// [`PathRewrite::regex`].
    Regex(&'a Substitution),
}

/// What a [`HostRewrite`] does; for explanations and for other data planes.
#[derive(Clone, Copy, Debug)]
pub enum HostRewriteRule<'a> {
    /// Nothing.
    None,
    /// [`HostRewrite::literal`].
    Literal(&'a HeaderValue),
    /// [`HostRewrite::header`].
    Header(&'a HeaderName),
    /// [`HostRewrite::path_regex`].
    PathRegex(&'a Substitution),
    /// [`HostRewrite::endpoint`].
    Endpoint,
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    None,
    Prefix(Box<str>),
    Whole(Box<str>),
    Regex(Box<Substitution>),
}

/// What becomes of the host. The default leaves it alone.
#[derive(Clone, Debug, Default)]
pub struct HostRewrite {
    kind: HostKind,
    original: Original,
}

#[derive(Clone, Debug, Default)]
enum HostKind {
    #[default]
    None,
    Literal(HeaderValue),
    Header(HeaderName),
    PathRegex(Box<Substitution>),
    Endpoint,
}

/// Whether the upstream is told the host that was rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Original {
    /// It is not.
    #[default]
    Dropped,
    /// It is, in `X-Forwarded-Host`.
    Forwarded,
}

impl PathRewrite {
    /// Replaces what the route's condition on the path matched: a prefix, or the whole path for an exact one.
    ///
    /// # Errors
    /// When the replacement does not start with `/`, or no path can have it.
    pub fn prefix(replacement: &str) -> Result<Self, InvalidField> {
        literal("path prefix rewrite", replacement)?;
        Ok(Self(Kind::Prefix(replacement.into())))
    }

    /// Replaces the whole path.
    ///
    /// # Errors
    /// As [`PathRewrite::prefix`].
    pub fn whole(replacement: &str) -> Result<Self, InvalidField> {
        literal("path rewrite", replacement)?;
        Ok(Self(Kind::Whole(replacement.into())))
    }

    /// Replaces each match of a regular expression in the path, see [`Substitution`].
    ///
    /// # Errors
    /// As [`Substitution::new`].
    pub fn regex(pattern: &str, replacement: &str) -> Result<Self, InvalidField> {
        let substitution = Substitution::new("path regex rewrite", pattern, replacement)?;
        Ok(Self(Kind::Regex(Box::new(substitution))))
    }

    /// What it does.
    #[must_use]
    pub fn rule(&self) -> PathRewriteRule<'_> {
        match &self.0 {
            Kind::None => PathRewriteRule::None,
            Kind::Prefix(prefix) => PathRewriteRule::Prefix(prefix),
            Kind::Whole(whole) => PathRewriteRule::Whole(whole),
            Kind::Regex(substitution) => PathRewriteRule::Regex(substitution),
        }
    }

    /// Whether it leaves every path alone.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// The new path of a request whose path `matcher` took; `None` where it stays.
    ///
    /// # Errors
    /// [`Kind::RewriteFailed`](crate::error::Kind::RewriteFailed) when no valid path comes out.
    pub fn path(
        &self,
        path: &str,
        matcher: &PathMatch,
        policy: &PathPolicy,
    ) -> Result<Option<String>, Error> {
        let bad = |why: &'static str| Error::new(crate::error::Kind::RewriteFailed).with_detail(why);
        let rewritten = match &self.0 {
            Kind::None => return Ok(None),
            Kind::Whole(whole) => whole.to_string(),
            Kind::Prefix(prefix) => {
                let rest = path.get(matcher.matched_bytes(path)..).unwrap_or_default();
                format!("{prefix}{rest}")
            }
            Kind::Regex(substitution) => {
                let result = substitution.apply(path.as_bytes(), limits::REQUEST_TARGET_BYTES_MAX);
                match result.ok_or_else(|| bad("the rewritten path is too long"))? {
                    Cow::Borrowed(_) => return Ok(None),
                    Cow::Owned(bytes) => {
                        String::from_utf8(bytes).map_err(|_| bad("the rewritten path is not UTF-8"))?
                    }
                }
            }
        };
        if !rewritten.starts_with('/') {
            return Err(bad("the rewritten path does not start with '/'"));
        }
        let settled = path::normalize(&rewritten, policy).map_err(bad)?;
        Ok(Some(settled.map_or(rewritten, |settled| settled.path)))
    }

    /// Rewrites the request's target.
    pub(crate) fn apply<B>(
        &self,
        request: &mut Request<B>,
        matcher: &PathMatch,
        policy: &PathPolicy,
    ) -> Result<(), Error> {
        if let Some(path) = self.path(request.uri().path(), matcher, policy)? {
            *request.uri_mut() = with_path(request.uri(), &path)
                .ok_or_else(|| Error::new(crate::error::Kind::RewriteFailed))?;
        }
        Ok(())
    }
}

impl HostRewrite {
    /// This host, with a port if it has one.
    ///
    /// # Errors
    /// When it is no valid host.
    pub fn literal(host: &str) -> Result<Self, InvalidField> {
        let invalid = |why: &'static str| InvalidField::new("host rewrite", host, why);
        Host::parse(host.as_bytes()).map_err(invalid)?;
        let value = HeaderValue::from_str(host).map_err(|_| invalid("it is not a valid field value"))?;
        Ok(Self::of(HostKind::Literal(value)))
    }

    /// The host that this field of the request names; without the field, or with one that is no host, it stays.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::of(HostKind::Header(name))
    }

    /// What a regular expression makes of the path; where that is no host, it stays.
    ///
    /// # Errors
    /// As [`Substitution::new`].
    pub fn path_regex(pattern: &str, replacement: &str) -> Result<Self, InvalidField> {
        let substitution = Substitution::new("host path regex rewrite", pattern, replacement)?;
        Ok(Self::of(HostKind::PathRegex(Box::new(substitution))))
    }

    /// The host name of the endpoint that is chosen; of one that has none but its address, it stays.
    #[must_use]
    pub fn endpoint() -> Self {
        Self::of(HostKind::Endpoint)
    }

    /// The same, with the original in `X-Forwarded-Host`.
    #[must_use]
    pub fn keeping_original(self) -> Self {
        Self {
            original: Original::Forwarded,
            ..self
        }
    }

    /// What it does.
    #[must_use]
    pub fn rule(&self) -> HostRewriteRule<'_> {
        match &self.kind {
            HostKind::None => HostRewriteRule::None,
            HostKind::Literal(host) => HostRewriteRule::Literal(host),
            HostKind::Header(name) => HostRewriteRule::Header(name),
            HostKind::PathRegex(substitution) => HostRewriteRule::PathRegex(substitution),
            HostKind::Endpoint => HostRewriteRule::Endpoint,
        }
    }

    /// Whether the upstream is told the original: [`HostRewrite::keeping_original`].
    #[must_use]
    pub fn original(&self) -> Original {
        self.original
    }

    fn of(kind: HostKind) -> Self {
        Self {
            kind,
            original: Original::Dropped,
        }
    }

    /// Rewrites the request's `Host`; [`HostRewrite::endpoint`] only leaves word for [`to_endpoint`].
    pub(crate) fn apply<B>(&self, request: &mut Request<B>) {
        let host = match &self.kind {
            HostKind::None => return,
            HostKind::Endpoint => {
                if let (Original::Forwarded, Some(host)) =
                    (self.original, request.headers().get(HOST).cloned())
                {
                    request.headers_mut().append(X_FORWARDED_HOST, host);
                }
                request.extensions_mut().insert(OfEndpoint { told: None });
                return;
            }
            HostKind::Literal(host) => Some(host.clone()),
            HostKind::Header(name) => request.headers().get(name).cloned(),
            HostKind::PathRegex(substitution) => {
                let host =
                    substitution.apply(request.uri().path().as_bytes(), limits::REQUEST_TARGET_BYTES_MAX);
                host.and_then(|host| HeaderValue::from_bytes(&host).ok())
            }
        };
        let valid = host.filter(|host| Host::parse(host.as_bytes()).is_ok());
        if let Some(host) = valid {
            self.set(request, host);
        }
    }

    /// Makes `host` the request's host.
    fn set<B>(&self, request: &mut Request<B>, host: HeaderValue) {
        let original = request.headers_mut().insert(HOST, host);
        if let (Original::Forwarded, Some(original)) = (self.original, original) {
            request.headers_mut().append(X_FORWARDED_HOST, original);
        }
    }
}

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// In the extensions of a request whose host becomes the one of whatever endpoint it is sent to.
#[derive(Clone, Debug)]
struct OfEndpoint {
    /// The field that tells an upstream the host before.
    told: Option<HeaderName>,
}

/// Has the host before be told in this field, where it becomes an endpoint's.
pub(crate) fn tell_before_endpoint<B>(request: &mut Request<B>, name: &HeaderName) {
    if let Some(of_endpoint) = request.extensions_mut().get_mut::<OfEndpoint>() {
        of_endpoint.told = Some(name.clone());
    }
}

/// Gives a request the host of the endpoint that was chosen for a try, where its route says so.
pub(crate) fn to_endpoint<B>(request: &mut Request<B>, hostname: Option<&str>) {
    let Some(OfEndpoint { told }) = request.extensions().get().cloned() else {
        return;
    };
    let Some(host) = hostname.and_then(|hostname| HeaderValue::from_str(hostname).ok()) else {
        return;
    };
    let headers = request.headers_mut();
    let before = headers.insert(HOST, host.clone());
    if let (Some(name), Some(before)) = (told, before)
        && before != host
    {
        headers.insert(name, before);
    }
}

/// The target with another path.
pub(crate) fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    target.ok().map(Uri::from)
}

fn literal(field: &'static str, path: &str) -> Result<(), InvalidField> {
    let reason = if !path.starts_with('/') {
        "it has to start with '/'"
    } else if path.contains(['?', '#']) {
        "it must not have a query or a fragment"
    } else if let Err(why) = path::normalize(path, &PathPolicy::default()) {
        why
    } else if PathAndQuery::try_from(path).is_err() {
        "it has a character that no path has"
    } else {
        return Ok(());
    };
    Err(InvalidField::new(field, path, reason))
}

#[cfg(test)]
mod tests;
