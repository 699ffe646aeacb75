//! The PROXY protocol header that begins a connection whose endpoint wants to know the client.
//!
//! spec: haproxy.org, proxy-protocol.txt, sections 2.1 and 2.2

use std::net::{IpAddr, SocketAddr};

use super::key::ClientAddresses;
use crate::cluster::transport::ProxyHeader;

/// The bytes of the header. Without a client, as for a request of the embedder's own, it says that there is none.
pub(super) fn encode(version: ProxyHeader, client: Option<ClientAddresses>) -> Vec<u8> {
    let client = client.map(same_family);
    match version {
        ProxyHeader::V1 => v1(client),
        ProxyHeader::V2 => v2(client),
    }
}

/// Addresses of one family, as both versions want them: an IPv4 one among IPv6 is written as IPv6.
fn same_family(client: ClientAddresses) -> ClientAddresses {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(client.source), canonical(client.destination));
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        ClientAddresses { source, destination }
    } else {
        ClientAddresses {
            source: mapped(source),
            destination: mapped(destination),
        }
    }
}

fn v1(client: Option<ClientAddresses>) -> Vec<u8> {
    let Some(ClientAddresses { source, destination }) = client else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let (from_port, to_port) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

fn v2(client: Option<ClientAddresses>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(ClientAddresses { source, destination }) = client else {
        header.extend([LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    let mut addresses = Vec::new();
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => addresses.extend(ip.octets()),
            IpAddr::V6(ip) => addresses.extend(ip.octets()),
        }
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let (family, length) = if source.is_ipv4() { (TCP4, 12) } else { (TCP6, 36) };
    header.extend([PROXY, family, 0, length]);
    header.extend(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(source: &str, destination: &str) -> Option<ClientAddresses> {
        Some(ClientAddresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        })
    }

    #[test]
    fn version_1_is_a_line() {
        let text = |client| String::from_utf8(encode(ProxyHeader::V1, client)).unwrap();
        assert_eq!(
            text(client("1.2.3.4:5", "[::ffff:6.7.8.9]:10")),
            "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"
        );
        assert_eq!(
            text(client("[2001:db8::1]:5", "6.7.8.9:10")),
            "PROXY TCP6 2001:db8::1 ::ffff:6.7.8.9 5 10\r\n"
        );
        assert_eq!(text(None), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let header = encode(ProxyHeader::V2, client("1.2.3.4:5", "6.7.8.9:10"));
        assert_eq!(
            header[12..],
            [0x21, 0x11, 0, 12, 1, 2, 3, 4, 6, 7, 8, 9, 0, 5, 0, 10]
        );
        let six = encode(ProxyHeader::V2, client("[::1]:5", "[::2]:10"));
        assert_eq!((six[13], six[15], six.len()), (0x21, 36, 52));
        assert_eq!(encode(ProxyHeader::V2, None)[12..], [0x20, 0, 0, 0]);
    }
}
