//! Which objects a file can hold: kinds, documents, YAML and JSON.

use tidegate_knative::object::{Kind, TrafficTo};
use tidegate_knative::{Defaults, Object, load};

fn objects(text: &str) -> Vec<Object> {
    load("all.yaml", text, &Defaults::default()).unwrap()
}

#[test]
fn one_file_holds_objects_of_every_kind() {
    let all = objects(include_str!("files/all.yaml"));
    let kinds: Vec<Kind> = all.iter().map(Object::kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Namespace,
            Kind::ConfigMap,
            Kind::Secret,
            Kind::Configuration,
            Kind::Route,
            Kind::Service
        ]
    );
    let names: Vec<String> = all
        .iter()
        .map(|o| format!("{}/{}", o.metadata().namespace, o.metadata().name))
        .collect();
    assert_eq!(
        names,
        [
            "/shop",
            "shop/settings",
            "shop/keys",
            "shop/cart",
            "shop/cart",
            "shop/front"
        ]
    );
    let lines: Vec<u32> = all.iter().map(|o| o.source().document().line).collect();
    assert_eq!(lines, [2, 7, 18, 30, 43, 58]);
}

#[test]
fn values_of_config_maps_and_secrets_are_decoded() {
    let all = objects(include_str!("files/all.yaml"));
    let (Object::ConfigMap(map), Object::Secret(secret)) = (&all[1], &all[2]) else {
        panic!("{all:?}")
    };
    assert_eq!(map.data["motd"], "line one\nline two\n");
    assert_eq!(map.data["empty"], "");
    assert_eq!(map.binary_data["blob"], [0, 1, 2, 255]);
    assert_eq!(secret.kind, "Opaque");
    assert_eq!(secret.data["password"], b"hunter2", "stringData wins over data");
    assert_eq!(secret.data["user"], b"admin");
    assert!(
        !format!("{secret:?}").contains("hunter2"),
        "a secret is never shown"
    );
}

#[test]
fn traffic_of_routes_and_services_says_what_it_means() {
    let all = objects(include_str!("files/all.yaml"));
    let (Object::Route(route), Object::Service(service)) = (&all[4], &all[5]) else {
        panic!("{all:?}")
    };
    let latest = TrafficTo::LatestOf("cart".to_owned());
    assert_eq!((&route.traffic[0].to, route.traffic[0].percent), (&latest, 100));
    assert_eq!(route.traffic[1].to, TrafficTo::Revision("cart-00001".to_owned()));
    assert_eq!(
        (route.traffic[1].percent, route.traffic[1].tag.as_deref()),
        (0, Some("old"))
    );
    assert_eq!(service.traffic[1].to, TrafficTo::LatestOf("front".to_owned()));
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"image": "a", "command": null}]}}}}"#;
    assert_eq!(objects(text)[0].kind(), Kind::Service);
}

#[test]
fn an_object_copied_from_a_cluster_loads() {
    let text = include_str!("files/from-cluster.yaml");
    let Some(Object::Service(service)) = objects(text).pop() else {
        panic!("no Service")
    };
    assert_eq!(service.template.spec.user_port(), 8080);
}

#[test]
fn anchors_and_merges_are_expanded() {
    let text = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: a}
spec:
  template:
    spec:
      containers:
      - &main {image: a, ports: [{}], resources: {limits: {cpu: 500m, memory: 1Gi}}}
      - {<<: *main, image: b, ports: null}
";
    let Some(Object::Service(service)) = objects(text).pop() else {
        panic!("no Service")
    };
    let sidecar = &service.template.spec.sidecars[0];
    assert_eq!((sidecar.image.as_str(), sidecar.resources.limits.len()), ("b", 2));
}
