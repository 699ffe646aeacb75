//! Do ingress, activator and sidecar understand each other: what does the application see of a request, and who answers probes?

use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::upstream::Upstream;

use crate::cluster::{Cluster, Path, Protocol};
use crate::pods::Sidecar;

#[tokio::test]
async fn a_request_through_all_of_them_arrives_as_its_client_sent_it() {
    let mut cluster = Cluster::start(&[Protocol::Http1]).await;
    let app = Upstream::echo().await;
    let revision = cluster.revisions[0].name();
    let sidecar = Sidecar::start(app.address(), (&revision, "pod"), 20).await;
    let host = cluster.revisions[0].host();
    for (path, proxied, hops) in [(Path::Activators, Some("activator"), 2), (Path::Pods, None, 1)] {
        cluster.revisions[0].path = path;
        cluster.revisions[0].others = vec![sidecar.address];
        cluster.tell_activators().await;
        cluster.tell_ingresses().await;
        assert_eq!(
            get(cluster.ingresses[0].address(), &host, "/a%2Fb?c")
                .await
                .status,
            200
        );
        let seen = app.seen().pop().expect("it came");
        let check = |name: &str, expected: Option<&str>| assert_eq!(seen.header(name), expected, "{name}");
        assert_eq!(seen.uri, "/a%2Fb?c");
        check("host", Some(&host));
        check("k-proxy-request", proxied);
        check("x-forwarded-proto", Some("http"));
        // As Kourier sets it up an ingress adds nobody.
        check("x-forwarded-for", Some(&["127.0.0.1"; 2][..hops].join(", ")));
        for name in [
            "k-original-host",
            "k-network-hash",
            "knative-serving-revision",
            "knative-serving-namespace",
        ] {
            check(name, None);
        }
    }
}

#[tokio::test]
async fn the_autoscaler_learns_by_its_probe_whether_an_activator_is_in_the_path() {
    let mut cluster = Cluster::start(&[Protocol::Http1]).await;
    cluster.start_pod(0).await;
    let host = cluster.revisions[0].internal_host();
    for (path, expected) in [
        (Path::Activators, (200, "activator")),
        (Path::Pods, (400, "unexpected probe header value: activator\n")),
    ] {
        cluster.revisions[0].path = path;
        cluster.tell_activators().await;
        cluster.tell_ingresses().await;
        let mut probe = get_request(&host, "/healthz");
        for (name, value) in [
            ("user-agent", "Knative-Autoscaling-Probe"),
            ("k-network-probe", "activator"),
        ] {
            probe.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let answer = Client::http1(cluster.ingresses[0].internal_address())
            .await
            .call(probe)
            .await;
        assert_eq!((answer.status.as_u16(), &*answer.text()), expected);
    }
}
