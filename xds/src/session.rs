//! One xDS session as a pure state machine: responses and verdicts in, requests out.
//!
//! It knows no socket and no clock. Whoever drives it says when a stream begins and ends, hands over messages and verdicts, and
//! sends what [`Session::next_request`] gives. A session outlives its streams.
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::sync::Arc;
//! use std::time::Instant;
//! use tidegate_xds::client::Wanted;
//! use tidegate_xds::resource::Kind;
//! use tidegate_xds::session::{Request, Session, Settings, Status};
//! use tidegate_xds::wire::Node;
//!
//! let now = Instant::now();
//! let mut session = Session::new(Settings::new(Node::default()), Arc::new(Status::default()), now);
//! session.want(&Wanted::from([(Kind::Cluster, BTreeSet::new())]), now);
//! assert!(session.next_request(now).is_none(), "there is no stream");
//! session.connected();
//! let Some(Request::StateOfTheWorld(first)) = session.next_request(now) else { panic!("there is one now") };
//! assert_eq!(first.type_url, Kind::Cluster.type_url());
//! assert!(first.resource_names.is_empty() && first.response_nonce.is_empty());
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::DecodeError;

use crate::client::Wanted;
use crate::resource::{Kind, Update, Verdict};

mod batch;
mod lifetimes;
mod pace;
pub mod parse;
mod request;
mod settings;
mod status;
mod subscription;

pub use request::Request;
pub use settings::{Backoff, NodeOn, RateLimit, Settings, Variant};
pub use status::{KindStatus, Number, Status};

use pace::{Bucket, Retreat};
use subscription::{Due, Outcome, Subscription};

/// A session with one control plane.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    status: Arc<Status>,
    subscriptions: BTreeMap<Kind, Subscription>,
    /// The kinds that have something to ask, whoever has waited longest first: no kind starves another.
    queue: VecDeque<Kind>,
    /// How many of them the gauge knows.
    pending: u64,
    bucket: Option<Bucket>,
    /// When the rate limit lets the next request go.
    blocked_until: Option<Instant>,
    retreat: Retreat,
    /// The number of the stream, if there is one.
    stream: Option<u64>,
    streams: u64,
    node_sent: bool,
    tokens: u64,
}

/// An update that is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    kind: Kind,
    number: u64,
}

impl Session {
    /// A session that wants nothing yet.
    #[must_use]
    pub fn new(settings: Settings, status: Arc<Status>, now: Instant) -> Self {
        let kinds = settings.kinds.iter();
        let subscriptions = kinds.map(|&kind| (kind, Subscription::new(kind, settings.variant)));
        Self {
            subscriptions: subscriptions.collect(),
            bucket: settings.rate_limit.map(|limit| Bucket::new(limit, now)),
            retreat: Retreat::new(settings.backoff),
            settings,
            status,
            queue: VecDeque::new(),
            pending: 0,
            blocked_until: None,
            stream: None,
            streams: 0,
            node_sent: false,
            tokens: 0,
        }
    }

    /// Changes what is wanted: the union of all names that anybody needs.
    pub fn want(&mut self, wanted: &Wanted, now: Instant) {
        for (kind, subscription) in &mut self.subscriptions {
            let timeout = self.settings.fetch_timeout(*kind);
            subscription.want(wanted.get(kind), timeout, now);
        }
    }

    /// Whether there is anything to ask a control plane for.
    #[must_use]
    pub fn wants_any(&self) -> bool {
        self.subscriptions.values().any(Subscription::is_wanted)
    }

    /// A stream is about to open: everything is asked for anew on it, with the versions that are held.
    pub fn connected(&mut self) {
        self.streams += 1;
        self.stream = Some(self.streams);
        self.node_sent = false;
        self.queue.clear();
        for subscription in self.subscriptions.values_mut() {
            subscription.begin(self.streams);
        }
    }

    /// The stream has ended or did not open. Returns how long to wait before the next; `random` is any number from 0 to 1.
    pub fn disconnected(&mut self, random: f64) -> Duration {
        self.stream = None;
        self.queue.clear();
        self.show_pending();
        for (kind, subscription) in &self.subscriptions {
            if subscription.wanted.is_some() {
                let status = self.status.of(*kind);
                status.update_attempt.increment();
                status.update_failure.increment();
            }
        }
        self.retreat.next(random)
    }

    /// Takes a message in.
    ///
    /// # Errors
    /// When it cannot be read: the stream has to be ended.
    pub fn receive(&mut self, message: Bytes, now: Instant) -> Result<(), DecodeError> {
        let parsed = parse::parse(self.settings.variant, message)?;
        self.retreat.reset();
        let kind = Kind::of_url(&parsed.type_url);
        let subscription = kind.and_then(|kind| self.subscriptions.get_mut(&kind));
        let (Some(subscription), Some(content)) = (subscription, parsed.content) else {
            self.status.unknown_types.increment();
            tracing::debug!(
                type_url = parsed.type_url,
                "a response of a type that nobody asked for"
            );
            return Ok(());
        };
        let status = self.status.of(content.kind);
        status.update_attempt.increment();
        match subscription.receive(content, parsed.nonce, now) {
            Outcome::Refused => status.update_rejected.increment(),
            Outcome::Unchanged => {
                status.heartbeats.increment();
                status.accepted(&subscription.version);
            }
            Outcome::Waits | Outcome::Ignored => {}
        }
        Ok(())
    }

    /// Whether there is an update to judge.
    #[must_use]
    pub fn has_delivery(&self) -> bool {
        self.subscriptions.values().any(Subscription::has_delivery)
    }

    /// The next update to judge: one of a kind at a time, clusters before what names them. What comes of a kind while one
    /// is being judged is gathered into the next.
    pub fn take_delivery(&mut self) -> Option<(Token, Update)> {
        self.tokens += 1;
        let number = self.tokens;
        self.subscriptions.iter_mut().find_map(|(&kind, subscription)| {
            let token = Token { kind, number };
            subscription.deliver(token).map(|update| (token, update))
        })
    }

    /// What became of an update; none if it was put aside without a verdict: it is not answered, and goes along with the next.
    pub fn judged(&mut self, token: Token, verdict: Option<&Verdict>) {
        let Some(subscription) = self.subscriptions.get_mut(&token.kind) else {
            return;
        };
        let Some(verdict) = verdict else {
            return subscription.put_aside(token);
        };
        if subscription.judge(token, verdict) {
            let status = self.status.of(token.kind);
            match verdict {
                Verdict::Accepted => status.accepted(&subscription.version),
                Verdict::Rejected(_) => status.update_rejected.increment(),
            }
        }
    }

    /// The next request, if one is due and the rate limit lets it go.
    pub fn next_request(&mut self, now: Instant) -> Option<Request> {
        self.stream?;
        self.refresh_queue(now);
        let due = |kind: &&Kind| self.due(**kind, now) == Due::At(now);
        let kind = *self.queue.iter().find(due)?;
        if let Some(bucket) = &mut self.bucket
            && let Err(until) = bucket.take(now)
        {
            if self.blocked_until.is_none_or(|until| until <= now) {
                self.status.rate_limit_enforced.increment();
            }
            self.blocked_until = Some(until);
            self.show_pending();
            return None;
        }
        self.blocked_until = None;
        let node = self.settings.node_on == NodeOn::All || !self.node_sent;
        let node = node.then(|| self.settings.node.clone());
        self.node_sent = true;
        self.queue.retain(|queued| *queued != kind);
        self.show_pending();
        let subscription = self.subscriptions.get_mut(&kind)?;
        Some(subscription.request(node, now))
    }

    /// Removes the resources that were not renewed in time: an update without a response, which is judged and not answered.
    pub fn end_lifetimes(&mut self, now: Instant) {
        self.subscriptions
            .values_mut()
            .for_each(|subscription| subscription.end(now));
    }

    /// When to look again though nothing has happened: for a request that waits, a fetch that takes too long, or a resource
    /// that ends.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let fetches = self.subscriptions.values().filter_map(Subscription::fetch_by);
        let requests = self.subscriptions.keys().filter_map(|&kind| {
            self.stream?;
            match self.due(kind, now) {
                Due::Never => None,
                Due::At(at) => Some(self.blocked_until.map_or(at, |until| at.max(until))),
            }
        });
        let ends = self.subscriptions.values().filter_map(Subscription::ends);
        fetches.chain(requests).chain(ends).min()
    }

    /// The kinds whose first resources have not come in time, each once.
    pub fn timed_out(&mut self, now: Instant) -> Vec<Kind> {
        let subscriptions = self.subscriptions.iter_mut();
        let late =
            subscriptions.filter_map(|(&kind, subscription)| subscription.timed_out(now).then_some(kind));
        let late: Vec<Kind> = late.collect();
        for kind in &late {
            self.status.of(*kind).init_fetch_timeout.increment();
        }
        late
    }

    /// The version of a kind that was last accepted; empty before the first.
    #[must_use]
    pub fn version(&self, kind: Kind) -> Arc<str> {
        let subscription = self.subscriptions.get(&kind);
        subscription.map_or_else(|| "".into(), |subscription| Arc::clone(&subscription.version))
    }

    fn due(&self, kind: Kind, now: Instant) -> Due {
        let subscription = self.subscriptions.get(&kind);
        subscription.map_or(Due::Never, |subscription| subscription.due(now))
    }

    fn refresh_queue(&mut self, now: Instant) {
        for (kind, subscription) in &self.subscriptions {
            if subscription.due(now) != Due::Never && !self.queue.contains(kind) {
                self.queue.push_back(*kind);
            }
        }
    }

    fn show_pending(&mut self) {
        let pending = self.queue.len() as u64;
        self.status.pending_requests.change(self.pending, pending);
        self.pending = pending;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.status.pending_requests.change(self.pending, 0);
    }
}

#[cfg(test)]
mod tests;
