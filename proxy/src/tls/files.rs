//! How are a certificate and its key read from files that somebody else replaces?

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::TlsError;
use super::identity::Identity;
use crate::config::limits;
use crate::drain::Watch;
use crate::process;

/// A certificate chain and its key, each in a file (PEM). Whoever replaces them writes two files, or one after the other:
/// what is read in between does not fit, and the pair that was good stays.
///
/// ```
/// use tidegate_proxy::tls::files::CertificateFiles;
/// use tidegate_testkit::certificates::Authority;
///
/// let (folder, pair) = (tempfile::tempdir()?, Authority::new("example").server("a.example"));
/// let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
/// std::fs::write(&chain, &pair.certificate_pem)?;
/// std::fs::write(&key, &pair.key_pem)?;
/// let mut files = CertificateFiles::new(chain, key);
/// assert_eq!(files.read()?.hosts().collect::<Vec<_>>(), ["a.example"]);
/// assert!(files.changed().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CertificateFiles {
    chain: PathBuf,
    key: PathBuf,
    /// What the files looked like when they were read, if they were good.
    seen: Option<[Stamp; 2]>,
    good: Option<Identity>,
}

/// Why a pair of files is not used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than such files are.
    #[error("{path} has more than {} bytes", limits::CERTIFICATE_FILE_BYTES_MAX)]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The files were read and do not make a pair.
    #[error("{chain} and {key} do not make a pair: {source}")]
    Pair {
        /// The file of the chain.
        chain: String,
        /// The file of the key.
        key: String,
        /// What is wrong.
        source: TlsError,
    },
}

/// What tells that a file was replaced or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl CertificateFiles {
    /// The files at these paths; nothing is read yet.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            chain: chain.into(),
            key: key.into(),
            seen: None,
            good: None,
        }
    }

    /// Reads them now.
    ///
    /// # Errors
    /// When they cannot be read or do not make a pair; [`CertificateFiles::last_good`] is what it was.
    pub fn read(&mut self) -> Result<Identity, FilesError> {
        // Before the contents: what is written meanwhile is seen at the next look.
        let stamps = self.stamps().ok();
        // A pair that is not good is read again whatever it looks like.
        self.seen = None;
        let (chain, key) = (read(&self.chain)?, read(&self.key)?);
        let identity = Identity::from_pem(&chain, &key).map_err(|source| FilesError::Pair {
            chain: self.chain.display().to_string(),
            key: self.key.display().to_string(),
            source,
        })?;
        self.good = Some(identity.clone());
        self.seen = stamps;
        Ok(identity)
    }

    /// Reads them if they look other than when the last good pair was read; none if they do not.
    ///
    /// # Errors
    /// As [`CertificateFiles::read`].
    pub fn changed(&mut self) -> Option<Result<Identity, FilesError>> {
        let now = self.stamps().ok();
        (now.is_none() || now != self.seen).then(|| self.read())
    }

    /// The last pair that was good.
    #[must_use]
    pub fn last_good(&self) -> Option<&Identity> {
        self.good.as_ref()
    }

    /// Starts a task that looks at the files every [`limits::CERTIFICATE_POLL_INTERVAL`] until the drain begins, and hands
    /// on each new pair, and each new reason why there is none. The pair that was good stays in use meanwhile. Reading
    /// blocks: for a runtime that carries no traffic.
    pub fn follow(
        self,
        drain: &Watch,
        each: impl FnMut(Result<Identity, FilesError>) + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.follow_every(limits::CERTIFICATE_POLL_INTERVAL, drain, each)
    }

    fn follow_every(
        mut self,
        interval: Duration,
        drain: &Watch,
        mut each: impl FnMut(Result<Identity, FilesError>) + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let mut draining = drain.draining();
        process::spawn("certificate-files", drain.unguarded(), async move {
            let mut told = None;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = &mut draining => return,
                }
                match self.changed() {
                    None => {}
                    Some(Ok(identity)) => {
                        told = None;
                        each(Ok(identity));
                    }
                    // Said once, however long it lasts.
                    Some(Err(error)) if told.as_ref() != Some(&error.to_string()) => {
                        told = Some(error.to_string());
                        each(Err(error));
                    }
                    Some(Err(_)) => {}
                }
            }
        })
    }

    fn stamps(&self) -> io::Result<[Stamp; 2]> {
        Ok([
            Stamp::of(&fs::metadata(&self.chain)?),
            Stamp::of(&fs::metadata(&self.key)?),
        ])
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: found.modified().ok(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    let failed = |source| FilesError::Read {
        path: path.display().to_string(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > limits::CERTIFICATE_FILE_BYTES_MAX {
        let path = path.display().to_string();
        return Err(FilesError::TooLarge { path });
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tidegate_testkit::certificates::{Authority, Identity as Files};
    use tidegate_testkit::wait::eventually;

    use super::*;
    use crate::drain::Drain;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// Replaces a file as careful programs do.
        fn put(&self, name: &str, text: &str) {
            let written = self.0.join("new");
            fs::write(&written, text).unwrap();
            fs::rename(written, self.0.join(name)).unwrap();
        }

        fn put_pair(&self, files: &Files) {
            self.put("crt", &files.certificate_pem);
            self.put("key", &files.key_pem);
        }

        fn files(&self) -> CertificateFiles {
            CertificateFiles::new(self.0.join("crt"), self.0.join("key"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // What stays is in the system's folder for such things.
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_pair_that_is_half_written_is_not_used() {
        let (folder, authority) = (Folder::new("half"), Authority::new("tests"));
        let (first, second) = (authority.server("a.example"), authority.server("b.example"));
        let mut files = folder.files();
        assert!(matches!(files.read(), Err(FilesError::Read { .. })));
        folder.put_pair(&first);
        files.read().unwrap();
        assert!(files.changed().is_none());
        folder.put("crt", &second.certificate_pem);
        assert!(matches!(files.changed(), Some(Err(FilesError::Pair { .. }))));
        folder.put("key", &second.key_pem[..second.key_pem.len() / 2]);
        assert!(matches!(files.changed(), Some(Err(FilesError::Pair { .. }))));
        assert_eq!(
            files.last_good().unwrap().hosts().collect::<Vec<_>>(),
            ["a.example"]
        );
        folder.put("key", &second.key_pem);
        let pair = files.changed().unwrap().unwrap();
        assert_eq!(pair.hosts().collect::<Vec<_>>(), ["b.example"]);
        fs::remove_file(folder.0.join("key")).unwrap();
        assert!(matches!(files.changed(), Some(Err(FilesError::Read { .. }))));
    }

    #[tokio::test]
    async fn whoever_follows_hears_of_each_pair_and_of_each_reason_once() {
        let (folder, authority) = (Folder::new("follow"), Authority::new("tests"));
        let (first, second) = (authority.server("a.example"), authority.server("b.example"));
        folder.put_pair(&first);
        let ((drain, watch), (tell, told)) = (Drain::new(), mpsc::channel());
        let following = folder
            .files()
            .follow_every(Duration::from_millis(1), &watch, move |pair| {
                let said = pair.map(|pair| pair.hosts().collect::<String>());
                // The test may have heard enough.
                _ = tell.send(said.map_err(|error| matches!(error, FilesError::Pair { .. })));
            });
        let next = async || eventually("the next pair", async || told.try_recv()).await;
        assert_eq!(next().await, Ok("a.example".to_owned()));
        folder.put("crt", &second.certificate_pem);
        assert_eq!(next().await, Err(true));
        folder.put("key", &second.key_pem);
        assert_eq!(next().await, Ok("b.example".to_owned()));
        drain.start();
        following.await.unwrap();
    }
}
