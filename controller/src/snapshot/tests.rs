use tidegate_knative::{Defaults, load};

use tidegate_proxy::route::Destination;

use super::*;
use crate::observed::Observed;
use crate::plan::{Input, plan};
use crate::state::{State, UnixTime};
use crate::{ObjectName, Settings};

fn planned(text: &str, state: &State) -> (Plan, State) {
    let objects = load("app.yaml", text, &Defaults::default()).unwrap();
    let settings = Settings::new("localhost", 8080).unwrap();
    let observed = Observed::new();
    plan(
        &Input {
            objects: &objects,
            observed: &observed,
            settings: &settings,
            now: UnixTime(1),
        },
        state,
    )
}

const HELLO: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: hello }
spec:
  template: { spec: { containers: [{ image: one, ports: [{ name: h2c, containerPort: 8080 }] }] } }
  traffic: [{ latestRevision: true, percent: 100, tag: new }]
";

fn split(snapshot: &Snapshot, host: &str) -> Option<Vec<WeightedCluster>> {
    match &snapshot.hosts().find(host)?.routes.first()?.as_forward()?.to {
        Destination::Split(split) => Some(split.parts().to_vec()),
        Destination::Header(_) => None,
    }
}

#[test]
fn every_host_of_a_service_leads_to_its_revision() {
    let (plan, _) = planned(HELLO, &State::default());
    let snapshot = Clusters::default().snapshot(&plan, None);
    for host in [
        "hello.default.localhost",
        "hello.default",
        "hello.default.svc",
        "hello.default.svc.cluster.local",
        "new-hello.default.localhost",
        "new-hello.default",
    ] {
        let parts = split(&snapshot, host).expect(host);
        assert_eq!(
            parts.iter().map(|part| &*part.cluster).collect::<Vec<_>>(),
            ["default/hello-00001"],
            "{host}"
        );
    }
    assert!(split(&snapshot, "other.default.localhost").is_none());
}

#[test]
fn a_request_carries_the_revision_that_its_split_chose() {
    let (plan, _) = planned(HELLO, &State::default());
    let parts = split(&Clusters::default().snapshot(&plan, None), "hello.default").unwrap();
    let fields: Vec<_> = parts[0].headers.constant_request_fields().collect();
    let expected = ["hello-00001", "default"].map(HeaderValue::from_static);
    assert_eq!(
        fields,
        [
            (&HeaderName::from_static(SERVING_REVISION), &expected[0]),
            (&HeaderName::from_static(SERVING_NAMESPACE), &expected[1])
        ]
    );
}

#[test]
fn a_cluster_outlives_snapshots_as_long_as_its_revision() {
    let revision = ObjectName::new("default", "hello-00001");
    let mut clusters = Clusters::default();
    let (plan, state) = planned(HELLO, &State::default());
    clusters.snapshot(&plan, None);
    let first = Arc::clone(clusters.get(&revision).unwrap());
    assert_eq!(first.settings().transport.protocol, Protocol::Http2);

    let (plan, _) = planned(&HELLO.replace("one", "two"), &state);
    let snapshot = clusters.snapshot(&plan, None);
    assert!(Arc::ptr_eq(&first, clusters.get(&revision).unwrap()));
    let proving = snapshot.cluster("default/hello-00002");
    assert!(
        proving.is_some(),
        "what has to be proven has a cluster before it has traffic"
    );

    clusters.snapshot(&Plan::default(), None);
    assert!(clusters.get(&revision).is_none());
}

#[test]
fn the_same_name_with_another_protocol_is_another_cluster() {
    let mut clusters = Clusters::default();
    clusters.snapshot(&planned(HELLO, &State::default()).0, None);
    clusters.snapshot(
        &planned(&HELLO.replace("h2c", "http1"), &State::default()).0,
        None,
    );
    let cluster = clusters.get(&ObjectName::new("default", "hello-00001")).unwrap();
    assert_eq!(cluster.settings().transport.protocol, Protocol::Http1);
}
