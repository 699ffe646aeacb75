//! What is shown of the program itself: `server.…`, `cluster_manager.…`, `listener_manager.…` and their like.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidegate_proxy::config::Handle;
use tidegate_proxy::observe::counts::ListenerCounts;
use tidegate_proxy::observe::counts::times::Bin;
use tidegate_xds::resource::Kind;
use tidegate_xds::store::view::{Origin, State, View};

use super::flat::{Flat, Owned, Single};
use crate::lifecycle::ServerState;

/// What the program knows about itself and nobody else counts.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// What `/ready` says.
    pub state: ServerState,
    /// How long it has run.
    pub uptime: Duration,
    /// How long it took until it served; none before.
    pub initialization: Option<Duration>,
    /// How many workers there are.
    pub concurrency: usize,
    /// `--restart-epoch`.
    pub restart_epoch: u32,
    /// What the store knows.
    pub view: Arc<View>,
}

pub(super) fn tell(flat: &mut Flat, facts: &ServerFacts, proxy: &Handle, listeners: &[Arc<ListenerCounts>]) {
    server(flat, facts, listeners);
    clusters(flat, facts, proxy);
    listeners_of(flat, facts, listeners);
    memory(flat);
    for name in NEVER {
        flat.counter(name, 0);
    }
    for name in ALWAYS_ZERO {
        flat.gauge(name, 0);
    }
    for section in ["main_thread", "workers", "server.main_thread"] {
        flat.counter(&format!("{section}.watchdog_mega_miss"), 0);
        flat.counter(&format!("{section}.watchdog_miss"), 0);
    }
}

fn server(flat: &mut Flat, facts: &ServerFacts, listeners: &[Arc<ListenerCounts>]) {
    let open = listeners.iter().map(|listener| {
        let totals = listener.totals();
        totals.accepted.saturating_sub(totals.ended)
    });
    flat.gauge("server.concurrency", facts.concurrency as u64);
    flat.gauge("server.hot_restart_epoch", facts.restart_epoch.into());
    flat.gauge("server.live", u64::from(facts.state != ServerState::Draining));
    flat.gauge("server.state", state(facts.state));
    flat.gauge("server.total_connections", open.sum());
    flat.gauge("server.uptime", facts.uptime.as_secs());
    flat.gauge("server.version", version());
    flat.gauge("server.days_until_first_cert_expiring", days_left(listeners));
    flat.gauge("tidegate.config_stale", facts.view.stale.into());
    let ready = facts.initialization.map(|took| Bin {
        lowest: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        width: 1,
        count: 1,
    });
    let (bins, used) = (ready.into_iter().collect(), facts.initialization.is_some());
    flat.push(Single::new(
        "server.initialization_time_ms",
        Owned::Histogram(bins),
        used,
    ));
}

fn clusters(flat: &mut Flat, facts: &ServerFacts, proxy: &Handle) {
    let view = &facts.view;
    // What was removed a moment ago still takes requests, and is no cluster any more.
    let active = match view.resources.get(&Kind::Cluster) {
        Some(_) => in_state(view, Kind::Cluster, State::Active),
        None => proxy.load().clusters().count() as u64,
    };
    flat.gauge("cluster_manager.active_clusters", active);
    flat.gauge(
        "cluster_manager.warming_clusters",
        in_state(view, Kind::Cluster, State::Warming),
    );
    version_of(flat, "cluster_manager.cds", view, Kind::Cluster);
}

fn listeners_of(flat: &mut Flat, facts: &ServerFacts, listeners: &[Arc<ListenerCounts>]) {
    let (view, kind) = (&facts.view, Kind::Listener);
    let active = match view.resources.get(&kind) {
        Some(_) => in_state(view, kind, State::Active),
        None => listeners.len() as u64,
    };
    flat.gauge("listener_manager.total_listeners_active", active);
    flat.gauge(
        "listener_manager.total_listeners_warming",
        in_state(view, kind, State::Warming),
    );
    flat.gauge(
        "listener_manager.total_listeners_draining",
        in_state(view, kind, State::Draining),
    );
    flat.gauge(
        "listener_manager.workers_started",
        u64::from(facts.initialization.is_some()),
    );
    version_of(flat, "listener_manager.lds", view, kind);
}

/// What a control plane calls its newest version, where there is one.
fn version_of(flat: &mut Flat, source: &str, view: &View, kind: Kind) {
    let dynamic = |entry: &Arc<_>| {
        let entry: &tidegate_xds::store::view::Entry = entry;
        entry.origin == Origin::Dynamic
    };
    if let Some(version) = view.versions.get(&kind).filter(|version| !version.is_empty()) {
        flat.gauge(&format!("{source}.version"), hash(version));
        flat.text(&format!("{source}.version_text"), Arc::clone(version));
    } else if view
        .resources
        .get(&kind)
        .is_some_and(|entries| entries.iter().any(dynamic))
    {
        flat.gauge(&format!("{source}.version"), 0);
    }
}

/// Envoy's hash of a version: xxHash64.
pub(super) fn hash(version: &str) -> u64 {
    xxhash_rust::xxh64::xxh64(version.as_bytes(), 0)
}

fn in_state(view: &View, kind: Kind, state: State) -> u64 {
    let entries = view.resources.get(&kind).into_iter().flatten();
    entries.filter(|entry| entry.state == state).count() as u64
}

fn state(state: ServerState) -> u64 {
    match state {
        ServerState::Live => 0,
        ServerState::Draining => 1,
        ServerState::PreInitializing => 2,
        ServerState::Initializing => 3,
    }
}

/// As Envoy's: three bytes of a commit, here of the version.
fn version() -> u64 {
    let mut numbers = env!("CARGO_PKG_VERSION")
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    numbers
        .by_ref()
        .take(3)
        .fold(0, |version, part: u64| version << 8 | (part & 0xff))
}

/// Envoy's number when there is no certificate: the largest of 32 bits.
fn days_left(listeners: &[Arc<ListenerCounts>]) -> u64 {
    const NONE: u64 = u32::MAX as u64;
    let identities = listeners.iter().map(|listener| listener.identities());
    let first = identities.filter_map(|all| all.iter().map(|identity| identity.expires_at()).min());
    first.min().map_or(NONE, |at| {
        at.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / 86_400
    })
}

fn memory(flat: &mut Flat) {
    let memory = Memory::now();
    flat.gauge("server.memory_allocated", memory.resident);
    flat.gauge("server.memory_heap_size", memory.data);
    flat.gauge("server.memory_physical_size", memory.resident);
}

/// What the process holds, in bytes; 0 where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// What is in memory.
    pub(crate) resident: u64,
    /// Heap and stacks, in memory or not.
    pub(crate) data: u64,
}

impl Memory {
    /// As the system says it now.
    pub(crate) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let page = rustix::param::page_size() as u64;
        let pages = |at: usize| -> u64 {
            let field = text.split_ascii_whitespace().nth(at);
            field.and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        Self {
            resident: pages(1) * page,
            data: pages(5) * page,
        }
    }
}

/// Counters of Envoy's of what this program does not do, which dashboards ask for all the same.
const NEVER: &[&str] = &[
    "envoy.overload_actions.reset_high_memory_stream.count",
    "filesystem.flushed_by_timer",
    "filesystem.reopen_failed",
    "http1.dropped_headers_with_underscores",
    "http1.metadata_not_supported_error",
    "http1.requests_rejected_with_underscores_in_headers",
    "http1.response_flood",
    "runtime.deprecated_feature_use",
    "runtime.load_error",
    "runtime.override_dir_exists",
    "runtime.override_dir_not_exists",
    "server.debug_assertion_failures",
    "server.dropped_stat_flushes",
    "server.envoy_bug_failures",
    "server.envoy_notifications",
    "server.wip_protos",
];

/// Gauges of Envoy's of what this program does not have.
const ALWAYS_ZERO: &[&str] = &[
    "filesystem.write_total_buffered",
    "listener_manager.total_filter_chains_draining",
    "listener_manager.workers_pinned",
    "runtime.admin_overrides_active",
    "runtime.deprecated_feature_seen_since_process_start",
    "runtime.num_keys",
    "runtime.num_layers",
    "server.compilation_settings.fips_mode",
    "server.parent_connections",
    "server.seconds_until_first_ocsp_response_expiring",
    "server.stats_recent_lookups",
];
