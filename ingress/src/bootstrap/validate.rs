//! Is a configuration sound? Everything goes into a store as in the running program; nothing is opened.

use std::sync::Arc;

use tidegate_proxy::cluster::Cluster;
use tidegate_proxy::config::Handle;
use tidegate_xds::store::outside::{Chains, Opening, Outside, SocketId};
use tidegate_xds::store::{Now, Store};
use tidegate_xds::translate::bootstrap::Source;
use tidegate_xds::translate::{Context, Reject, UnknownFields};

use super::{Loaded, Report, load, refusal};
use crate::flags::Flags;
use crate::start;

/// Reads the configuration and everything in it.
///
/// # Errors
/// The first thing that Envoy would refuse, in its words, with its place.
pub fn validate(flags: &Flags) -> Result<(), Report> {
    let loaded = load(flags)?;
    files(flags, &loaded)?;
    let settings = start::store_settings(flags, &loaded.bootstrap);
    let mut store = Store::new(settings, Nothing::default(), Handle::default(), Now::read());
    for resource in &loaded.bootstrap.resources {
        let added = store.add_static(resource.kind, resource.raw.clone(), Now::read());
        added.map_err(|why| refusal(flags, &loaded.places, &resource.path, &Reject::Resource(why)))?;
    }
    Ok(())
}

/// How the static resources of these flags are read.
#[must_use]
pub fn context(flags: &Flags) -> Context {
    Context {
        internal_listeners: flags
            .internal_listeners
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        unknown_fields: if flags.unknown.reject_dynamic {
            UnknownFields::Rejected
        } else if flags.unknown.ignore_dynamic {
            UnknownFields::Uncounted
        } else {
            UnknownFields::Ignored
        },
        edge: crate::edge::policy(),
        disabled: flags
            .disable_extensions
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        ..Context::default()
    }
}

/// What resources are read from has to be there.
fn files(flags: &Flags, loaded: &Loaded) -> Result<(), Report> {
    let bootstrap = &loaded.bootstrap;
    let sources = [
        ("cds_config", &bootstrap.clusters),
        ("lds_config", &bootstrap.listeners),
    ];
    for (field, source) in sources {
        if let Some(Source::Path { path, .. }) = source.as_ref().map(|config| &config.source)
            && !path.exists()
        {
            let path = path.display();
            let message =
                format!("paths must refer to an existing path in the system: '{path}' does not exist");
            let field = format!("dynamic_resources.{field}");
            return Err(refusal(flags, &loaded.places, &field, &Reject::Resource(message)));
        }
    }
    Ok(())
}

/// A world in which every address is free and nothing begins.
#[derive(Default)]
struct Nothing {
    sockets: u64,
}

impl Outside for Nothing {
    fn watch(&mut self, _cluster: &Arc<Cluster>) {}

    fn clusters_changed(&mut self, _names: &[Arc<str>], _find: &dyn Fn(&str) -> Option<Arc<Cluster>>) {}

    fn clusters_published(&mut self) {}

    fn open(&mut self, _opening: &Opening<'_>) -> Result<SocketId, String> {
        self.sockets += 1;
        Ok(SocketId(self.sockets))
    }

    fn serve(&mut self, _socket: SocketId, _chains: &Chains) -> Result<(), String> {
        Ok(())
    }

    fn close(&mut self, _socket: SocketId) {}
}
