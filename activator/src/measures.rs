//! What is counted about requests and the autoscaler's connection, for whoever collects that?
//!
//! By Knative's names (`pkg/activator/handler`, `cmd/activator`), and those of OpenTelemetry's HTTP library.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tidegate_knative::stat::Stat;
use tidegate_proxy::observe::{
    instruments::{
        Definition, Form, Group, Instruments, Scope, Series, Value,
        http::{Asked, Exchange, HttpInstruments},
    },
    told::Counter,
};

use crate::{
    limits::{BATCHES_PER_SWEEP, SERIES_MAX},
    registry::Registry,
    reporter::StatSink,
    throttle::{Revision, RevisionSettings},
};

const SCOPE: Scope = Scope::named("knative.dev/serving/pkg/activator");

const CONCURRENCY: [Definition; 1] = [Definition {
    name: "kn.revision.request.concurrency",
    unit: "{request}",
    description: "Concurrent requests that are routed to Activator",
    form: Form::Gauge,
}];

const REQUESTS: [Definition; 2] = [
    Definition {
        name: "kn.revision.request.queued",
        unit: "{request}",
        description: "Number of requests currently queued in the activator waiting for capacity",
        form: Form::UpDownCounter,
    },
    Definition {
        name: "kn.revision.request.active",
        unit: "{request}",
        description: "Number of requests currently being proxied by the activator",
        form: Form::UpDownCounter,
    },
];
const QUEUED: usize = 0;
const ACTIVE: usize = 1;

const REACHABLE: [Definition; 1] = [Definition {
    name: "kn.activator.stats.conn.reachable",
    unit: "{reachable}",
    description: "Whether a peer is reachable from the activator (1 = reachable, 0 = not reachable)",
    form: Form::Gauge,
}];

const ERRORS: [Definition; 1] = [Definition {
    name: "kn.activator.stats.conn.errors",
    unit: "{error}",
    description: "Number of connection errors from the activator",
    form: Form::Counter,
}];
/// The attributes that say whose something is.
const NAMESPACE: &str = "k8s.namespace.name";
const REVISION: &str = "kn.revision.name";
const AUTOSCALER: [(&str, Value<'static>); 1] = [("peer", Value::Text("autoscaler"))];

/// What an activator counts.
#[derive(Debug)]
pub struct Measures {
    concurrency: Arc<Group>,
    requests: Arc<Group>,
    reachable: Arc<Group>,
    errors: Arc<Group>,
    http: HttpInstruments,
    all: Arc<Instruments>,
}

/// A request that is counted as one of HTTP.
#[derive(Debug)]
pub struct Counted {
    measures: Arc<Measures>,
    exchange: Exchange,
    /// None of one that no revision is for.
    revision: Option<Arc<Revision>>,
}

/// A request of a revision: queued until it is sent on, and then active, until this is dropped.
#[derive(Debug)]
pub struct Going {
    series: Arc<Series>,
    is_active: AtomicBool,
}

/// Who hears about load too, once it is counted. Lets go of what is counted of revisions that are gone, now and then.
#[derive(Debug)]
pub struct Counting<S> {
    measures: Option<Arc<Measures>>,
    registry: Arc<Registry>,
    batches: AtomicU32,
    sink: S,
}

impl Measures {
    /// Of an activator that these attributes tell of.
    #[must_use]
    pub fn new(resource: Vec<(String, String)>) -> Arc<Self> {
        let concurrency = Group::new(SCOPE, &CONCURRENCY, SERIES_MAX);
        let requests = Group::new(SCOPE, &REQUESTS, SERIES_MAX);
        let (reachable, errors) = (Group::new(SCOPE, &REACHABLE, 1), Group::new(SCOPE, &ERRORS, 1));
        let http = HttpInstruments::new(SERIES_MAX);
        let groups = [&concurrency, &requests, &reachable, &errors].map(Arc::clone);
        let groups = groups.into_iter().chain(http.groups());
        Arc::new(Self {
            all: Arc::new(Instruments::new(resource, groups)),
            concurrency,
            requests,
            reachable,
            errors,
            http,
        })
    }

    /// All of it.
    #[must_use]
    pub fn instruments(&self) -> &Arc<Instruments> {
        &self.all
    }

    /// A request, before anything of it is changed.
    #[must_use]
    pub fn counted(self: &Arc<Self>, exchange: Exchange, revision: Option<Arc<Revision>>) -> Counted {
        Counted {
            measures: Arc::clone(self),
            exchange,
            revision,
        }
    }

    /// A request of a revision comes.
    #[must_use]
    pub fn queued(&self, revision: &RevisionSettings) -> Going {
        let series = self.requests.series(&[
            (NAMESPACE, Value::Text(&revision.namespace)),
            (REVISION, Value::Text(&revision.name)),
        ]);
        series.add(QUEUED, 1);
        Going {
            series,
            is_active: AtomicBool::new(false),
        }
    }

    /// The autoscaler is reached now, or not any more.
    pub fn connected(&self, is_connected: bool) {
        self.reachable
            .series(&AUTOSCALER)
            .set(0, f64::from(u8::from(is_connected)));
        if !is_connected {
            self.errors.series(&AUTOSCALER).add(0, 1);
        }
    }

    /// What is counted of other revisions than those of `registry` goes.
    pub fn keep(&self, registry: &Registry) {
        self.all.retain(|series| {
            let name = series.text(NAMESPACE).zip(series.text(REVISION));
            name.is_none_or(|(namespace, name)| registry.get(&format!("{namespace}/{name}")).is_some())
        });
    }

    fn report(&self, revision: &RevisionSettings, stat: &Stat) {
        let series = self.concurrency.series(&attributes(revision));
        series.set(0, stat.average_concurrent_requests);
    }
}

fn attributes(revision: &RevisionSettings) -> [(&'static str, Value<'_>); 4] {
    [
        (NAMESPACE, Value::Text(&revision.namespace)),
        ("kn.configuration.name", Value::Text(&revision.configuration)),
        (REVISION, Value::Text(&revision.name)),
        ("kn.service.name", Value::Text(&revision.service)),
    ]
}

impl Counted {
    /// A pod answered after so long, or did not.
    pub fn asked(&self, (address, port, is_tls): (&str, u16, bool), took: Duration, status: Option<u16>) {
        let asked = Asked {
            address,
            port,
            is_tls,
            took,
            status,
        };
        let revision = self
            .revision
            .as_ref()
            .map(|revision| attributes(revision.settings()));
        let own = revision.as_ref().map_or(&[][..], |all| all);
        self.measures.http.asked(&self.exchange, &asked, own);
    }
}

impl Counter for Counted {
    fn served(&self, status: u16, sent: u64) {
        let revision = self
            .revision
            .as_ref()
            .map(|revision| attributes(revision.settings()));
        let own = revision.as_ref().map_or(&[][..], |all| all);
        self.measures.http.served(&self.exchange, status, sent, own);
    }
}

impl Going {
    /// It is sent to a pod.
    pub fn proceed(&self) {
        if !self.is_active.swap(true, Ordering::Relaxed) {
            self.series.add(QUEUED, -1);
            self.series.add(ACTIVE, 1);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let place = if *self.is_active.get_mut() { ACTIVE } else { QUEUED };
        self.series.add(place, -1);
    }
}

impl<S> Counting<S> {
    /// Counts what `sink` hears of the revisions of `registry`, where anybody counts.
    #[must_use]
    pub fn new(measures: Option<Arc<Measures>>, registry: Arc<Registry>, sink: S) -> Self {
        Self {
            measures,
            registry,
            batches: AtomicU32::new(0),
            sink,
        }
    }
}

impl<S: StatSink> StatSink for Counting<S> {
    fn stat(&self, revision: &Arc<Revision>, stat: Stat) {
        if let Some(measures) = &self.measures {
            measures.report(revision.settings(), &stat);
        }
        self.sink.stat(revision, stat);
    }

    fn batch(&self, stats: Vec<(Arc<Revision>, Stat)>) {
        if let Some(measures) = &self.measures {
            for (revision, stat) in &stats {
                measures.report(revision.settings(), stat);
            }
            let batches = self.batches.fetch_add(1, Ordering::Relaxed);
            if batches % BATCHES_PER_SWEEP == BATCHES_PER_SWEEP - 1 {
                measures.keep(&self.registry);
            }
        }
        self.sink.batch(stats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::tests::settings;

    const OF_SCOPE: &str = r#"otel_scope_name="knative.dev/serving/pkg/activator",otel_scope_schema_url="",otel_scope_version="""#;

    fn assert_shows(measures: &Measures, line: &str) {
        let page = measures.instruments().text();
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }

    #[test]
    fn ac_12_a_request_is_queued_and_then_active() {
        let measures = Measures::new(Vec::new());
        let labels = format!(r#"k8s_namespace_name="default",kn_revision_name="hello-00001",{OF_SCOPE}"#);
        let check = |queued: i64, active: i64| {
            assert_shows(
                &measures,
                &format!("kn_revision_request_queued{{{labels}}} {queued}"),
            );
            assert_shows(
                &measures,
                &format!("kn_revision_request_active{{{labels}}} {active}"),
            );
        };
        let [first, second] = [measures.queued(&settings(1)), measures.queued(&settings(1))];
        check(2, 0);
        first.proceed();
        first.proceed();
        check(1, 1);
        drop(first);
        drop(second);
        check(0, 0);
    }

    #[test]
    fn ac_40_connections_to_the_autoscaler_are_counted() {
        let measures = Measures::new(Vec::new());
        let labels = format!(r#"{OF_SCOPE},peer="autoscaler""#);
        measures.connected(true);
        assert_shows(
            &measures,
            &format!("kn_activator_stats_conn_reachable{{{labels}}} 1"),
        );
        measures.connected(false);
        assert_shows(
            &measures,
            &format!("kn_activator_stats_conn_reachable{{{labels}}} 0"),
        );
        assert_shows(
            &measures,
            &format!("kn_activator_stats_conn_errors_total{{{labels}}} 1"),
        );
    }

    fn counting(measures: &Arc<Measures>, registry: Arc<Registry>) -> Counting<impl StatSink> {
        Counting::new(Some(Arc::clone(measures)), registry, |_: &Arc<Revision>, _| {})
    }

    #[test]
    fn what_is_counted_of_a_revision_goes_with_it() {
        let (measures, registry) = (Measures::new(Vec::new()), Registry::new());
        let sink = counting(&measures, Arc::clone(&registry));
        let revision = Revision::new(settings(1));
        registry.insert(&revision);
        drop(measures.queued(revision.settings()));
        measures.connected(true);
        let shows = || {
            for _ in 0..BATCHES_PER_SWEEP {
                sink.batch(vec![(Arc::clone(&revision), Stat::default())]);
            }
            let page = measures.instruments().text();
            assert!(page.contains("kn_activator_stats_conn_reachable{"), "{page}");
            let names = ["kn_revision_request_queued{", "kn_revision_request_concurrency{"];
            names.map(|name| page.contains(name))
        };
        assert_eq!(shows(), [true, true]);
        registry.remove(revision.key());
        assert_eq!(shows(), [false, false]);
    }

    #[test]
    fn ac_12_concurrency_is_told_as_it_is_reported() {
        let measures = Measures::new(Vec::new());
        let sink = counting(&measures, Registry::new());
        let stat = Stat {
            average_concurrent_requests: 2.5,
            ..Stat::default()
        };
        sink.batch(vec![(Revision::new(settings(1)), stat)]);
        let page = measures.instruments().text();
        let line = page
            .lines()
            .find(|line| line.starts_with("kn_revision_request_concurrency{"));
        assert!(line.is_some_and(|line| line.ends_with("} 2.5")), "{page}");
    }
}
