//! What an update changes, kind by kind, and what its sender hears.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_proxy::process::give_way;

use super::clusters::Clusters;
use super::held::{Held, Ticket};
use super::outside::Outside;
use super::{Answer, Empty, Now, Store, routes, wording};
use crate::limits;
use crate::resource::{Gone, Kind, Update, Verdict};
use crate::translate::routes::RoutesConfig;

impl<O: Outside> Store<O> {
    pub(super) fn take(&mut self, update: &Update, now: Now) -> Answer {
        if let Some(refusal) = self.guard(update) {
            return Answer::Now(refusal);
        }
        let decided = match update.kind {
            Kind::Cluster => self.apply_clusters(update, now),
            Kind::Endpoints => self.apply_endpoints(update, now),
            Kind::Secret => self.apply_secrets(update, now),
            Kind::Listener => self.apply_listeners(update, now),
            Kind::Routes => return self.apply_routes(update, now),
            Kind::Runtime => Ok(Vec::new()),
        };
        Answer::Now(match decided {
            Ok(failed) => wording::verdict(update.kind, failed),
            Err(message) => wording::refused(message),
        })
    }

    pub(super) fn note(&mut self, update: &Update, verdict: &Verdict) {
        self.count(update, verdict);
        if *verdict == Verdict::Accepted {
            self.versions.insert(update.kind, Arc::clone(&update.version));
            self.unconfirmed.remove(&update.kind);
            self.changes.view.insert(update.kind);
        }
    }

    /// Counts it for each name that is subscribed to.
    fn count(&self, update: &Update, verdict: &Verdict) {
        let counts = &self.changes.counts;
        let named = match update.kind {
            Kind::Routes => &counts.routes,
            Kind::Endpoints => &counts.endpoints,
            Kind::Secret => &counts.secrets,
            Kind::Cluster | Kind::Listener | Kind::Runtime => return,
        };
        let names = update.resources.iter().map(|raw| &raw.name);
        match verdict {
            Verdict::Accepted if update.kind == Kind::Endpoints => {
                let clusters = names.flat_map(|name| self.books.clusters.users_of(name));
                named.succeeded(clusters, &update.version);
            }
            Verdict::Accepted => named.succeeded(names, &update.version),
            Verdict::Rejected(_) => named.refused(),
        }
    }

    /// `--guard-empty`.
    fn guard(&self, update: &Update) -> Option<Verdict> {
        let empties = update.gone == Gone::Rest && update.resources.is_empty();
        if self.settings.empty == Empty::Deletes || !empties {
            return None;
        }
        let (count, what) = match update.kind {
            Kind::Cluster => (self.books.clusters.dynamic(), "clusters"),
            Kind::Listener => (self.books.listeners.dynamic(), "listeners"),
            _ => (0, ""),
        };
        let refused = || {
            wording::refused(format!(
                "an empty update would remove all {count} {what} (--guard-empty)"
            ))
        };
        (count > 0).then(refused)
    }

    fn apply_clusters(&mut self, update: &Update, now: Now) -> Result<Vec<wording::Failed>, String> {
        self.init.heard_of_clusters();
        let context = self.settings.context.clone();
        let (parts, clusters, mut tools) = self.for_clusters(now);
        let failed = clusters.apply(update, (&context, &parts), &mut tools)?;
        self.applied_clusters = Some(Arc::clone(&update.version));
        Ok(failed)
    }

    fn apply_endpoints(&mut self, update: &Update, now: Now) -> Result<Vec<wording::Failed>, String> {
        let wanted = self
            .books
            .clusters
            .services()
            .map(|(name, _)| Arc::clone(name))
            .collect();
        let (context, changes) = (&self.settings.context, (&mut self.changes, now));
        let (came, failed) = self.books.endpoints.apply(update, &wanted, context, changes)?;
        let gone = match &update.gone {
            Gone::Named(names) => names.as_slice(),
            Gone::Rest => &[],
        };
        for name in came.iter().chain(gone) {
            give_way();
            let (parts, clusters, mut tools) = self.for_clusters(now);
            clusters.endpoints_came(name, &parts, &mut tools);
        }
        Ok(failed)
    }

    fn apply_secrets(&mut self, update: &Update, now: Now) -> Result<Vec<wording::Failed>, String> {
        let wanted = self.all_secrets();
        let (context, changes) = (&self.settings.context, (&mut self.changes, now));
        let (changed, failed) = self.books.secrets.apply(update, &wanted, context, changes)?;
        self.secrets_changed(&changed, now);
        Ok(failed)
    }

    /// Reads the secrets again whose files have changed, once it is time to look at them.
    pub(super) fn read_secrets_again(&mut self, now: Now) {
        let (context, changes) = (&self.settings.context, &self.changes);
        let changed = self.books.secrets.read_again(context, changes, now.at);
        self.secrets_changed(&changed, now);
    }

    fn secrets_changed(&mut self, changed: &BTreeSet<Arc<str>>, now: Now) {
        if changed.is_empty() {
            return;
        }
        let (parts, clusters, mut tools) = self.for_clusters(now);
        clusters.secrets_changed(changed, &parts, &mut tools);
        self.with_listeners(now, |listeners, _, needs, tools| {
            listeners.secrets_changed(changed, needs, tools);
        });
    }

    fn apply_listeners(&mut self, update: &Update, now: Now) -> Result<Vec<wording::Failed>, String> {
        self.init.heard_of_listeners();
        self.with_listeners(now, |listeners, context, needs, tools| {
            listeners.apply(update, (context, needs), tools)
        })
    }

    fn apply_routes(&mut self, update: &Update, now: Now) -> Answer {
        // A newer response for the same names is on the table: the one that waits is nobody's any more.
        self.held = None;
        let wanted = self.wanted_of(Kind::Routes);
        let context = &self.settings.context;
        let read = match self
            .books
            .routes
            .read(update, &wanted, context, &mut self.changes)
        {
            Ok(read) => read,
            Err(message) => return Answer::Now(wording::refused(message)),
        };
        let may_come = self.init.wants_clusters() && self.applied_clusters.as_ref() != Some(&update.version);
        let clusters = &self.books.clusters;
        if may_come && read.lacks(|routes| unknown_by_default(routes, clusters, false)) {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.held = Some(Held {
                ticket,
                version: Arc::clone(&update.version),
                read,
                until: now.at + limits::HOLD_ROUTES,
            });
            return Answer::Later(ticket);
        }
        Answer::Now(self.take_routes(read, now))
    }

    fn take_routes(&mut self, read: routes::Read, now: Now) -> Verdict {
        let clusters = &self.books.clusters;
        let unknown = |routes: &RoutesConfig| unknown_by_default(routes, clusters, false);
        let failed = self.books.routes.take(read, unknown, (&mut self.changes, now));
        wording::verdict(Kind::Routes, failed)
    }

    /// Routes that wait are taken once their clusters are there, or cannot come any more.
    pub(super) fn look_at_held(&mut self, now: Now) {
        let Some(held) = &self.held else {
            return;
        };
        let clusters = &self.books.clusters;
        let lacks = held
            .read
            .lacks(|routes| unknown_by_default(routes, clusters, false));
        let hopeless = held.until <= now.at || self.applied_clusters.as_ref() == Some(&held.version);
        if lacks && !hopeless {
            return;
        }
        if let Some(held) = self.held.take() {
            let names: Vec<_> = held.read.names().cloned().collect();
            let verdict = self.take_routes(held.read, now);
            let counted = &self.changes.counts.routes;
            match &verdict {
                Verdict::Accepted => counted.succeeded(names.iter(), &held.version),
                Verdict::Rejected(_) => counted.refused(),
            }
            if verdict == Verdict::Accepted {
                self.versions.insert(Kind::Routes, held.version);
                self.unconfirmed.remove(&Kind::Routes);
            }
            self.decided.push((held.ticket, verdict));
        }
    }
}

/// The first cluster that is missing, where that matters.
fn unknown_by_default(routes: &RoutesConfig, clusters: &Clusters, default: bool) -> Option<String> {
    if !routes.validate_clusters.unwrap_or(default) {
        return None;
    }
    routes.unknown_cluster(|name| clusters.knows(name))
}
