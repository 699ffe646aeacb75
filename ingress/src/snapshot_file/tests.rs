//! Only what was written whole, for us and lately, is read again.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_xds::resource::Raw;

use super::*;

fn owner(node: &str) -> Owner {
    Owner {
        node: node.to_owned(),
        cluster: "c".to_owned(),
    }
}

fn settings(directory: &std::path::Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        owner: owner("n"),
        secrets: Secrets::Kept,
        max_age: Duration::from_secs(3600),
    }
}

fn accepted(kind: Kind, name: &str, body: impl Into<Bytes>) -> Accepted {
    Accepted {
        kind,
        version: "7".into(),
        resources: vec![Raw::new(name, "3", body.into()).into()],
    }
}

fn some() -> Vec<Accepted> {
    vec![
        accepted(Kind::Cluster, "a", "body"),
        accepted(Kind::Secret, "s", ""),
        // Large enough to be packed.
        accepted(Kind::Routes, "r", b"many routes, ".repeat(10_000)),
    ]
}

fn encoded(owner: &Owner, written: SystemTime, accepted: &[Accepted]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format::write(&mut bytes, owner, written, accepted).unwrap();
    bytes
}

#[test]
fn what_was_written_is_read_again_by_its_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(&place.path().join("snapshots")).unwrap();
    let mut settings = settings(place.path());
    let now = SystemTime::now();
    assert!(load(&directory, &settings, now).unwrap().is_none());
    directory
        .replace(|file| format::write(file, &settings.owner, now, &some()))
        .unwrap();
    directory
        .replace(|file| format::write(file, &settings.owner, now, &some()))
        .unwrap();
    let written: Vec<_> = some().iter().map(Accepted::update).collect();
    assert_eq!(load(&directory, &settings, now).unwrap().unwrap(), written);
    assert!(directory.read().unwrap().unwrap().len() < 10_000, "it is packed");
    let mode = fs::metadata(place.path().join("snapshots/snapshot"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    settings.owner = owner("other");
    let refused = load(&directory, &settings, now).unwrap_err();
    assert_eq!(refused.to_string(), "it is of node 'n' in cluster 'c'");
}

#[test]
fn what_cannot_be_written_whole_leaves_the_old_alone() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(&place.path().join("snapshots")).unwrap();
    let whole = |file: &fs::File| format::write(file, &owner("n"), SystemTime::now(), &some());
    let length = directory.replace(whole).unwrap();
    let before = directory.read().unwrap().unwrap();
    assert_eq!(u64::try_from(before.len()).unwrap(), length);
    let broken_off = directory.replace(|file| {
        whole(file)?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert_eq!(broken_off.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(directory.read().unwrap().unwrap(), before);
    let names = fs::read_dir(place.path().join("snapshots")).unwrap();
    assert_eq!(names.count(), 1, "half a file is not left");
}

#[test]
fn what_is_too_old_or_of_a_time_to_come_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(&place.path().join("snapshots")).unwrap();
    let settings = settings(place.path());
    let now = SystemTime::now();
    directory
        .replace(|file| format::write(file, &settings.owner, now, &some()))
        .unwrap();
    let read = |at| load(&directory, &settings, at);
    assert!(matches!(
        read(now + 2 * settings.max_age),
        Err(Refused::TooOld { .. })
    ));
    assert!(matches!(
        read(now - settings.max_age),
        Err(Refused::FromTheFuture)
    ));
    assert!(read(now - Duration::from_secs(1)).is_ok());
}

#[test]
fn in_a_directory_that_others_can_read_one_of_our_own_is_used() {
    let place = tempfile::tempdir().unwrap();
    let volume = place.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let whole = |file: &fs::File| format::write(file, &owner("n"), SystemTime::now(), &some());
    for mode in [0o777, 0o1777, 0o755] {
        fs::set_permissions(&volume, Permissions::from_mode(mode)).unwrap();
        Directory::open(&volume).unwrap().replace(whole).unwrap();
        assert!(!volume.join("snapshot").exists());
        assert!(volume.join("tidegate/snapshot").exists());
        let own = fs::metadata(volume.join("tidegate")).unwrap();
        assert_eq!(own.mode() & 0o7777, 0o700);
    }
}

#[test]
fn a_directory_that_others_can_read_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("snapshots");
    let own = path.join("tidegate");
    fs::create_dir_all(&own).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
    let error = Directory::open(&path).unwrap_err().to_string();
    assert!(error.contains("snapshots/tidegate: its mode is 755"), "{error}");
    let link = place.path().join("link");
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let is_none = |path| matches!(Directory::open(path), Err(DirectoryError::NoDirectory(_)));
    assert!(is_none(&link));
    fs::rename(&own, place.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(place.path().join("moved"), &own).unwrap();
    assert!(is_none(&path), "what ours leads to could be changed");
}

#[test]
fn what_cannot_be_unpacked_refuses_the_whole_file() {
    let all = some();
    let bytes = encoded(&owner("n"), SystemTime::now(), &all);
    let packed = all[2].resources[0].stored();
    let at = bytes
        .windows(packed.bytes.len())
        .position(|part| part == packed.bytes);
    let check = |at: usize, expected: Result<(), format::Corrupt>| {
        // All but the checksum, which is made anew.
        let mut bytes = bytes[..bytes.len() - 16].to_vec();
        bytes[at] ^= 1;
        let parsed = format::parse(&format::sealed(bytes).into());
        assert_eq!(parsed.map(|_| ()), expected, "{at}");
    };
    let at = at.unwrap();
    check(at, Err(format::Corrupt::Garbled));
    // Another length: it stands before those of the packed bytes.
    check(at - 8, Err(format::Corrupt::Garbled));
    // A name may be any.
    check(at - 14, Ok(()));
}

#[test]
fn omitted_secrets_take_inline_keys_with_them() {
    let mut all = some();
    all.push(accepted(Kind::Listener, "l", "-----BEGIN EC PRIVATE KEY-----"));
    Secrets::Omitted.leave_out(&mut all);
    let left: Vec<_> = all.iter().map(|one| (one.kind, one.resources.len())).collect();
    assert_eq!(left, [(Kind::Cluster, 1), (Kind::Routes, 1), (Kind::Listener, 0)]);
}

proptest! {
    #[test]
    fn a_changed_byte_or_a_cut_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u32..8, cut: bool) {
        let mut bytes = encoded(&owner("n"), SystemTime::now(), &some());
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1_u8 << bit;
        }
        prop_assert!(format::parse(&bytes.into()).is_err());
    }

    #[test]
    fn anything_is_read_without_a_panic(mut bytes: Vec<u8>) {
        let start = encoded(&owner("n"), SystemTime::now(), &[]);
        let mut whole = start[..start.len() - 16].to_vec();
        whole.append(&mut bytes);
        let checksum = xxhash_rust::xxh3::xxh3_128(&whole);
        whole.extend_from_slice(&checksum.to_le_bytes());
        _ = format::parse(&whole.into());
    }
}
