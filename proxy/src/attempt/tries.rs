//! The tries of a request whose route has a policy: deadlines, retries, and what bounds those.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::once::{self, Failed};
use super::replay::{Upload, Uploaded};
use super::timeout::Deadline;
use super::{Errand, retry, wanted};
use crate::body::Body;
use crate::cluster::Endpoint;
use crate::cluster::affinity::{Affinity, Otherwise};
use crate::cluster::breaker::Permit;
use crate::cluster::budget::{Active, Share};
use crate::cluster::outlier::Outcome;
use crate::config::limits;
use crate::config::manners::TimeLeft;
use crate::error::{Error, Kind};
use crate::observe::counts::one;
use crate::route::ForwardPolicy;
use crate::route::policy::RetryPolicy;
use crate::upstream::{Retried, Timing};
use crate::worker::Worker;

type Answer = (Response<Body>, Timing);

/// Tells the upstream how much less time it has.
fn tell_of_wait(errand: &Errand<'_>, policy: &ForwardPolicy, request: &mut Request<Body>) {
    if !errand.waited.is_zero() {
        TimeLeft::tell(request, policy, errand.waited);
    }
}

/// Sends `request` to `endpoint` first and, where the policy wants it, to others.
///
/// A body is repeated as far as it fits into [`limits::RETRY_BODY_BYTES_MAX`] and what the process has room for: after a longer
/// one there is no further try.
pub(super) async fn run(
    worker: &Worker,
    errand: Errand<'_>,
    policy: &ForwardPolicy,
    endpoint: Arc<Endpoint>,
    request: &mut Request<Body>,
) -> Result<Answer, Error> {
    let errand = &errand;
    let wanted = policy
        .affinity
        .as_ref()
        .and_then(|affinity| wanted(affinity, request));
    let strict = |affinity: &Affinity| affinity.otherwise == Otherwise::Unavailable && wanted.is_some();
    let pinned = errand.endpoint.is_some() || policy.affinity.as_ref().is_some_and(strict);
    let received = errand.received.unwrap_or_else(Instant::now);
    let bound = policy.retry.as_ref().map_or(0, |_| limits::RETRY_BODY_BYTES_MAX);
    let watched = policy.retry.is_some() || policy.timeouts.request.is_some();
    let budget = worker.config.overload().buffered();
    let upload = watched.then(|| Upload::of(request, bound, budget)).flatten();
    let (upload, uploaded) = upload.unzip();
    let timeouts = policy.timeouts.after(errand.waited);
    let mut deadline = Deadline::new(&timeouts, request.headers(), received, uploaded.clone());
    tell_of_wait(errand, policy, request);
    let mut tries = policy.retry.as_ref().map(|retry| Tries {
        retry,
        errand,
        pinned: pinned.then(|| Arc::clone(&endpoint)),
        upload: upload.as_ref(),
        head: head(request),
        active: errand.cluster.budget().begin(),
        tried: Vec::new(),
        running: None,
        done: Retried::default(),
    });
    let mut endpoint = endpoint;
    let begun = Instant::now();
    let ended = loop {
        deadline.stamp(request.headers_mut());
        tell(&policy.counted.to_upstream, tries.as_ref(), request.headers_mut());
        let target = (errand.cluster.as_ref(), policy.priority);
        let sending = once::send(worker, target, policy.resend, &endpoint, request);
        let per_try = policy.retry.as_ref().and_then(|retry| retry.per_try);
        let ended = match deadline.bound(within(per_try, uploaded.clone(), sending)).await {
            Ok(ended) => ended,
            Err(late) => Err(Failed {
                error: late,
                unsent: false,
            }),
        };
        note_timeout(errand, &endpoint, &ended);
        let Some(tries) = &mut tries else { break ended };
        let Some(pause) = tries.pause_before_another(policy, &endpoint, &ended) else {
            break ended;
        };
        // What the try has got is of no use: it must not occupy anything during the pause.
        drop(ended);
        let paused = deadline.bound(tokio::time::sleep(pause)).await;
        paused.map_err(|late| late.with_retried(tries.done))?;
        match tries.prepare(request) {
            Some(next) => {
                endpoint = next;
                TimeLeft::tell(request, policy, errand.waited.saturating_add(begun.elapsed()));
            }
            None => return Err(Error::new(Kind::NoHealthyUpstream)),
        }
    };
    let ended = ended.map(|(mut response, timing)| {
        if let Some(affinity) = &policy.affinity {
            let headers = response.headers_mut();
            affinity.tell(wanted.as_ref(), &endpoint, headers, SystemTime::now());
        }
        tell(&policy.counted.to_client, tries.as_ref(), response.headers_mut());
        (response, timing)
    });
    finish(ended, deadline, tries, upload.as_ref(), request)
}

/// Says how many tries there were, in a field of this name.
fn tell(name: &Option<HeaderName>, tries: Option<&Tries<'_>>, headers: &mut HeaderMap) {
    if let Some(name) = name {
        let count = 1 + tries.map_or(0, |tries| tries.done.retries);
        headers.insert(name, HeaderValue::from(count));
    }
}

/// The tries that a retry policy allows.
struct Tries<'a> {
    retry: &'a RetryPolicy,
    errand: &'a Errand<'a>,
    /// The only endpoint that it may go to.
    pinned: Option<Arc<Endpoint>>,
    upload: Option<&'a Upload>,
    head: Parts,
    /// This request, as one that others' retries are a share of.
    active: Active,
    tried: Vec<Arc<Endpoint>>,
    /// What the retry that runs counts as.
    running: Option<(Permit, Share)>,
    done: Retried,
}

impl Tries<'_> {
    /// How long to wait for another try; none where there is to be none.
    fn pause_before_another(
        &mut self,
        policy: &ForwardPolicy,
        endpoint: &Arc<Endpoint>,
        ended: &Result<Answer, Failed>,
    ) -> Option<Duration> {
        let wanted = match ended {
            Ok((response, _)) => retry::wants_response(self.retry, response.status(), response.headers()),
            Err(failed) => retry::wants_failure(self.retry, failed),
        };
        let counts = self.errand.cluster.counts();
        if !wanted {
            if self.done.retries > 0 {
                one(&counts.cells().retries_answered);
            }
            return None;
        }
        if self.done.retries >= self.retry.retries_max {
            self.done.limit_reached = true;
            one(&counts.cells().retries_exhausted);
            return None;
        }
        if self.upload.is_some_and(Upload::is_lost) {
            return None;
        }
        // The one before has ended: it makes room for this one.
        self.running = None;
        let of_cluster = self.errand.cluster.settings().retry_budget.as_deref();
        let budget = of_cluster.unwrap_or(&self.retry.budget);
        let allowed = self.active.retry(budget).and_then(|share| {
            let permit = self.errand.cluster.breakers().retry(policy.priority)?;
            Some((permit, share))
        });
        if allowed.is_none() {
            one(&counts.cells().retries_overflowed);
        }
        self.running = Some(allowed?);
        self.done.retries += 1;
        self.tried.push(Arc::clone(endpoint));
        self.errand.cluster.metrics().retries.increment(1);
        let status = match ended {
            Ok((response, _)) => response.status(),
            Err(failed) => failed.error.kind().row().status,
        };
        counts.retried(Some(status.as_u16()));
        Some(retry::pause(self.retry, self.done.retries, fastrand::f64()))
    }

    /// Makes `request` whole again, and says where it goes now.
    fn prepare(&self, request: &mut Request<Body>) -> Option<Arc<Endpoint>> {
        let body = match self.upload {
            Some(upload) => upload.again()?,
            None => Body::empty(),
        };
        *request = Request::from_parts(self.head.clone(), body);
        if let Some(pinned) = &self.pinned {
            return Some(Arc::clone(pinned));
        }
        let reselections = self.retry.host_reselections_max;
        let preference = self.errand.preference();
        self.errand
            .cluster
            .pick_other(preference, &self.tried, reselections)
    }
}

/// Ties to the answer what lasts as long as it does.
fn finish(
    ended: Result<Answer, Failed>,
    deadline: Deadline,
    tries: Option<Tries<'_>>,
    upload: Option<&Upload>,
    request: &mut Request<Body>,
) -> Result<Answer, Error> {
    let retried = tries.as_ref().map(|tries| tries.done).unwrap_or_default();
    let counted = tries.map(|tries| (tries.active, tries.running));
    if let Some(upload) = upload {
        upload.settle();
    }
    match ended {
        Ok((response, timing)) => {
            let mut response = deadline.of_response(response);
            if let Some(counted) = counted {
                response = response.map(|body| body.hold(counted));
            }
            if retried != Retried::default() {
                response.extensions_mut().insert(retried);
            }
            Ok((response, timing))
        }
        Err(failed) => Err(failed.into_error(request).with_retried(retried)),
    }
}

/// The output of `future`, or a failure when it has taken `longest` from the end of the upload.
async fn within<T>(
    longest: Option<Duration>,
    uploaded: Option<Uploaded>,
    future: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let Some(longest) = longest else {
        return future.await;
    };
    let late = async {
        if let Some(uploaded) = uploaded {
            uploaded.wait().await;
        }
        tokio::time::sleep(longest).await;
    };
    tokio::select! {
        biased;
        output = future => output,
        () = late => Err(Failed {
            error: Error::new(Kind::PerTryTimeout),
            unsent: false,
        }),
    }
}

/// A try that was cut short is its endpoint's failure; nobody else takes note of it.
fn note_timeout(errand: &Errand<'_>, endpoint: &Endpoint, ended: &Result<Answer, Failed>) {
    if let Err(failed) = ended
        && matches!(failed.error.kind(), Kind::PerTryTimeout | Kind::RequestTimeout)
    {
        errand.cluster.note(endpoint, Outcome::LocalFailure);
        errand.cluster.counts().failed(&failed.error);
        endpoint.state().counts().ended(Err(&failed.error));
    }
}

fn head(request: &Request<Body>) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method.clone_from(request.method());
    head.uri.clone_from(request.uri());
    head.version = request.version();
    head.headers.clone_from(request.headers());
    head.extensions.clone_from(request.extensions());
    head
}
