//! Where are the numbers about invocations shown, if anywhere?

use std::net::SocketAddr;

use tidegate_knative::observability::{Export, Protocol};
use tidegate_proxy::listener::chain::FilterChain;

use super::listeners::{Listeners, OpenError};
use super::log::Log;

/// The port unless another is set.
const PORT: u16 = 9091;

/// Where Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// A port of all addresses.
    Port(u16),
    /// One address.
    Address(SocketAddr),
}

/// A place where nobody can listen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request metrics' endpoint {0:?} is no address and port")]
pub struct NoAddress(String);

impl Where {
    /// As the operator says; none where nothing is shown. Numbers are not sent to anybody yet, which is said.
    pub(super) fn of(export: &Export, log: &Log) -> Result<Option<Self>, NoAddress> {
        match export.protocol {
            Protocol::Prometheus => Self::parse(&export.endpoint).map(Some),
            Protocol::Grpc | Protocol::Http | Protocol::Stdout => {
                log.error("request metrics are not exported: of the protocols only prometheus is known here");
                Ok(None)
            }
            Protocol::None => Ok(None),
        }
    }

    fn parse(endpoint: &str) -> Result<Self, NoAddress> {
        if endpoint.is_empty() {
            return Ok(Self::Port(PORT));
        }
        let port = endpoint.strip_prefix(':').and_then(|port| port.parse().ok());
        let found = port
            .map(Self::Port)
            .or_else(|| endpoint.parse().ok().map(Self::Address));
        found.ok_or_else(|| NoAddress(endpoint.to_owned()))
    }

    /// Listens there.
    pub(super) fn listen(self, listeners: &mut Listeners, chain: FilterChain) -> Result<(), OpenError> {
        match self {
            Self::Port(port) => listeners.open("metrics", port, chain),
            Self::Address(address) => listeners.open_at("metrics", address, chain),
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_where_the_operator_says() {
        let check = |endpoint: &str, expected| assert_eq!(Where::parse(endpoint), Ok(expected));
        check("", Where::Port(9091));
        check(":9464", Where::Port(9464));
        check("127.0.0.1:1", Where::Address(([127, 0, 0, 1], 1).into()));
        assert!(Where::parse("here").is_err());
    }
}
