//! Which pods are believed where requests go to them over TLS?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use http::{StatusCode, Version};
use support::wire::Front;
use tidegate_activator::certificates::{Certificates, Secret};
use tidegate_testkit::{
    certificates::{Authority, Wanted},
    client::Client,
    upstream::{Upstream, answer},
};

const HOST: &str = "hello-00001.default.svc.cluster.local";

fn believing(authority: &Authority) -> Certificates {
    let mut certificates = Certificates::default();
    certificates.set_secret(Some(Secret {
        authority: authority.pem.clone().into_bytes(),
        ..Secret::default()
    }));
    certificates
}

/// A pod whose certificate has these names. It offers no protocol: HTTP/2 is told by its first bytes.
async fn pod(authority: &Authority, names: &[&str]) -> Upstream {
    let identity = authority.issue(&Wanted::names(names.iter().copied()));
    let config = Authority::server_config(&identity, &[], None);
    Upstream::start_tls(config, |_| async { answer(StatusCode::OK, "hello") }).await
}

#[tokio::test]
async fn ac_42_a_pod_has_to_have_the_name_of_all_pods_and_that_of_its_namespace() {
    for (names, status) in [
        (&["data-plane.knative.dev", "kn-user-default"][..], 200),
        (&["kn-user-default", "x.example", "data-plane.knative.dev"], 200),
        (&["data-plane.knative.dev", "kn-user-other"], 502),
        (&["data-plane.knative.dev"], 502),
        (&["kn-user-default"], 502),
    ] {
        let authority = Authority::new("pods");
        let pod = pod(&authority, names).await;
        let front = Front::over_tls(&believing(&authority));
        front.ready(&[pod.address()]);
        let answer = Client::http1(front.address).await.get(HOST, "/").await;
        assert_eq!(answer.status.as_u16(), status, "{names:?}");
    }
}

#[tokio::test]
async fn ac_42_a_pod_of_another_authority_is_not_believed_and_without_one_nobody_is() {
    let authority = Authority::new("pods");
    let pod = pod(&authority, &["data-plane.knative.dev", "kn-user-default"]).await;
    for certificates in [believing(&Authority::new("others")), Certificates::default()] {
        let front = Front::over_tls(&certificates);
        front.ready(&[pod.address()]);
        let answer = Client::http1(front.address).await.get(HOST, "/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(pod.counts().requests(), 0);
}

#[tokio::test]
async fn over_tls_pods_are_spoken_to_in_the_protocol_of_the_request_too() {
    let authority = Authority::new("pods");
    let pod = pod(&authority, &["data-plane.knative.dev", "kn-user-default"]).await;
    let front = Front::over_tls(&believing(&authority));
    front.ready(&[pod.address()]);
    let answers = [
        Client::http1(front.address).await.get(HOST, "/").await,
        Client::http2(front.address).await.get(HOST, "/").await,
    ];
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
    let seen = pod.seen();
    let versions: Vec<_> = seen.iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]);
    let shaken = seen[1].tls.as_ref().unwrap();
    assert_eq!(shaken.name.as_deref(), Some("data-plane.knative.dev"));
}
