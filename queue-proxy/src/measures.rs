//! What is counted about requests and the application, for whoever collects that?
//!
//! As Knative counts it: what the application took without the wait for a place, without probes, by status (Knative
//! `pkg/queue/request_metric.go`), and what OpenTelemetry's library counts of HTTP on both sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use tidegate_proxy::Body;
use tidegate_proxy::body::{Watcher, is_to_pass, watched};
use tidegate_proxy::observe::instruments::http::{Asked, Exchange, HttpInstruments};
use tidegate_proxy::observe::instruments::{
    DURATIONS, Definition, Form, Group, Instruments, Scope, Series, Value,
};
use tidegate_proxy::observe::told::Counter;

use crate::limits::SERIES_MAX;
use crate::route_tag::{self, RouteTag};

const SCOPE: Scope = Scope::named("knative.dev/serving/pkg/queue");

const INVOCATION: [Definition; 1] = [Definition {
    name: "kn.serving.invocation.duration",
    unit: "s",
    description: "The duration of task execution.",
    form: Form::Durations(&DURATIONS),
}];

const DEPTH: [Definition; 1] = [Definition {
    name: "kn.serving.queue.depth",
    unit: "{request}",
    description: "Number of current items in the queue.",
    form: Form::Gauge,
}];

/// Of an invocation whose client has left, or is told that its time is over, before there is an answer.
const UNANSWERED: u16 = 200;
/// Of one whose response has not passed as a whole.
const BROKEN: u16 = 500;

/// What a sidecar counts.
#[derive(Debug)]
pub struct Measures {
    invocation: Arc<Group>,
    depth: Arc<Group>,
    http: HttpInstruments,
    app: App,
    all: Arc<Instruments>,
}

#[derive(Debug)]
struct App {
    address: String,
    port: u16,
}

/// A request that is counted.
#[derive(Debug)]
pub struct Counted {
    measures: Arc<Measures>,
    exchange: Exchange,
    tag: RouteTag,
}

/// The application at work for a request; counts when it is dropped.
///
/// As in Knative, where what a client gets none of counts as 200, and what it does not get the whole of as 500.
#[derive(Debug)]
pub struct Invocation {
    measures: Arc<Measures>,
    began: Instant,
    status: u16,
    is_whole: bool,
}

impl Measures {
    /// Of a sidecar that these attributes tell of, before the application at `app`.
    #[must_use]
    pub fn new(resource: Vec<(String, String)>, app: SocketAddr) -> Arc<Self> {
        let invocation = Group::new(SCOPE, &INVOCATION, SERIES_MAX);
        let depth = Group::new(SCOPE, &DEPTH, 1);
        let http = HttpInstruments::new(SERIES_MAX);
        let groups = [Arc::clone(&invocation), Arc::clone(&depth)];
        let groups = groups.into_iter().chain(http.groups());
        Arc::new(Self {
            all: Arc::new(Instruments::new(resource, groups)),
            invocation,
            depth,
            http,
            app: App {
                address: app.ip().to_string(),
                port: app.port(),
            },
        })
    }

    /// All of it.
    #[must_use]
    pub fn instruments(&self) -> &Arc<Instruments> {
        &self.all
    }

    /// How many requests hold or wait for a place now.
    pub fn note_depth(&self, depth: usize) {
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        self.depth.series(&[]).set(0, depth.into());
    }

    /// A request that came at `received`: before anything of it is changed.
    #[must_use]
    pub fn begin(self: &Arc<Self>, request: &mut Request<Body>, is_tls: bool, received: Instant) -> Counted {
        Counted {
            tag: RouteTag::of(request.headers()),
            exchange: Exchange::of(request, is_tls, received),
            measures: Arc::clone(self),
        }
    }

    /// The application begins to work.
    #[must_use]
    pub fn invoke(self: &Arc<Self>) -> Invocation {
        Invocation {
            measures: Arc::clone(self),
            began: Instant::now(),
            status: UNANSWERED,
            is_whole: true,
        }
    }

    fn invoked(&self, status: u16) -> Arc<Series> {
        self.invocation
            .series(&[("http.response.status_code", Value::Int(status.into()))])
    }
}

impl Counted {
    /// The application answered after so long, or did not.
    pub fn asked(&self, took: Duration, status: Option<u16>) {
        let App { address, port } = &self.measures.app;
        let asked = Asked {
            address,
            port: *port,
            is_tls: false,
            took,
            status,
        };
        let tag = [(route_tag::ATTRIBUTE, Value::Text(self.tag.as_str()))];
        self.measures.http.asked(&self.exchange, &asked, &tag);
    }
}

impl Counter for Counted {
    fn served(&self, status: u16, sent: u64) {
        let tag = [(route_tag::ATTRIBUTE, Value::Text(self.tag.as_str()))];
        self.measures.http.served(&self.exchange, status, sent, &tag);
    }
}

impl Invocation {
    /// The application answered: this lasts until its response has passed.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.status = response.status().as_u16();
        self.is_whole = !is_to_pass(&response);
        watched(response, self)
    }

    /// The sidecar answers in its place.
    pub fn failed(mut self, status: u16) {
        self.status = status;
    }
}

impl Watcher for Invocation {
    fn passed(&mut self, _bytes: u64) {}

    fn ended(&mut self) {
        self.is_whole = true;
    }

    fn broke(&mut self) {}
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let status = if self.is_whole { self.status } else { BROKEN };
        let series = self.measures.invoked(status);
        series.took(0, self.began.elapsed());
    }
}
