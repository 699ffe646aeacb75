//! Who is served on a unix socket, and what becomes of its file?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use support::edge::{chain, open_with};
use support::{Front, GRACE, HOST, cluster, everything_to};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
use tidegate_proxy::listener::settings::{ListenAddress, UnixAddress};
use tidegate_proxy::listener::{Listener, ListenerSettings};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::Upstream;
use tokio::net::UnixStream;

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("http.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the system's folder for such things.
        _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(path: &Path, chain: FilterChain) -> ListenerSettings {
    let address = ListenAddress::Unix(UnixAddress {
        path: path.to_owned(),
        mode: Some(0o600),
    });
    let chains = FilterChains::one(chain).expect("a chain");
    ListenerSettings::new("unix", address, chains)
}

fn plain() -> FilterChain {
    FilterChain::plain(HttpSettings::default())
}

#[tokio::test]
async fn both_protocols_are_served_and_nobody_is_forwarded_for() {
    let folder = Folder::new("serve");
    let upstream = Upstream::echo().await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let front = Front::behind(open_with(settings(&folder.socket(), plain())), snapshot);
    let connect = async || UnixStream::connect(folder.socket()).await.unwrap();
    let mut first = Client::http1_over(connect().await).await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
    let mut second = Client::http2_over(connect().await).await;
    assert_eq!(second.get(HOST, "/").await.status, 200);
    for seen in upstream.seen() {
        assert_eq!(seen.headers.get("x-forwarded-for"), None);
    }
    let mode = fs::metadata(folder.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop((first, second));
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert!(!folder.socket().exists(), "the file goes with the listener");
}

#[tokio::test]
async fn tls_is_spoken_on_a_unix_socket_too() {
    let folder = Folder::new("tls");
    let authority = Authority::new("tests");
    let upstream = Upstream::echo().await;
    let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream.address()]), None);
    let settings = settings(&folder.socket(), chain(&authority, &[HOST]));
    let _front = Front::behind(open_with(settings), snapshot);
    let stream = UnixStream::connect(folder.socket()).await.unwrap();
    let config = std::sync::Arc::new(authority.client_config(&["http/1.1"], None));
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
    let mut client = Client::http1_over(stream).await;
    assert_eq!(client.get(HOST, "/").await.status, 200);
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else() {
    let folder = Folder::new("replace");
    let path = folder.socket();
    let open = || Listener::open(settings(&path, plain()), NonZeroUsize::MIN);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = open().unwrap();
    let error = open().unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    drop(listener);
    assert!(!path.exists());
    fs::write(&path, "text").unwrap();
    open().unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
}
