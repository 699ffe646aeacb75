//! Which addresses does a text such as `localhost:8080` or `8080` stand for?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where to listen: one or two addresses of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    addresses: Vec<SocketAddr>,
}

/// A text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no address to listen on: write a port (8080), localhost:8080, 127.0.0.1:8080, or :8080 for all interfaces"
)]
pub struct InvalidAddress(String);

impl ListenAddress {
    /// The addresses to bind, the one that has to work first: the second, if any, is the same port over IPv6,
    /// which a machine may not have.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `localhost` and this port.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        Self::of([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], port)
    }

    /// As a person writes it, once the port is known.
    #[must_use]
    pub fn shown(&self, port: u16) -> String {
        match self.addresses.first().map(SocketAddr::ip) {
            Some(ip) if ip == Ipv4Addr::LOCALHOST => format!("localhost:{port}"),
            Some(ip) => SocketAddr::new(ip, port).to_string(),
            None => port.to_string(),
        }
    }

    fn of(hosts: impl IntoIterator<Item = IpAddr>, port: u16) -> Self {
        Self {
            addresses: hosts
                .into_iter()
                .map(|host| SocketAddr::new(host, port))
                .collect(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let port: u16 = port.parse().map_err(|_| invalid())?;
        let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match (host, ipv6) {
            ("localhost", _) => Ok(Self::localhost(port)),
            ("" | "*", _) => Ok(Self::of(
                [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
                port,
            )),
            (_, Some(host)) => Ok(Self::of(
                [host.parse::<Ipv6Addr>().map_err(|_| invalid())?.into()],
                port,
            )),
            (host, None) => Ok(Self::of(
                [host.parse::<Ipv4Addr>().map_err(|_| invalid())?.into()],
                port,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let expected: Vec<SocketAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(
            text.parse::<ListenAddress>().unwrap().addresses(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_port_alone_is_localhost_in_both_families() {
        check("8080", &["127.0.0.1:8080", "[::1]:8080"]);
        check("localhost:0", &["127.0.0.1:0", "[::1]:0"]);
    }

    #[test]
    fn addresses_stand_for_themselves() {
        check("127.0.0.1:80", &["127.0.0.1:80"]);
        check("[::1]:80", &["[::1]:80"]);
        check(":80", &["0.0.0.0:80", "[::]:80"]);
    }

    #[test]
    fn what_is_no_address_is_refused_with_advice() {
        for text in [
            "",
            "x",
            "1.2.3.4",
            "localhost:",
            "localhost:x",
            "example.org:80",
            "::1:80",
            "+80",
            "70000",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.contains("write a port (8080)"), "{text}: {error}");
        }
    }
}
