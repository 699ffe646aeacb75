//! The life of one request, top to bottom. The first file to read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode, Version};
use tower::{Service, ServiceExt};

use crate::attempt::Errand;
use crate::body::Body;
use crate::clock;
use crate::config::manners::Before;
use crate::connection::{Patience, Peer};
use crate::detour::{Detour, Kept, Trail};
use crate::error::{Error, Kind};
use crate::filter::{self, Passed};
use crate::layers::Layers;
use crate::mirror;
use crate::normalize::{self, path};
use crate::observe::Observation;
use crate::observe::counts::one;
use crate::pool;
use crate::respond::{self, Dialect};
use crate::route::{self, Action, Chosen, Forward, Found, Redirect, apply};
use crate::upstream::{Target, Upstream};
use crate::worker::Worker;

mod longest;
mod room;

use longest::Longest;
pub(crate) use room::{Boxed, Inline, Room};

/// A request that has arrived, and what is known of it by then: where it goes, or why it goes nowhere.
///
/// Whatever goes wrong on its way becomes a response, and everything is accounted for, also when this is dropped because the
/// client left. What became of the request is known when its response has ended, so the [`Observation`] leaves in the
/// response's body, outside of every layer.
pub(crate) struct Arrival<'a> {
    worker: &'a Arc<Worker>,
    peer: &'a Arc<Peer>,
    observation: Observation,
    found: Found,
    passed: Passed,
    longest: Option<Longest>,
    version: Version,
    dialect: Dialect,
}

/// A request that may be followed, or why not. Boxed, as thousands may wait, and each is handed on by value many times.
pub(crate) type Prepared = Result<Box<Request<Body>>, Box<Error>>;

/// Answers a request. By `patience` the codec may end it before: that is an error like any other.
pub(crate) fn handle<'a>(
    worker: &'a Arc<Worker>,
    peer: &'a Arc<Peer>,
    patience: &'a Patience,
    request: Box<Request<Body>>,
) -> impl Future<Output = Response<Body>> + Send + 'a {
    // An async fn would hold it twice.
    let (mut arrival, prepared) = Arrival::of(worker, peer, request);
    async move {
        let followed = arrival.follow::<Inline>(patience, prepared).await;
        arrival.answer(followed)
    }
}

impl<'a> Arrival<'a> {
    /// Takes a request up and finds its route. Nothing is awaited here: whoever makes a future of the rest can have it as large
    /// as what is to be done needs it.
    pub(crate) fn of(
        worker: &'a Arc<Worker>,
        peer: &'a Arc<Peer>,
        mut request: Box<Request<Body>>,
    ) -> (Self, Prepared) {
        let mut observation = Observation::begin(&worker.metrics, peer, &mut request);
        let (version, dialect) = (request.version(), Dialect::of(request.headers()));
        let found = observation
            .admit()
            .and_then(|()| prepare(worker, peer, &observation, &mut request));
        let (found, prepared) = match found {
            Ok(found) => (found, Ok(request)),
            Err(error) => (Found::nowhere(), Err(Box::new(error))),
        };
        let arrival = Self {
            worker,
            peer,
            observation,
            found,
            passed: Passed::default(),
            longest: None,
            version,
            dialect,
        };
        (arrival, prepared)
    }

    /// Whether it goes through layers, in whose boxes it may wait for long.
    pub(crate) fn has_layers(&self) -> bool {
        layers_of(&self.found).is_some()
    }

    /// The response that it leads to, or why there is none.
    pub(crate) async fn follow<R: Room>(
        &mut self,
        patience: &Patience,
        prepared: Prepared,
    ) -> Result<Response<Body>, Error> {
        let mut request = prepared.map_err(|error| *error)?;
        be_patient(&self.found, patience, &mut request);
        self.longest = Longest::of(&self.found, self.peer, &mut request);
        let (found, passed) = (&mut self.found, &mut self.passed);
        let following = pin!(follow::<R>(
            self.worker,
            (self.peer, patience),
            (found, passed),
            request
        ));
        match &self.longest {
            None => patience.heed(following).await,
            // Boxed: every request has room for what few have.
            Some(longest) => Box::pin(longest.bound(patience.heed(following))).await,
        }
    }

    /// What the client gets, and how it is accounted for.
    pub(crate) fn answer(self, followed: Result<Response<Body>, Error>) -> Response<Body> {
        let Self {
            worker,
            peer,
            observation,
            passed,
            longest,
            ..
        } = self;
        if self.found.again {
            observation.found_again(&self.found);
        }
        let mut response = match followed {
            Ok(response) => {
                let response = match longest {
                    Some(longest) => longest.of_response(response),
                    None => response,
                };
                observation.answered(passed.respond(response))
            }
            Err(error) => {
                tracing::debug!(reason = error.kind().name(), %error, "request failed");
                let mut response = passed.respond(respond::from_error(&error, self.dialect, peer.http()));
                respond::type_of_nothing(&mut response);
                observation.failed(&error, response)
            }
        };
        respond::sign(&mut response, peer.http());
        if !worker.config.overload().keeps_connections() {
            respond::ask_to_close(&mut response, self.version);
        }
        response
    }
}

/// Makes the head trustworthy and finds its route, in the one snapshot that this request is routed by.
fn prepare(
    worker: &Worker,
    peer: &Peer,
    observation: &Observation,
    request: &mut Request<Body>,
) -> Result<Found, Error> {
    let head = normalize::head(request, peer)?;
    if let Some(manners) = &peer.http().manners {
        manners.on_request(request, head.client.as_ref().or_else(|| peer.ip_text()));
    }
    observation.identify(peer, request);
    let snapshot = worker.config.load();
    let found = route::find(&snapshot, &peer.http().route_table, &head.host, request);
    let Some(mut found) = found else {
        if peer.http().filters.is_empty() {
            return Err(Error::new(Kind::NoRoute));
        }
        let client = head.client;
        return Ok(Found {
            client,
            ..Found::nowhere()
        });
    };
    found.client = head.client;
    if head.redirect == path::Redirect::Yes {
        found.chosen = Chosen::OwnPath;
    }
    observation.found(&found);
    Ok(found)
}

/// Has the codec wait for as long as the route says, where it says something.
fn be_patient(found: &Found, patience: &Patience, request: &mut Request<Body>) {
    let policy = found.route.policy.as_deref();
    if let Some(idle) = policy.and_then(|policy| policy.timeouts.idle) {
        patience.follow(idle);
        request.body_mut().may_pause(patience.idle());
    }
}

/// Follows the request to where its route says, and from there to where redirects lead that are followed here.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and those who wait have room for this future"
)]
fn follow<'a, R: Room>(
    worker: &'a Arc<Worker>,
    who: (&'a Peer, &'a Patience),
    (found, passed): (&'a mut Found, &'a mut Passed),
    mut request: Box<Request<Body>>,
) -> impl Future<Output = Result<Response<Body>, Error>> + Send + 'a {
    async move {
        let mut trail = Trail::default();
        loop {
            match step::<R>(worker, who, found, (passed, &mut trail), request).await? {
                Step::Done(response) => return Ok(response),
                Step::Detour(detour) => {
                    *passed = Passed::default();
                    (request, *found) = (detour.request, detour.found);
                }
            }
        }
    }
}

/// What has become of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request ends with the large one"
)]
enum Step {
    Done(Response<Body>),
    Detour(Box<Detour>),
}

/// Does what the route says: answers, or sends the request on its way.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and those who wait have room for this future"
)]
fn step<'a, R: Room>(
    worker: &'a Arc<Worker>,
    (peer, patience): (&'a Peer, &'a Patience),
    found: &'a mut Found,
    (passed, trail): (&'a mut Passed, &'a mut Trail),
    mut request: Box<Request<Body>>,
) -> impl Future<Output = Result<Step, Error>> + Send + 'a {
    async move {
        if let Some(forward) = found.route.as_forward() {
            apply::within_limits(forward, peer, &mut request)?;
        }
        if let Some(response) = filter::run(worker, peer, found, &mut request, passed).await? {
            return Ok(Step::Done(response));
        }
        found_behind_filters(found, peer, patience, &mut request)?;
        match &found.route.action {
            Action::Forward(forward) if !matches!(found.chosen, Chosen::OwnPath) => {
                forward_on::<R>(worker, peer, (found, forward), (passed, trail), request).await
            }
            _ => answer_here(peer, found, &request).map(Step::Done),
        }
    }
}

/// Sends the request to its upstream.
async fn forward_on<R: Room>(
    worker: &Arc<Worker>,
    peer: &Peer,
    (found, forward): (&Found, &Forward),
    (passed, trail): (&mut Passed, &mut Trail),
    mut request: Box<Request<Body>>,
) -> Result<Step, Error> {
    let manners = peer.http().manners.as_deref();
    if manners.is_some() && !matches!(found.chosen, Chosen::Cluster(_)) {
        // Envoy's answer for a cluster that is missing is made from the request as it came.
        let edits = apply::response_edits(found, peer, &request, None);
        edits.into_iter().for_each(|edits| passed.changed_by_route(edits));
        return Err(missing(found));
    }
    let before = manners.map(|_| Before::of(&request, found, forward));
    let hashed = apply::to_request(found, forward, peer, &mut request)?;
    if let (Some(manners), Some(before)) = (manners, before) {
        manners.on_rewrite(&mut request, &before);
        manners.on_deadline(
            &mut request,
            found.route.policy.as_deref(),
            layers_of(found).is_some(),
        );
    }
    // What the response is told of the request is the request as it is sent.
    let edits = apply::response_edits(found, peer, &request, hashed.set_cookie);
    if let Chosen::Cluster(cluster) = &found.chosen {
        pool::key::introduce(cluster, peer, &mut request);
    }
    let mut kept = None;
    if let Some(policy) = found.route.policy.as_deref() {
        mirror::copy(worker, policy, &mut request);
        kept = policy
            .redirects
            .as_ref()
            .map(|_| Box::new(Kept::of(worker, &mut request)));
    }
    let sent = manners.map(|_| clock::now_std());
    let sending = send::<R>(worker, peer, (found, hashed.hash), request).await;
    let (mut response, edits) = match (sending, edits) {
        (Ok(response), edits) => {
            let detour = kept.and_then(|kept| kept.detour(worker, peer, found, &response, trail));
            if let Some(detour) = detour {
                return Ok(Step::Detour(Box::new(detour)));
            }
            (response, edits)
        }
        (Err(error), edits) => {
            // Envoy's routes change its own answers too.
            let edits = edits.filter(|_| manners.is_some());
            edits.into_iter().for_each(|edits| passed.changed_by_route(edits));
            return Err(error);
        }
    };
    if let (Some(manners), Some(sent)) = (manners, sent) {
        manners.on_answer(
            response.headers_mut(),
            clock::now_std().saturating_duration_since(sent),
        );
    }
    if let Some(edits) = edits {
        edits.apply(&mut response);
    }
    Ok(Step::Done(response))
}

/// The response of a route that needs no upstream, with the route's changes.
fn answer_here(peer: &Peer, found: &Found, request: &Request<Body>) -> Result<Response<Body>, Error> {
    let edits = apply::response_edits(found, peer, request, None);
    let mut response = answer(peer, found, request)?;
    if let Some(edits) = edits {
        // A type that the route gives comes before the usual one.
        let usual = response.headers_mut().remove(CONTENT_TYPE);
        edits.apply(&mut response);
        if let Some(usual) = usual {
            response.headers_mut().entry(CONTENT_TYPE).or_insert(usual);
        }
        respond::type_of_nothing(&mut response);
    }
    Ok(response)
}

/// There is a route, and what a new one asks of its requests holds for this one too.
fn found_behind_filters(
    found: &Found,
    peer: &Peer,
    patience: &Patience,
    request: &mut Request<Body>,
) -> Result<(), Error> {
    if matches!(found.chosen, Chosen::Nowhere) {
        return Err(Error::new(Kind::NoRoute));
    }
    if found.again {
        be_patient(found, patience, request);
        if let Some(forward) = found.route.as_forward() {
            apply::within_limits(forward, peer, request)?;
        }
    }
    Ok(())
}

/// The response of a route that needs no upstream.
fn answer(peer: &Peer, found: &Found, request: &Request<Body>) -> Result<Response<Body>, Error> {
    let (path, policy) = (&found.route.matcher.path, &peer.http().path);
    match (&found.chosen, &found.route.action) {
        (Chosen::OwnPath, _) | (_, Action::Forward(_)) => {
            // An absolute URL: a path that starts with `//` would be read as another host.
            let location = Redirect::default().location(request, path, policy)?;
            one(&peer.counts().cells().redirects);
            Ok(respond::redirect(
                StatusCode::TEMPORARY_REDIRECT,
                location,
                Dialect::Http,
            ))
        }
        (_, Action::Redirect(redirect)) => {
            let location = redirect.location(request, path, policy)?;
            one(&peer.counts().cells().redirects);
            Ok(respond::redirect(
                redirect.status.code(),
                location,
                Dialect::of(request.headers()),
            ))
        }
        (_, Action::Respond(direct)) => {
            one(&peer.counts().cells().direct_responses);
            Ok(respond::prepared(direct, Dialect::of(request.headers())))
        }
    }
}

/// The cluster that a route names is not there: the status is the route's.
fn missing(found: &Found) -> Error {
    let status = found.route.as_forward().map(|forward| forward.missing);
    let error = Error::new(Kind::ClusterMissing);
    status.into_iter().fold(error, Error::with_status)
}

/// What the request goes through first: its route's layers, or where that has none its cluster's.
fn layers_of(found: &Found) -> Option<&Layers> {
    let of_cluster = || match &found.chosen {
        Chosen::Cluster(cluster) => cluster.settings().layers.as_ref(),
        _ => None,
    };
    found.route.layers.as_ref().or_else(of_cluster)
}

/// Sends the request to its cluster, through the route's layers and the cluster's.
async fn send<R: Room>(
    worker: &Arc<Worker>,
    peer: &Peer,
    (found, hash): (&Found, Option<u64>),
    mut request: Box<Request<Body>>,
) -> Result<Response<Body>, Error> {
    let Chosen::Cluster(cluster) = &found.chosen else {
        return Err(missing(found));
    };
    let Some(layers) = layers_of(found) else {
        let errand = Errand {
            cluster,
            endpoint: None,
            policy: found.route.policy.as_deref(),
            hash,
            received: None,
            waited: Duration::ZERO,
        };
        let (response, _timing) = R::attempt(worker, errand, &mut request).await?;
        return Ok(response);
    };
    let mut stack = worker.stacks.get(layers, || match found.route.layers {
        Some(_) => Upstream::before_clusters(worker),
        None => Upstream::innermost(worker),
    });
    // A layer may put another body in the place of the client's, which knows the way back.
    if let Some(interim) = request.body().interim().cloned() {
        request.extensions_mut().insert(interim);
    }
    request.extensions_mut().insert(Target {
        route: Arc::clone(&found.route),
        cluster: Arc::clone(cluster),
        endpoint: None,
        hash,
        received: clock::now_std(),
        waited: Duration::ZERO,
        client: peer.client(),
    });
    // Nothing is left here of what the layers have from now on: they may let the request wait.
    let ready = stack.ready().await.map_err(Error::from_boxed)?;
    let answer = ready.call(unboxed(request));
    drop(stack);
    answer.await.map_err(Error::from_boxed)
}

/// What is in it.
#[expect(
    clippy::boxed_local,
    reason = "moved out of by an async fn itself, the box would stay for as long as that is under way"
)]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proxy;
    use crate::config::Handle;
    use crate::drain::Drain;

    /// What all requests have room for, and those in a layer that lets them wait hold for as long.
    #[test]
    fn the_future_of_a_request_stays_small() {
        let (_drain, watch) = Drain::new();
        let proxy = Proxy::new(Handle::default(), watch);
        let (peer, patience) = (Arc::new(Peer::unknown()), Patience::new(None));
        let request = Box::<Request<Body>>::default;
        let size = size_of_val(&handle(proxy.worker(), &peer, &patience, request()));
        assert!(size <= 2048, "{size} bytes");
        let (mut arrival, prepared) = Arrival::of(proxy.worker(), &peer, request());
        let size = size_of_val(&arrival.follow::<Boxed>(&patience, prepared));
        assert!(size <= 528, "{size} bytes");
    }
}
