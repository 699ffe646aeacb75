//! What is in files and dumps is found there.

use std::io::Write as _;

use super::*;

fn names(resources: &Resources) -> Vec<(Kind, String)> {
    let list = resources.list.iter();
    list.map(|resource| (resource.kind, resource.raw.name.to_string()))
        .collect()
}

fn file(extension: &str, content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new()
        .suffix(&format!(".{extension}"))
        .tempfile()
        .unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn a_bootstrap_a_response_and_a_dump_are_told_apart() {
    let check = |extension: &str, content: &str, expected: &[(Kind, &str)]| {
        let file = file(extension, content);
        let read = Resources::of_file(file.path()).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(kind, name)| (*kind, (*name).to_owned()))
            .collect();
        assert_eq!(names(&read), expected, "{content}");
    };
    let cluster = [(Kind::Cluster, "a")];
    check("yaml", "static_resources:\n  clusters:\n  - name: a\n", &cluster);
    check(
        "json",
        r#"{"static_resources": {"clusters": [{"name": "a"}]}}"#,
        &cluster,
    );
    let url = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    check(
        "yaml",
        &format!("version_info: x\nresources:\n- \"@type\": {url}\n  name: a\n"),
        &cluster,
    );
    check(
        "json",
        &format!(r#"{{"resources": [{{"@type": "{url}", "name": "a"}}]}}"#),
        &cluster,
    );
    let dump = format!(
        r#"{{"configs": [{{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
        "dynamic_active_clusters": [{{"cluster": {{"@type": "{url}", "name": "a"}}}}]}}]}}"#
    );
    check("json", &dump, &cluster);
}

#[test]
fn a_dump_says_what_was_refused_and_what_warms() {
    let dump = r#"{"configs": [{"dynamic_listeners": [
        {"name": "l", "warming_state": {"listener": {"name": "l"}}, "error_state": {"details": "no"}}]}]}"#;
    let read = Resources::of_dump("dump", dump.as_bytes()).unwrap();
    let expected = [
        "an update was refused, what was before stays: no",
        "listener 'l' has a version that still warms and is not looked at",
    ];
    assert_eq!(read.remarks, expected);
    assert!(read.redacted && read.list.is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let broken = file("yaml", "resources:\n- nonsense: 1\n");
    let report = Resources::of_file(broken.path()).unwrap_err();
    let place = report.place.unwrap();
    assert!(place.ends_with(".yaml:2:3"), "{place}");
    assert!(Resources::of_dump("dump", b"{}").is_err());
    assert!(Resources::of_dump("dump", b"no").is_err());
}
