//! Which streams there are, and what goes over them.

use super::*;

#[tokio::test]
async fn everything_arrives_over_one_stream_and_is_accepted() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let version = control_plane.set(&one_of_each(1));
    client
        .accept_version(&version, &[Kind::Cluster, Kind::Listener, Kind::Routes])
        .await;
    for url in [CLUSTER, LISTENER, ROUTES] {
        control_plane.accepted(url, &version).await;
    }
    let requests = control_plane.requests();
    let first: Vec<_> = requests
        .iter()
        .take(3)
        .map(|request| request.type_url.as_str())
        .collect();
    assert_eq!(first, [CLUSTER, LISTENER, ROUTES]);
    let node = Some(("node".to_owned(), "gateway".to_owned()));
    let nodes: Vec<_> = requests.iter().map(|request| request.node.clone()).collect();
    assert_eq!(nodes.first(), Some(&node));
    assert_eq!(nodes.iter().flatten().count(), 1);
    assert!(requests.iter().all(|request| request.stream == 0));
    assert_eq!(client.status.connected.get(), 1);
}

#[tokio::test]
async fn a_node_can_stand_on_every_request() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |settings| {
        settings.node_on = NodeOn::All;
    });
    let version = control_plane.set(&one_of_each(1));
    client.accept_version(&version, &[Kind::Cluster]).await;
    control_plane.accepted(CLUSTER, &version).await;
    assert!(
        control_plane
            .requests()
            .iter()
            .all(|request| request.node.is_some())
    );
}

#[tokio::test]
async fn changes_arrive_one_by_one_in_delta() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |settings| {
        settings.variant = Variant::Delta;
    });
    let [cluster, listener, routes] = one_of_each(1);
    control_plane.set(&[cluster.clone(), listener, routes]);
    client.accept_until(|update| update.kind == Kind::Cluster).await;
    control_plane.set(&[cluster, Item::named(CLUSTER, "new", 1)]);
    let update = client
        .accept_until(|update| update.kind == Kind::Cluster && update.resources.len() == 1)
        .await;
    assert_eq!(&*update.resources.first().expect("one").name, "new");
    let path = control_plane
        .requests()
        .first()
        .map(|request| request.path.clone());
    let delta = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    assert_eq!(path.as_deref(), Some(delta));
}

#[tokio::test]
async fn each_kind_may_have_a_stream_of_its_own() {
    for variant in [Variant::StateOfTheWorld, Variant::Delta] {
        let control_plane = ControlPlane::start_with(Gate::Absent).await;
        let mut client = start(&control_plane, Streams::PerKind, |settings| {
            settings.variant = variant;
        });
        control_plane.set(&one_of_each(1));
        for kind in [Kind::Cluster, Kind::Listener, Kind::Routes] {
            let is_it = |request: &Recorded| request.is_ack() && request.type_url == kind.type_url();
            let mut accepting = std::pin::pin!(async { client.accept_until(|_| false).await });
            let acked = control_plane.request("an ACK", is_it);
            tokio::select! {
                _ = &mut accepting => {}
                request = acked => assert!(request.path.contains("Discovery"), "{}", request.path),
            }
        }
        let mut paths: Vec<_> = control_plane
            .requests()
            .into_iter()
            .map(|request| request.path)
            .collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 3, "{paths:?}");
    }
}

#[tokio::test]
async fn names_that_are_added_are_asked_for_at_once_and_held_updates_block_no_others() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let [cluster, listener, routes] = one_of_each(1);
    control_plane.set(&[cluster, listener, routes]);
    let mut held = None;
    let mut others = 0;
    while held.is_none() || others < 2 {
        let delivery = client.next().await;
        if delivery.update.kind == Kind::Routes {
            held = Some(delivery);
        } else {
            others += 1;
            delivery
                .verdict
                .send(Verdict::Accepted)
                .expect("the client waits for it");
        }
    }
    let names = ["r".into(), "s".into()].into();
    client
        .wanted
        .send_modify(|wanted| _ = wanted.insert(Kind::Routes, names));
    let asked = control_plane
        .request("both names", |request| {
            request.type_url == ROUTES && request.names == ["r", "s"]
        })
        .await;
    assert_eq!((asked.version.as_str(), asked.error), ("", None));
}

#[tokio::test]
async fn a_push_of_40_mb_is_one_message_whose_resources_share_its_bytes() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let megabyte = |number: u32| {
        let mut body = Item::named(CLUSTER, &format!("c{number}"), 1).body.to_vec();
        prost::encoding::bytes::encode(50_001, &vec![b'x'; 1 << 20], &mut body);
        Item::new(CLUSTER, &format!("c{number}"), body)
    };
    let items: Vec<Item> = (0..40).map(megabyte).collect();
    let version = control_plane.set(&items);
    let update = client
        .accept_until(|update| update.kind == Kind::Cluster && *update.version == *version)
        .await;
    control_plane.accepted(CLUSTER, &version).await;
    let ranges = update.resources.iter().map(|raw| raw.body.as_ptr_range());
    let ranges: Vec<_> = ranges.collect();
    assert_eq!(ranges.len(), 40);
    let (low, high) = (
        ranges.iter().map(|range| range.start).min(),
        ranges.iter().map(|range| range.end).max(),
    );
    let span = high.expect("forty") as usize - low.expect("forty") as usize;
    assert!(span < 41 << 20, "they are spread over {span} bytes");
}
