//! One version of a listener: what it waits for, what it builds, which addresses it has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proxy::listener::settings::{IpVersions, ListenAddress};

use super::Needs;
use super::built::Built;
use crate::limits;
use crate::resource::Kind;
use crate::store::outside::{Outside, SocketId};
use crate::store::view::Entry;
use crate::store::{Tools, record};
use crate::translate::listener::{ChainConfig, ListenerConfig, RouteSource};
use crate::translate::routes::RoutesConfig;
use crate::translate::secret::SecretName;

#[derive(Default)]
pub(super) struct Slot {
    pub(super) active: Option<Version>,
    pub(super) warming: Option<Version>,
    pub(super) refused: Option<Arc<Entry>>,
}

/// One version of a listener.
pub(super) struct Version {
    pub(super) entry: Arc<Entry>,
    pub(super) config: Arc<ListenerConfig>,
    pub(super) sockets: Vec<Socket>,
    pub(super) built: Built,
    /// Whether the sockets do as this version says.
    pub(super) served: bool,
    /// Since when it warms.
    pub(super) since: Instant,
}

/// An address that is taken.
#[derive(Clone)]
pub(super) struct Socket {
    pub(super) address: ListenAddress,
    pub(super) versions: IpVersions,
    pub(super) id: SocketId,
}

impl Slot {
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> + Clone {
        self.active.iter().chain(&self.warming)
    }

    /// Gives the addresses of a version that was replaced back, as far as no other has them.
    pub(super) fn give_back<O: Outside>(&self, sockets: Option<Vec<Socket>>, tools: &mut Tools<'_, O>) {
        let kept: BTreeSet<_> = self
            .versions()
            .flat_map(|version| &version.sockets)
            .map(|socket| socket.id)
            .collect();
        let gone = sockets.into_iter().flatten().map(|socket| socket.id);
        gone.filter(|id| !kept.contains(id))
            .for_each(|id| tools.outside.close(id));
    }
}

impl Version {
    /// Whether all of its addresses were those of `before`.
    pub(super) fn has_sockets_of(&self, before: &Self) -> bool {
        let ids = |version: &Self| {
            version
                .sockets
                .iter()
                .map(|socket| socket.id)
                .collect::<BTreeSet<_>>()
        };
        ids(self) == ids(before)
    }

    /// Whether all that it waits for has come, or its time is over.
    pub(super) fn is_ready(&self, needs: &Needs<'_>, now: Instant) -> bool {
        let routes = self.config.chains().all(|chain| match &chain.routes {
            RouteSource::Rds {
                name,
                initial_fetch_timeout,
            } => {
                let over = initial_fetch_timeout.is_some_and(|timeout| self.since + timeout <= now);
                over || (needs.routes)(name)
            }
            RouteSource::Inline(_) | RouteSource::None => true,
        });
        let over = self.since + limits::INITIAL_FETCH_TIMEOUT <= now;
        routes
            && (over
                || self
                    .secrets()
                    .all(|secret| needs.secrets.contains_key(&secret.name)))
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let routes = self.config.chains().filter_map(|chain| match &chain.routes {
            RouteSource::Rds {
                initial_fetch_timeout,
                ..
            } => initial_fetch_timeout.map(|timeout| self.since + timeout),
            RouteSource::Inline(_) | RouteSource::None => None,
        });
        routes.chain([self.since + limits::INITIAL_FETCH_TIMEOUT])
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let tls = self.config.chains().filter_map(|chain| chain.tls.as_ref());
        tls.flat_map(|tls| &tls.secrets)
    }

    /// Builds its chains, those that have their secrets; says whether there is one. What `before`, or itself, has built of
    /// the same stays.
    pub(super) fn prepare(&mut self, before: Option<&Self>, needs: &Needs<'_>) -> bool {
        let before = before.map_or(&self.built, |before| &before.built);
        let built = before.next(&self.config, needs.secrets);
        let usable = built.is_usable();
        if usable {
            self.built = built;
        }
        usable
    }

    pub(super) fn serve<O: Outside>(&mut self, tools: &mut Tools<'_, O>) {
        let chains = self.built.chains(&self.config);
        for socket in &self.sockets {
            if let Err(why) = tools.outside.serve(socket.id, &chains) {
                let listener = &self.entry.raw.name;
                tracing::error!(%listener, address = %socket.address, why, "a listener cannot be served");
                let failure = record::failure(self.entry.raw.clone(), why, tools.now);
                record::with_error(&mut self.entry, Some(failure));
                tools.changes.view.insert(Kind::Listener);
            }
        }
        self.served = true;
    }
}

impl ListenerConfig {
    /// All its chains.
    pub(super) fn chains(&self) -> impl Iterator<Item = &ChainConfig> + Clone {
        self.chains.iter().chain(&self.default_chain)
    }
}

impl ChainConfig {
    pub(super) fn inline(&self) -> Option<&RoutesConfig> {
        match &self.routes {
            RouteSource::Inline(routes) => Some(routes),
            RouteSource::Rds { .. } | RouteSource::None => None,
        }
    }
}
