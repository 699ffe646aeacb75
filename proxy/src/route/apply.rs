//! What a route that was found makes of its request before it is sent, and of the response before its client gets it.

use http::header::{HeaderMap, HeaderValue, SET_COOKIE, UPGRADE};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;

use super::format::Context;
use super::headers::{Levels, Needs};
use super::{Forward, Found, HeaderMutations, hash};
use crate::body::Body;
use crate::connection::Peer;
use crate::error::{Error, Kind};

/// What has to be done to the response, with what that needs of a request that is gone by then.
pub(crate) struct ResponseEdits {
    route: HeaderMutations,
    levels: Levels,
    set_cookie: Option<HeaderValue>,
    method: Method,
    uri: Uri,
    version: Version,
    client: Option<HeaderValue>,
    fields: HeaderMap,
}

/// Turns a request into what its upstream gets. Gives what its hash is.
pub(crate) fn to_request(
    found: &Found,
    forward: &Forward,
    peer: &Peer,
    request: &mut Request<Body>,
) -> Result<hash::Hashed, Error> {
    let hashed = hash::of(&forward.hash, request, found.client(peer));
    // As in Envoy the share of a split comes first, whole, and the route has the last word.
    if found.host.is_some() || !found.levels.share.is_empty() {
        change_fields(found, peer, request, |fields, context| {
            found.levels.apply_share_to_request(fields, context);
        });
    }
    if let Some(host) = &found.host {
        host.apply(request);
    }
    change_fields(found, peer, request, |fields, context| {
        found
            .levels
            .apply_to_request(&found.route.headers, fields, context);
    });
    // The host may be made of the path as it came in; the path then changes.
    forward.host.apply(request);
    forward
        .path
        .apply(request, &found.route.matcher.path, &peer.http().path)?;
    Ok(hashed)
}

/// What is left to do to the response of a request that is answered here or forwarded; mostly nothing.
pub(crate) fn response_edits(
    found: &Found,
    peer: &Peer,
    request: &Request<Body>,
    set_cookie: Option<HeaderValue>,
) -> Option<Box<ResponseEdits>> {
    let (route, client) = (&found.route.headers, found.client(peer));
    edits(route, &found.levels, client, request, set_cookie)
}

fn edits(
    route: &HeaderMutations,
    levels: &Levels,
    client: Option<&HeaderValue>,
    request: &Request<Body>,
    set_cookie: Option<HeaderValue>,
) -> Option<Box<ResponseEdits>> {
    let needs = levels.response_needs(route);
    if needs == Needs::Nothing && set_cookie.is_none() {
        return None;
    }
    Some(Box::new(ResponseEdits {
        route: route.clone(),
        levels: levels.clone(),
        set_cookie,
        method: request.method().clone(),
        uri: request.uri().clone(),
        version: request.version(),
        client: client.cloned(),
        fields: match needs {
            Needs::RequestFields => request.headers().clone(),
            Needs::Nothing | Needs::Context => HeaderMap::new(),
        },
    }))
}

/// Refuses what the route does not take, before anything is done for it, and binds its body to what the route takes.
pub(crate) fn within_limits(
    forward: &Forward,
    peer: &Peer,
    request: &mut Request<Body>,
) -> Result<(), Error> {
    if let Some(bytes_max) = forward.limits.head_bytes_max
        && head_bytes(request) > bytes_max
    {
        return Err(Error::new(Kind::HeadTooLarge));
    }
    if let Some(upgrade) = request.headers().get(UPGRADE)
        && !forward
            .upgrades
            .allow(upgrade.as_bytes(), &peer.http().upgrades_by_route)
    {
        return Err(Error::new(Kind::UpgradeRefused));
    }
    if let Some(bytes_max) = forward.limits.body_bytes_max {
        if request.body().size_hint().lower() > bytes_max {
            return Err(Error::new(Kind::BodyTooLarge));
        }
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = body.at_most(bytes_max);
    }
    Ok(())
}

fn head_bytes(request: &Request<Body>) -> usize {
    let target = request.uri().path_and_query();
    let fields = request.headers().iter();
    target.map_or(0, |target| target.as_str().len())
        + fields
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
}

fn change_fields(
    found: &Found,
    peer: &Peer,
    request: &mut Request<Body>,
    change: impl FnOnce(&mut HeaderMap, &Context<'_>),
) {
    let mut fields = std::mem::take(request.headers_mut());
    let context = Context {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        client: found.client(peer),
    };
    change(&mut fields, &context);
    *request.headers_mut() = fields;
}

impl ResponseEdits {
    /// Changes a request's fields as a filter says. Gives what is left to do to the response, if anything.
    pub(crate) fn of_filter(
        mutations: &HeaderMutations,
        client: Option<&HeaderValue>,
        request: &mut Request<Body>,
    ) -> Option<Box<Self>> {
        let levels = Levels::default();
        let mut fields = std::mem::take(request.headers_mut());
        let context = Context {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            client,
        };
        levels.apply_to_request(mutations, &mut fields, &context);
        *request.headers_mut() = fields;
        edits(mutations, &levels, client, request, None)
    }

    /// Changes the response's fields.
    pub(crate) fn apply(&self, response: &mut Response<Body>) {
        let context = Context {
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            client: self.client.as_ref(),
        };
        let fields = response.headers_mut();
        self.levels
            .apply_to_response(&self.route, fields, &context, &self.fields);
        if let Some(cookie) = &self.set_cookie {
            fields.append(SET_COOKIE, cookie.clone());
        }
    }
}
