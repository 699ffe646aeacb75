//! What do many clusters have in common, and so once?

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use tidegate_proxy::cluster::breaker::BreakerSettings;
use tidegate_proxy::cluster::{BalanceSettings, ClusterSettings, TransportSettings};
use tidegate_proxy::route::Shared;

use crate::limits;

/// The parts of all clusters that others may have too.
#[derive(Default)]
pub(super) struct Alike {
    transports: HashSet<Shared<TransportSettings>>,
    breakers: HashSet<Shared<BreakerSettings>>,
    /// The last ones that were met: they cannot be hashed, and there are few.
    balances: VecDeque<Shared<BalanceSettings>>,
}

impl Alike {
    /// Has a cluster share what is the same elsewhere.
    pub(super) fn share(&mut self, settings: &mut ClusterSettings) {
        one_of(&mut self.transports, &mut settings.transport);
        one_of(&mut self.breakers, &mut settings.breakers);
        match self.balances.iter().find(|known| **known == settings.balance) {
            Some(same) => settings.balance = same.clone(),
            None => {
                self.balances.truncate(limits::BALANCES_KNOWN_MAX - 1);
                self.balances.push_front(settings.balance.clone());
            }
        }
    }

    /// Forgets what no cluster has any more.
    pub(super) fn tidy(&mut self) {
        self.transports.retain(|part| !part.is_alone());
        self.breakers.retain(|part| !part.is_alone());
        self.balances.retain(|part| !part.is_alone());
    }
}

fn one_of<T: Clone + Eq + Hash>(known: &mut HashSet<Shared<T>>, part: &mut Shared<T>) {
    match known.get(part) {
        Some(same) => *part = same.clone(),
        None => _ = known.insert(part.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_the_same_is_there_once_and_as_long_as_a_cluster_has_it() {
        let mut alike = Alike::default();
        let mut settings = [1, 1, 2].map(|seconds| {
            let mut settings = ClusterSettings::new("app");
            settings.transport.connect_timeout = Duration::from_secs(seconds);
            alike.share(&mut settings);
            settings
        });
        assert_eq!((alike.transports.len(), alike.breakers.len()), (2, 1));
        assert_eq!(alike.balances.len(), 1);
        settings[2].transport = settings[0].transport.clone();
        alike.tidy();
        assert_eq!(alike.transports.len(), 1);
        drop(settings);
        alike.tidy();
        assert!(alike.transports.is_empty() && alike.breakers.is_empty() && alike.balances.is_empty());
    }
}
