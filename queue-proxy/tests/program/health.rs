//! What are kubelet, activator, autoscaler and ingress told?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wait::eventually;
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{PROBER, Sidecar, request, told};

#[tokio::test]
async fn qp_30_probes_are_answered_by_user_agent_and_value() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[]).await;
    let check = async |headers: &[(&'static str, &str)], expected: (u16, &str)| {
        let answer = sidecar.get(headers).await;
        let (status, text, _) = told(&answer);
        assert_eq!((status, text.as_str()), expected, "{headers:?}");
        answer
    };
    let queue = ("k-network-probe", "queue");
    let ready = check(&[("user-agent", PROBER), queue], (200, "queue")).await;
    assert_eq!(ready.header("content-type"), Some("text/plain; charset=utf-8"));
    check(&[("user-agent", "kube-probe/1.30"), queue], (200, "queue")).await;
    let activator = [
        ("user-agent", "Knative-Autoscaling-Probe"),
        ("k-network-probe", "activator"),
    ];
    let unexpected = "unexpected probe header value: activator\n";
    assert!(told(&check(&activator, (400, unexpected)).await).2);
    let ingress = [("k-network-probe", "probe"), ("k-network-hash", "abc")];
    assert_eq!(
        check(&ingress, (200, "")).await.header("k-network-hash"),
        Some("abc")
    );
    let no_hash = "a probe request must contain a non-empty \"K-Network-Hash\" header\n";
    check(&ingress[..1], (400, no_hash)).await;
    assert!(app.seen().is_empty());
    // Without one of these user agents it is traffic.
    sidecar.get(&[queue]).await;
    assert_eq!(app.seen().len(), 1);
}

#[tokio::test]
async fn qp_30_probes_come_by_http_2_too() {
    let sidecar = Sidecar::start(upstream::nobody().await, &[]).await;
    let probe = request(&[("user-agent", PROBER), ("k-network-probe", "queue")]);
    let answer = Client::http2(sidecar.main).await.call(probe).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "queue"));
}

#[tokio::test]
async fn qp_30_qp_43_an_application_that_is_not_ready_is_an_empty_503() {
    let app = Upstream::echo().await;
    let nobody = upstream::nobody().await.port();
    let probes = format!(
        r#"[{{"httpGet":{{"port":0}},"periodSeconds":1}},{{"tcpSocket":{{"port":{nobody}}},"periodSeconds":1}}]"#
    );
    let several = ("ENABLE_MULTI_CONTAINER_PROBES", "true");
    let sidecar = Sidecar::start(app.address(), &[("SERVING_READINESS_PROBE", &probes), several]).await;
    assert_eq!(sidecar.probe().await, (503, String::new()));
    let seen = app.seen().remove(0);
    assert_eq!(seen.header("user-agent"), Some("kube-probe//"));
}

#[tokio::test]
async fn qp_38_an_application_is_polled_until_it_answers_well() {
    let asked = AtomicUsize::new(0);
    let app = Upstream::start(move |_| {
        let status = match asked.fetch_add(1, Ordering::Relaxed) {
            0..3 => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::OK,
        };
        async move { upstream::answer(status, "") }
    })
    .await;
    let probe = r#"{"httpGet":{"port":0,"path":"/up"},"successThreshold":1}"#;
    let sidecar = Sidecar::start(app.address(), &[("SERVING_READINESS_PROBE", probe)]).await;
    assert_eq!(sidecar.probe().await, (200, "queue".to_owned()));
    let seen = app.seen();
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(seen.iter().all(|seen| seen.uri.path() == "/up"), "{seen:?}");
}

#[tokio::test]
async fn qp_38_an_application_that_refuses_connections_is_polled_until_it_listens() {
    let listens = Arc::new(AtomicBool::new(false));
    let is_there = Arc::clone(&listens);
    // A second container that is polled beside the first shows how often that one was asked in vain.
    let witness = Upstream::start(move |_| {
        let status = match is_there.load(Ordering::Relaxed) {
            true => http::StatusCode::OK,
            false => http::StatusCode::SERVICE_UNAVAILABLE,
        };
        async move { upstream::answer(status, "") }
    })
    .await;
    // Nobody takes this address while the witness has its port.
    let port = witness.address().port();
    let [high, low] = port.to_be_bytes();
    let late = SocketAddr::from(([127, 1, high, low], port));
    let host = late.ip();
    let probes = format!(r#"[{{"tcpSocket":{{"port":0,"host":"{host}"}}}},{{"httpGet":{{"port":0}}}}]"#);
    let several = ("ENABLE_MULTI_CONTAINER_PROBES", "true");
    let variables = [("SERVING_READINESS_PROBE", &*probes), several];
    let sidecar = Sidecar::start(witness.address(), &variables).await;
    assert!(TcpStream::connect(late).await.is_err(), "it refuses");
    let (answer, _listener) = tokio::join!(sidecar.probe(), async {
        eventually("polls", async || witness.seen().len() >= 3).await;
        let listener = TcpListener::bind(late).await.expect("it is free");
        listens.store(true, Ordering::Relaxed);
        listener
    });
    assert_eq!(answer, (200, "queue".to_owned()));
}

#[tokio::test]
async fn qp_32_a_probe_over_tls_is_verified_as_any_other_client_does() {
    let authority = Authority::new("probes");
    let config = Authority::server_config(&authority.server("127.0.0.1"), &["http/1.1"], None);
    let app = Upstream::start_tls(config, |_| async { upstream::answer(http::StatusCode::OK, "") }).await;
    let probe = format!(
        r#"{{"httpGet":{{"path":"/ready","port":{},"host":"127.0.0.1","scheme":"HTTPS"}},"periodSeconds":1,"timeoutSeconds":8}}"#,
        app.address().port()
    );
    let folder = tempfile::tempdir().expect("a folder");
    for (anchors, expected) in [(&authority, 200), (&Authority::new("others"), 503)] {
        let file = folder.path().join("anchors.pem");
        std::fs::write(&file, &anchors.pem).expect("a file");
        let file = file.to_str().expect("its name").to_owned();
        let variables = [("SERVING_READINESS_PROBE", &*probe), ("SSL_CERT_FILE", &*file)];
        let sidecar = Sidecar::start(app.address(), &variables).await;
        assert_eq!(sidecar.probe().await.0, expected);
    }
    assert_eq!(app.seen().len(), 1);
}
