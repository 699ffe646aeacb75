//! Do requests wait in the ingress until their revision has a pod, whatever the control plane says meanwhile?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

#[path = "activation/autoscaler.rs"]
mod autoscaler;
#[path = "activation/released.rs"]
mod released;
#[path = "activation/rig.rs"]
mod rig;

use autoscaler::Autoscaler;
use http::{HeaderValue, Version};
use rig::{NAME, Rig, pod};
use serde_json::json;
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, ENDPOINTS};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::peers;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::websocket::WebSocket;
use tokio::task::JoinSet;

#[tokio::test]
async fn from_zero_a_request_waits_for_its_pod_and_says_what_for() {
    let mut rig = Rig::start().await;
    let mut answers = rig.get(1);
    rig.parked(1).await;
    let pod = pod("hello").await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    let answer = soon("the answer", answers.join_next()).await;
    let answer = answer.expect("one").expect("no panic");
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
    let receipt = answer.header("server-timing").expect("a receipt");
    assert!(
        receipt.starts_with("queue;dur=") && receipt.contains("app;dur="),
        "{receipt}"
    );
    let seen = &pod.seen()[0];
    assert_eq!(seen.header("k-proxy-request"), Some("activator"));
    assert_eq!(seen.header("k-original-host"), Some(&*rig.host()));
    assert_eq!(seen.header("host"), Some(&*pod.address().to_string()));
    for gone in [
        "knative-serving-revision",
        "knative-serving-namespace",
        "k-network-hash",
        "x-forwarded-for",
    ] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    rig.parked(0).await;
    let again = get(rig.gateway.external(), &rig.host(), "/").await;
    assert_eq!(
        (again.text().as_str(), again.header("server-timing")),
        ("hello", None)
    );
    assert_eq!(rig.standalone.counts().requests(), 0);
}

#[tokio::test]
async fn a_pod_that_says_that_it_is_ready_is_used_before_its_endpoint_is_healthy() {
    let mut rig = Rig::start().await;
    let mut answers = rig.get(1);
    rig.parked(1).await;
    let pod = pod("early").await;
    rig.pods = vec![(pod.address(), false), (nobody().await, false)];
    rig.push();
    let answer = soon("the answer", answers.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").text(), "early");
    rig.uses(&[pod.address()]).await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_at_once() {
    let rig = Rig::start().await;
    let mut answers = rig.get(3);
    rig.parked(3).await;
    answers.abort_all();
    while answers.join_next().await.is_some() {}
    rig.parked(0).await;
    let left = format!("tidegate_activator.{NAME}.refused_requests_total.client_closed");
    eventually("they are counted", async || rig.gateway.stat(&left).await == 3).await;
}

#[tokio::test]
async fn who_waits_survives_pushes_that_change_everything_but_the_revision() {
    let mut rig = Rig::start().await;
    let mut answers = rig.get(2);
    rig.parked(2).await;
    rig.said["timeoutSeconds"] = json!(77);
    rig.said["containerConcurrency"] = json!(1);
    let version = rig.push();
    rig.control_plane.accepted(CLUSTER, &version).await;
    rig.pods = vec![(nobody().await, false)];
    let version = rig.push();
    rig.control_plane.accepted(ENDPOINTS, &version).await;
    rig.parked(2).await;
    let gate = Gate::closed();
    let pod = Upstream::held(&gate).await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    pod.runs(1).await;
    rig.parked(1).await;
    gate.open();
    while let Some(answer) = soon("an answer", answers.join_next()).await {
        assert_eq!(answer.expect("no panic").text(), "held");
    }
    assert_eq!(
        pod.counts().running_max(),
        1,
        "one request at a time, as it was said later"
    );
}

#[tokio::test]
async fn a_pod_that_is_replaced_gets_nothing_new_and_finishes_what_it_has() {
    let mut rig = Rig::start().await;
    let gate = Gate::closed();
    let (old, new) = (Upstream::held(&gate).await, pod("new").await);
    rig.pods = vec![(old.address(), true)];
    rig.push();
    rig.uses(&[old.address()]).await;
    let mut held = rig.get(1);
    old.runs(1).await;
    rig.pods = vec![(new.address(), true)];
    rig.push();
    rig.uses(&[new.address()]).await;
    for _ in 0..3 {
        assert_eq!(get(rig.gateway.external(), &rig.host(), "/").await.text(), "new");
    }
    gate.open();
    let answer = soon("the old pod's answer", held.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").text(), "held");
}

#[tokio::test]
async fn a_websocket_waits_for_its_pod_and_holds_it_until_it_is_closed() {
    let mut rig = Rig::start().await;
    rig.said["containerConcurrency"] = json!(1);
    let version = rig.push();
    rig.control_plane.accepted(CLUSTER, &version).await;
    let (address, host) = (rig.gateway.external(), rig.host());
    let mut upgrades = JoinSet::new();
    upgrades.spawn(async move { WebSocket::connect(address, &host, "/").await });
    rig.parked(1).await;
    let pod = Upstream::websocket().await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    let socket = soon("the upgrade", upgrades.join_next()).await;
    let mut socket = socket.expect("one").expect("no panic").expect("a tunnel");
    let mut answers = rig.get(1);
    rig.parked(1).await;
    socket.say("still here").await;
    assert_eq!(socket.hear().await, "still here");
    socket.close().await;
    let answer = soon("the answer", answers.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").status, 426);
}

#[tokio::test]
async fn pods_that_speak_http2_are_spoken_to_as_their_own_cluster_says() {
    let mut rig = Rig::start().await;
    rig.said["protocol"] = json!("h2c");
    rig.speak_http2 = true;
    let pod = Upstream::echo().await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    rig.uses(&[pod.address()]).await;
    let mut client = Client::http2(rig.gateway.external()).await;
    let answer = client
        .call(post_request(&rig.host(), "/", full("both ways")))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "both ways")
    );
    let seen = &pod.seen()[0];
    assert_eq!(
        (seen.version, seen.header("k-proxy-request")),
        (Version::HTTP_2, Some("activator"))
    );
}

#[tokio::test]
async fn ingresses_that_share_a_revision_use_pods_of_their_own() {
    let mut rig = Rig::start_with(|start| start.env("POD_IP", "10.1.0.2"), &[]).await;
    let pods = [pod("one").await, pod("two").await];
    let mut at = pods.each_ref().map(Upstream::address);
    at.sort_by_key(ToString::to_string);
    rig.said["containerConcurrency"] = json!(1);
    rig.pods = at.iter().map(|at| (*at, true)).collect();
    rig.push();
    rig.uses(&at).await;
    rig.peers = vec!["10.1.0.2", "10.1.0.1"];
    rig.push();
    rig.uses(&at[1..]).await;
    rig.peers = vec!["10.1.0.2", "10.1.0.3"];
    rig.push();
    rig.uses(&at[..1]).await;
    // It is not among them: all pods, as for one who does not know its index.
    rig.peers = vec!["10.1.0.3"];
    rig.push();
    rig.uses(&at).await;
}

#[tokio::test]
async fn load_is_reported_to_the_autoscaler_from_the_first_request_on() {
    let autoscaler = Autoscaler::start().await;
    let address = autoscaler.address.to_string();
    let named = |start: tidegate_testkit::program::Start| start.env("POD_NAME", "ingress-1");
    let rig = Rig::start_with(named, &["--autoscaler-address", &address]).await;
    eventually("the connection", async || {
        rig.gateway.stat("tidegate.autoscaler_connected").await == 1
    })
    .await;
    let answers = rig.get(2);
    let (namespace, revision) = NAME.split_once('/').expect("it has both");
    let average = |report: &tidegate_knative::stat::WireStatMessage| {
        let stat = report.stat.clone().unwrap_or_default();
        (stat.average_concurrent_requests, stat.request_count)
    };
    let first = autoscaler
        .report("the poke", |report| average(report) == (1.0, 1.0))
        .await;
    assert_eq!((&*first.namespace, &*first.name), (namespace, revision));
    assert_eq!(first.stat.expect("a stat").pod_name, "ingress-1");
    autoscaler
        .report("both, for a whole second", |report| average(report) == (2.0, 0.0))
        .await;
    drop(answers);
    autoscaler
        .report("the last", |report| average(report) == (0.0, 0.0))
        .await;
}

#[tokio::test]
async fn without_an_autoscaler_it_is_ready_and_serves_all_the_same() {
    let dead = nobody().await.to_string();
    let mut rig = Rig::start_with(|start| start, &["--autoscaler-address", &dead]).await;
    assert_eq!(rig.gateway.asks("/ready").await.text(), "LIVE\n");
    assert_eq!(rig.gateway.stat("tidegate.autoscaler_connected").await, 0);
    let pod = pod("hello").await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    rig.uses(&[pod.address()]).await;
    assert_eq!(
        get(rig.gateway.external(), &rig.host(), "/").await.text(),
        "hello"
    );
    let mut told_of_nobody = Rig::start().await;
    let program = &mut told_of_nobody.gateway.program;
    program.line_with("there is no --autoscaler-address").await;
}

#[tokio::test]
async fn what_a_cluster_says_wrong_of_its_revision_is_refused_and_what_was_said_before_stays() {
    let mut rig = Rig::start().await;
    rig.said["containerConcurrency"] = json!(-1);
    rig.push();
    let why = rig.control_plane.refused(CLUSTER).await;
    assert_eq!(
        why,
        format!(
            "Error adding/updating cluster(s) {NAME}: metadata.filter_metadata[tidegate.activation]\
             .containerConcurrency: -1 is no whole number from 0 to 2147483647"
        )
    );
    assert_eq!(rig.lines("container_concurrency").await, ["0"]);
    let answers = rig.get(1);
    rig.parked(1).await;
    drop(answers);
}

#[tokio::test]
async fn who_waits_for_a_revision_that_is_removed_is_answered() {
    let mut rig = Rig::start().await;
    let mut answers = rig.get(1);
    rig.parked(1).await;
    rig.control_plane.set(&[]);
    let answer = soon("the answer", answers.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").status, 503);
    // What comes back under its name is another one.
    let pod = pod("again").await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    rig.uses(&[pod.address()]).await;
    let answer = rig.gateway.answers(&rig.host(), 200).await;
    assert_eq!(answer.text(), "again");
}

#[tokio::test]
async fn until_its_pods_are_known_a_cluster_is_as_it_is_for_envoy() {
    let mut rig = Rig::start().await;
    let said = rig.forget().await;
    assert_eq!(rig.gateway.answers(&rig.host(), 200).await.text(), "standalone");
    rig.said = said;
    rig.push();
    eventually("the revision is known", async || {
        rig.lines("active").await == ["false"]
    })
    .await;
    assert_eq!(rig.gateway.answers(&rig.host(), 200).await.text(), "standalone");
    let pod = pod("pod").await;
    (rig.pods, rig.lists_pods) = (vec![(pod.address(), true)], true);
    rig.push();
    rig.uses(&[pod.address()]).await;
    assert_eq!(rig.gateway.answers(&rig.host(), 200).await.text(), "pod");
}

#[tokio::test]
async fn until_its_pods_are_known_requests_wait_where_nobody_else_could_take_them() {
    let mut rig = Rig::start().await;
    rig.service.pods.clear();
    rig.said = rig.forget().await;
    rig.push();
    eventually("the revision is known", async || {
        rig.lines("active").await == ["true"]
    })
    .await;
    let mut answers = rig.get(1);
    rig.parked(1).await;
    let pod = pod("pod").await;
    (rig.pods, rig.lists_pods) = (vec![(pod.address(), true)], true);
    rig.push();
    let answer = soon("the answer", answers.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").text(), "pod");
}

#[tokio::test]
async fn pods_are_used_until_the_other_cluster_that_is_said_to_have_them_is_there() {
    let mut rig = Rig::start().await;
    let [old, next, new] = [pod("old").await, pod("next").await, pod("new").await];
    rig.pods = vec![(old.address(), true)];
    rig.push();
    rig.uses(&[old.address()]).await;
    rig.said["pods"] = json!("default/renamed-private");
    let version = rig.push();
    rig.control_plane.accepted(CLUSTER, &version).await;
    rig.uses(&[old.address()]).await;
    assert_eq!(get(rig.gateway.external(), &rig.host(), "/").await.text(), "old");
    // It is followed as before.
    rig.pods = vec![(next.address(), true)];
    rig.push();
    rig.uses(&[next.address()]).await;
    rig.lists_pods = false;
    let version = rig.push();
    rig.control_plane.accepted(CLUSTER, &version).await;
    rig.uses(&[next.address()]).await;
    assert_eq!(get(rig.gateway.external(), &rig.host(), "/").await.text(), "next");
    rig.pods = vec![(new.address(), true)];
    (rig.lists_pods, rig.pods_name) = (true, "default/renamed-private");
    rig.push();
    rig.uses(&[new.address()]).await;
    rig.pods.clear();
    rig.push();
    rig.uses(&[]).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_cluster_of_pods_is_said_once_and_that_it_is_over_too() {
    let mut rig = Rig::start().await;
    rig.said["tls"] = json!(true);
    rig.push();
    let program = &mut rig.gateway.program;
    program
        .line_with("is not used: they take TLS, and it has none")
        .await;
    for _ in 0..3 {
        rig.pods.push((nobody().await, true));
        let version = rig.push();
        rig.control_plane.accepted(ENDPOINTS, &version).await;
    }
    rig.uses(&[]).await;
    rig.said["tls"] = json!(false);
    rig.push();
    rig.gateway.program.line_with("is used again").await;
    let pods: Vec<_> = rig.pods.iter().map(|(at, _)| *at).collect();
    rig.uses(&pods).await;
    let said = rig.gateway.program.output();
    let said = said.iter().filter(|line| line.contains("is not used: "));
    assert_eq!(said.count(), 1);
}

#[tokio::test]
async fn envoy_takes_the_same_clusters_and_asks_the_standalone_activator() {
    let Some(envoy) = peers::envoy("the clusters of revisions") else {
        return;
    };
    let mut rig = Rig::start().await;
    let pod = pod("pod").await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    rig.uses(&[pod.address()]).await;
    rig.gateway.program.kill().await;
    let envoy = Envoy::start(&envoy, &support::bootstrap(rig.control_plane.address())).await;
    envoy.live().await;
    assert_eq!(rig.gateway.answers(&rig.host(), 200).await.text(), "standalone");
    envoy.stop().await;
}

#[tokio::test]
async fn a_prober_is_answered_here_and_wakes_nobody() {
    let rig = Rig::start().await;
    let mut request = get_request(&rig.host(), "/healthz");
    let headers = request.headers_mut();
    headers.insert("k-network-probe", HeaderValue::from_static("probe"));
    headers.insert("k-network-hash", HeaderValue::from_static("override"));
    let answer = Client::http1(rig.gateway.external()).await.call(request).await;
    let hash = format!("{:064x}", 1);
    assert_eq!(
        (answer.status.as_u16(), answer.header("k-network-hash")),
        (200, Some(&*hash))
    );
    rig.parked(0).await;
}

#[tokio::test]
async fn after_a_restart_without_a_control_plane_requests_wait_and_go_as_before() {
    let place = tempfile::tempdir().expect("a directory");
    let flags = support::snapshot_flags(&place.path().join("last-good"));
    let flags = flags.each_ref().map(String::as_str);
    let mut rig = Rig::start_with(|start| start, &flags).await;
    let pod = pod("hello").await;
    rig.pods = vec![(pod.address(), true)];
    rig.push();
    rig.uses(&[pod.address()]).await;
    let file = place.path().join("last-good/snapshot");
    let port = varint(pod.address().port());
    eventually("a snapshot that has the pod", async || {
        let saved = std::fs::read(&file).ok()?;
        saved.windows(3).any(|bytes| bytes == port).then_some(())
    })
    .await;
    rig.gateway.program.kill().await;
    let gone = rig.control_plane.address();
    drop(std::mem::replace(
        &mut rig.control_plane,
        ControlPlane::start().await,
    ));
    rig.gateway = support::Gateway::start_with(gone, rig.gateway.ports, &flags);
    assert_eq!(rig.gateway.answers(&rig.host(), 200).await.text(), "hello");
    rig.uses(&[pod.address()]).await;
}

/// A port as protobuf writes it; those that the system gives take three bytes.
fn varint(port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(port.into(), &mut bytes);
    bytes
}
