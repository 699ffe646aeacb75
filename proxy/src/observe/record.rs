//! What is known about one request once it is over: kept only where an access log or a trace wants it.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use crate::body::Body;
use crate::cluster::Address;
use crate::config::http::HttpSettings;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::filter::Why;
use crate::observe::ledger::Ending;
use crate::observe::request_id::{self, RequestIdResponse, X_REQUEST_ID};
use crate::observe::trace::context::TRACEPARENT;
use crate::observe::trace::{Context, Inner, Part};
use crate::route::{Chosen, Found, HostName};
use crate::upstream::Retried;

/// What one request is remembered by, from its head to the end of its response.
///
/// One allocation for each request that is recorded; the lock is never contended, as a request is in one place at a time.
pub(crate) struct Record {
    pub(crate) peer: Arc<Peer>,
    /// Tells it from every other one, by chance.
    pub(crate) id: u64,
    pub(crate) started_at: SystemTime,
    started: Instant,
    /// None of a connection that carries no HTTP.
    pub(crate) version: Option<Version>,
    /// The method and the target as the client sent them; none of a request that could not be read.
    pub(crate) line: Option<(Method, Uri)>,
    progress: Mutex<Progress>,
}

/// What comes to be known on the way. Times are counted from the head of the request.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The fields of the request that the logs ask for.
    pub(crate) request_fields: HeaderMap,
    pub(crate) request_head_bytes: u64,
    pub(crate) authority: Option<HeaderValue>,
    /// The client's address, where a trusted proxy told another one than the connection's.
    pub(crate) client: Option<HeaderValue>,
    pub(crate) virtual_host: Option<HostName>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) tries: Vec<Try>,
    pub(crate) tries_count: u64,
    pub(crate) received: u64,
    pub(crate) request_end: Option<Duration>,
    pub(crate) response_start: Option<Duration>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) code_details: Option<&'static str>,
    /// The fields of the response that the logs ask for.
    pub(crate) response_fields: HeaderMap,
    pub(crate) response_head_bytes: u64,
    pub(crate) trailers: HeaderMap,
    pub(crate) trace: Option<Part>,
    /// What layers tell of their part in it.
    pub(crate) inner: Vec<Inner>,
    /// What they say of the whole.
    pub(crate) attributes: Vec<(&'static str, Box<str>)>,
    /// The span of a layer that tries are within.
    pub(crate) tries_within: Option<NonZeroU64>,
    /// Envoy's flags, where how the request ended does not say them.
    pub(crate) flags: Option<&'static str>,
    /// Another try would have followed the last one, had the route's policy allowed one more.
    pub(crate) retries_used_up: bool,
    /// The id that the response has to carry.
    echo: Option<HeaderValue>,
}

/// One try at an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) upstream: Address,
    pub(crate) local: Option<SocketAddr>,
    /// The span of this try, where the request is sampled.
    pub(crate) span_id: Option<NonZeroU64>,
    /// The span that it is within, where that is not the request's.
    pub(crate) within: Option<NonZeroU64>,
    pub(crate) start: Duration,
    pub(crate) end: Option<Duration>,
    pub(crate) outcome: Option<Result<StatusCode, Kind>>,
    /// What the transport said, where it failed.
    pub(crate) failure: Option<Box<str>>,
}

/// Everything about a request that is over.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) record: &'a Record,
    pub(crate) progress: &'a Progress,
    pub(crate) ending: Ending,
    pub(crate) sent: u64,
    pub(crate) duration: Duration,
}

/// The record in the extensions of a request on its way.
#[derive(Clone)]
struct Tracked(Arc<Record>);

/// The most tries of one request that are remembered one by one; further ones are only counted.
const TRIES_REMEMBERED: usize = 16;

impl Record {
    /// The record of a request, if anybody wants it.
    pub(crate) fn begin(peer: &Arc<Peer>, request: &Request<Body>) -> Option<Arc<Self>> {
        let http = peer.http();
        let echoes = http.request_id.response == RequestIdResponse::Set;
        if http.access_logs.is_empty() && http.tracing.is_none() && !echoes {
            return None;
        }
        let line = (request.method().clone(), request.uri().clone());
        let record = Self::of(peer, Some(request.version()), Some(line));
        record.note_fields(request.headers());
        if http_body::Body::is_end_stream(request.body()) {
            record.progress().request_end = Some(Duration::ZERO);
        }
        Some(Arc::new(record))
    }

    /// The record of a request that was refused before it could be read, if anybody wants it.
    pub(crate) fn refused(peer: &Arc<Peer>) -> Option<Arc<Self>> {
        let wanted = !peer.http().access_logs.is_empty();
        wanted.then(|| Arc::new(Self::of(peer, Some(Version::HTTP_11), None)))
    }

    /// The record of a connection that carries no HTTP, if anybody wants it.
    pub(crate) fn connection(peer: &Arc<Peer>) -> Option<Arc<Self>> {
        let wanted = !peer.http().access_logs.is_empty();
        wanted.then(|| Arc::new(Self::of(peer, None, None)))
    }

    /// The record of a request that the proxy has no part in.
    pub(crate) fn beside<B>(peer: &Arc<Peer>, request: &Request<B>) -> Self {
        let line = (request.method().clone(), request.uri().clone());
        let record = Self::of(peer, Some(request.version()), Some(line));
        record.note_fields(request.headers());
        record.progress().request_end = Some(Duration::ZERO);
        record
    }

    /// The bytes of a connection that carries no HTTP go to this cluster.
    pub(crate) fn relayed(&self, cluster: &Arc<str>) {
        self.progress().cluster = Some(Arc::clone(cluster));
    }

    /// Such a connection is over.
    pub(crate) fn finish_relay(&self, flags: Option<&'static str>, received: u64, sent: u64) {
        let mut progress = self.progress();
        (progress.flags, progress.received) = (flags, received);
        drop(progress);
        self.finish(Ending::Answered, sent);
    }

    fn of(peer: &Arc<Peer>, version: Option<Version>, line: Option<(Method, Uri)>) -> Self {
        Self {
            peer: Arc::clone(peer),
            id: fastrand::u64(..),
            started_at: SystemTime::now(),
            started: Instant::now(),
            version,
            line,
            progress: Mutex::default(),
        }
    }

    /// The head of the request can be trusted now and has its id.
    pub(crate) fn identified(self: &Arc<Self>, request: &mut Request<Body>) {
        self.note_fields(request.headers());
        if self.http().request_id.response == RequestIdResponse::Set {
            self.progress().echo = request.headers().get(X_REQUEST_ID).cloned();
        }
        if let Some(tracing) = &self.http().tracing
            && tracing.takes(request.headers())
        {
            let part = tracing.begin(request.headers_mut());
            self.progress().trace = Some(part);
        }
        request.extensions_mut().insert(Tracked(Arc::clone(self)));
    }

    /// The request has its way.
    pub(crate) fn routed(&self, found: &Found) {
        let mut progress = self.progress();
        progress.virtual_host = found.virtual_host.as_ref().map(|host| host.shared_name());
        progress.route.clone_from(&found.route.name);
        progress.client.clone_from(&found.client);
        if let Chosen::Cluster(cluster) = &found.chosen {
            progress.cluster = Some(Arc::clone(cluster.name()));
        }
    }

    /// A filter has answered it.
    pub(crate) fn answered_by_filter(&self, why: Why) {
        let mut progress = self.progress();
        (progress.flags, progress.code_details) = (why.flag, Some(why.details));
    }

    /// The request's body is over, or nobody reads it any more.
    pub(crate) fn received(&self, bytes: u64) {
        let now = self.elapsed();
        let mut progress = self.progress();
        progress.received = bytes;
        progress.request_end.get_or_insert(now);
    }

    /// The head of a response is ready, of an error of ours or of an answer.
    pub(crate) fn responded(&self, response: &mut Response<Body>, error: Option<&Error>) {
        let mut progress = self.progress();
        if let Some(id) = progress.echo.clone() {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        let retried = response.extensions().get::<Retried>();
        progress.retries_used_up = retried.is_some_and(|retried| retried.limit_reached);
        if let Some(error) = error {
            progress.code_details = Some(error.code_details());
        }
        drop(progress);
        self.answered(response);
    }

    /// The head of a response is ready.
    pub(crate) fn answered<B>(&self, response: &Response<B>) {
        let now = self.elapsed();
        let mut progress = self.progress();
        progress.status = Some(response.status());
        progress.response_start = Some(now);
        progress.response_head_bytes = head_bytes(response.headers());
        let wanted = self
            .http()
            .access_logs
            .iter()
            .flat_map(|log| log.response_fields());
        progress.response_fields = chosen(response.headers(), wanted);
    }

    /// Trailers of the response pass.
    pub(crate) fn trailed(&self, trailers: &HeaderMap) {
        let wanted = self.http().access_logs.iter().flat_map(|log| log.trailers());
        let trailers = chosen(trailers, wanted);
        self.progress().trailers = trailers;
    }

    /// The request is over.
    pub(crate) fn finish(&self, ending: Ending, sent: u64) {
        let progress = self.progress();
        let entry = Entry {
            record: self,
            progress: &progress,
            ending,
            sent,
            duration: self.elapsed(),
        };
        for log in &self.http().access_logs {
            log.write(&entry);
        }
        if let (Some(tracing), Some(part)) = (&self.http().tracing, progress.trace) {
            tracing.finish(part, &entry);
        }
    }

    fn note_fields(&self, headers: &HeaderMap) {
        let http = self.http();
        let logged = http.access_logs.iter().flat_map(|log| log.request_fields());
        let wanted = logged.chain(http.tracing.iter().flat_map(|tracing| tracing.fields()));
        let mut progress = self.progress();
        progress.request_fields = chosen(headers, wanted);
        progress.request_head_bytes = head_bytes(headers);
        progress.authority = headers.get(http::header::HOST).cloned();
    }

    fn http(&self) -> &HttpSettings {
        self.peer.http()
    }

    /// Which part of a trace it is.
    pub(crate) fn context(&self) -> Option<Context> {
        self.progress().trace.map(|part| part.context)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Copies of the fields that somebody wants: the values are shared, not copied.
fn chosen<'a>(headers: &HeaderMap, wanted: impl Iterator<Item = &'a HeaderName>) -> HeaderMap {
    let mut chosen = HeaderMap::new();
    for name in wanted {
        if let Some(value) = headers.get(name)
            && !chosen.contains_key(name)
        {
            chosen.insert(name, value.clone());
        }
    }
    chosen
}

fn head_bytes(headers: &HeaderMap) -> u64 {
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    bytes.sum::<usize>() as u64
}

impl Entry<'_> {
    /// The status that the client got; none if it got none.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.progress.status
    }

    /// Envoy's flag for what went wrong.
    pub(crate) fn flag(&self) -> Option<&'static str> {
        if self.progress.flags.is_some() {
            return self.progress.flags;
        }
        let flag = match self.ending {
            Ending::Answered => "-",
            Ending::Aborted => Kind::ClientClosed.row().flag,
            Ending::Failed(kind) => kind.row().flag,
        };
        let flags = if self.progress.retries_used_up {
            with_retries_used_up(flag)
        } else {
            flag
        };
        Some(flags).filter(|flags| *flags != "-")
    }

    /// Envoy's words for why the response is what it is.
    pub(crate) fn code_details(&self) -> String {
        const BEFORE: &str = "upstream_reset_before_response_started";
        let broke = |kind: Kind| match kind.row().details.strip_prefix(BEFORE) {
            Some(why) => format!("upstream_reset_after_response_started{why}"),
            None => kind.row().details.to_owned(),
        };
        match (self.progress.code_details, self.ending) {
            (_, Ending::Aborted) => Kind::ClientClosed.row().details.to_owned(),
            (Some(details), _) => details.to_owned(),
            (None, Ending::Failed(kind)) => broke(kind),
            (None, Ending::Answered) if self.progress.tries_count == 0 => "direct_response".to_owned(),
            (None, Ending::Answered) => "via_upstream".to_owned(),
        }
    }

    /// The last try.
    pub(crate) fn last_try(&self) -> Option<&Try> {
        self.progress.tries.last()
    }
}

/// Envoy's flag for the last of the tries, with the one that says that there could be no other.
fn with_retries_used_up(flag: &'static str) -> &'static str {
    match flag {
        "-" => "URX",
        "UF" => "URX,UF",
        "UC" => "URX,UC",
        "UR" => "URX,UR",
        "UT" => "URX,UT",
        "UO" => "URX,UO",
        "UPE" => "URX,UPE",
        "DC" => "URX,DC",
        other => other,
    }
}

/// A try that is under way; one that is dropped was given up.
pub(crate) struct OpenTry {
    record: Arc<Record>,
}

impl OpenTry {
    /// A try begins, if anybody keeps a record of the request.
    pub(crate) fn begin(request: &mut Request<Body>, cluster: &Arc<str>, upstream: &Address) -> Option<Self> {
        let Tracked(record) = request.extensions().get::<Tracked>()?;
        let record = Arc::clone(record);
        let context = record
            .progress()
            .trace
            .map(|part| part.context)
            .filter(|context| context.sampled);
        let span = context.map(Context::child);
        if let Some(span) = span {
            request.headers_mut().insert(TRACEPARENT, span.to_field());
        }
        Some(Self::of(
            record,
            (cluster, upstream),
            span.map(|span| span.span_id),
        ))
    }

    /// A try to connect for a connection that carries no HTTP.
    pub(crate) fn connecting(record: &Arc<Record>, cluster: &Arc<str>, upstream: &Address) -> Self {
        Self::of(Arc::clone(record), (cluster, upstream), None)
    }

    fn of(
        record: Arc<Record>,
        (cluster, upstream): (&Arc<str>, &Address),
        span_id: Option<NonZeroU64>,
    ) -> Self {
        let start = record.elapsed();
        let mut progress = record.progress();
        progress.cluster = Some(Arc::clone(cluster));
        progress.tries_count += 1;
        let within = progress.tries_within;
        if progress.tries.len() == TRIES_REMEMBERED {
            progress.tries.pop();
        }
        progress.tries.push(Try {
            span_id,
            within,
            upstream: upstream.clone(),
            local: None,
            start,
            end: None,
            outcome: None,
            failure: None,
        });
        drop(progress);
        Self { record }
    }

    /// The try has its response head, or has failed.
    pub(crate) fn end(open: Option<Self>, outcome: Result<StatusCode, &Error>) {
        let Some(open) = open else { return };
        let end = open.record.elapsed();
        let mut progress = open.record.progress();
        if let Some(last) = progress.tries.last_mut() {
            last.end = Some(end);
            last.outcome = Some(outcome.map_err(Error::kind));
            last.failure = outcome.err().map(|error| error.to_string().into());
        }
    }
}

impl Drop for OpenTry {
    fn drop(&mut self) {
        let end = self.record.elapsed();
        if let Some(last) = self.record.progress().tries.last_mut() {
            last.end.get_or_insert(end);
        }
    }
}

/// The record of the request with these extensions.
pub(crate) fn tracked(extensions: &http::Extensions) -> Option<&Arc<Record>> {
    extensions.get::<Tracked>().map(|Tracked(record)| record)
}

/// Gives the head of another try what the request had.
pub(crate) fn carry(from: &http::Extensions, to: &mut http::Extensions) {
    if let Some(tracked) = from.get::<Tracked>() {
        to.insert(tracked.clone());
    }
}

/// Gives a request its id, and its record the head as it is now.
pub(crate) fn identify(record: Option<&Arc<Record>>, peer: &Peer, request: &mut Request<Body>) {
    request_id::apply(peer.http().request_id, request.headers_mut());
    if let Some(record) = record {
        record.identified(request);
    }
}
