//! What the person who runs it chooses: the domain, the port in URLs, how many old revisions are kept.

use std::time::Duration;

use tidegate_knative::names::is_dns1123_subdomain;

use crate::limits;

/// The port that a URL need not name.
const HTTP_PORT: u16 = 80;

/// Choices that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    domain: String,
    port: u16,
    /// Which revisions that no route names are kept.
    pub garbage: Garbage,
}

/// Which revisions that no route names are kept (`config-gc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Younger ones stay. Default: [`limits::RETAIN_SINCE_CREATE`].
    pub retain_since_create: Duration,
    /// Those that a route named less than this ago stay. Default: [`limits::RETAIN_SINCE_ACTIVE`].
    pub retain_since_active: Duration,
    /// So many stay in any case. Default: [`limits::NON_ACTIVE_REVISIONS_MIN`].
    pub min_non_active: usize,
    /// More than these never stay. Default: [`limits::NON_ACTIVE_REVISIONS_MAX`].
    pub max_non_active: usize,
}

impl Default for Garbage {
    fn default() -> Self {
        Self {
            retain_since_create: limits::RETAIN_SINCE_CREATE,
            retain_since_active: limits::RETAIN_SINCE_ACTIVE,
            min_non_active: limits::NON_ACTIVE_REVISIONS_MIN,
            max_non_active: limits::NON_ACTIVE_REVISIONS_MAX,
        }
    }
}

/// A domain under which no service can have a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a domain: expected letters, digits, '-' and '.', such as 'localhost' or '127.0.0.1.sslip.io'"
)]
pub struct InvalidDomain(String);

impl Settings {
    /// Services get URLs under `domain`, with `port` unless it is 80.
    ///
    /// # Errors
    /// When `domain` is not a DNS name (RFC 1123).
    pub fn new(domain: &str, port: u16) -> Result<Self, InvalidDomain> {
        let lower = domain.to_ascii_lowercase();
        if !is_dns1123_subdomain(&lower) {
            return Err(InvalidDomain(domain.to_owned()));
        }
        Ok(Self {
            domain: lower,
            port,
            garbage: Garbage::default(),
        })
    }

    /// The domain, lower-case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The URL of a host.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        match self.port {
            HTTP_PORT => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_port_unless_it_is_80() {
        for (domain, port, expected) in [
            ("localhost", 8080, "http://a.localhost:8080"),
            ("127.0.0.1.SSLIP.io", 80, "http://a.127.0.0.1.sslip.io"),
        ] {
            let settings = Settings::new(domain, port).unwrap();
            assert_eq!(settings.url(&format!("a.{}", settings.domain())), expected);
        }
    }

    #[test]
    fn a_domain_has_to_be_a_dns_name() {
        for domain in ["", "a b", "localhost:8080", ".x", "http://x"] {
            Settings::new(domain, 80).expect_err(domain);
        }
    }
}
