//! Filter chains as the proxy takes them: what has not changed stays the same object, so that its connections go on.

use std::sync::Arc;

use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::listener::{ChainLimit, Intake};

use crate::store::outside::Chains;
use crate::translate::listener::{ChainConfig, ListenerConfig};
use crate::translate::secret::{SecretConfig, Secrets};

/// The chains of a listener that could be built.
#[derive(Default)]
pub(super) struct Built {
    chains: Vec<One>,
    default: Option<One>,
}

struct One {
    hash: u128,
    /// The secrets that it was built with.
    secrets: Vec<Option<Arc<SecretConfig>>>,
    chain: FilterChain,
}

impl Built {
    /// The chains of `config`; those that are as here are taken over. Without a secret that it needs, a chain is left out.
    pub(super) fn next(&self, config: &ListenerConfig, secrets: &Secrets) -> Self {
        let one = |chain: &ChainConfig| self.one(chain, secrets);
        Self {
            chains: config.chains.iter().filter_map(one).collect(),
            default: config.default_chain.as_ref().and_then(one),
        }
    }

    /// Whether there is a chain at all.
    pub(super) fn is_usable(&self) -> bool {
        !self.chains.is_empty() || self.default.is_some()
    }

    /// As the proxy takes them.
    pub(super) fn chains(&self, config: &ListenerConfig) -> Chains {
        Chains {
            chains: self.chains.iter().map(|one| one.chain.clone()).collect(),
            default: self.default.as_ref().map(|one| one.chain.clone()),
            intake: Intake {
                proxy_protocol: config.sockets.proxy_protocol,
                handshake_timeout: config.sockets.handshake_timeout,
                ceiling: config.sockets.ceiling,
            },
        }
    }

    fn one(&self, config: &ChainConfig, secrets: &Secrets) -> Option<One> {
        let used = config.tls.iter().flat_map(|tls| &tls.secrets);
        let used: Vec<_> = used.map(|secret| secrets.get(&secret.name).cloned()).collect();
        let mut known = self.chains.iter().chain(&self.default);
        let kept = known.find(|one| one.hash == config.hash && one.is_of(&used));
        let chain = match kept {
            Some(kept) => kept.chain.clone(),
            None => self.chain(config, secrets)?,
        };
        Some(One {
            hash: config.hash,
            secrets: used,
            chain,
        })
    }

    fn chain(&self, config: &ChainConfig, secrets: &Secrets) -> Option<FilterChain> {
        let tls = match &config.tls {
            None => None,
            Some(tls) => match tls.build(secrets) {
                Ok(Some(tls)) => Some(tls),
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(chain = %config.name, %error, "a secret does not fit: the chain stays as it is");
                    let mut known = self.chains.iter().chain(&self.default);
                    return known
                        .find(|one| one.hash == config.hash)
                        .map(|one| one.chain.clone());
                }
            },
        };
        Some(FilterChain {
            name: Arc::clone(&config.name),
            matches: config.matches.clone(),
            tls,
            limit: config
                .limit
                .as_ref()
                .map(|(name, max)| Arc::new(ChainLimit::new(Arc::clone(name), *max))),
            ..match &config.relay {
                Some(relay) => FilterChain::relay(Arc::clone(relay)),
                None => FilterChain::plain(Arc::clone(&config.http)),
            }
        })
    }
}

impl One {
    fn is_of(&self, secrets: &[Option<Arc<SecretConfig>>]) -> bool {
        let same = |(one, other): (&Option<Arc<SecretConfig>>, &Option<Arc<SecretConfig>>)| match (one, other)
        {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        self.secrets.len() == secrets.len() && self.secrets.iter().zip(secrets).all(same)
    }
}
