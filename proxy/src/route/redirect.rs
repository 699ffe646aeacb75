//! Where a route sends a client instead of serving it.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::route::{Domain, Redirect, Route, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = VirtualHost::new("all", [Domain::Any], [Route::redirect(Redirect::to_https())]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! let request = Request::get("http://a.example/path?query").body(Body::empty())?;
//! let response = proxy.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
//! assert_eq!(response.headers()["location"], "https://a.example/path?query");
//! # Ok(()) }
//! ```

use http::header::HeaderValue;
use http::{HeaderName, Request, StatusCode};

use super::PathMatch;
use super::{InvalidField, PathRewrite};
use crate::error::{Error, Kind};
use crate::normalize::host::Host;
use crate::normalize::path::PathPolicy;

/// A redirect: what differs from the URL that the client asked for.
#[derive(Clone, Debug, Default)]
pub struct Redirect {
    /// The status. Default: 301.
    pub status: RedirectStatus,
    /// The scheme. Default: the client's.
    pub scheme: RedirectScheme,
    /// What the path becomes; the query stays behind it.
    pub path: RedirectPath,
    /// Whether the query goes along. One in [`RedirectPath::to`] does in any case.
    pub query: RedirectQuery,
    host: Option<Box<str>>,
    port: Option<u16>,
}

/// The statuses that send a client elsewhere (RFC 9110 §15.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectStatus {
    /// 301.
    #[default]
    MovedPermanently,
    /// 302.
    Found,
    /// 303.
    SeeOther,
    /// 307.
    TemporaryRedirect,
    /// 308.
    PermanentRedirect,
}

/// The scheme that a client is sent to. Where it changes, a port that is the default of the old scheme goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectScheme {
    /// The one it came by.
    #[default]
    Same,
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// Whether the query goes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectQuery {
    /// It does.
    #[default]
    Keep,
    /// It is left out.
    Strip,
}

/// The path that a client is sent to. The default is the one it asked for.
#[derive(Clone, Debug, Default)]
pub struct RedirectPath(Place);

/// What a [`RedirectPath`] does; for explanations and for other data planes.
#[derive(Clone, Copy, Debug)]
pub enum RedirectPathRule<'a> {
    /// Nothing.
    Same,
    /// [`RedirectPath::to`].
    To(&'a str),
    /// [`RedirectPath::rewritten`].
    Rewritten(&'a PathRewrite),
}

#[derive(Clone, Debug, Default)]
enum Place {
    #[default]
    Same,
    To(Box<str>),
    Rewritten(PathRewrite),
}

impl RedirectPath {
    /// This path, which may have a query of its own: that one then replaces the client's.
    ///
    /// # Errors
    /// When it does not start with `/`, or has a character that no URL has.
    pub fn to(target: &str) -> Result<Self, InvalidField> {
        let reason = if !target.starts_with('/') {
            "it has to start with '/'"
        } else if http::uri::PathAndQuery::try_from(target).is_err() || target.contains('#') {
            "it has a character that no path has"
        } else {
            return Ok(Self(Place::To(target.into())));
        };
        Err(InvalidField::new("redirect path", target, reason))
    }

    /// What a rewrite makes of the path.
    #[must_use]
    pub fn rewritten(rewrite: PathRewrite) -> Self {
        Self(Place::Rewritten(rewrite))
    }
}

impl RedirectPath {
    /// What it does.
    #[must_use]
    pub fn rule(&self) -> RedirectPathRule<'_> {
        match &self.0 {
            Place::Same => RedirectPathRule::Same,
            Place::To(target) => RedirectPathRule::To(target),
            Place::Rewritten(rewrite) => RedirectPathRule::Rewritten(rewrite),
        }
    }
}

impl RedirectStatus {
    /// The status code.
    #[must_use]
    pub fn code(self) -> StatusCode {
        match self {
            Self::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            Self::Found => StatusCode::FOUND,
            Self::SeeOther => StatusCode::SEE_OTHER,
            Self::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
            Self::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
        }
    }
}

impl Redirect {
    /// Sends clients to `https`, everything else as it was.
    #[must_use]
    pub fn to_https() -> Self {
        Self {
            scheme: RedirectScheme::Https,
            ..Self::default()
        }
    }

    /// The same with another host, which replaces the client's port too.
    ///
    /// # Errors
    /// When it is no valid host.
    pub fn with_host(self, host: &str) -> Result<Self, InvalidField> {
        Host::parse(host.as_bytes()).map_err(|why| InvalidField::new("redirect host", host, why))?;
        Ok(Self {
            host: Some(host.into()),
            ..self
        })
    }

    /// The same with another port.
    ///
    /// # Errors
    /// For port 0.
    pub fn with_port(self, port: u16) -> Result<Self, InvalidField> {
        if port == 0 {
            return Err(InvalidField::new("redirect port", "0", "there is no such port"));
        }
        Ok(Self {
            port: Some(port),
            ..self
        })
    }

    /// The host that replaces the client's.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port that replaces the client's.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The URL that the client of a normalised request is sent to.
    pub(crate) fn location<B>(
        &self,
        request: &Request<B>,
        matcher: &PathMatch,
        policy: &PathPolicy,
    ) -> Result<HeaderValue, Error> {
        let came_by = match request.headers().get(X_FORWARDED_PROTO) {
            Some(proto) if proto == "https" => "https",
            _ => "http",
        };
        let scheme = match self.scheme {
            RedirectScheme::Same => came_by,
            RedirectScheme::Http => "http",
            RedirectScheme::Https => "https",
        };
        let host = request.headers().get(http::header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = match &self.host {
            Some(host) => host,
            None => self.without_stale_port(host, came_by, scheme),
        };
        let mut location = format!("{scheme}://{host}");
        if let Some(port) = self.port {
            location.push_str(&format!(":{port}"));
        }
        self.push_target(request, matcher, policy, &mut location)?;
        HeaderValue::try_from(location).map_err(|_| Error::new(Kind::RewriteFailed))
    }

    /// The client's host; its port goes where it is replaced, or was the default of a scheme that is left.
    fn without_stale_port<'a>(&self, host: &'a str, came_by: &str, scheme: &str) -> &'a str {
        let after_name = host.rfind(']').unwrap_or(0);
        let colon = host.get(after_name..).and_then(|rest| rest.find(':'));
        let Some((name, port)) = colon.and_then(|colon| host.split_at_checked(after_name + colon)) else {
            return host;
        };
        let default = if came_by == "https" { ":443" } else { ":80" };
        let stale = self.port.is_some() || scheme != came_by && port == default;
        if stale { name } else { host }
    }

    fn push_target<B>(
        &self,
        request: &Request<B>,
        matcher: &PathMatch,
        policy: &PathPolicy,
        location: &mut String,
    ) -> Result<(), Error> {
        let uri = request.uri();
        match &self.path.0 {
            Place::Same => location.push_str(uri.path()),
            Place::To(target) => {
                location.push_str(target);
                if target.contains('?') {
                    return Ok(());
                }
            }
            Place::Rewritten(rewrite) => match rewrite.path(uri.path(), matcher, policy)? {
                Some(path) => location.push_str(&path),
                None => location.push_str(uri.path()),
            },
        }
        if let (RedirectQuery::Keep, Some(query)) = (self.query, uri.query()) {
            location.push('?');
            location.push_str(query);
        }
        Ok(())
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "/a/b?q=1";

    fn location(redirect: &Redirect, host: &str, proto: &str, matcher: &PathMatch) -> String {
        let request = Request::builder()
            .uri(URL)
            .header("host", host)
            .header("x-forwarded-proto", proto)
            .body(())
            .unwrap();
        let location = redirect.location(&request, matcher, &PathPolicy::default());
        location.unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn ports_that_were_a_scheme_s_default_go_with_it() {
        let check = |redirect: Redirect, host: &str, proto: &str, expected: &str| {
            let found = location(&redirect, host, proto, &PathMatch::default());
            assert_eq!(found, format!("{expected}{URL}"), "{redirect:?} {host} {proto}");
        };
        check(Redirect::to_https(), "a", "http", "https://a");
        check(Redirect::to_https(), "a:80", "http", "https://a");
        check(Redirect::to_https(), "a:8080", "http", "https://a:8080");
        check(Redirect::to_https(), "a:443", "http", "https://a:443");
        check(Redirect::to_https(), "[::1]:80", "http", "https://[::1]");
        check(Redirect::to_https(), "[::1]", "http", "https://[::1]");
        check(Redirect::to_https(), "a:443", "https", "https://a:443");
        let to_http = Redirect {
            scheme: RedirectScheme::Http,
            ..Redirect::default()
        };
        check(to_http, "a:443", "https", "http://a");
        check(
            Redirect::default().with_port(8443).unwrap(),
            "a:80",
            "http",
            "http://a:8443",
        );
        check(
            Redirect::to_https().with_host("b:1").unwrap(),
            "a:80",
            "http",
            "https://b:1",
        );
        let both = Redirect::default().with_host("b").unwrap().with_port(81).unwrap();
        check(both, "a", "https", "https://b:81");
    }

    #[test]
    fn the_path_and_the_query_are_what_the_redirect_says() {
        let check = |path: RedirectPath, query: RedirectQuery, matcher: &PathMatch, expected: &str| {
            let redirect = Redirect {
                path,
                query,
                ..Redirect::default()
            };
            assert_eq!(
                location(&redirect, "h", "http", matcher),
                format!("http://h{expected}")
            );
        };
        let (keep, strip) = (RedirectQuery::Keep, RedirectQuery::Strip);
        let any = PathMatch::default();
        let to = |target| RedirectPath::to(target).unwrap();
        check(RedirectPath::default(), keep, &any, "/a/b?q=1");
        check(RedirectPath::default(), strip, &any, "/a/b");
        check(to("/new"), keep, &any, "/new?q=1");
        check(to("/new"), strip, &any, "/new");
        check(to("/new?x=2"), strip, &any, "/new?x=2");
        check(to("/new?x=2"), keep, &any, "/new?x=2");
        let prefix = || RedirectPath::rewritten(PathRewrite::prefix("/z").unwrap());
        check(prefix(), keep, &PathMatch::prefix("/a"), "/z/b?q=1");
        check(prefix(), strip, &PathMatch::exact("/a/b"), "/z");
        let regex = RedirectPath::rewritten(PathRewrite::regex("^/(.)/(.)$", r"/\2/\1").unwrap());
        check(regex, keep, &any, "/b/a?q=1");
    }

    #[test]
    fn a_redirect_that_leads_nowhere_is_refused() {
        assert_eq!(RedirectPath::to("x").unwrap_err().field(), "redirect path");
        assert!(RedirectPath::to("/a b").is_err());
        assert!(RedirectPath::to("/a\r\nx: y").is_err());
        assert_eq!(
            Redirect::default().with_host("a/b").unwrap_err().field(),
            "redirect host"
        );
        assert_eq!(
            Redirect::default().with_port(0).unwrap_err().field(),
            "redirect port"
        );
    }
}
