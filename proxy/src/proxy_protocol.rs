//! Who is the client, when a load balancer says so in front of its bytes? The PROXY protocol, versions 1 and 2, read
//! strictly and written (HAProxy's `proxy-protocol.txt`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::limits;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is, and where it was made to. `None`: the sender's own (`LOCAL`, `UNKNOWN`), or one without
    /// addresses (a unix socket).
    pub addresses: Option<Addresses>,
    /// The client's choice by ALPN, if the sender terminated TLS (version 2, type 0x01).
    pub alpn: Option<Vec<u8>>,
    /// The host name that the client asked for (type 0x02).
    pub authority: Option<String>,
    /// The sender's name for the connection, at most 128 bytes (type 0x05).
    pub unique_id: Option<Vec<u8>>,
}

/// The two ends of a connection, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// How far the first bytes of a connection can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parse {
    /// They are the beginning of a header; there has to come more.
    Incomplete,
    /// They are no header of either version, and none can become of them.
    Absent,
    /// A header, and how many bytes it took.
    Complete(Header, usize),
}

/// Bytes that begin as a header and break its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed PROXY header: {0}")]
pub struct Malformed(pub &'static str);

/// Reads what a connection begins with. Give it all bytes so far; it keeps nothing.
///
/// # Errors
/// When they begin as a header and cannot become one. Version 1 takes at most 107 bytes, version 2
/// [`limits::PROXY_HEADER_BYTES_MAX`].
///
/// ```
/// use tidegate_proxy::proxy_protocol::{Parse, parse};
///
/// let Parse::Complete(header, 46) = parse(b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\nGET /")? else { panic!() };
/// assert_eq!(header.addresses.map(|both| both.source), Some("203.0.113.9:4711".parse().unwrap()));
/// # Ok::<(), tidegate_proxy::proxy_protocol::Malformed>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Parse, Malformed> {
    match (begins(bytes, V1), begins(bytes, V2)) {
        (Begins::Whole, _) => v1(bytes),
        (_, Begins::Whole) => v2(bytes),
        (Begins::Part, _) | (_, Begins::Part) => Ok(Parse::Incomplete),
        (Begins::Not, Begins::Not) => Ok(Parse::Absent),
    }
}

enum Begins {
    Whole,
    Part,
    Not,
}

fn begins(bytes: &[u8], signature: &[u8]) -> Begins {
    if bytes.starts_with(signature) {
        Begins::Whole
    } else if signature.starts_with(bytes) {
        Begins::Part
    } else {
        Begins::Not
    }
}

fn v1(bytes: &[u8]) -> Result<Parse, Malformed> {
    let window = bytes.get(..V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return match window.len() {
            V1_BYTES_MAX => Err(Malformed("version 1: no line end in 107 bytes")),
            _ => Ok(Parse::Incomplete),
        };
    };
    match (window.get(end), window.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => {}
        (Some(b'\r'), None) if window.len() < V1_BYTES_MAX => return Ok(Parse::Incomplete),
        _ => return Err(Malformed("version 1: the line does not end with CR LF")),
    }
    let line = window
        .get(V1.len()..end)
        .and_then(|line| str::from_utf8(line).ok());
    let addresses = addresses_v1(line.ok_or(Malformed("version 1: not ASCII"))?)?;
    let header = Header {
        addresses,
        ..Header::default()
    };
    Ok(Parse::Complete(header, end + 2))
}

fn addresses_v1(line: &str) -> Result<Option<Addresses>, Malformed> {
    // What follows UNKNOWN is to be passed over.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let parts: Vec<&str> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = *parts.as_slice() else {
        return Err(Malformed("version 1: not five parts"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let end = |ip: &str, text: &str| Some(SocketAddr::new(address(ip)?, port(text)?));
    match (end(source, source_port), end(destination, destination_port)) {
        (Some(source), Some(destination)) => Ok(Some(Addresses { source, destination })),
        _ => Err(Malformed("version 1: a family, an address or a port is none")),
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

fn v2(bytes: &[u8]) -> Result<Parse, Malformed> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else {
        return Ok(Parse::Incomplete);
    };
    let [.., version_command, family, high, low] = *fixed else {
        return Ok(Parse::Incomplete);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 {
        return Err(Malformed("version 2: another version"));
    }
    if V2_FIXED_BYTES + length > limits::PROXY_HEADER_BYTES_MAX {
        return Err(Malformed("version 2: too long"));
    }
    let local = match version_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Malformed("version 2: an unknown command")),
    };
    let Some(content) = rest.get(..length) else {
        return Ok(Parse::Incomplete);
    };
    let header = if local {
        Header::default()
    } else {
        proxied(family, content)?
    };
    Ok(Parse::Complete(header, V2_FIXED_BYTES + length))
}

fn proxied(family: u8, content: &[u8]) -> Result<Header, Malformed> {
    let short = Malformed("version 2: too short for its addresses");
    let (addresses, extensions) = match family {
        UNSPECIFIED => return Ok(Header::default()),
        TCP4 => {
            let (block, rest) = content.split_first_chunk::<12>().ok_or(short)?;
            (Some(block_v4(*block)), rest)
        }
        TCP6 => {
            let (block, rest) = content.split_first_chunk::<36>().ok_or(short)?;
            (block_v6(block), rest)
        }
        UNIX_STREAM => (None, content.get(UNIX_BLOCK_BYTES..).ok_or(short)?),
        _ => return Err(Malformed("version 2: a family that no connection here has")),
    };
    let mut header = Header {
        addresses,
        ..Header::default()
    };
    read_extensions(extensions, &mut header)?;
    Ok(header)
}

fn block_v4(block: [u8; 12]) -> Addresses {
    let [a, b, c, d, e, f, g, h, source_high, source_low, high, low] = block;
    Addresses {
        source: (
            Ipv4Addr::new(a, b, c, d),
            u16::from_be_bytes([source_high, source_low]),
        )
            .into(),
        destination: (Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([high, low])).into(),
    }
}

fn block_v6(block: &[u8; 36]) -> Option<Addresses> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, ports) = rest.split_first_chunk::<16>()?;
    let [source_high, source_low, high, low] = *ports else {
        return None;
    };
    Some(Addresses {
        source: (
            Ipv6Addr::from(*source),
            u16::from_be_bytes([source_high, source_low]),
        )
            .into(),
        destination: (Ipv6Addr::from(*destination), u16::from_be_bytes([high, low])).into(),
    })
}

fn read_extensions(mut left: &[u8], header: &mut Header) -> Result<(), Malformed> {
    while let Some((&kind, rest)) = left.split_first() {
        let cut = Malformed("version 2: an extension is cut off");
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, rest) = rest.split_at_checked(length).ok_or(cut)?;
        match kind {
            TYPE_ALPN if length <= NAME_BYTES_MAX => header.alpn = Some(value.to_vec()),
            TYPE_AUTHORITY if length <= NAME_BYTES_MAX => {
                let name =
                    str::from_utf8(value).map_err(|_| Malformed("version 2: the authority is not UTF-8"))?;
                header.authority = Some(name.to_owned());
            }
            TYPE_UNIQUE_ID if length <= UNIQUE_ID_BYTES_MAX => header.unique_id = Some(value.to_vec()),
            TYPE_ALPN | TYPE_AUTHORITY | TYPE_UNIQUE_ID => {
                return Err(Malformed("version 2: an extension is too long"));
            }
            _ => {}
        }
        left = rest;
    }
    Ok(())
}

/// A header of version 1; `UNKNOWN` without addresses.
#[must_use]
pub fn encode_v1(addresses: Option<Addresses>) -> Vec<u8> {
    let Some(Addresses { source, destination }) = addresses.map(Addresses::of_one_family) else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let (from_port, to_port) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

/// A header of version 2; the command is `LOCAL` without addresses.
#[must_use]
pub fn encode_v2(addresses: Option<Addresses>) -> Vec<u8> {
    let mut header = V2.to_vec();
    match addresses.map(Addresses::of_one_family) {
        None => header.extend([0x20, UNSPECIFIED, 0, 0]),
        Some(Addresses { source, destination }) => {
            match (source.ip(), destination.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    header.extend([0x21, TCP4, 0, 12]);
                    header.extend(from.octets());
                    header.extend(to.octets());
                }
                (from, to) => {
                    header.extend([0x21, TCP6, 0, 36]);
                    header.extend(as_v6(from).octets());
                    header.extend(as_v6(to).octets());
                }
            }
            header.extend(source.port().to_be_bytes());
            header.extend(destination.port().to_be_bytes());
        }
    }
    header
}

impl Addresses {
    /// A header has one family for both ends: IPv4 is mapped where the other end is IPv6. Zones do not travel.
    fn of_one_family(self) -> Self {
        let both_v4 = self.source.is_ipv4() && self.destination.is_ipv4();
        let fit = |end: SocketAddr| match end.ip() {
            ip @ IpAddr::V4(_) if both_v4 => SocketAddr::new(ip, end.port()),
            ip => SocketAddr::new(as_v6(ip).into(), end.port()),
        };
        Self {
            source: fit(self.source),
            destination: fit(self.destination),
        }
    }
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

const V1: &[u8] = b"PROXY ";
const V1_BYTES_MAX: usize = 107;
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
const UNIX_BLOCK_BYTES: usize = 216;
const TYPE_ALPN: u8 = 0x01;
const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_UNIQUE_ID: u8 = 0x05;
const NAME_BYTES_MAX: usize = 255;
const UNIQUE_ID_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests;
