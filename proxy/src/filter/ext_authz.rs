//! Asking another service whether a request may pass: over HTTP, or in a language of the embedder's.
//!
//! ```
//! use std::sync::Arc;
//! use http::StatusCode;
//! use tidegate_proxy::filter::{ExtAuthz, Filter};
//! use tidegate_proxy::route::{Route, TextMatch};
//!
//! // `GET /users` is asked for as `GET /check/users` at the cluster `auth`; 200 lets it pass.
//! let mut ask = ExtAuthz::new("auth", "/check")?;
//! ask.request_fields = vec![TextMatch::exact("cookie")];
//! ask.upstream_fields = vec![TextMatch::exact("x-user")];
//! let mut route = Route::respond(StatusCode::OK, "hello");
//! route.filters = [Filter::ExtAuthz(Arc::new(ask))].into();
//! assert!(ExtAuthz::new("auth", "check").is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;

use super::named::Levels;
use super::{Note, Verdict, Why};
use crate::attempt::{self, Errand};
use crate::body::Body;
use crate::config::limits;
use crate::connection::{Peer, Scheme, TlsFacts};
use crate::error::{Blame, BoxError, Error, Kind};
use crate::respond::{self, Dialect};
use crate::route::{InvalidField, TextMatch};
use crate::worker::Worker;

mod body;
mod codec;
mod effect;

pub use body::{AskedBody, Longer, Seen};
pub use codec::{About, Answer, Changes, Codec, Decision, QueryChange};
pub(super) use effect::ForClient;

/// Sends the head of each request to an authorization service: the same method and path, the fields that are chosen, and no
/// body unless that is asked for. 200 lets the request pass; a 5xx, or no response in time, is a failure; any other response goes to the client.
///
/// A request with more than one `Authorization` is a bad one: nobody can tell which of them an upstream would believe.
#[derive(Clone, Debug)]
pub struct ExtAuthz {
    cluster: Arc<str>,
    language: Language,
    /// How long the service may take. Default: [`limits::AUTHORIZATION_TIMEOUT`].
    pub timeout: Duration,
    /// What a failure of the service means. Default: the request is refused.
    pub on_failure: OnFailure,
    /// The status of a request that is refused because the service failed. Default: 403.
    pub status_on_error: StatusCode,
    /// What of the request's body the service gets. Default: nothing.
    pub body: Option<AskedBody>,
    /// What a service of another language is told about the route, by name; [`AuthorizationOverride`]s add to it. Default: nothing.
    pub context: Vec<(Box<str>, Box<str>)>,
    /// The field by which the upstream learns that a request passed because the service failed. Default: none.
    pub failure_field: Option<(HeaderName, HeaderValue)>,
    /// Whether its route is looked for again when the service has changed the request. Default: never.
    pub rematch: Rematch,
    /// Which fields of the request the service gets, beside `Host` and `Authorization`. Default: none.
    pub request_fields: Vec<TextMatch>,
    /// Fields that the service gets with each question. Default: none.
    pub added: Vec<(HeaderName, HeaderValue)>,
    /// Which fields of an allowing response replace those of the request. Default: none.
    pub upstream_fields: Vec<TextMatch>,
    /// Which fields of an allowing response the client's response gets. Default: none.
    pub client_fields_allowed: Vec<TextMatch>,
    /// Which fields of a refusing response the client gets, beside `Content-Length`, `Location` and `WWW-Authenticate`; empty for
    /// all. Default: all.
    pub client_fields_refused: Vec<TextMatch>,
}

/// How the service is asked.
#[derive(Clone, Debug)]
enum Language {
    /// By the request itself, at its path behind this one.
    Http(Box<str>),
    Other(Arc<dyn Codec>),
}

/// What a route makes of an authorization.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationOverride {
    /// What the service is told beside what it is told anyway; of a name that several levels have the most specific counts.
    pub context: Vec<(Box<str>, Box<str>)>,
    /// What of the body it gets, in the place of the filter's own setting; the most specific level that says so counts.
    pub body: Option<Option<AskedBody>>,
}

/// What a failure of the authorization service means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The request is refused.
    #[default]
    Refuse,
    /// The request passes (`failure_mode_allow`), where it is the service that has failed. What a client could bring
    /// about, overload first, and what the configuration lacks, as the cluster itself, refuse it all the same.
    Allow,
}

/// Whether a request may get another route than the one that it was found by before the service has changed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rematch {
    /// It keeps its route.
    #[default]
    Never,
    /// Its route is looked for again where the service has changed its fields or its query (`clear_route_cache`). What a route has
    /// for filters is what the new one has then, from the next filter on.
    WhenChanged,
}

const DENIED: Why = Why::flagged("UAEX", "ext_authz_denied");
/// As the row of [`Kind::AuthorizationFailed`] has it.
const FAILED: Why = Why::flagged("UAEX", "ext_authz_error");

/// Why there is no answer, and who has to act: only the service's own failures open the way.
struct NoAnswer {
    error: Error,
    blame: Blame,
}

impl ExtAuthz {
    /// Asks `cluster`, at the request's path behind `path_prefix`, which may be empty.
    ///
    /// # Errors
    /// When the prefix does not start with `/`, or no path can have it.
    pub fn new(cluster: impl Into<Arc<str>>, path_prefix: &str) -> Result<Self, InvalidField> {
        let valid = path_prefix.is_empty()
            || path_prefix.starts_with('/') && PathAndQuery::try_from(path_prefix).is_ok();
        if !valid || path_prefix.contains(['?', '#']) {
            let why = "it has to be empty or a path that starts with '/', without a query";
            return Err(InvalidField::new("authorization path prefix", path_prefix, why));
        }
        Ok(Self::of(cluster.into(), Language::Http(path_prefix.into())))
    }

    /// Asks `cluster` in the language of `codec`.
    #[must_use]
    pub fn speaking(cluster: impl Into<Arc<str>>, codec: Arc<dyn Codec>) -> Self {
        Self::of(cluster.into(), Language::Other(codec))
    }

    fn of(cluster: Arc<str>, language: Language) -> Self {
        Self {
            cluster,
            language,
            timeout: limits::AUTHORIZATION_TIMEOUT,
            on_failure: OnFailure::Refuse,
            status_on_error: StatusCode::FORBIDDEN,
            body: None,
            context: Vec::new(),
            failure_field: None,
            rematch: Rematch::default(),
            request_fields: Vec::new(),
            added: Vec::new(),
            upstream_fields: Vec::new(),
            client_fields_allowed: Vec::new(),
            client_fields_refused: Vec::new(),
        }
    }

    pub(super) async fn on_request(
        &self,
        worker: &Worker,
        peer: &Peer,
        route: OfRoute<'_>,
        request: &mut Request<Body>,
    ) -> Result<Verdict, Error> {
        if request.headers().get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Error::new(Kind::BadRequest).with_detail("more than one Authorization"));
        }
        let own = route.changes().find_map(|change| change.body.as_ref());
        let asked = own.unwrap_or(&self.body).as_ref();
        let seen = match asked {
            Some(asked) => Some(body::look(request, asked).await?),
            None => None,
        };
        let seen = seen.as_ref();
        let prefix = match &self.language {
            Language::Http(prefix) => prefix,
            Language::Other(codec) => {
                let question = codec.question(&self.about(peer, route, request, seen));
                return self.decide((worker, peer), &**codec, question, request).await;
            }
        };
        let question = self.question(prefix, request, seen.zip(asked));
        let since = Instant::now();
        let answer = match self.ask(worker, question).await {
            Ok(answer) if answer.status().is_server_error() => Err(NoAnswer::of(
                Blame::Upstream,
                format!("it answered {}", answer.status()),
            )),
            answer => answer,
        };
        let no_answer = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => {
                return Ok(self.pass(answer.headers(), request.headers_mut()));
            }
            Ok(refusal) if Dialect::of(request.headers()) == Dialect::Grpc => {
                let refusal = self.whole(refusal, since).await;
                return Ok(self.refusal_of_call(refusal));
            }
            Ok(refusal) => return Ok(Verdict::Answer(Box::new(self.refusal(peer, refusal)), DENIED)),
            Err(no_answer) => no_answer,
        };
        self.without(no_answer, request)
    }

    /// A refusal, with its body if all of that comes in the time that is left for the answer. It refuses without one too: what
    /// becomes of the body must not open a way that is closed.
    async fn whole(&self, refusal: Response<Body>, since: Instant) -> Answer {
        let (head, body) = refusal.into_parts();
        let left = self.timeout.saturating_sub(since.elapsed());
        let body = body.at_most(limits::AUTHORIZATION_ANSWER_BYTES_MAX).collect();
        let body = match tokio::time::timeout(left, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        Answer {
            status: head.status,
            headers: head.headers,
            body,
            trailers: HeaderMap::new(),
        }
    }

    /// Asks in another language.
    async fn decide(
        &self,
        (worker, peer): (&Worker, &Peer),
        codec: &dyn Codec,
        question: Result<Request<Body>, BoxError>,
        request: &mut Request<Body>,
    ) -> Result<Verdict, Error> {
        let question = question.map_err(|why| Error::new(Kind::AuthorizationFailed).with_source(why))?;
        let asking = async {
            let answer = self.ask(worker, Some(question)).await?;
            collect(answer).await
        };
        let answered = match tokio::time::timeout(self.timeout, asking).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(NoAnswer::of(Blame::Upstream, "it took too long")),
        };
        let decision = answered.and_then(|answer| {
            let decision = codec.decision(&answer);
            decision.map_err(|why| NoAnswer::of(Blame::Upstream, why))
        });
        match decision {
            Ok(Decision::Pass(changes)) => self.change(&changes, request),
            Ok(Decision::Refuse(refusal)) if Dialect::of(request.headers()) == Dialect::Grpc => {
                let (head, body) = refusal.into_parts();
                Ok(self.refusal_of_call(Answer {
                    status: head.status,
                    headers: head.headers,
                    body,
                    trailers: HeaderMap::new(),
                }))
            }
            Ok(Decision::Refuse(refusal)) => {
                let refusal = self.refusal(peer, refusal.map(Body::full));
                Ok(Verdict::Answer(Box::new(refusal), DENIED))
            }
            Err(no_answer) => self.without(no_answer, request),
        }
    }

    fn about<'a>(
        &'a self,
        peer: &'a Peer,
        route: OfRoute<'a>,
        request: &'a Request<Body>,
        body: Option<&'a Seen>,
    ) -> About<'a> {
        let mut context: Vec<(&str, &str)> = Vec::new();
        let levels = route.changes().map(|change| &change.context);
        for (name, value) in levels.chain([&self.context]).flatten() {
            if !context.iter().any(|(known, _)| *known == &**name) {
                context.push((name, value));
            }
        }
        About {
            request,
            body,
            version: request.version(),
            target: request.uri(),
            scheme: match peer.scheme() {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            source: peer.remote(),
            destination: peer.local(),
            server_name: peer.tls().and_then(|facts| facts.server_name.as_deref()),
            certificate: peer.tls().and_then(TlsFacts::certificate),
            context,
        }
    }

    /// What becomes of a request that the service said nothing about.
    fn without(
        &self,
        NoAnswer { error, blame }: NoAnswer,
        request: &mut Request<Body>,
    ) -> Result<Verdict, Error> {
        if self.on_failure == OnFailure::Allow && blame == Blame::Upstream {
            tracing::debug!(%error, cluster = %self.cluster, "no authorization: the request passes");
            if let Some((name, value)) = &self.failure_field {
                request.headers_mut().insert(name, value.clone());
            }
            return Ok(Verdict::Pass(Note::None));
        }
        if self.status_on_error == StatusCode::FORBIDDEN {
            return Err(error);
        }
        tracing::debug!(%error, cluster = %self.cluster, "no authorization: the request is refused");
        let response = respond::refusal(
            self.status_on_error,
            &[],
            HeaderMap::new(),
            Dialect::of(request.headers()),
        );
        Ok(Verdict::Answer(Box::new(response), FAILED))
    }

    /// The service's response.
    async fn ask(
        &self,
        worker: &Worker,
        question: Option<Request<Body>>,
    ) -> Result<Response<Body>, NoAnswer> {
        let cluster = worker.config.load().cluster(&self.cluster).cloned();
        let cluster = cluster.ok_or_else(|| NoAnswer::of(Blame::Config, "its cluster is not there"))?;
        let question =
            question.ok_or_else(|| NoAnswer::of(Blame::Client, "the path of the question is none"));
        let mut question = question?;
        let errand = Errand {
            cluster: &cluster,
            endpoint: None,
            policy: None,
            hash: None,
            received: None,
            waited: Duration::ZERO,
        };
        let answer = attempt::run(worker, errand, &mut question);
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok((answer, _timing))) => Ok(answer),
            Ok(Err(error)) => Err(NoAnswer::of(error.kind().row().blame, error)),
            Err(_elapsed) => Err(NoAnswer::of(Blame::Upstream, "it took too long")),
        }
    }

    fn question(
        &self,
        prefix: &str,
        request: &Request<Body>,
        body: Option<(&Seen, &AskedBody)>,
    ) -> Option<Request<Body>> {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = PathAndQuery::try_from(format!("{prefix}{target}")).ok()?;
        let mut question = Request::new(Body::empty());
        question.method_mut().clone_from(request.method());
        *question.uri_mut() = Uri::from(target);
        let fields = request.headers().iter().filter(|(name, _)| {
            let content = body.is_some() || !of_content(name);
            let chosen = || end_to_end(name) && content && any(&self.request_fields, name);
            [HOST, AUTHORIZATION].contains(*name) || chosen()
        });
        let headers = question.headers_mut();
        // Each line of a field: the service decides about what the upstream will get.
        for (name, value) in fields {
            headers.append(name, value.clone());
        }
        for (name, value) in &self.added {
            headers.insert(name, value.clone());
        }
        if let Some((seen, asked)) = body {
            if let Some(name) = &asked.told_by {
                let cut_off = if seen.cut_off { "true" } else { "false" };
                headers.insert(name, HeaderValue::from_static(cut_off));
            }
            *question.body_mut() = Body::full(seen.bytes.clone());
        }
        Some(question)
    }
}

/// The whole of an answer, which must not be longer than any is.
async fn collect(answer: Response<Body>) -> Result<Answer, NoAnswer> {
    let broken = |error: Error| NoAnswer::of(Blame::Upstream, error);
    let (head, body) = answer.into_parts();
    let body = body
        .at_most(limits::AUTHORIZATION_ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(broken)?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
    })
}

/// What the levels of a route make of the filter of this name.
#[derive(Clone, Copy)]
pub(super) struct OfRoute<'a> {
    pub(super) levels: &'a Levels,
    pub(super) name: Option<&'a str>,
}

impl<'a> OfRoute<'a> {
    /// The most specific first.
    fn changes(self) -> impl Iterator<Item = &'a AuthorizationOverride> {
        let name = self.name.into_iter();
        name.flat_map(move |name| self.levels.authorization(name))
    }
}

impl NoAnswer {
    fn of(blame: Blame, why: impl Into<BoxError>) -> Self {
        let error = Error::new(Kind::AuthorizationFailed).with_source(why);
        Self { error, blame }
    }
}

fn any(conditions: &[TextMatch], name: &HeaderName) -> bool {
    conditions
        .iter()
        .any(|condition| condition.matches(name.as_str().as_bytes()))
}

/// Whether a field may go from one message to another: those that frame a message may not.
fn end_to_end(name: &HeaderName) -> bool {
    ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name)
        && name != http::header::UPGRADE
        && name != http::header::TE
        && name != http::header::TRAILER
        && name != http::header::EXPECT
}

/// Whether a field tells of a request's content, of which a question has none: it would be asked as what it is not.
fn of_content(name: &HeaderName) -> bool {
    [
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LOCATION,
        CONTENT_RANGE,
    ]
    .contains(name)
}
