//! Configuration files and what the command line puts over them.

use std::path::Path;

use super::*;

fn flags(config: Option<&Path>, words: &[&str]) -> Flags {
    let mut flags = Flags::of("envoy");
    flags.config_path = config.map(Path::to_owned);
    if let [yaml] = words {
        flags.config_yaml = Some((*yaml).to_owned());
    }
    flags
}

/// Loads a file of this name and content with `--config-yaml`.
fn loaded(name: &str, content: &str, words: &[&str]) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    load(&flags(Some(&path), words)).map_err(|report| {
        // The folder is another each time.
        report
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    })
}

const CLUSTERS: &str = "
node: {id: a, cluster: b}
static_resources:
  clusters:
  - name: c1
  - name: c2
";

#[test]
fn the_extension_says_how_a_file_is_written() {
    let check = |name, content, expected: Result<usize, &str>| {
        let found = loaded(name, content, &[]).map(|loaded| loaded.bootstrap.resources.len());
        assert_eq!(found, expected.map_err(str::to_owned), "{name}");
    };
    check("a.yaml", CLUSTERS, Ok(2));
    check("a.YML", CLUSTERS, Ok(2));
    check(
        "a.json",
        r#"{"static_resources": {"clusters": {"name": "c"}}}"#,
        Ok(1),
    );
    check(
        "a.pb_text",
        "static_resources { clusters { name: \"c\" } }",
        Ok(1),
    );
    let refused = "error initializing configuration 'a.txt': a.txt:2:1: unexpected character: 'n'";
    check("a.txt", CLUSTERS, Err(refused));
}

#[test]
fn refusals_name_the_file_the_line_and_the_field() {
    let found = loaded("a.yaml", "static_resources:\n  clusters:\n  - nam: c", &[]).unwrap_err();
    let expected = "error initializing configuration 'a.yaml': a.yaml:3:5: static_resources.clusters[0]: no such field: \
                    'nam' (did you mean 'name'?)";
    assert_eq!(found, expected);
    let found = loaded("a.yaml", CLUSTERS, &["node: {id: 5}"]).unwrap_err();
    let expected = "error initializing configuration 'a.yaml': --config-yaml:1:12: node.id: expected a string, but found a \
                    number; put it in quotes";
    assert_eq!(found, expected);
    let found = load(&flags(Some(Path::new("/nope.yaml")), &[]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        found,
        "error initializing configuration '/nope.yaml': Invalid path: /nope.yaml"
    );
    let found = load(&flags(None, &[])).unwrap_err().to_string();
    assert!(
        found.starts_with("error initializing configuration '': At least one of --config-path"),
        "{found}"
    );
}

#[test]
fn the_command_line_is_merged_over_the_file() {
    let yaml = "{node: {id: z}, static_resources: {clusters: [{name: c3}], listeners: [{name: l}]}}";
    let loaded = loaded("a.yaml", CLUSTERS, &[yaml]).unwrap();
    let names: Vec<_> = loaded
        .bootstrap
        .resources
        .iter()
        .map(|one| &*one.raw.name)
        .collect();
    assert_eq!(names, ["c1", "c2", "c3", "l"]);
    let node = &loaded.bootstrap.node;
    assert_eq!((&*node.id, &*node.cluster), ("z", "b"));
    let place = |path| {
        let place = loaded.places.of(path).unwrap();
        place.rsplit('/').next().unwrap_or_default().to_owned()
    };
    assert_eq!(place("static_resources.clusters[1].name"), "a.yaml:6:5");
    assert_eq!(place("static_resources.clusters[2].name"), "--config-yaml:1:48");
    assert_eq!(place("static_resources.listeners[0]"), "--config-yaml:1:72");
    assert_eq!(place("node.id"), "--config-yaml:1:9");
}

#[test]
fn flags_of_the_node_win() {
    let mut flags = flags(None, &["node: {id: a, cluster: b, locality: {region: r}}"]);
    flags.service_node = "n".to_owned();
    flags.service_zone = "z".to_owned();
    let node = load(&flags).unwrap().bootstrap.node;
    assert_eq!((&*node.id, &*node.cluster), ("n", "b"));
    assert_eq!(&node.locality[..], b"\n\x01r\x12\x01z");
}

#[test]
fn unknown_fields_can_be_allowed_and_are_listed() {
    let mut flags = flags(None, &["bogus: 1"]);
    assert!(load(&flags).is_err());
    flags.unknown.allow_static = true;
    let loaded = load(&flags).unwrap();
    assert_eq!(loaded.ignored, ["--config-yaml:1:1: no such field: 'bogus'"]);
    let running = Gist::from(loaded).loaded(&flags).unwrap();
    assert_eq!((running.with_unknown_fields, running.ignored.len()), (1, 1));
}

#[test]
fn what_runs_is_what_was_read_without_places() {
    let loaded = loaded("a.yaml", CLUSTERS, &[]).unwrap();
    let running = Gist::from(loaded.clone()).loaded(&flags(None, &[])).unwrap();
    assert_eq!(running.message, loaded.message);
    assert_eq!(
        format!("{:?}", running.bootstrap),
        format!("{:?}", loaded.bootstrap)
    );
    assert_eq!(running.places.of("node.id"), None);
}

#[test]
fn what_only_goes_wrong_together_is_found_with_its_place() {
    let check = |static_resources: &str, expected: Result<(), &str>| {
        let yaml = format!("static_resources:\n{static_resources}");
        let found = validate(&flags(None, &[&yaml])).map_err(|report| report.to_string());
        let expected =
            expected.map_err(|why| format!("error initializing configuration '': --config-yaml:{why}"));
        assert_eq!(found, expected);
    };
    let listener = |name: &str, port: u16| {
        format!(
            "  - name: {name}\n    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}\n    \
             filter_chains: [{{filters: [{{name: t, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.\
             network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c}}}}]}}]\n"
        )
    };
    let two = |other: u16| format!("  listeners:\n{}{}", listener("a", 7001), listener("b", other));
    check(&two(7002), Ok(()));
    check(
        &two(7001),
        Err(
            "6:5: static_resources.listeners[1]: error adding listener: 'b' has duplicate address '127.0.0.1:7001' as \
             existing listener, to check if the listener has duplicated addresses with other listeners or \
             'enable_reuse_port' is set to 'false' for the listener",
        ),
    );
}
