//! How the last good configuration is written: magic, version, owner, time, resources, checksum. All numbers are little-endian.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut, Bytes};
use tidegate_proxy::process::give_way;
use tidegate_xds::limits::RESPONSE_BYTES_MAX;
use tidegate_xds::resource::{Gone, Kind, Raw, Stored, Update};
use tidegate_xds::store::view::Accepted;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::limits::SNAPSHOT_BYTES_MAX;

/// Whose configuration it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `node.id`.
    pub node: String,
    /// `node.cluster`.
    pub cluster: String,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Whose it is.
    pub owner: Owner,
    /// When it was written.
    pub written: SystemTime,
    /// What was in force.
    pub updates: Vec<Update>,
}

/// A file that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// It begins as no such file does.
    #[error("it is not a snapshot of this program")]
    Magic,
    /// It is of another version of this program.
    #[error("its format is {0}, this program writes {FORMAT}")]
    Format(u32),
    /// Its checksum is another.
    #[error("its checksum does not fit")]
    Checksum,
    /// It ends early, or says something impossible.
    #[error("it is broken off or garbled")]
    Garbled,
}

/// Writes it to `to`, piece by piece, so that who carries traffic can go first: what is large as it is in memory, packed.
///
/// # Errors
/// When `to` does not take it, or it has more than [`SNAPSHOT_BYTES_MAX`].
pub fn write(to: impl Write, owner: &Owner, written: SystemTime, accepted: &[Accepted]) -> io::Result<()> {
    let mut to = Sealing::new(to);
    to.put(MAGIC)?;
    to.put(&FORMAT.to_le_bytes())?;
    let since = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    to.put(&since.as_secs().to_le_bytes())?;
    to.put_sized(owner.node.as_bytes())?;
    to.put_sized(owner.cluster.as_bytes())?;
    for accepted in accepted {
        to.put(&[number(accepted.kind)])?;
        to.put_sized(accepted.version.as_bytes())?;
        to.put_length(accepted.resources.len())?;
        for kept in &accepted.resources {
            kept.pack();
            let Stored { bytes, unpacked } = kept.stored();
            to.put_sized(kept.name.as_bytes())?;
            to.put_sized(kept.version.as_bytes())?;
            // No body that is packed is empty.
            to.put_length(unpacked.unwrap_or(0))?;
            to.put_sized(&bytes)?;
        }
    }
    to.seal()
}

/// The bytes with their checksum.
#[must_use]
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_128(&bytes);
    bytes.put_u128_le(checksum);
    bytes
}

/// Counts what is written into the checksum that stands at its end.
struct Sealing<W> {
    to: W,
    checksum: Xxh3,
    piece: Vec<u8>,
    /// How much it may still become.
    left: u64,
}

impl<W: Write> Sealing<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            checksum: Xxh3::new(),
            piece: Vec::with_capacity(PIECE_BYTES),
            left: SNAPSHOT_BYTES_MAX,
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let room = PIECE_BYTES - self.piece.len();
            let Some((here, later)) = bytes.split_at_checked(room) else {
                self.piece.extend_from_slice(bytes);
                return Ok(());
            };
            self.piece.extend_from_slice(here);
            self.flush()?;
            bytes = later;
        }
    }

    fn put_length(&mut self, length: usize) -> io::Result<()> {
        self.put(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes())
    }

    fn put_sized(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_length(bytes.len())?;
        self.put(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(written).ok_or_else(too_large)?;
        self.checksum.update(&self.piece);
        self.to.write_all(&self.piece)?;
        self.piece.clear();
        give_way();
        Ok(())
    }

    fn seal(mut self) -> io::Result<()> {
        self.flush()?;
        if usize::try_from(self.left).is_ok_and(|left| left < CHECKSUM_BYTES) {
            return Err(too_large());
        }
        self.to.write_all(&self.checksum.digest128().to_le_bytes())
    }
}

/// The refusal of a snapshot that is larger than [`SNAPSHOT_BYTES_MAX`].
pub(super) fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("the snapshot has more than {SNAPSHOT_BYTES_MAX} bytes"),
    )
}

/// Reads it.
///
/// # Errors
/// When it is not what [`write()`] has written.
pub fn parse(bytes: &Bytes) -> Result<Saved, Corrupt> {
    if !bytes.starts_with(MAGIC) {
        return Err(Corrupt::Magic);
    }
    let mut rest = bytes.slice(MAGIC.len()..);
    let format = rest.try_get_u32_le().map_err(|_short| Corrupt::Garbled)?;
    if format != FORMAT {
        return Err(Corrupt::Format(format));
    }
    let end = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Corrupt::Garbled)?;
    let mut checksum = bytes.slice(end..);
    if checksum.try_get_u128_le() != Ok(xxh3_128(bytes.get(..end).unwrap_or_default())) {
        return Err(Corrupt::Checksum);
    }
    let inner = rest.len().checked_sub(CHECKSUM_BYTES).ok_or(Corrupt::Garbled)?;
    rest.truncate(inner);
    body(rest).ok_or(Corrupt::Garbled)
}

fn body(mut rest: Bytes) -> Option<Saved> {
    let written = Duration::from_secs(rest.try_get_u64_le().ok()?);
    let owner = Owner {
        node: text(&mut rest)?.to_string(),
        cluster: text(&mut rest)?.to_string(),
    };
    let mut updates = Vec::new();
    while rest.has_remaining() {
        let kind = kind(rest.try_get_u8().ok()?)?;
        let version = text(&mut rest)?;
        let count = rest.try_get_u32_le().ok()?;
        // What a count promises is not believed before it is there.
        let mut resources = Vec::new();
        for _ in 0..count {
            let (name, version) = (text(&mut rest)?, text(&mut rest)?);
            resources.push(Raw::new(name, version, stored(&mut rest)?.body()?));
        }
        updates.push(Update {
            kind,
            version,
            resources,
            gone: Gone::Named(Vec::new()),
        });
    }
    Some(Saved {
        owner,
        written: SystemTime::UNIX_EPOCH.checked_add(written)?,
        updates,
    })
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn stored(rest: &mut Bytes) -> Option<Stored> {
    let unpacked = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    let bytes = take(rest)?;
    // A length that is promised is made room for.
    (unpacked <= RESPONSE_BYTES_MAX).then_some(Stored {
        bytes,
        unpacked: (unpacked > 0).then_some(unpacked),
    })
}

fn text(rest: &mut Bytes) -> Option<Arc<str>> {
    let bytes = take(rest)?;
    std::str::from_utf8(&bytes).ok().map(Into::into)
}

/// Fixed for ever, unlike the order in which kinds are declared.
fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Cluster => 1,
        Kind::Endpoints => 2,
        Kind::Secret => 3,
        Kind::Listener => 4,
        Kind::Routes => 5,
        Kind::Runtime => 6,
    }
}

fn kind(number: u8) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| self::number(*kind) == number)
}

const MAGIC: &[u8] = b"TIDEGATE";
const FORMAT: u32 = 2;
const CHECKSUM_BYTES: usize = 16;
/// How much is written at once: it takes some microseconds.
const PIECE_BYTES: usize = 8 * 1024;
