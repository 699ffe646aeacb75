//! Whether a request came over a TLS connection that was made for its host (RFC 9110 §7.4).

use crate::error::{Error, Kind};
use crate::normalize::host::Host;

/// Refuses with 421 what came by a connection whose server name is another than the request's host, so that a client
/// that reuses a connection, or means to confuse, does not pass the rules of one name with the connection of another.
/// Without a server name there is nothing to compare.
#[allow(
    dead_code,
    reason = "for connections that know the server name of their handshake"
)]
pub(crate) fn check(server_name: Option<&str>, host: &Host) -> Result<(), Error> {
    match server_name {
        Some(name) if !name.trim_end_matches('.').eq_ignore_ascii_case(host.name()) => {
            Err(Error::new(Kind::Misdirected))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_other_than_the_connection_s_server_name_is_misdirected() {
        let check = |name: Option<&str>, host: &str, expected: bool| {
            let host = Host::parse(host.as_bytes()).unwrap();
            assert_eq!(check(name, &host).is_ok(), expected, "{name:?} {host}");
        };
        check(Some("a.example"), "A.example:8443", true);
        check(Some("A.example."), "a.example", true);
        check(Some("a.example"), "b.example", false);
        check(None, "b.example", true);
    }
}
