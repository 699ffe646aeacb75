//! Resources that come from files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tidegate_xds::client::file::FileSource;
use tidegate_xds::limits;

use super::*;

/// Follows a file of secrets.
fn follow(path: &Path) -> (mpsc::Receiver<Delivery>, Arc<Status>) {
    let mut source = FileSource::new(Kind::Secret, path);
    assert_eq!(source.interval, limits::FILE_POLL_INTERVAL);
    source.interval = Duration::from_millis(2);
    let (sender, deliveries) = mpsc::channel(1);
    let status = Arc::new(Status::default());
    let (_drain, watched) = Drain::new();
    let running = source.run(Arc::clone(&status), sender);
    drop(spawn("file", watched.unguarded(), running));
    (deliveries, status)
}

async fn next(deliveries: &mut mpsc::Receiver<Delivery>, verdict: Verdict) -> Vec<String> {
    let delivery = soon("a delivery", deliveries.recv())
        .await
        .expect("the file is followed");
    delivery.verdict.send(verdict).expect("it is waited for");
    let resources = delivery.update.resources.iter();
    resources.map(|raw| raw.name.to_string()).collect()
}

/// A response with these secrets.
fn secrets(names: &[&str]) -> String {
    let one = |name: &&str| format!("- '@type': {}\n  name: {name}\n", Kind::Secret.type_url());
    format!(
        "resources:\n{}type_url: {}\n",
        names.iter().map(one).collect::<String>(),
        Kind::Secret.type_url()
    )
}

fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(&next, path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_replaced_is_read_again_and_a_broken_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sds.yaml");
    let (mut deliveries, status) = follow(&path);
    let counters = status.of(Kind::Secret);
    eventually("a file that is not there", async || {
        counters.update_failure.get() > 0
    })
    .await;
    replace(&path, &secrets(&["one", "two"]));
    assert_eq!(next(&mut deliveries, Verdict::Accepted).await, ["one", "two"]);
    let failures = counters.update_failure.get();
    replace(&path, "!");
    eventually("a failure", async || counters.update_failure.get() > failures).await;
    replace(&path, &secrets(&["three"]));
    assert_eq!(next(&mut deliveries, refuse("no")).await, ["three"]);
    eventually("a refusal", async || counters.update_rejected.get() == 1).await;
    replace(&path, &secrets(&["four"]));
    assert_eq!(
        next(&mut deliveries, Verdict::Accepted).await,
        ["four"],
        "three is not tried again"
    );
}

#[tokio::test]
async fn a_file_that_says_its_type_in_its_resources_alone_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sds.yaml");
    let untyped = |kind: Kind, name: &str| {
        let url = kind.type_url();
        format!("resources:\n- '@type': {url}\n  name: {name}\n")
    };
    replace(&path, &untyped(Kind::Cluster, "of another type"));
    let (mut deliveries, status) = follow(&path);
    let counters = status.of(Kind::Secret);
    eventually("a refusal", async || counters.update_rejected.get() == 1).await;
    replace(&path, &untyped(Kind::Secret, "xds_trusted_ca"));
    assert_eq!(next(&mut deliveries, Verdict::Accepted).await, ["xds_trusted_ca"]);
    let failures = counters.update_failure.get();
    let another = format!("type_url: {}\nresources: []\n", Kind::Cluster.type_url());
    replace(&path, &another);
    eventually("a failure", async || counters.update_failure.get() > failures).await;
}

#[tokio::test]
async fn a_mounted_volume_is_followed_through_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, text) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("sds.yaml"), secrets(&[text])).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/sds.yaml", at("sds.yaml")).unwrap();
    let (mut deliveries, _status) = follow(&at("sds.yaml"));
    assert_eq!(next(&mut deliveries, Verdict::Accepted).await, ["one"]);
    symlink("v2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(next(&mut deliveries, Verdict::Accepted).await, ["two"]);
}
