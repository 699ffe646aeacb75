//! Which TCP sockets listen, says the kernel by netlink: in microseconds, where `/proc/net/tcp` takes milliseconds,
//! since every read of that walks the table of all connections.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::Socket;

// source: sock_diag(7), linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const HEADER_BYTES: usize = 16;
const ALIGNMENT: usize = 4;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Where `idiag_states` stands in a request.
const STATES_AT: usize = HEADER_BYTES + 4;
/// Where `idiag_sport`, `idiag_src` and `idiag_cookie` stand in an answer. In a request they come later.
const PORT_AT: usize = HEADER_BYTES + 4;
const ADDRESS_AT: usize = HEADER_BYTES + 8;
const COOKIE_AT: usize = HEADER_BYTES + 44;
const REQUEST_SHIFT: usize = 4;
/// Where `idiag_inode` stands in an answer.
const INODE_AT: usize = HEADER_BYTES + 68;
/// As much as the kernel puts into one datagram of a dump.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// The socket that a connection to `127.0.0.1:port` reaches.
///
/// # Errors
/// `NOENT` where nobody listens, and also where the kernel lacks this interface; others where it is forbidden.
pub(super) fn reached(port: u16) -> Result<Socket, Errno> {
    let mut request = request(AF_INET, NLM_F_REQUEST);
    put(&mut request, PORT_AT + REQUEST_SHIFT, &port.to_be_bytes());
    put(
        &mut request,
        ADDRESS_AT + REQUEST_SHIFT,
        &Ipv4Addr::LOCALHOST.octets(),
    );
    let mut found = Vec::new();
    read(&ask(&request)?, &mut found)?;
    found.pop().ok_or(Errno::NOENT)
}

/// All listening sockets.
///
/// # Errors
/// Where the kernel lacks this interface, or forbids it.
pub(super) fn all() -> Result<Vec<Socket>, Errno> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let socket = ask(&request(family, NLM_F_REQUEST | NLM_F_DUMP))?;
        while read(&socket, &mut found)? == Answer::More {}
    }
    Ok(found)
}

fn ask(request: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    sendto(
        &socket,
        request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    Ok(socket)
}

fn request(family: u8, flags: u16) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    put(
        &mut request,
        0,
        &u32::try_from(REQUEST_BYTES).unwrap_or_default().to_ne_bytes(),
    );
    put(&mut request, 4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&mut request, 6, &flags.to_ne_bytes());
    put(&mut request, HEADER_BYTES, &[family, IPPROTO_TCP]);
    put(&mut request, STATES_AT, &(1_u32 << TCP_LISTEN).to_ne_bytes());
    // No cookie: any socket at the address will do.
    put(&mut request, COOKIE_AT + REQUEST_SHIFT, &[0xff; 8]);
    request
}

fn put(request: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in request.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

/// What a datagram left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It ended the dump.
    Done,
    /// Others follow, if a dump was asked for.
    More,
}

/// Reads one datagram. The kernel prepares the first as it takes the request and the next as one is read: there is
/// nothing to wait for.
fn read(socket: &OwnedFd, found: &mut Vec<Socket>) -> Result<Answer, Errno> {
    let mut datagram = vec![0_u8; ANSWER_BYTES_MAX];
    let (_, length) = recv(socket, &mut datagram, RecvFlags::DONTWAIT)?;
    parse(datagram.get(..length).ok_or(Errno::BADMSG)?, found)
}

fn parse(mut messages: &[u8], found: &mut Vec<Socket>) -> Result<Answer, Errno> {
    while !messages.is_empty() {
        let length =
            usize::try_from(u32::from_ne_bytes(field(messages, 0)?)).map_err(|_too_long| Errno::BADMSG)?;
        let message = messages
            .get(..length)
            .filter(|message| message.len() >= HEADER_BYTES);
        let message = message.ok_or(Errno::BADMSG)?;
        match u16::from_ne_bytes(field(message, 4)?) {
            SOCK_DIAG_BY_FAMILY => found.extend(socket(message)?),
            NLMSG_DONE => return Ok(Answer::Done),
            NLMSG_ERROR => {
                let errno = i32::from_ne_bytes(field(message, HEADER_BYTES)?);
                return Err(Errno::from_raw_os_error(errno.wrapping_neg()));
            }
            _ => {}
        }
        messages = messages
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
    }
    Ok(Answer::More)
}

fn socket(message: &[u8]) -> Result<Option<Socket>, Errno> {
    let [family, state] = field(message, HEADER_BYTES)?;
    let port = u16::from_be_bytes(field(message, PORT_AT)?);
    let address = match family {
        AF_INET => SocketAddr::from((Ipv4Addr::from(field::<4>(message, ADDRESS_AT)?), port)),
        AF_INET6 => SocketAddr::from((Ipv6Addr::from(field::<16>(message, ADDRESS_AT)?), port)),
        _ => return Ok(None),
    };
    let inode = u32::from_ne_bytes(field(message, INODE_AT)?).into();
    Ok((state == TCP_LISTEN).then_some(Socket { address, inode }))
}

fn field<const N: usize>(message: &[u8], at: usize) -> Result<[u8; N], Errno> {
    message
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .ok_or(Errno::BADMSG)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use super::*;

    fn inode(listener: &TcpListener) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).expect("a descriptor");
        let link = link
            .to_str()
            .and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        link.and_then(|inode| inode.parse().ok()).expect("a socket")
    }

    #[test]
    fn the_kernel_names_the_sockets_that_listen() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            // A machine without IPv6 has nothing to tell of it.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let address = listener.local_addr().expect("bound");
            let expected = Socket {
                address,
                inode: inode(&listener),
            };
            match (reached(address.port()), all()) {
                (Ok(reached), Ok(all)) => {
                    assert_eq!(reached, expected);
                    assert!(all.contains(&expected), "{expected:?} in {all:?}");
                }
                // This kernel lacks the interface; then /proc is read.
                (reached, all) => assert_eq!(
                    (reached.err(), all.err()),
                    (Some(Errno::NOENT), Some(Errno::NOENT))
                ),
            }
        }
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        let cut = |bytes: usize| {
            let mut message = vec![0; bytes];
            put(
                &mut message,
                0,
                &u32::try_from(bytes).expect("small").to_ne_bytes(),
            );
            put(&mut message, 4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            put(&mut message, HEADER_BYTES, &[AF_INET, TCP_LISTEN]);
            parse(&message, &mut Vec::new())
        };
        for bytes in [1, HEADER_BYTES, PORT_AT, ADDRESS_AT, INODE_AT] {
            assert_eq!(cut(bytes), Err(Errno::BADMSG), "{bytes}");
        }
        assert_eq!(cut(INODE_AT + 4), Ok(Answer::More));
    }
}
