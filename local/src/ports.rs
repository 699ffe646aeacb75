//! Which port does a replica get, and which ports did it open instead?

pub mod listening;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::PORT_ATTEMPTS;

/// Hands out loopback ports, never one twice at a time. Clones share the ports.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    leased: Arc<Mutex<BTreeSet<u16>>>,
}

impl Ports {
    /// No port is handed out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A port that is free on 127.0.0.1 and, where the machine has it, on `::1`.
    ///
    /// The port is chosen by the system and given back at once, so another program may take it before the replica
    /// does. Then the replica fails to listen, and its next start gets another port.
    ///
    /// # Errors
    /// When the system has no free port, or the limit of open files is reached.
    pub fn lease(&self) -> io::Result<PortLease> {
        for _attempt in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            if is_free_on_ipv6(port) && self.leased().insert(port) {
                return Ok(PortLease {
                    port,
                    ports: self.clone(),
                });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no free port on 127.0.0.1 after {PORT_ATTEMPTS} tries: see which programs hold so many"),
        ))
    }

    fn leased(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One replica's port. Dropped, the port may be handed out again.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    ports: Ports,
}

impl PortLease {
    /// The port's number: what the replica sees as `PORT`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the replica is reached when it listens as told.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.ports.leased().remove(&self.port);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A program that listens on `[::]` for both families needs the port on both. A machine without IPv6 has no say.
fn is_free_on_ipv6(port: u16) -> bool {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(_free) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrInUse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leased_ports_are_distinct_and_bindable() {
        let ports = Ports::new();
        let leases: Vec<_> = (0..50).map(|_| ports.lease().expect("a free port")).collect();
        let distinct: BTreeSet<u16> = leases.iter().map(PortLease::port).collect();
        assert_eq!(distinct.len(), leases.len());
        let listener = TcpListener::bind(leases[0].address()).expect("the replica can listen");
        assert_eq!(listener.local_addr().expect("bound").port(), leases[0].port());
    }

    #[test]
    fn a_dropped_lease_frees_its_port() {
        let ports = Ports::new();
        let lease = ports.lease().expect("a free port");
        assert!(ports.leased().contains(&lease.port()));
        drop(lease);
        assert!(ports.leased().is_empty());
    }
}
