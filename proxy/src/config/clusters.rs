//! Which cluster has a name? The names are the clusters' own: the table has no other copy of them, and one word for each.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::cluster::Cluster;

/// Clusters by name.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    table: HashTable<Arc<Cluster>>,
    hasher: RandomState,
}

impl Clusters {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.table
            .find(self.hasher.hash_one(name), |cluster| **cluster.name() == *name)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.table.iter()
    }
}

/// Of two of one name the last stays.
impl FromIterator<Arc<Cluster>> for Clusters {
    fn from_iter<I: IntoIterator<Item = Arc<Cluster>>>(clusters: I) -> Self {
        let clusters = clusters.into_iter();
        let hasher = RandomState::default();
        let mut table = HashTable::with_capacity(clusters.size_hint().0);
        for cluster in clusters {
            let hash = hasher.hash_one(&**cluster.name());
            let is_it = |known: &Arc<Cluster>| known.name() == cluster.name();
            let hash_of = |known: &Arc<Cluster>| hasher.hash_one(&**known.name());
            match table.entry(hash, is_it, hash_of) {
                Entry::Occupied(mut known) => *known.get_mut() = cluster,
                Entry::Vacant(place) => _ = place.insert(cluster),
            }
        }
        Self { table, hasher }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterSettings;

    #[test]
    fn each_name_is_there_once_with_the_last_of_its_clusters() {
        let [first, other, last] = ["a", "b", "a"].map(|name| Cluster::new(ClusterSettings::new(name)));
        let clusters: Clusters = [first, other, Arc::clone(&last)].into_iter().collect();
        assert!(Arc::ptr_eq(clusters.get("a").unwrap(), &last));
        assert!(clusters.get("b").is_some() && clusters.get("c").is_none());
        assert_eq!(clusters.iter().count(), 2);
    }
}
