//! `/clusters`: which clusters are there, how much may be busy of each, and how are their endpoints?

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use http::StatusCode;
use regex::Regex;
use tidegate_proxy::cluster::breaker::{RequestPriority, Used};
use tidegate_proxy::cluster::{Address, Cluster, Endpoint, Status};
use tidegate_xds::resource::Kind;
use tidegate_xds::store::view::{Origin, View};
use tidegate_xds::text::Json;
use tidegate_xds::translate::cluster::activation::Activation;

use super::Admin;
use super::answer::{Answer, JSON, TEXT};
use super::json::{map, nested, number, text};
use super::listeners::{pipe, socket_address};
use super::parameters::Parameters;
use crate::stats;

pub(super) fn show(admin: &Admin, parameters: &Parameters) -> Answer {
    let filter = match parameters.said("filter").map(stats::pattern).transpose() {
        Ok(filter) => filter,
        Err(_) => return Answer::text(StatusCode::BAD_REQUEST, "Invalid re2 regex"),
    };
    let admin = admin.clone();
    if parameters.get("format") == Some("json") {
        return Answer::written(JSON, move |out| as_json(&clusters(&admin, filter.as_ref()), out));
    }
    Answer::written(TEXT, move |out| {
        let clusters = clusters(&admin, filter.as_ref());
        clusters.iter().try_for_each(|(cluster, dynamic)| {
            lines(cluster, *dynamic, out)?;
            activation_lines(&admin, cluster, out)
        })
    })
}

/// The clusters by name, and whether each came from a control plane.
fn clusters(admin: &Admin, filter: Option<&Regex>) -> Vec<(Arc<Cluster>, bool)> {
    let (snapshot, origins) = (admin.settings().proxy.load(), Origins::of(&admin.view()));
    let wanted = |cluster: &&Arc<Cluster>| filter.is_none_or(|filter| filter.is_match(cluster.name()));
    let mut clusters: Vec<_> = snapshot
        .clusters()
        .filter(wanted)
        .map(|cluster| (Arc::clone(cluster), origins.is_dynamic(cluster.name())))
        .collect();
    clusters.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
    clusters
}

/// Where clusters came from.
pub(super) struct Origins(HashMap<Arc<str>, Origin>);

impl Origins {
    pub(super) fn of(view: &View) -> Self {
        let entries = view.resources.get(&Kind::Cluster).into_iter().flatten();
        Self(
            entries
                .map(|entry| (Arc::clone(&entry.raw.name), entry.origin))
                .collect(),
        )
    }

    pub(super) fn is_dynamic(&self, cluster: &str) -> bool {
        self.0.get(cluster) == Some(&Origin::Dynamic)
    }
}

fn lines(cluster: &Cluster, dynamic: bool, out: &mut dyn Write) -> fmt::Result {
    let name = cluster.name();
    writeln!(out, "{name}::observability_name::{name}")?;
    if cluster.settings().outlier.is_some() {
        for kind in ["success_rate", "local_origin_success_rate"] {
            writeln!(out, "{name}::outlier::{kind}_average::-1")?;
            writeln!(out, "{name}::outlier::{kind}_ejection_threshold::-1")?;
        }
    }
    for priority in [RequestPriority::Default, RequestPriority::High] {
        let label = match priority {
            RequestPriority::Default => "default",
            RequestPriority::High => "high",
        };
        for (bound, max) in bounds(cluster, priority) {
            writeln!(out, "{name}::{label}_priority::{bound}::{max}")?;
        }
    }
    writeln!(out, "{name}::added_via_api::{dynamic}")?;
    let endpoints = cluster.endpoints();
    endpoints
        .iter()
        .try_for_each(|endpoint| endpoint_lines(name, endpoint, out))
}

/// What Envoy does not have: for which revision the cluster's requests wait, and how it stands.
fn activation_lines(admin: &Admin, cluster: &Cluster, out: &mut dyn Write) -> fmt::Result {
    let (name, settings) = (cluster.name(), cluster.settings());
    let Some(activation) = settings.metadata.get::<Arc<Activation>>() else {
        return Ok(());
    };
    writeln!(out, "{name}::tidegate_activation::pods::{}", activation.pods)?;
    let limit = activation.container_concurrency;
    writeln!(out, "{name}::tidegate_activation::container_concurrency::{limit}")?;
    let revisions = admin.settings().revisions.as_ref();
    let known = revisions.and_then(|revisions| revisions.get(name));
    let revision = known.filter(|revision| !revision.is_released());
    let is_active = revision.is_some();
    writeln!(out, "{name}::tidegate_activation::active::{is_active}")?;
    let Some(revision) = revision else {
        return Ok(());
    };
    writeln!(out, "{name}::tidegate_activation::parked::{}", revision.parked())?;
    for pod in revision.pods().iter() {
        let (at, in_flight) = (shown(pod.endpoint().address()), pod.in_flight());
        writeln!(
            out,
            "{name}::tidegate_activation::pod::{at}::in_flight::{in_flight}"
        )?;
    }
    Ok(())
}

fn endpoint_lines(cluster: &str, endpoint: &Endpoint, out: &mut dyn Write) -> fmt::Result {
    let at = format!("{cluster}::{}", shown(endpoint.address()));
    let mut stats = numbers(endpoint).to_vec();
    stats.sort_unstable();
    for (name, value, _) in stats {
        writeln!(out, "{at}::{name}::{value}")?;
    }
    let locality = endpoint.locality();
    let part =
        |of: fn(&tidegate_proxy::cluster::Locality) -> &str| locality.map_or("", |locality| of(locality));
    writeln!(
        out,
        "{at}::hostname::{}",
        endpoint.hostname().map_or("", |name| name)
    )?;
    writeln!(out, "{at}::health_flags::{}", flags(endpoint))?;
    writeln!(out, "{at}::weight::{}", endpoint.weight())?;
    writeln!(out, "{at}::region::{}", part(|locality| &locality.region))?;
    writeln!(out, "{at}::zone::{}", part(|locality| &locality.zone))?;
    writeln!(out, "{at}::sub_zone::{}", part(|locality| &locality.sub_zone))?;
    writeln!(
        out,
        "{at}::canary::false\n{at}::priority::{}",
        endpoint.priority()
    )?;
    writeln!(out, "{at}::success_rate::-1\n{at}::local_origin_success_rate::-1")
}

/// The bounds of one priority, in Envoy's order; what has none shows the largest number.
fn bounds(cluster: &Cluster, priority: RequestPriority) -> [(&'static str, u64); 4] {
    let usage = cluster.breakers().usage(priority);
    let max = |used: Option<Used>| used.map_or(u32::MAX.into(), |used| used.max as u64);
    [
        ("max_connections", max(usage.connections)),
        ("max_pending_requests", max(usage.pending)),
        ("max_requests", max(usage.requests)),
        ("max_retries", max(usage.retries)),
    ]
}

/// What an endpoint has counted, in the order of JSON; the last says whether it goes up and down.
fn numbers(endpoint: &Endpoint) -> [(&'static str, u64, bool); 9] {
    let totals = endpoint.totals();
    let open = totals.connections.wrapping_sub(totals.connections_ended);
    [
        ("cx_connect_fail", totals.connects_failed, false),
        (
            "cx_total",
            totals.connections.wrapping_add(totals.connects_failed),
            false,
        ),
        ("rq_error", totals.failed, false),
        ("rq_success", totals.answered, false),
        ("rq_timeout", totals.timeouts, false),
        ("rq_total", totals.requests, false),
        ("cx_active", open, true),
        ("rq_active", endpoint.in_flight() as u64, true),
        ("rq_pending_active", 0, true),
    ]
}

/// Envoy's flags of what speaks against an endpoint.
fn flags(endpoint: &Endpoint) -> String {
    let flags = [
        (endpoint.fails_checks(), "/failed_active_hc"),
        (endpoint.is_ejected(), "/failed_outlier_check"),
        (endpoint.status() == Status::Unhealthy, "/failed_eds_health"),
        (endpoint.status() == Status::Degraded, "/degraded_eds_health"),
        (endpoint.status() == Status::Draining, "/eds_status_draining"),
    ];
    let flags: String = flags
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, flag)| *flag)
        .collect();
    if flags.is_empty() {
        "healthy".to_owned()
    } else {
        flags
    }
}

fn shown(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => path.display().to_string(),
    }
}

fn as_json(clusters: &[(Arc<Cluster>, bool)], out: &mut dyn Write) -> fmt::Result {
    if clusters.is_empty() {
        return out.write_str("{}\n");
    }
    out.write_str("{\n \"cluster_statuses\": [\n")?;
    for (at, (cluster, dynamic)) in clusters.iter().enumerate() {
        out.write_str(if at == 0 { "  " } else { ",\n  " })?;
        nested(&status(cluster, *dynamic), 2, out)?;
    }
    out.write_str("\n ]\n}\n")
}

/// `admin.v3.ClusterStatus`.
fn status(cluster: &Cluster, dynamic: bool) -> Json {
    let hosts: Vec<Json> = cluster
        .endpoints()
        .iter()
        .map(|endpoint| host(endpoint))
        .collect();
    let thresholds = [RequestPriority::Default, RequestPriority::High].map(|priority| {
        let [connections, pending, requests, retries] =
            bounds(cluster, priority).map(|(name, max)| (name, Some(number(max))));
        let high = (priority == RequestPriority::High).then(|| text("HIGH"));
        map([("priority", high), connections, pending, requests, retries])
    });
    let breakers = map([("thresholds", Some(Json::List(thresholds.into())))]);
    map([
        ("name", Some(text(&**cluster.name()))),
        ("added_via_api", dynamic.then_some(Json::Bool(true))),
        ("host_statuses", (!hosts.is_empty()).then_some(Json::List(hosts))),
        ("circuit_breakers", Some(breakers)),
        ("observability_name", Some(text(&**cluster.name()))),
    ])
}

/// `admin.v3.HostStatus`.
fn host(endpoint: &Endpoint) -> Json {
    let stats = numbers(endpoint).map(|(name, value, gauge)| {
        map([
            ("type", gauge.then(|| text("GAUGE"))),
            ("value", (value > 0).then(|| text(value.to_string()))),
            ("name", Some(text(name))),
        ])
    });
    let locality = endpoint.locality().map(|locality| {
        let part = |part: &str| (!part.is_empty()).then(|| text(part));
        map([
            ("region", part(&locality.region)),
            ("zone", part(&locality.zone)),
            ("sub_zone", part(&locality.sub_zone)),
        ])
    });
    map([
        ("address", Some(address(endpoint.address()))),
        ("stats", Some(Json::List(stats.into()))),
        ("health_status", Some(health(endpoint))),
        ("weight", Some(number(endpoint.weight()))),
        ("hostname", endpoint.hostname().map(|name| text(&**name))),
        (
            "priority",
            (endpoint.priority() > 0).then(|| number(endpoint.priority())),
        ),
        ("locality", Some(locality.unwrap_or(Json::Map(Vec::new())))),
    ])
}

/// `admin.v3.HostHealthStatus`.
fn health(endpoint: &Endpoint) -> Json {
    let yes = |is: bool| is.then_some(Json::Bool(true));
    map([
        ("failed_active_health_check", yes(endpoint.fails_checks())),
        ("failed_outlier_check", yes(endpoint.is_ejected())),
        ("eds_health_status", Some(text(said(endpoint.status())))),
    ])
}

/// `core.v3.HealthStatus`.
pub(super) fn said(status: Status) -> &'static str {
    match status {
        Status::Healthy => "HEALTHY",
        Status::Degraded => "DEGRADED",
        Status::Unhealthy => "UNHEALTHY",
        Status::Draining => "DRAINING",
    }
}

/// `core.v3.Address`.
pub(super) fn address(address: &Address) -> Json {
    match address {
        Address::Tcp(address) => socket_address(*address),
        Address::Unix(path) => pipe(path.display()),
    }
}
