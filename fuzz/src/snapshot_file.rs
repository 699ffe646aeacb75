//! Does a snapshot on disk stay harmless, whatever is in the file?
//!
//! Input: the file, without its checksum; and the file as it is.

use std::time::SystemTime;

use bytes::Bytes;
use tidegate_ingress::snapshot_file::format::{Saved, parse, sealed, write};
use tidegate_xds::resource::Update;
use tidegate_xds::store::view::Accepted;

/// Runs one input.
///
/// # Panics
/// When what was read is written and read again as something else.
pub fn run(data: &[u8]) {
    // Nearly nothing passes the checksum by chance.
    _ = parse(&Bytes::copy_from_slice(data));
    let Ok(saved) = parse(&sealed(data.to_vec()).into()) else {
        return;
    };
    let Saved {
        owner,
        written,
        updates,
    } = &saved;
    assert!(*written >= SystemTime::UNIX_EPOCH);
    let accepted: Vec<Accepted> = updates.iter().cloned().map(accepted).collect();
    let mut bytes = Vec::new();
    write(&mut bytes, owner, *written, &accepted).expect("memory takes it");
    let again = parse(&bytes.into());
    assert_eq!(again.as_ref(), Ok(&saved));
}

fn accepted(update: Update) -> Accepted {
    Accepted {
        kind: update.kind,
        version: update.version,
        resources: update.resources.into_iter().map(Into::into).collect(),
    }
}
