//! Does anybody accept connections?

use tokio::net::TcpStream;

use super::{Authority, Failure};

/// A connection to `authority`; the attempt's timeout bounds it.
pub(super) async fn connect(authority: &Authority) -> Result<TcpStream, Failure> {
    let connected = TcpStream::connect((authority.host.as_str(), authority.port)).await;
    connected.map_err(|source| Failure::Connect {
        address: authority.to_string(),
        source,
    })
}
