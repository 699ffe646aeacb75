//! Which clusters do the routes of a virtual host name, each once, in their order?

use std::collections::HashSet;
use std::mem;

use super::ClusterName;

/// Clusters in the order in which they were first named. A host may name any number of them, so each is looked up, not searched.
#[derive(Debug, Default)]
pub(super) struct Named {
    order: Vec<ClusterName>,
    seen: HashSet<ClusterName>,
}

impl Named {
    /// Takes note of one.
    pub(super) fn add(&mut self, name: ClusterName) {
        if !self.seen.contains(&name) {
            self.seen.insert(name.clone());
            self.order.push(name);
        }
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> &[ClusterName] {
        &self.order
    }

    /// All of them, in order; none are left.
    pub(super) fn take(&mut self) -> Vec<ClusterName> {
        self.seen.clear();
        let mut order = mem::take(&mut self.order);
        order.shrink_to_fit();
        order
    }
}
