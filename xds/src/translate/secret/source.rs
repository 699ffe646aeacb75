//! What does a data source hold: bytes of its own, a file, a variable of the environment?

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;

use xxhash_rust::xxh3::xxh3_128;

use crate::limits;
use crate::regular_file;
use crate::translate::Reject;

/// What was read, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What was read; empty where a file or variable is not there, as in Envoy.
    pub(super) bytes: Bytes,
    /// The file, if it was one.
    pub(super) file: Option<Arc<Path>>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// Where it is.
    pub path: Arc<Path>,
    /// What tells one content from another.
    pub hash: u128,
}

impl Content {
    /// The file with what was in it, if it was one.
    pub(super) fn file_read(&self) -> Option<FileRead> {
        self.file.as_ref().map(|path| FileRead {
            path: Arc::clone(path),
            hash: xxh3_128(&self.bytes),
        })
    }

    /// How Envoy names the place in its messages.
    pub(super) fn place(&self) -> &str {
        match &self.file {
            Some(path) => path.to_str().unwrap_or_default(),
            None => "<inline>",
        }
    }

    /// The path, which is empty where there is none.
    pub(super) fn path(&self) -> &str {
        self.file
            .as_ref()
            .and_then(|path| path.to_str())
            .unwrap_or_default()
    }
}

/// Reads a data source.
pub(super) fn read(source: &DataSource) -> Result<Content, Reject> {
    let bytes = match &source.specifier {
        Some(Specifier::Filename(name)) => {
            let file: Arc<Path> = Arc::from(Path::new(name));
            return Ok(Content {
                bytes: of_file(&file)?,
                file: Some(file),
            });
        }
        Some(Specifier::InlineBytes(bytes)) => Bytes::from(bytes.clone()),
        Some(Specifier::InlineString(text)) => Bytes::from(text.clone()),
        Some(Specifier::EnvironmentVariable(name)) => Bytes::from(std::env::var(name).unwrap_or_default()),
        None => Bytes::new(),
    };
    Ok(Content { bytes, file: None })
}

fn of_file(path: &Path) -> Result<Bytes, Reject> {
    match regular_file::read(path, limits::SECRET_FILE_BYTES_MAX) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            Ok(Bytes::new())
        }
        Err(error) => Err(Reject::Resource(format!(
            "unable to read file: {}: {error}",
            path.display()
        ))),
    }
}
