//! How does another cluster get a copy of a request that nobody waits for?
//!
//! A copy goes its own way: what becomes of it is seen by nobody but the counts of its cluster, and it holds up neither its
//! request nor a drain. It gets the body as the request's upstream takes it, and is given up where it falls too far behind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::attempt::{self, Errand};
use crate::body::Body;
use crate::cluster::Cluster;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::overload::{Budget, Reservation};
use crate::process;
use crate::route::ForwardPolicy;
use crate::route::policy::{Mirror, MirrorHost, MirrorTo};
use crate::worker::Worker;

/// Sends copies of `request`, which is as its own upstream gets it, where its route wants some. An upgrade has none: there is
/// nobody to speak the other side of it.
pub(crate) fn copy(worker: &Arc<Worker>, policy: &ForwardPolicy, request: &mut Request<Body>) {
    if policy.mirrors.is_empty() || request.headers().contains_key(UPGRADE) {
        return;
    }
    let mut copies = Vec::new();
    for mirror in policy.mirrors.iter().filter(|mirror| mirror.takes()) {
        let Some(cluster) = cluster_of(worker, mirror, request.headers()) else {
            tracing::debug!("a request is not mirrored: the cluster is not there");
            continue;
        };
        let Some(place) = Place::of(&worker.mirrors) else {
            tracing::debug!(cluster = %cluster.name(), "a request is not mirrored: there are too many copies under way");
            continue;
        };
        let body = if request.body().is_end_stream() {
            Body::empty()
        } else {
            let (feed, body) = feed(request.body().size_hint(), worker.config.overload().buffered());
            copies.push(feed);
            Body::new(body)
        };
        let longest = policy.timeouts.request.unwrap_or(limits::MIRROR_TIMEOUT);
        let copied = Request::from_parts(head(request, &mirror.host), body);
        send(worker, cluster, copied, longest, place);
    }
    if copies.is_empty() {
        return;
    }
    // Interim responses find their way by the client's own body, which is hidden from here on.
    if let Some(interim) = Interim::of(request).cloned() {
        request.extensions_mut().insert(interim);
    }
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(Tee { body, copies });
}

fn cluster_of(worker: &Worker, mirror: &Mirror, headers: &HeaderMap) -> Option<Arc<Cluster>> {
    let snapshot = worker.config.load();
    let name = match &mirror.to {
        MirrorTo::Cluster(name) => &**name,
        MirrorTo::Header(name) => headers.get(name)?.to_str().ok()?,
    };
    snapshot.cluster(name).cloned()
}

fn head(request: &Request<Body>, host: &MirrorHost) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method.clone_from(request.method());
    head.uri.clone_from(request.uri());
    head.version = request.version();
    head.headers.clone_from(request.headers());
    // Nobody waits for a permission to send what is a copy.
    head.headers.remove(EXPECT);
    let own = head.headers.get(HOST);
    let host = match host {
        MirrorHost::Same => None,
        MirrorHost::Suffixed => own.and_then(suffixed),
        MirrorHost::Literal(host) => Some(host.clone()),
    };
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    head
}

/// A host with `-shadow` behind its name.
fn suffixed(host: &HeaderValue) -> Option<HeaderValue> {
    let host = host.to_str().ok()?;
    let port = host.rfind(':').filter(|at| *at > host.rfind(']').unwrap_or(0));
    let (name, port) = host.split_at(port.unwrap_or(host.len()));
    HeaderValue::try_from(format!("{name}-shadow{port}")).ok()
}

/// Sends a copy on its way, and takes what comes back off its connection.
fn send(
    worker: &Arc<Worker>,
    cluster: Arc<Cluster>,
    mut request: Request<Body>,
    longest: Duration,
    place: Place,
) {
    let guard = worker.drain.unguarded();
    let worker = Arc::clone(worker);
    let sending = async move {
        let _place = place;
        let exchange = async {
            let errand = Errand {
                cluster: &cluster,
                endpoint: None,
                policy: None,
                hash: None,
                received: None,
                waited: Duration::ZERO,
            };
            let (response, _timing) = attempt::run(&worker, errand, &mut request).await?;
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok::<_, Error>(())
        };
        let why = match tokio::time::timeout(longest, exchange).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "it took too long".to_owned(),
        };
        tracing::debug!(why, cluster = %cluster.name(), "a copy of a request failed");
    };
    process::spawn("mirror", guard, sending);
}

/// One of the copies that a worker has under way.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn of(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::Relaxed) < limits::MIRRORS_PER_WORKER_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a request, which feeds those of its copies as it is read.
struct Tee {
    body: Body,
    copies: Vec<Feed>,
}

/// What a copy's body is fed by. Dropped before the end it breaks the copy off.
struct Feed {
    parts: mpsc::Sender<Part>,
    /// How many bytes wait to be read.
    waiting: Arc<AtomicUsize>,
    budget: Budget,
}

enum Part {
    Data(Bytes, Reservation),
    Trailers(HeaderMap),
    End,
}

/// The body of a copy.
struct Copied {
    parts: mpsc::Receiver<Part>,
    waiting: Arc<AtomicUsize>,
    length: SizeHint,
    ended: bool,
}

fn feed(length: SizeHint, budget: &Budget) -> (Feed, Copied) {
    let (sender, parts) = mpsc::channel(limits::MIRROR_PARTS_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let feed = Feed {
        parts: sender,
        waiting: Arc::clone(&waiting),
        budget: budget.clone(),
    };
    let copied = Copied {
        parts,
        waiting,
        length,
        ended: false,
    };
    (feed, copied)
}

impl Feed {
    /// Says whether the copy has kept up.
    fn push(&self, frame: &Frame<Bytes>) -> bool {
        let Some(data) = frame.data_ref() else {
            let trailers = frame.trailers_ref().cloned().unwrap_or_default();
            return self.parts.try_send(Part::Trailers(trailers)).is_ok();
        };
        let waiting = self.waiting.fetch_add(data.len(), Ordering::Relaxed) + data.len();
        if waiting > limits::MIRROR_BODY_BYTES_MAX {
            return false;
        }
        let Some(reserved) = self.budget.spare(data.len()) else {
            return false;
        };
        self.parts.try_send(Part::Data(data.clone(), reserved)).is_ok()
    }
}

impl Tee {
    fn end(&mut self) {
        for copy in self.copies.drain(..) {
            // Where there is no room for the end the copy breaks off.
            _ = copy.parts.try_send(Part::End);
        }
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.copies.retain(|copy| copy.push(frame));
                if self.body.is_end_stream() {
                    self.end();
                }
            }
            Some(Err(_)) => self.copies.clear(),
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl HttpBody for Copied {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.parts.poll_recv(cx)) {
            Some(Part::Data(data, _reserved)) => {
                self.waiting.fetch_sub(data.len(), Ordering::Relaxed);
                Some(Ok(Frame::data(data)))
            }
            Some(Part::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Part::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                let why = "the request that this is a copy of broke off, or was too far ahead";
                Some(Err(Error::new(Kind::UpstreamReset).with_source(why)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        // The length of the whole: codecs ask once, before they read.
        self.length
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::overload::{Overload, OverloadSettings};

    #[test]
    fn a_suffix_stands_behind_the_name_and_before_the_port() {
        let check = |host: &'static str, expected: &str| {
            let suffixed = suffixed(&HeaderValue::from_static(host)).unwrap();
            assert_eq!(suffixed, expected);
        };
        check("a.example", "a.example-shadow");
        check("a.example:80", "a.example-shadow:80");
        check("[::1]", "[::1]-shadow");
        check("[::1]:80", "[::1]-shadow:80");
    }

    fn tee(bytes: usize) -> (Tee, Copied) {
        let overload = Overload::new(OverloadSettings::default());
        let body = Body::full(vec![b'x'; bytes]);
        let (feed, copied) = feed(body.size_hint(), overload.buffered());
        let copies = vec![feed];
        (Tee { body, copies }, copied)
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_end() {
        let (tee, copied) = tee(10);
        assert_eq!(copied.size_hint().exact(), Some(10));
        let whole = tee.collect().now_or_never().unwrap().unwrap();
        let copy = copied.collect().now_or_never().unwrap().unwrap();
        assert_eq!(whole.to_bytes(), copy.to_bytes());
    }

    #[test]
    fn a_copy_of_what_breaks_off_breaks_off() {
        let (tee, copied) = tee(10);
        drop(tee);
        copied.collect().now_or_never().unwrap().unwrap_err();
    }

    #[test]
    fn a_copy_that_falls_behind_is_given_up_and_holds_nobody_up() {
        let (tee, copied) = tee(limits::MIRROR_BODY_BYTES_MAX + 1);
        tee.collect().now_or_never().unwrap().unwrap();
        copied.collect().now_or_never().unwrap().unwrap_err();
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let taken = Arc::new(AtomicUsize::new(limits::MIRRORS_PER_WORKER_MAX - 1));
        let last = Place::of(&taken);
        assert!(last.is_some() && Place::of(&taken).is_none());
        drop(last);
        assert!(Place::of(&taken).is_some());
    }
}
