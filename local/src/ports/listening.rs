//! Which process tree owns a listening socket? Known on Linux; elsewhere the answer is "unknown", which is accepted.

#[cfg(target_os = "linux")]
mod linux;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Who holds the socket that answers on a port of 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process of the replica's tree: its process group, or a descendant of its first process.
    Replica,
    /// A process outside that tree.
    Stranger,
    /// Nobody listens there.
    Nobody,
    /// It cannot be told: not on this system, or the processes may not be looked into.
    Unknown,
}

/// Who owns the socket that a connection to `127.0.0.1:port` reaches, seen from the replica whose first process is `root`.
#[must_use]
pub fn owner(port: u16, root: u32) -> Owner {
    #[cfg(target_os = "linux")]
    return linux::owner(port, root);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (port, root);
        Owner::Unknown
    }
}

/// All TCP sockets on which the process tree of `root` listens, sorted; none where it cannot be told.
#[must_use]
pub fn listening_ports(root: u32) -> Vec<SocketAddr> {
    #[cfg(target_os = "linux")]
    return linux::listening(root);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = root;
        Vec::new()
    }
}

/// What to tell the developer when a replica that should listen on `port` opened `found` instead; `None` when `found`
/// is empty or has the right socket.
#[must_use]
pub fn advice(service: &str, port: u16, found: &[SocketAddr]) -> Option<String> {
    if found.is_empty()
        || found
            .iter()
            .any(|address| address.port() == port && answers_on_loopback(address.ip()))
    {
        return None;
    }
    if let Some(elsewhere) = found.iter().find(|address| address.port() == port) {
        return Some(format!(
            "{service} listens on {elsewhere}, which 127.0.0.1:{port} does not reach: make it listen on 0.0.0.0"
        ));
    }
    Some(format!(
        "{service} opened {}, but $PORT is {port}: make it listen on $PORT",
        Ports(found)
    ))
}

/// Whether a socket bound to this address accepts connections to 127.0.0.1.
fn answers_on_loopback(bound: IpAddr) -> bool {
    let bound = bound.to_canonical();
    bound.is_unspecified() || bound == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

struct Ports<'a>(&'a [SocketAddr]);

impl fmt::Display for Ports<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ports: Vec<u16> = self.0.iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        let plural = if ports.len() == 1 { "port" } else { "ports" };
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        write!(formatter, "{plural} {}", list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[&str], expected: Option<&str>) {
        let found: Vec<SocketAddr> = found
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        assert_eq!(advice("hello", 41234, &found).as_deref(), expected, "{found:?}");
    }

    #[test]
    fn the_advice_names_what_was_opened_and_what_was_asked() {
        check(&[], None);
        check(&["127.0.0.1:41234"], None);
        check(&["0.0.0.0:3000", "[::]:41234"], None);
        let one = "hello opened port 3000, but $PORT is 41234: make it listen on $PORT";
        check(&["0.0.0.0:3000", "[::]:3000"], Some(one));
        let two = "hello opened ports 3000, 9229, but $PORT is 41234: make it listen on $PORT";
        check(&["127.0.0.1:9229", "[::]:3000"], Some(two));
        let elsewhere =
            "hello listens on [::1]:41234, which 127.0.0.1:41234 does not reach: make it listen on 0.0.0.0";
        check(&["[::1]:41234"], Some(elsewhere));
    }
}
