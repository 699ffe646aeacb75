//! What may stop or edit a request between its route and its upstream, and its response on the way back.
//!
//! Our own filters are an enum that one function runs in order; a route without any pays nothing. Foreign tower layers
//! are [`Layers`](crate::layers::Layers).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::filter::{Filter, Filters, RateLimit};
//! use tidegate_proxy::route::{Domain, HeaderMutations, Mutation, Route, VirtualHost, Write};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fields = HeaderMutations::new([], [Mutation::write("x-edge", "1", Write::Overwrite)?])?;
//! let one_an_hour = RateLimit::new(1, 1, Duration::from_secs(3600))?;
//! let mut route = Route::respond(StatusCode::OK, "hello");
//! route.filters = Filters::from([Filter::Headers(fields), Filter::RateLimit(Arc::new(one_an_hour))]);
//! let host = VirtualHost::new("all", [Domain::Any], [route]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! for expected in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
//!     let request = Request::get("http://a.example/").body(Body::empty())?;
//!     let response = proxy.clone().oneshot(request).await?;
//!     assert_eq!(response.status(), expected);
//!     // A filter sees also the response of one behind it that answers.
//!     assert_eq!(response.headers()["x-edge"], "1");
//! }
//! # Ok(()) }
//! ```

use std::sync::Arc;

use http::{Request, Response};

use self::ext_authz::OfRoute;
use self::rate_limit::Outcome;
use crate::body::Body;
use crate::config::limits;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::observe::record;
use crate::route::apply::ResponseEdits;
use crate::route::{Found, HeaderMutations};
use crate::worker::Worker;

#[cfg(feature = "compression")]
pub mod compression;
pub mod cors;
pub mod ext_authz;
pub mod named;
pub mod probe;
pub mod rate_limit;

#[cfg(feature = "compression")]
pub use compression::Compression;
pub use cors::Cors;
pub use ext_authz::ExtAuthz;
pub use named::{FilterOverrides, NamedFilter, NamedFilters, Override, Switch};
pub use probe::Probe;
pub use rate_limit::RateLimit;

/// One filter. A clone shares the state of the original, such as the tokens of a rate limit.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Does nothing: keeps the place of one that only some routes have.
    Nothing,
    /// Turns every request away: stands for one that is not there, and that no request may go without.
    Missing,
    /// Changes the fields of requests and responses.
    Headers(HeaderMutations),
    /// Lets browsers use a service from other origins.
    Cors(Arc<Cors>),
    /// Turns away what comes too fast.
    RateLimit(Arc<RateLimit>),
    /// Answers health checks of this proxy.
    Probe(Arc<Probe>),
    /// Asks another service whether a request may pass.
    ExtAuthz(Arc<ExtAuthz>),
    /// Compresses responses.
    #[cfg(feature = "compression")]
    Compression(Arc<Compression>),
}

/// The filters of a route: they see a request in this order and its response in the opposite one. None of them is one word.
#[derive(Clone, Debug, Default)]
pub struct Filters(Option<Arc<Box<[Filter]>>>);

impl Filters {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl FromIterator<Filter> for Filters {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        let filters: Box<[Filter]> = filters.into_iter().collect();
        Self((!filters.is_empty()).then(|| Arc::new(filters)))
    }
}

impl<const N: usize> From<[Filter; N]> for Filters {
    fn from(filters: [Filter; N]) -> Self {
        Self::from_iter(filters)
    }
}

/// What a filter found about a request.
enum Verdict {
    /// It may go on; its response is to be seen with this note.
    Pass(Note),
    /// The same, and it may be for another route now.
    PassAnew(Note),
    /// It is answered, for this reason.
    Answer(Box<Response<Body>>, Why),
}

/// What access logs say of a request that a filter has answered: Envoy's flag, if it has one for it, and its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) flag: Option<&'static str>,
    pub(crate) details: &'static str,
}

impl Why {
    const fn fine(details: &'static str) -> Self {
        Self { flag: None, details }
    }

    const fn flagged(flag: &'static str, details: &'static str) -> Self {
        let flag = Some(flag);
        Self { flag, details }
    }
}

/// What a filter has to know of a request when its response comes.
enum Note {
    /// Nothing, and it has nothing to do.
    None,
    Edits(Box<ResponseEdits>),
    Cors(cors::Granted),
    RateLimit(rate_limit::State),
    ExtAuthz(ext_authz::ForClient),
    #[cfg(feature = "compression")]
    Compression(compression::Asked),
}

/// The filters that a request has passed and that have to see its response.
#[derive(Default)]
pub(crate) struct Passed(Vec<(Filter, Note)>);

/// Runs the filters of a request's listener and of its route on it; `Some` response if one of them answers. `passed` remembers
/// who has to see the response, also when this ends with an error.
pub(crate) async fn run(
    worker: &Worker,
    peer: &Peer,
    found: &mut Found,
    request: &mut Request<Body>,
    passed: &mut Passed,
) -> Result<Option<Response<Body>>, Error> {
    let common = peer.http().filters.as_slice();
    let (mut common, mut own) = (common.iter(), None);
    let mut routes_left = limits::ROUTE_REMATCHES_MAX;
    // By turns: what comes next is for the route to say that there is then.
    loop {
        let own_filter;
        let (name, filter) = match common.next() {
            Some(named) => match found.overrides.resolve(named) {
                Some(filter) => (Some(&*named.name), filter),
                None => continue,
            },
            None => {
                let (filters, next) = own.get_or_insert_with(|| (found.route.filters.0.clone(), 0_usize));
                let filter = filters.as_deref().and_then(|filters| filters.get(*next));
                let Some(filter) = filter else { return Ok(None) };
                *next += 1;
                own_filter = filter.clone();
                (None, &own_filter)
            }
        };
        let verdict = match filter {
            Filter::Nothing => Verdict::Pass(Note::None),
            Filter::Missing => return Err(Error::new(Kind::FilterMissing)),
            Filter::Headers(mutations) => Verdict::Pass(headers(mutations, peer, found, request)),
            // Envoy leaves other origins to whoever answers in a route's place.
            Filter::Cors(_) if peer.http().manners.is_some() && found.route.as_forward().is_none() => {
                Verdict::Pass(Note::None)
            }
            Filter::Cors(cors) => cors.on_request(request),
            Filter::RateLimit(limit) => limited(limit, (peer, found), request, passed)?,
            Filter::Probe(probe) => probe.on_request(request),
            // Boxed, as the future of every request would have room for it.
            Filter::ExtAuthz(authz) => {
                let route = OfRoute {
                    levels: &found.overrides,
                    name,
                };
                Box::pin(authz.on_request(worker, peer, route, request)).await?
            }
            #[cfg(feature = "compression")]
            Filter::Compression(compression) => Verdict::Pass(compression.on_request(request)),
        };
        match verdict {
            Verdict::Pass(Note::None) => {}
            Verdict::Pass(note) => passed.0.push((filter.clone(), note)),
            Verdict::PassAnew(note) => {
                passed.0.push((filter.clone(), note));
                let before = name.is_none().then(|| Arc::clone(&found.route));
                found.again(&worker.config.load(), &peer.http().route_table, request);
                // The filters of the route itself are those of the one that it is now, all of them.
                if before.is_some_and(|before| !Arc::ptr_eq(&before, &found.route)) {
                    own = None;
                    routes_left = one_route_less(routes_left)?;
                }
            }
            Verdict::Answer(response, why) => {
                if let Some(record) = record::tracked(request.extensions()) {
                    record.answered_by_filter(why);
                }
                return Ok(Some(*response));
            }
        }
    }
}

/// Routes whose filters lead to each other would have a request go round for ever.
fn one_route_less(left: usize) -> Result<usize, Error> {
    let error = || Error::new(Kind::AuthorizationFailed).with_detail("its routes lead to each other");
    left.checked_sub(1).ok_or_else(error)
}

impl Passed {
    /// Makes the changes of a route to a response of our own, before any filter sees that.
    pub(crate) fn changed_by_route(&mut self, edits: Box<ResponseEdits>) {
        self.0.push((Filter::Nothing, Note::Edits(edits)));
    }

    /// Shows the response to the filters that its request has passed, the last first.
    pub(crate) fn respond(self, mut response: Response<Body>) -> Response<Body> {
        for (filter, note) in self.0.into_iter().rev() {
            match (filter, note) {
                (_, Note::Edits(edits)) => edits.apply(&mut response),
                (Filter::Cors(cors), Note::Cors(granted)) => cors.on_response(granted, &mut response),
                (_, Note::RateLimit(state)) => state.on_response(&mut response),
                (_, Note::ExtAuthz(fields)) => fields.on_response(&mut response),
                #[cfg(feature = "compression")]
                (Filter::Compression(compression), Note::Compression(asked)) => {
                    response = compression.on_response(&asked, response);
                }
                _ => {}
            }
        }
        response
    }
}

/// What a limit makes of a request; the response of one that is refused has its changes too.
fn limited(
    limit: &RateLimit,
    (peer, found): (&Peer, &Found),
    request: &mut Request<Body>,
    passed: &mut Passed,
) -> Result<Verdict, Error> {
    match limit.on_request() {
        Outcome::NotCounted => Ok(Verdict::Pass(Note::None)),
        Outcome::Taken(state) => Ok(Verdict::Pass(limit.note(state))),
        Outcome::Unenforced(state) => {
            // Changes of requests alone, which leave nothing to do.
            headers(limit.changes_unenforced(), peer, found, request);
            Ok(Verdict::Pass(limit.note(state)))
        }
        Outcome::Refused(state) => {
            let changes = headers(limit.changes_refused(), peer, found, request);
            passed.0.push((Filter::Nothing, changes));
            passed.0.push((Filter::Nothing, limit.note(state)));
            Err(limit.refusal(state))
        }
    }
}

fn headers(mutations: &HeaderMutations, peer: &Peer, found: &Found, request: &mut Request<Body>) -> Note {
    let client = found.client(peer);
    match ResponseEdits::of_filter(mutations, client, request) {
        Some(edits) => Note::Edits(edits),
        None => Note::None,
    }
}
