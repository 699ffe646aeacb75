//! How a name becomes addresses: by DNS with its times to live, or as the system does it.

use std::sync::Arc;

use super::Found;
use crate::error::BoxError;

/// Looks names up. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Resolver {
    #[cfg(feature = "dns")]
    dns: Option<Arc<hickory_resolver::TokioResolver>>,
    #[cfg(not(feature = "dns"))]
    _system: Arc<()>,
}

#[cfg(feature = "dns")]
impl Resolver {
    /// The name servers that the system's configuration names. Without any the system itself is asked, which tells no time to
    /// live. The resolver's own tasks end with it.
    pub(crate) fn of_system() -> Self {
        let build = || {
            let mut builder = hickory_resolver::TokioResolver::builder_tokio()?;
            let options = builder.options_mut();
            options.ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
            // A refresh is to see what is so now.
            options.cache_size = 0;
            builder.build()
        };
        let dns = build().inspect_err(|error| {
            tracing::warn!(%error, "no name server is configured: names are looked up as the system does");
        });
        Self {
            dns: dns.ok().map(Arc::new),
        }
    }

    pub(crate) async fn look_up(self, host: Box<str>) -> Result<Found, BoxError> {
        let Some(dns) = self.dns else {
            return by_system(&host).await;
        };
        let found = dns.lookup_ip(&*host).await?;
        let ttl = found
            .valid_until()
            .checked_duration_since(std::time::Instant::now());
        Ok(Found {
            addresses: found.iter().collect(),
            ttl,
        })
    }
}

#[cfg(not(feature = "dns"))]
impl Resolver {
    pub(crate) fn of_system() -> Self {
        Self {
            _system: Arc::default(),
        }
    }

    pub(crate) async fn look_up(self, host: Box<str>) -> Result<Found, BoxError> {
        by_system(&host).await
    }
}

async fn by_system(host: &str) -> Result<Found, BoxError> {
    let addresses = tokio::net::lookup_host((host, 0)).await?;
    Ok(Found {
        addresses: addresses.map(|address| address.ip()).collect(),
        ttl: None,
    })
}
