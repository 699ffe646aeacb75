//! Which revisions a route names, and so keeps at their minimum of replicas (Knative, `pkg/reconciler/labeler`).

use std::collections::BTreeSet;

use tidegate_knative::object::TrafficTo;

use crate::desired::Desired;
use crate::name::ObjectName;
use crate::state::{RoutingState, State, UnixTime};

/// Labels every revision: active if a route sends or is meant to send it requests, in reserve if one did.
pub(crate) fn label(desired: &Desired<'_>, state: &mut State, now: UnixTime) {
    let active = active(desired, state);
    for (configuration, known) in &mut state.configurations {
        for (revision, known) in &mut known.revisions {
            let routing = match known.routing {
                _ if active.contains(&configuration.sibling(revision)) => RoutingState::Active,
                RoutingState::Active => RoutingState::Reserve,
                other => other,
            };
            if routing != known.routing {
                known.routing = routing;
                known.routing_since = now;
            }
        }
    }
}

/// The revisions that stand in a route's status or its spec; of a configuration also the latest created one.
fn active(desired: &Desired<'_>, state: &State) -> BTreeSet<ObjectName> {
    let mut active = BTreeSet::new();
    for (name, route) in &state.routes {
        active.extend(
            route
                .traffic
                .iter()
                .map(|assignment| name.sibling(&assignment.revision)),
        );
    }
    for (name, route) in &desired.routes {
        for target in route.traffic {
            match &target.to {
                TrafficTo::Revision(revision) => _ = active.insert(name.sibling(revision)),
                TrafficTo::LatestOf(configuration) => {
                    let configuration = state.configurations.get(&name.sibling(configuration));
                    let latest = configuration.and_then(|known| known.latest_created.as_ref());
                    active.extend(latest.map(|latest| name.sibling(latest)));
                }
            }
        }
    }
    active
}
