//! A resource as it is kept beside what was made of it, for whoever asks about it later.
//!
//! ```
//! use tidegate_xds::resource::{Kept, Raw};
//!
//! let text = b"all alike, ".repeat(10_000);
//! let kept = Kept::from(Raw::new("routes", "1", text.clone().into()));
//! kept.pack();
//! assert_eq!(kept.body(), text);
//! assert!(kept.stored().bytes.len() < text.len() / 10);
//! ```

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tidegate_proxy::process::give_way;
use zstd::zstd_safe;

use super::Raw;
use crate::limits;

/// A resource with its name and version. A large one can be packed: nobody looks at it for as long as nobody asks, and a route
/// configuration is most of what a control plane says, and mostly repeats itself.
#[derive(Clone)]
pub struct Kept {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What tells one content from another: the hash of its body.
    pub hash: u128,
    body: Content,
}

#[derive(Clone)]
enum Content {
    /// In memory of its own size: there are as many as clusters and endpoints.
    Small(Arc<[u8]>),
    /// Shared by all clones, so that it is packed for all of them. Never held over an await.
    Large(Arc<Mutex<Stored>>),
}

/// A body as it is in memory, and on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The body, or what it was packed into (Zstandard).
    pub bytes: Bytes,
    /// How long the body is where `bytes` are packed.
    pub unpacked: Option<usize>,
}

impl From<Raw> for Kept {
    fn from(raw: Raw) -> Self {
        let Raw {
            name,
            version,
            body,
            hash,
        } = raw;
        let body = if body.len() <= limits::RESOURCE_BYTES_COPIED_MAX {
            // Bytes of its own: a slice would hold the whole response that it came in.
            Content::Small(Arc::from(&*body))
        } else {
            Content::Large(Arc::new(Mutex::new(Stored {
                bytes: body,
                unpacked: None,
            })))
        };
        Self {
            name,
            version,
            hash,
            body,
        }
    }
}

impl Kept {
    /// The encoded message; unpacked for the caller alone where it was packed.
    #[must_use]
    pub fn body(&self) -> Bytes {
        // It was packed here, from what it is unpacked to.
        self.stored().body().unwrap_or_default()
    }

    /// The body as it is held.
    #[must_use]
    pub fn stored(&self) -> Stored {
        match &self.body {
            Content::Small(bytes) => Stored {
                bytes: Bytes::from_owner(Arc::clone(bytes)),
                unpacked: None,
            },
            Content::Large(stored) => stored.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Whether packing would do anything.
    #[must_use]
    pub fn is_packable(&self) -> bool {
        match &self.body {
            Content::Small(_) => false,
            Content::Large(stored) => {
                let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
                stored.unpacked.is_none()
            }
        }
    }

    /// Packs the body where it is large, for all clones, and lets go of the response that it came in. Takes some milliseconds for
    /// each 10 MB.
    pub fn pack(&self) {
        let Content::Large(large) = &self.body else {
            return;
        };
        let stored = self.stored();
        if let Some(packed) = stored.packed() {
            *large.lock().unwrap_or_else(PoisonError::into_inner) = packed;
        }
    }
}

impl Stored {
    /// The body; none where it is not what a body of that length was packed into.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        let Some(length) = self.unpacked else {
            return Some(self.bytes.clone());
        };
        let body = zstd::bulk::decompress(&self.bytes, length).ok()?;
        (body.len() == length).then(|| body.into())
    }

    fn packed(&self) -> Option<Self> {
        if self.unpacked.is_some() {
            return None;
        }
        let mut packed = pack(&self.bytes).ok()?;
        packed.shrink_to_fit();
        Some(Self {
            unpacked: Some(self.bytes.len()),
            bytes: packed.into(),
        })
    }
}

/// Piece by piece, so that who carries traffic can go first.
fn pack(body: &[u8]) -> io::Result<Vec<u8>> {
    // Memory that is not touched costs nothing, and so large a piece goes back to the system at once; what a growing one
    // leaves behind on its way does not.
    let room = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
    let mut packing = zstd::Encoder::new(room, limits::PACKING_LEVEL)?;
    packing.set_pledged_src_size(u64::try_from(body.len()).ok())?;
    for piece in body.chunks(limits::PACKING_PIECE_BYTES) {
        packing.write_all(piece)?;
        give_way();
    }
    packing.finish()
}

/// Without its bytes: there may be keys in them.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("bytes", &self.bytes.len())
            .field("unpacked", &self.unpacked)
            .finish()
    }
}
