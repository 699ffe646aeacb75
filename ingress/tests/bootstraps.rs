//! Are the bootstraps that are in use read as they are: Kourier's, Contour's, Envoy Gateway's, Istio's, Envoy's own advice?

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

use std::path::{Path, PathBuf};

use tidegate_ingress::bootstrap::{Loaded, context, load};
use tidegate_ingress::flags::Flags;
use tidegate_testkit::{envoy, peers};
use tidegate_xds::resource::Kind;
use tidegate_xds::text::{Secrets, to_json};
use tidegate_xds::translate::cluster::cluster;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/bootstraps")
        .join(name)
}

fn loaded(name: &str) -> Loaded {
    let mut flags = Flags::of("envoy");
    flags.config_path = Some(file(name));
    load(&flags).expect("Envoy takes it")
}

#[test]
fn all_are_read_and_what_has_no_effect_is_known() {
    let check = |name, resources, notes: &[&str]| {
        let bootstrap = loaded(name).bootstrap;
        assert_eq!(bootstrap.resources.len(), resources, "{name}");
        let found: Vec<_> = bootstrap.notes.iter().map(|note| note.path.as_str()).collect();
        assert_eq!(found, notes, "{name}");
    };
    check("kourier.yaml", 3, &[]);
    check(
        "contour.json",
        2,
        &[
            "layered_runtime.layers[0].rtds_layer",
            "layered_runtime.layers[1].admin_layer",
        ],
    );
    check("envoy-gateway.yaml", 2, &[]);
    check(
        "istio.json",
        1,
        &[
            "application_log_config",
            "layered_runtime.layers[1].admin_layer",
            "admin.profile_path",
            "stats_config.use_all_default_tags",
            "stats_config.stats_tags[0]",
            "stats_config.stats_tags[1]",
        ],
    );
    check("edge.yaml", 2, &[]);
}

#[test]
fn their_clusters_are_usable() {
    for name in [
        "kourier.yaml",
        "contour.json",
        "envoy-gateway.yaml",
        "istio.json",
        "edge.yaml",
    ] {
        for resource in loaded(name).bootstrap.resources {
            if resource.kind == Kind::Cluster {
                let read = cluster(&resource.raw.body, &context(&Flags::of("envoy")));
                assert!(read.is_ok(), "{name}: {}: {:?}", resource.path, read.err());
            }
        }
    }
}

#[test]
fn what_is_shown_of_them_reads_as_the_same() {
    for name in [
        "kourier.yaml",
        "contour.json",
        "envoy-gateway.yaml",
        "istio.json",
        "edge.yaml",
    ] {
        let before = loaded(name);
        let show = |message: &[u8]| to_json(tidegate_ingress::bootstrap::MESSAGE, message, Secrets::Shown);
        let json = show(&before.message).expect("it is a bootstrap");
        let folder = tempfile::tempdir().expect("a folder");
        let mut flags = Flags::of("envoy");
        flags.config_path = Some(folder.path().join("again.json"));
        std::fs::write(folder.path().join("again.json"), json.pretty()).expect("a file");
        let after = load(&flags).expect("what is shown can be read");
        assert_eq!(show(&after.message), Some(json), "{name}");
    }
}

#[tokio::test]
async fn envoy_takes_them_as_well() {
    let Some(program) = peers::envoy("Envoy with everybody's bootstraps") else {
        return;
    };
    for name in ["kourier.yaml", "envoy-gateway.yaml", "edge.yaml"] {
        let text = std::fs::read_to_string(file(name)).expect("a file");
        let taken = envoy::validate(&program, &text).await;
        assert_eq!(taken, Ok(()), "{name}");
    }
}
