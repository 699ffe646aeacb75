//! Which chains would take the same connections?

use std::collections::HashMap;
use std::sync::Arc;

use super::{Chain, ChainError, ChainMatch, Prefix};
use crate::config::limits;

/// Two chains overlap when they share one combination of criteria: selection could not tell them apart.
pub(super) fn refuse(chains: &[Arc<Chain>]) -> Result<(), ChainError> {
    let mut seen: HashMap<String, &Arc<str>> = HashMap::new();
    for chain in chains {
        let mut keys = vec![String::new()];
        for alternatives in chain.matches.alternatives() {
            if keys.len().saturating_mul(alternatives.len()) > limits::CHAIN_MATCHES_MAX {
                return Err(ChainError::TooMany);
            }
            let longer = |key: &String| -> Vec<String> {
                alternatives
                    .iter()
                    .map(|one| format!("{key}{one}\u{1f}"))
                    .collect()
            };
            keys = keys.iter().flat_map(longer).collect();
        }
        // One chain may name the same thing twice.
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if let Some(first) = seen.insert(key, &chain.name) {
                return Err(ChainError::Overlap {
                    first: Arc::clone(first),
                    second: Arc::clone(&chain.name),
                });
            }
        }
        if seen.len() > limits::CHAIN_MATCHES_MAX {
            return Err(ChainError::TooMany);
        }
    }
    Ok(())
}

impl ChainMatch {
    /// What each criterion accepts, as text; an empty one accepts the empty text.
    fn alternatives(&self) -> [Vec<String>; 9] {
        fn texts<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> Vec<String> {
            let texts: Vec<_> = items.into_iter().map(text).collect();
            if texts.is_empty() {
                vec![String::new()]
            } else {
                texts
            }
        }
        let prefixes = |prefixes: &[Prefix]| texts(prefixes, Prefix::to_string);
        [
            texts(self.destination_port, |port| port.to_string()),
            prefixes(&self.destinations),
            texts(&self.server_names, |name| name.to_ascii_lowercase()),
            texts(self.transport, |transport| format!("{transport:?}")),
            texts(&self.application_protocols, |name| {
                name.escape_ascii().to_string()
            }),
            prefixes(&self.direct_sources),
            texts(self.source_type, |source| format!("{source:?}")),
            prefixes(&self.sources),
            texts(&self.source_ports, u16::to_string),
        ]
    }
}
