//! What does the store act on? Listeners, and the revisions that requests wait for.

use std::sync::Arc;

use tidegate_proxy::cluster::Cluster;
use tidegate_xds::store::outside::{Chains, Opening, Outside, SocketId};

use crate::activation::Revisions;
use crate::listeners::Listeners;

/// The world as the store of a running program needs it.
pub(crate) struct World {
    pub(crate) listeners: Listeners,
    pub(crate) revisions: Revisions,
}

impl Outside for World {
    fn watch(&mut self, cluster: &Arc<Cluster>) {
        self.listeners.watch(cluster);
    }

    fn clusters_changed(&mut self, names: &[Arc<str>], find: &dyn Fn(&str) -> Option<Arc<Cluster>>) {
        self.revisions.changed(names, find);
    }

    fn clusters_published(&mut self) {
        self.revisions.published();
    }

    fn open(&mut self, opening: &Opening<'_>) -> Result<SocketId, String> {
        self.listeners.open(opening)
    }

    fn serve(&mut self, socket: SocketId, chains: &Chains) -> Result<(), String> {
        self.listeners.serve(socket, chains)
    }

    fn close(&mut self, socket: SocketId) {
        self.listeners.close(socket);
    }
}
