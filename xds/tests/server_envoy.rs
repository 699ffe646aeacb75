//! Does Envoy, driven by our server, have what it was told at every moment, in every variant of xDS?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

#[path = "server_envoy/world.rs"]
mod world;

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use envoy_types::pb::google::protobuf::Any;
use fastrand::Rng;
use prost::Message;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::envoy::bootstrap::Variant;
use tidegate_testkit::peers;
use tidegate_testkit::wait::eventually_within;
use tidegate_xds::resource::Kind;
use tidegate_xds::server::Resource;
use world::{Driven, PATIENCE, World};

/// How many changes a world lives through.
const STEPS: usize = 200;

/// After how many changes Envoy has to have caught up.
const ROUND: usize = 10;

fn start_of_world() -> World {
    let mut world = World::default();
    for (name, upstream) in [("a", 0), ("b", 1)] {
        world.cluster(name, upstream);
        world.host(&format!("{name}.example"), name);
    }
    world
}

/// Changes one thing about a world.
fn change(world: &mut World, random: &mut Rng) {
    let name = ["a", "b", "c", "d", "e"][random.usize(..5)];
    match random.usize(..6) {
        0 | 1 => world.cluster(name, random.usize(..3)),
        2 => {
            if let Some(upstreams) = world.clusters.get_mut(name) {
                upstreams.insert(random.usize(..3));
            }
        }
        3 => {
            if !world.hosts.values().any(|cluster| cluster == name) {
                world.clusters.remove(name);
                world.apart.remove(name);
            }
        }
        4 => {
            if !world.apart.remove(name) {
                world.apart.insert(name.to_owned());
            }
        }
        _ => {
            let host = format!("{}.example", ["a", "b", "c"][random.usize(..3)]);
            if world.clusters.contains_key(name) {
                world.host(&host, name);
            } else {
                world.hosts.remove(&host);
            }
        }
    }
}

async fn survives_churn(variant: Variant) {
    let Some(envoy) = peers::envoy("churn of our xDS server") else {
        return;
    };
    let mut driven = Driven::start(&envoy, variant, start_of_world()).await;
    // The same world in each run.
    let mut random = Rng::with_seed(7);
    for step in 1..=STEPS {
        change(&mut driven.world, &mut random);
        driven.publish();
        tokio::task::yield_now().await;
        if step % ROUND != 0 {
            continue;
        }
        driven.settled().await;
        let front = driven.envoy.listener("front").await;
        for (host, cluster) in &driven.world.hosts {
            let answer = get(front, host, "/").await;
            let number: usize = answer.text().parse().expect("an upstream's number");
            assert!(
                driven.world.clusters[cluster].contains(&number),
                "{host} at step {step}"
            );
        }
    }
    for of in [
        "cluster_manager.cds",
        "listener_manager.lds",
        "http.front.rds.routes",
    ] {
        assert_eq!(
            driven.envoy.stat(&format!("{of}.update_rejected")).await,
            0,
            "{of}"
        );
    }
    let clients = driven.server.clients();
    let mut statuses = clients.iter().flat_map(|client| client.kinds.values());
    assert!(statuses.all(|status| status.error.is_none()), "{clients:?}");
}

#[tokio::test]
async fn envoy_follows_churn_of_the_world() {
    survives_churn(Variant::Sotw).await;
}

#[tokio::test]
async fn envoy_follows_churn_by_delta() {
    survives_churn(Variant::Delta).await;
}

#[tokio::test]
async fn envoy_follows_churn_kind_by_kind() {
    survives_churn(Variant::PerKind).await;
}

#[tokio::test]
async fn envoy_follows_churn_by_delta_kind_by_kind() {
    survives_churn(Variant::DeltaPerKind).await;
}

/// Replaces a cluster and the route to it under load, again and again: no request finds the route without its cluster.
async fn swaps_without_a_gap(variant: Variant) {
    let Some(envoy) = peers::envoy("swaps of clusters by our xDS server") else {
        return;
    };
    let mut world = World::default();
    world.cluster("c0", 0);
    world.host("app.example", "c0");
    let mut driven = Driven::start(&envoy, variant, world).await;
    let front = driven.envoy.listener("front").await;
    let mut client = Client::http1(front).await;
    for swap in 1..=30 {
        let name = format!("c{swap}");
        driven.world.clusters.clear();
        driven.world.apart.clear();
        driven.world.cluster(&name, swap % 3);
        if swap % 2 == 0 {
            driven.world.apart.insert(name.clone());
        }
        driven.world.host("app.example", &name);
        driven.publish();
        let wanted = (swap % 3).to_string();
        eventually_within("the new cluster to answer", PATIENCE, async || {
            let answer = client.get("app.example", "/").await;
            assert_eq!(answer.status, 200, "swap {swap}: {}", answer.text());
            (answer.text() == wanted).then_some(()).ok_or(answer.text())
        })
        .await;
    }
    driven.settled().await;
}

#[tokio::test]
async fn a_cluster_is_swapped_without_a_gap() {
    swaps_without_a_gap(Variant::Sotw).await;
}

#[tokio::test]
async fn a_cluster_is_swapped_without_a_gap_by_delta() {
    swaps_without_a_gap(Variant::Delta).await;
}

#[tokio::test]
async fn a_new_server_sends_by_delta_only_what_changed() {
    let Some(envoy) = peers::envoy("a new xDS server") else {
        return;
    };
    let mut driven = Driven::start(&envoy, Variant::Delta, start_of_world()).await;
    driven.settled().await;
    assert_eq!(driven.sent(Kind::Cluster), 2);
    driven.world.cluster("c", 2);
    driven.restart().await;
    driven.publish();
    driven.settled().await;
    eventually_within("the routes to be asked for", PATIENCE, async || {
        let clients = driven.server.clients();
        clients
            .iter()
            .any(|client| client.kinds.contains_key(&Kind::Routes))
    })
    .await;
    let sent = [Kind::Cluster, Kind::Listener, Kind::Routes].map(|kind| driven.sent(kind));
    assert_eq!(sent, [1, 0, 0]);
}

/// A cluster that Envoy decodes and cannot use.
fn unusable(good: &Resource) -> Resource {
    let mut cluster = pb::Cluster::decode(good.body().clone()).expect("it decodes");
    cluster.transport_socket = Some(TransportSocket {
        name: "none".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/google.protobuf.Struct".to_owned(),
            value: Vec::new(),
        })),
    });
    Resource::new(cluster.name.as_str(), cluster.encode_to_vec())
}

/// A cluster that breaks a constraint of its message, for which Envoy refuses a whole response.
fn broken(good: &Resource) -> Resource {
    let mut cluster = pb::Cluster::decode(good.body().clone()).expect("it decodes");
    cluster.lb_policy = 99;
    Resource::new(cluster.name.as_str(), cluster.encode_to_vec())
}

async fn refused_once(variant: Variant, spoil: fn(&Resource) -> Resource) {
    let Some(envoy) = peers::envoy("NACKs to our xDS server") else {
        return;
    };
    let mut driven = Driven::start(&envoy, variant, start_of_world()).await;
    let bad = Arc::new(spoil(&driven.encoded("bad")));
    for step in 0..10 {
        driven.world.cluster("c", step % 3);
        driven.world.host("c.example", "c");
        let bad = Arc::clone(&bad);
        driven.publish_with(|resources| resources.with(Kind::Cluster, [bad]));
        driven.settled().await;
    }
    let rejected = driven.envoy.stat("cluster_manager.cds.update_rejected").await;
    assert_eq!(rejected, 1, "what was refused is not sent again");
    let clients = driven.server.clients();
    let status = clients[0]
        .kinds
        .get(&Kind::Cluster)
        .expect("it asked for clusters");
    assert_eq!(
        status.refused.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["bad"]
    );
    let front = driven.envoy.listener("front").await;
    assert_eq!(get(front, "c.example", "/").await.text(), "0");
}

#[tokio::test]
async fn an_unusable_cluster_is_sent_once_and_the_rest_goes_on() {
    refused_once(Variant::Sotw, unusable).await;
    refused_once(Variant::Delta, unusable).await;
}

#[tokio::test]
async fn a_broken_cluster_is_sent_once_and_the_rest_goes_on() {
    refused_once(Variant::Sotw, broken).await;
    refused_once(Variant::Delta, broken).await;
}
