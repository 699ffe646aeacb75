//! A control plane that is late, gone, silent, or wrong.

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;

use super::*;

#[tokio::test]
async fn a_control_plane_that_comes_late_is_found() {
    let listener = bind().await;
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let mut client = start_at(address, Streams::Aggregated, |_| {}, |_| {});
    eventually("a failed stream", async || {
        client.status.of(Kind::Cluster).update_failure.get() > 1
    })
    .await;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the port is still free");
    let control_plane = ControlPlane::start_on(listener, Gate::Discards, None);
    let version = control_plane.set(&one_of_each(1));
    client
        .accept_version(&version, &[Kind::Cluster, Kind::Routes])
        .await;
}

#[tokio::test]
async fn after_a_cut_everything_is_asked_anew_with_the_versions_that_are_held() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let version = control_plane.set(&one_of_each(1));
    let all = [Kind::Cluster, Kind::Listener, Kind::Routes];
    client.accept_version(&version, &all).await;
    for url in [CLUSTER, LISTENER, ROUTES] {
        control_plane.accepted(url, &version).await;
    }
    for stream in 1..=2 {
        if stream == 1 {
            control_plane.cut_connections();
        } else {
            control_plane.end_streams();
        }
        let is_again = |request: &Recorded| request.stream == stream && request.type_url == ROUTES;
        let again = control_plane.request("routes on another stream", is_again).await;
        assert_eq!(
            (again.version, again.nonce, again.names),
            (version.clone(), String::new(), vec!["r".into()])
        );
    }
    let version = control_plane.set(&one_of_each(2));
    client.accept_version(&version, &all).await;
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_given_up() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let version = control_plane.set(&one_of_each(1));
    client.accept_version(&version, &[Kind::Cluster]).await;
    control_plane.freeze_connections();
    control_plane
        .request("another stream", |request| request.stream == 1)
        .await;
    let version = control_plane.set(&one_of_each(2));
    client.accept_version(&version, &[Kind::Cluster]).await;
}

#[tokio::test]
async fn a_control_plane_that_says_nothing_is_waited_for_and_told_to_be_late() {
    let control_plane = ControlPlane::start().await;
    control_plane.set_silent(true);
    let mut client = start(&control_plane, Streams::Aggregated, |settings| {
        settings.fetch_timeouts = [
            (Kind::Cluster, Some(Duration::from_millis(10))),
            (Kind::Listener, None),
        ]
        .into();
    });
    let late = soon("a late kind", client.late.wait_for(|late| !late.is_empty())).await;
    assert_eq!(
        late.expect("the client runs").iter().copied().collect::<Vec<_>>(),
        [Kind::Cluster]
    );
    assert_eq!(client.status.of(Kind::Cluster).init_fetch_timeout.get(), 1);
    let asked = control_plane.request("a question", |_| true).await;
    assert_eq!((asked.stream, control_plane.connections()), (0, 1));
}

#[tokio::test]
async fn a_refused_push_is_refused_again_at_a_bounded_rate_until_it_is_mended() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    control_plane.set(&one_of_each(1));
    let started = std::time::Instant::now();
    let mut refused = 0;
    while refused < 5 {
        let Delivery { update, verdict } = client.next().await;
        let judged = if update.kind == Kind::Routes {
            refused += 1;
            refuse("route: unknown weighted cluster 'default/foo'")
        } else {
            Verdict::Accepted
        };
        verdict.send(judged).expect("the client waits for it");
    }
    // The first is refused at once; each of the others was sent again for the NACK before it, all but one of which waited.
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
    let said = control_plane.refused(ROUTES).await;
    assert_eq!(said, "route: unknown weighted cluster 'default/foo'");
    let is_nack = |request: &Recorded| request.error.is_some();
    let nack = control_plane.request("a NACK", is_nack).await;
    assert_eq!(
        (nack.version.as_str(), nack.error.map(|(code, _)| code)),
        ("", Some(13))
    );
    let version = control_plane.set(&one_of_each(2));
    client.accept_version(&version, &[Kind::Routes]).await;
}

#[tokio::test]
async fn garbage_ends_the_stream_and_nothing_else() {
    let control_plane = ControlPlane::start().await;
    let mut client = start(&control_plane, Streams::Aggregated, |_| {});
    let version = control_plane.set(&one_of_each(1));
    client.accept_version(&version, &[Kind::Cluster]).await;
    let broken = Item::new(CLUSTER, "broken", &b"\x0a\x09x"[..]);
    control_plane.set(&[broken]);
    let said = accepting(&mut client, control_plane.refused(CLUSTER)).await;
    assert!(
        said.starts_with("Unable to unpack as envoy.config.cluster.v3.Cluster"),
        "{said}"
    );
    control_plane.inject(&DiscoveryResponse {
        type_url: "type.googleapis.com/nobody".into(),
        ..DiscoveryResponse::default()
    });
    let status = Arc::clone(&client.status);
    eventually("an unknown type", async || status.unknown_types.get() == 1).await;
    let version = control_plane.set(&one_of_each(2));
    client.accept_version(&version, &[Kind::Cluster]).await;
}

#[tokio::test]
async fn a_response_above_the_bound_ends_the_stream() {
    let control_plane = ControlPlane::start().await;
    let mut client = start_at(
        control_plane.address(),
        Streams::Aggregated,
        |_| {},
        |client| client.response_bytes_max = 1000,
    );
    let version = control_plane.set(&one_of_each(1));
    client.accept_version(&version, &[Kind::Cluster]).await;
    control_plane.set(&[Item::new(CLUSTER, "large", vec![0x0a; 2000])]);
    let status = Arc::clone(&client.status);
    let failed = eventually("a failed stream", async || {
        status.of(Kind::Cluster).update_failure.get() > 0
    });
    accepting(&mut client, failed).await;
    let version = control_plane.set(&one_of_each(2));
    client.accept_version(&version, &[Kind::Cluster]).await;
}

/// Accepts whatever comes until `done`.
async fn accepting<T>(client: &mut Running, done: impl Future<Output = T>) -> T {
    tokio::select! {
        done = done => done,
        _ = client.accept_until(|_| false) => unreachable!("it goes on for ever"),
    }
}
