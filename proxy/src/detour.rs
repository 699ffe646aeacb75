//! Which redirects of an upstream are followed here, in the place of the client, and to where?

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, LOCATION, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};

use crate::attempt::replay::Upload;
use crate::body::Body;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::connection::{Peer, Scheme};
use crate::normalize;
use crate::normalize::host::Host;
use crate::normalize::path::Redirect;
use crate::observe::record;
use crate::route::policy::{FollowRedirects, Repeat, Schemes};
use crate::route::{self, Chosen, Found};
use crate::worker::Worker;

/// The redirects that a request has been through.
#[derive(Default)]
pub(crate) struct Trail {
    hops: u32,
    /// From which route to which one; for those that may not come back.
    taken: Vec<(Name, Name)>,
}

/// What a route is called.
type Name = Option<Arc<str>>;

/// A request as it is sent, for another one where its response redirects it.
pub(crate) struct Kept {
    head: Parts,
    upload: Option<Upload>,
}

/// Where a redirect leads.
pub(crate) struct Detour {
    pub(crate) request: Box<Request<Body>>,
    pub(crate) found: Found,
}

impl Kept {
    /// Keeps what `request` needs to be sent elsewhere: of a body as much as of one for a retry.
    pub(crate) fn of(worker: &Worker, request: &mut Request<Body>) -> Self {
        let budget = worker.config.overload().buffered();
        let upload = Upload::of(request, limits::RETRY_BODY_BYTES_MAX, budget);
        let (mut head, ()) = Request::new(()).into_parts();
        head.method.clone_from(request.method());
        head.uri.clone_from(request.uri());
        head.version = request.version();
        head.headers.clone_from(request.headers());
        // Nothing else goes along: what the route has left word of for its endpoints is no matter of the next one.
        record::carry(request.extensions(), &mut head.extensions);
        if let Some(interim) = Interim::of(request).cloned() {
            head.extensions.insert(interim);
        }
        Self {
            head,
            upload: upload.map(|(upload, _ended)| upload),
        }
    }

    /// The request that `response` asks for, where its route follows that; else the response is the client's.
    pub(crate) fn detour(
        self,
        worker: &Worker,
        peer: &Peer,
        found: &Found,
        response: &Response<Body>,
        trail: &mut Trail,
    ) -> Option<Detour> {
        let policy = found.route.policy.as_deref()?.redirects.as_deref()?;
        let detour = self.follow(worker, peer, (found, policy), response, trail);
        if detour.is_none()
            && let Some(upload) = &self.upload
        {
            upload.settle();
        }
        detour
    }

    fn follow(
        &self,
        worker: &Worker,
        peer: &Peer,
        (found, policy): (&Found, &FollowRedirects),
        response: &Response<Body>,
        trail: &mut Trail,
    ) -> Option<Detour> {
        if !policy.statuses.contains(&response.status()) || trail.hops >= policy.hops_max {
            return None;
        }
        let target = target(response, peer.scheme(), policy.schemes)?;
        let mut request = Request::from_parts(self.head.clone(), Body::empty());
        if let Some(name) = &policy.told_by {
            let url = self.url(peer.scheme());
            request.headers_mut().insert(name, url?);
        }
        let authority = HeaderValue::from_str(target.authority()?.as_str()).ok()?;
        let host = Host::parse(authority.as_bytes()).ok()?;
        if peer.is_misdirected(host.name()) {
            return None;
        }
        request.headers_mut().insert(HOST, authority);
        let manners = peer.http().manners.as_deref();
        if let Some(time_left) = manners.and_then(|manners| manners.time_left.as_ref()) {
            request.headers_mut().remove(time_left);
        }
        *request.uri_mut() = target;
        let normalized = normalize::normalize_path(&mut request, &peer.http().path);
        if !matches!(normalized, Ok(Redirect::No)) {
            return None;
        }
        self.bring_body(response.status(), &mut request)?;
        let snapshot = worker.config.load();
        let mut next = route::find(&snapshot, &peer.http().route_table, &host, &request)?;
        if matches!(next.chosen, Chosen::Missing) || !trail.takes(policy, found, &next) {
            return None;
        }
        next.client.clone_from(&found.client);
        next.again = true;
        Some(Detour {
            request: Box::new(request),
            found: next,
        })
    }

    /// RFC 9110 §15.4.4: what 303 leads to is got. All others are asked as before.
    fn bring_body(&self, status: StatusCode, request: &mut Request<Body>) -> Option<()> {
        let gets = matches!(*request.method(), Method::GET | Method::HEAD);
        if status == StatusCode::SEE_OTHER && !gets {
            *request.method_mut() = Method::GET;
            for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
                request.headers_mut().remove(name);
            }
        } else if let Some(upload) = &self.upload {
            *request.body_mut() = upload.again()?;
        }
        Some(())
    }

    fn url(&self, scheme: Scheme) -> Option<HeaderValue> {
        let scheme: &[u8] = match scheme {
            Scheme::Http => b"http://",
            Scheme::Https => b"https://",
        };
        let path = self.head.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.head.headers.get(HOST)?.as_bytes();
        HeaderValue::from_bytes(&[scheme, host, path.as_bytes()].concat()).ok()
    }
}

impl Trail {
    /// Whether one more may be taken, which it is then.
    fn takes(&mut self, policy: &FollowRedirects, from: &Found, to: &Found) -> bool {
        let named = |names: &[Box<str>]| {
            let name = to.route.name.as_deref().unwrap_or_default();
            names.iter().any(|allowed| **allowed == *name)
        };
        if !policy.routes.as_deref().is_none_or(named) {
            return false;
        }
        if policy.repeat == Repeat::Refused {
            let step = (from.route.name.clone(), to.route.name.clone());
            if self.taken.contains(&step) {
                return false;
            }
            self.taken.push(step);
        }
        self.hops += 1;
        true
    }
}

/// The absolute URL that a response names, where its scheme may be followed by a client that came by `scheme`.
fn target(response: &Response<Body>, scheme: Scheme, schemes: Schemes) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?;
    let target = Uri::try_from(location.as_bytes()).ok()?;
    let other = match target.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let fits = match schemes {
        Schemes::Same => other == scheme,
        Schemes::NoBetter => other == scheme || other == Scheme::Http,
        Schemes::Any => true,
    };
    fits.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_urls_of_a_scheme_that_fits_are_followed() {
        let check = |location: &str, scheme, schemes, expected: bool| {
            let response = Response::builder().header(LOCATION, location);
            let response = response.body(Body::empty()).unwrap();
            let found = target(&response, scheme, schemes);
            assert_eq!(found.is_some(), expected, "{location} {scheme:?} {schemes:?}");
        };
        check("http://a/b", Scheme::Http, Schemes::Same, true);
        check("https://a/b", Scheme::Http, Schemes::Same, false);
        check("https://a/b", Scheme::Http, Schemes::NoBetter, false);
        check("http://a/b", Scheme::Https, Schemes::NoBetter, true);
        check("https://a/b", Scheme::Http, Schemes::Any, true);
        check("/b", Scheme::Http, Schemes::Any, false);
        check("ftp://a/b", Scheme::Http, Schemes::Any, false);
        check("//a/b", Scheme::Http, Schemes::Any, false);
    }
}
