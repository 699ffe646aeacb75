//! Which hosts lead to which revisions, in which shares (Knative, `pkg/reconciler/route/resources/ingress.go`).

use std::collections::BTreeMap;

use tidegate_knative::Problem;
use tidegate_knative::names::keys::{CLUSTER_LOCAL, VISIBILITY};

use crate::desired::DesiredRoute;
use crate::hosts::{self, Hosts, Visibility};
use crate::name::ObjectName;
use crate::settings::Settings;
use crate::state::Assignment;

/// The hosts of a route, or of one of its tags, and the revisions behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// The tag; none for the route itself.
    pub tag: Option<String>,
    /// The hosts that lead here.
    pub hosts: Hosts,
    /// The revisions; shares sum to 100.
    pub shares: Vec<Share>,
}

/// A revision's share of the requests of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The revision.
    pub revision: ObjectName,
    /// In percent, 1 to 100.
    pub percent: u8,
}

/// The targets of a route: itself, then each tag with all of its requests for one revision. Entries for one
/// revision are one share; entries of 0 % have none, and are reached by their tag only.
pub(crate) fn targets(
    name: &ObjectName,
    route: &DesiredRoute<'_>,
    traffic: &[Assignment],
    settings: &Settings,
) -> Vec<RouteTarget> {
    if traffic.is_empty() {
        return Vec::new();
    }
    let visibility = visibility(route);
    let mut shares: Vec<Share> = Vec::new();
    for assignment in traffic.iter().filter(|assignment| assignment.percent > 0) {
        let revision = name.sibling(&assignment.revision);
        match shares.iter_mut().find(|share| share.revision == revision) {
            Some(share) => share.percent += assignment.percent,
            None => shares.push(Share {
                revision,
                percent: assignment.percent,
            }),
        }
    }
    let own = RouteTarget {
        tag: None,
        hosts: hosts::hosts(name, None, visibility, settings),
        shares,
    };
    let tagged = traffic.iter().filter_map(|assignment| {
        let tag = assignment.tag.as_deref()?;
        let shares = vec![Share {
            revision: name.sibling(&assignment.revision),
            percent: 100,
        }];
        let hosts = hosts::hosts(name, Some(tag), visibility, settings);
        Some(RouteTarget {
            tag: Some(tag.to_owned()),
            hosts,
            shares,
        })
    });
    std::iter::once(own).chain(tagged).collect()
}

/// Who may use the hosts of `route`.
pub(crate) fn visibility(route: &DesiredRoute<'_>) -> Visibility {
    match route.metadata.labels.get(VISIBILITY).map(String::as_str) {
        Some(CLUSTER_LOCAL) => Visibility::ClusterLocal,
        _ => Visibility::External,
    }
}

/// A tag whose hosts are already those of another route.
pub(crate) struct Clash {
    pub(crate) route: ObjectName,
    /// What both would be called: `TAG-NAME`.
    pub(crate) label: String,
    pub(crate) problem: Problem,
}

/// Takes the targets away whose hosts another route has: a route's own name goes before any tag, and among
/// tags the first route by name has the hosts.
pub(crate) fn settle_clashes(
    routes: &mut BTreeMap<ObjectName, Vec<RouteTarget>>,
    desired: &BTreeMap<ObjectName, DesiredRoute<'_>>,
) -> Vec<Clash> {
    // A clash needs the same label in the same namespace.
    let mut holders: BTreeMap<ObjectName, ObjectName> =
        desired.keys().map(|name| (name.clone(), name.clone())).collect();
    let mut clashes = Vec::new();
    for (name, targets) in routes {
        let Some(route) = desired.get(name) else { continue };
        targets.retain(|target| {
            let Some(tag) = target.tag.as_deref() else {
                return true;
            };
            let label = hosts::label(&name.name, Some(tag));
            let holder = holders
                .entry(name.sibling(&label))
                .or_insert_with(|| name.clone());
            if holder == name {
                return true;
            }
            clashes.push(Clash {
                route: name.clone(),
                problem: clash_problem(route, tag, holder),
                label,
            });
            false
        });
    }
    clashes
}

fn clash_problem(route: &DesiredRoute<'_>, tag: &str, holder: &ObjectName) -> Problem {
    let index = route
        .traffic
        .iter()
        .position(|target| target.tag.as_deref() == Some(tag));
    let path = index.map_or_else(
        || "spec.traffic".to_owned(),
        |index| format!("spec.traffic[{index}].tag"),
    );
    let message = format!("tag {tag:?} would have the same hosts as {holder}");
    let mut problem = route.source.problem(&path, message);
    problem.hint = Some("choose another tag".to_owned());
    problem
}
