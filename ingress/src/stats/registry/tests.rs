//! Are statistics shown as Envoy shows them?

use std::time::Duration;

use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_proxy::cluster::{Cluster, ClusterSettings};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Body, Proxy};
use tower::ServiceExt;

use super::*;
use crate::lifecycle::ServerState;

fn facts() -> ServerFacts {
    ServerFacts {
        state: ServerState::Live,
        uptime: Duration::from_secs(5),
        initialization: Some(Duration::from_millis(46)),
        concurrency: 1,
        restart_epoch: 0,
        view: Arc::default(),
    }
}

/// A registry over a cluster without endpoints that `requests` were sent to.
async fn after(requests: usize) -> Registry {
    let breakers = BreakerSettings {
        default: Thresholds::usual(),
        high: Thresholds::usual(),
    };
    let clusters = ["b", "a.b", "a"].map(|name| {
        Cluster::new(ClusterSettings {
            breakers: breakers.into(),
            ..ClusterSettings::new(name)
        })
    });
    let host = VirtualHost::new(
        "all",
        [Domain::Any],
        [Route::forward(Split::single("a", [].into()))],
    );
    let handle = Handle::new(Snapshot::new([host], clusters));
    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(handle.clone(), watch);
    for _ in 0..requests {
        let request = ::http::Request::get("http://a.example/")
            .body(Body::empty())
            .unwrap();
        drop(proxy.clone().oneshot(request).await.unwrap());
    }
    Registry::new(handle, Recorder::default())
}

fn written(registry: &Registry, query: &[(&str, &str)]) -> String {
    let (query, mut text) = (Query::read(query.iter().copied()).unwrap(), String::new());
    registry.collect(&facts()).write(&query, &mut text).unwrap();
    text
}

#[tokio::test]
async fn text_has_numbers_by_name_and_then_histograms() {
    let registry = after(2).await;
    let text = written(&registry, &[]);
    let lines: Vec<&str> = text.lines().collect();
    let (histograms, numbers): (Vec<&str>, Vec<&str>) = lines
        .iter()
        .partition(|line| line.contains("P0(") || line.contains("No recorded"));
    assert_eq!(lines, [numbers.clone(), histograms].concat());
    let names: Vec<&str> = numbers
        .iter()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(lines.contains(&"cluster.a.upstream_rq_503: 2"));
    assert!(lines.contains(&"cluster.a.upstream_rq_5xx: 2"));
    assert!(lines.contains(&"cluster.a.b.upstream_rq_total: 0"));
    assert!(lines.contains(&"server.initialization_time_ms: P0(nan,46.5) P25(nan,46.5) P50(nan,46.5) P75(nan,46.5) P90(nan,46.5) P95(nan,46.5) P99(nan,46.5) P99.5(nan,46.5) P99.9(nan,46.5) P100(nan,46.5)"));
}

#[tokio::test]
async fn a_filter_matches_anywhere_in_the_name_with_dots() {
    let registry = after(1).await;
    let check = |query: &[(&str, &str)], expected: &str| {
        assert_eq!(written(&registry, query), expected, "{query:?}");
    };
    check(&[("filter", "^server.live$")], "server.live: 1\n");
    check(&[("filter", "rver.li"), ("type", "Counters")], "");
    check(
        &[
            ("filter", r"cluster\.b\.upstream_rq_(503|total)"),
            ("usedonly", ""),
        ],
        "",
    );
    check(
        &[
            ("filter", "server.(live|init)"),
            ("format", "json"),
            ("type", "Gauges"),
        ],
        "{\"stats\":[{\"name\":\"server.live\",\"value\":1}]}",
    );
    check(&[("filter", "nothing"), ("format", "json")], "{\"stats\":[]}");
}

#[tokio::test]
async fn prometheus_has_each_family_once_with_tags_in_envoys_order() {
    let registry = after(3).await;
    let text = written(&registry, &[("format", "prometheus")]);
    let series = [
        "envoy_cluster_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"a\"} 3\n",
        "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"a\"} 3\n",
        "envoy_cluster_circuit_breakers_default_rq_open{envoy_cluster_name=\"a.b\"} 0\n",
        "envoy_server_live{} 1\n",
        "envoy_server_initialization_time_ms_bucket{le=\"50\"} 1\n",
        "tidegate_config_stale{} 0\n",
    ];
    for series in series {
        assert!(text.contains(series), "{series}");
    }
    let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
}

#[tokio::test]
async fn reset_counters_begin_at_zero_and_go_on() {
    let registry = after(2).await;
    registry.reset_counters(&facts());
    let count = [("filter", "cluster.a.upstream_rq_503")];
    assert_eq!(written(&registry, &count), "cluster.a.upstream_rq_503: 0\n");
    let snapshot = registry.proxy.load();
    let (_drain, watch) = Drain::new();
    let request = ::http::Request::get("http://a.example/")
        .body(Body::empty())
        .unwrap();
    drop(
        Proxy::new(registry.proxy.clone(), watch)
            .oneshot(request)
            .await
            .unwrap(),
    );
    drop(snapshot);
    assert_eq!(written(&registry, &count), "cluster.a.upstream_rq_503: 1\n");
}

#[test]
fn what_the_facade_is_told_is_shown_under_its_own_name_and_bounded() {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("cluster_manager.cds.update_success").increment(2);
        metrics::counter!("http.edge.rds.routes.update_success").increment(1);
        metrics::counter!("tidegate_requests_failed_total", "reason" => "no_route").increment(3);
        for cluster in 0..10 {
            metrics::counter!("tidegate_upstream_requests_total", "cluster" => cluster.to_string())
                .increment(1);
        }
        for name in 0..2 * crate::limits::METRICS_KEPT_MAX {
            metrics::gauge!(format!("many.{name}")).set(1.0);
        }
    });
    let registry = Registry::new(Handle::default(), recorder);
    let text = written(&registry, &[("format", "prometheus")]);
    for series in [
        "envoy_cluster_manager_cds_update_success{} 2\n",
        "envoy_http_rds_update_success{envoy_rds_route_config=\"routes\",envoy_http_conn_manager_prefix=\"edge\"} 1\n",
        "tidegate_requests_failed_total{reason=\"no_route\"} 3\n",
    ] {
        assert!(text.contains(series), "{series}");
    }
    assert!(!text.contains("upstream_requests_total"));
    assert!(text.matches("envoy_many_").count() < 2 * crate::limits::METRICS_KEPT_MAX + 1);
}
