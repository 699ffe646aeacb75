//! Where an endpoint listens.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::path::Path;
//! use tidegate_proxy::cluster::Address;
//!
//! let tcp = Address::from("127.0.0.1:80".parse::<SocketAddr>()?);
//! assert_eq!((tcp.port(), tcp.to_string().as_str()), (80, "127.0.0.1:80"));
//! let unix = Address::Unix(Path::new("/run/app.sock").into());
//! assert_ne!(tcp, unix);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// An address that an upstream can be dialled at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix domain socket in the file system.
    Unix(Arc<Path>),
}

impl Address {
    /// The port; 0 for a Unix domain socket, which has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(address) => address.port(),
            Self::Unix(_) => 0,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
