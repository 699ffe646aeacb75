//! When two templates are the same, and that our own state keeps them whole.

use tidegate_knative::object::{PortRef, Probe, ProbeHandler, RevisionTemplate};
use tidegate_knative::{Defaults, Object, load};

const SERVICE: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: a, labels: {app: old}}
spec:
  template:
    metadata:
      annotations: {one: '1', two: '2'}
    spec:
      containers:
        - image: a
          env: [{name: A, value: a}, {name: B, value: b}]
          readinessProbe: {httpGet: {path: /x, port: 80}}
      nodeSelector: {a: b, c: d}
";

fn template(text: &str) -> RevisionTemplate {
    match load("f", text, &Defaults::default()).unwrap().pop() {
        Some(Object::Service(service)) => service.template,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_change_the_template_keeps_its_digest() {
    let digest = template(SERVICE).digest();
    for (from, to) in [
        ("\napi", "\n\n# moved\napi"),
        ("app: old", "app: new"),
        ("{one: '1', two: '2'}", "{two: \"2\", one: '1'}"),
        ("{a: b, c: d}", "{c: d, a: b}"),
        ("image: a", "image: 'a'"),
        ("- image: a", "- image: a\n          name: user-container"),
        ("nodeSelector", "timeoutSeconds: 300\n      nodeSelector"),
    ] {
        assert!(SERVICE.contains(from), "{from}");
        assert_eq!(
            template(&SERVICE.replace(from, to)).digest(),
            digest,
            "{from} -> {to}"
        );
    }
}

#[test]
fn every_change_of_the_template_changes_the_digest() {
    let digest = template(SERVICE).digest();
    for (from, to) in [
        ("one: '1'", "one: '2'"),
        ("image: a", "image: b"),
        (
            "{name: A, value: a}, {name: B, value: b}",
            "{name: B, value: b}, {name: A, value: a}",
        ),
        ("path: /x", "path: /y"),
        ("{a: b, c: d}", "{a: b}"),
        ("nodeSelector", "containerConcurrency: 1\n      nodeSelector"),
        ("    metadata:\n", "    metadata:\n      name: a-1\n"),
    ] {
        assert!(SERVICE.contains(from), "{from}");
        assert_ne!(
            template(&SERVICE.replace(from, to)).digest(),
            digest,
            "{from} -> {to}"
        );
    }
}

#[test]
fn a_template_survives_our_state() {
    for text in [SERVICE, include_str!("files/from-cluster.yaml")] {
        let template = template(text);
        let state = serde_json::to_string(&template).unwrap();
        let back: RevisionTemplate = serde_json::from_str(&state).unwrap();
        assert_eq!(back, template);
        assert_eq!(back.digest(), template.digest());
    }
}

#[test]
fn a_probe_has_kubernetes_json_form() {
    let text = r#"{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}"#;
    let probe: Probe = serde_json::from_str(text).unwrap();
    let handler = ProbeHandler::TcpSocket {
        port: PortRef::Number(8080),
        host: Some("127.0.0.1".to_owned()),
    };
    assert_eq!(
        (&probe.handler, probe.success_threshold, probe.period_seconds),
        (&handler, 1, 0)
    );
    assert_eq!(serde_json::to_string(&probe).unwrap(), text);

    let list = r#"[null, {"httpGet":{"path":"/x","port":"http","scheme":"HTTPS","httpHeaders":[{"name":"a","value":"b"}]},
        "periodSeconds":3}, {"grpc":{"port":9,"service":null}}, {"exec":{"command":["a"]}}]"#;
    let probes: Vec<Option<Probe>> = serde_json::from_str(list).unwrap();
    assert!(matches!(
        &probes[1],
        Some(Probe {
            handler: ProbeHandler::HttpGet { .. },
            period_seconds: 3,
            ..
        })
    ));
    assert!(
        matches!(&probes[2], Some(Probe { handler: ProbeHandler::Grpc { service, .. }, .. }) if service.is_empty())
    );
    assert_eq!(probes[0], None);
    assert!(serde_json::from_str::<Probe>("{\"periodSeconds\": 1}").is_err());
}

#[test]
fn ports_of_probes_fall_back_to_the_users() {
    for (port, expected) in [
        (PortRef::Number(0), 3000),
        (PortRef::Number(81), 81),
        (PortRef::Name("82".to_owned()), 82),
        (PortRef::Name("http".to_owned()), 3000),
    ] {
        assert_eq!(port.resolve(3000), expected, "{port:?}");
    }
}
