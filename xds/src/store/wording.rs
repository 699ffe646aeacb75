//! How refused updates are worded: as Envoy words them, to the byte, since control planes parse it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::{Kind, Rejection, Update, Verdict};
use crate::translate::Reject;

/// A resource that was refused, and why.
pub(super) type Failed = (Arc<str>, String);

/// What became of a response of which these resources failed, and nothing else did.
pub(super) fn verdict(kind: Kind, failed: Vec<Failed>) -> Verdict {
    if failed.is_empty() {
        return Verdict::Accepted;
    }
    Verdict::Rejected(Rejection {
        message: message(kind, &failed),
        failed: failed.into_iter().map(|(name, _)| name).collect(),
        whole: false,
    })
}

/// Brings what failed into the order in which it came: what cannot be read is found before what cannot be used.
pub(super) fn in_order(failed: &mut [Failed], update: &Update) {
    if failed.len() > 1 {
        // Backwards, so that of a name that is there twice the first place stays.
        let places = update.resources.iter().enumerate().rev();
        let places: HashMap<_, _> = places.map(|(place, raw)| (&raw.name, place)).collect();
        failed.sort_by_key(|(name, _)| places.get(name).copied());
    }
}

/// A response of which nothing is taken.
pub(super) fn refused(message: String) -> Verdict {
    Verdict::Rejected(Rejection {
        message,
        failed: Vec::new(),
        whole: true,
    })
}

fn message(kind: Kind, failed: &[Failed]) -> String {
    match kind {
        Kind::Cluster => {
            let each: Vec<_> = failed
                .iter()
                .map(|(name, why)| format!("{name}: {why}"))
                .collect();
            format!("Error adding/updating cluster(s) {}", each.join(", "))
        }
        Kind::Listener => {
            let each: String = failed
                .iter()
                .map(|(name, why)| format!("{name}: {why}\n"))
                .collect();
            format!("Error adding/updating listener(s) {each}")
        }
        // One subscription is told after the other, and the first that refuses ends it.
        Kind::Endpoints | Kind::Secret | Kind::Routes | Kind::Runtime => {
            failed.first().map(|(_, why)| why.clone()).unwrap_or_default()
        }
    }
}

/// `why` of a socket that cannot be had.
pub(super) fn cannot_bind(address: &impl std::fmt::Display, why: &str) -> String {
    format!("cannot bind '{address}': {why}")
}

/// `why` of an address that another listener has.
pub(super) fn duplicate_address(listener: &str, addresses: &[String]) -> String {
    format!(
        "error adding listener: '{listener}' has duplicate address '{}' as existing listener, to check if the listener has \
         duplicated addresses with other listeners or 'enable_reuse_port' is set to 'false' for the listener",
        addresses.join(",")
    )
}

/// Why a listener of the bootstrap cannot be used: Envoy names it in what it says of one that it could decode.
pub(super) fn of_static_listener(name: &str, reject: Reject) -> String {
    match reject {
        Reject::Message(why) => why,
        Reject::Resource(why) => format!("error adding listener named '{name}': {why}"),
    }
}

/// `why` of a name that is there twice in one response.
pub(super) fn duplicate(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Cluster => format!("duplicate cluster {name} found"),
        _ => format!("duplicate listener {name} found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, failed: &[(&str, &str)], expected: &str) {
        let failed = failed
            .iter()
            .map(|(name, why)| ((*name).into(), (*why).to_owned()));
        let Verdict::Rejected(rejection) = verdict(kind, failed.collect()) else {
            panic!("it is not refused");
        };
        assert_eq!(rejection.message, expected);
    }

    #[test]
    fn what_failed_is_told_in_the_order_in_which_it_came() {
        let raw = |name: &str| crate::resource::Raw::new(name, "1", bytes::Bytes::new());
        let update = Update {
            kind: Kind::Cluster,
            version: "1".into(),
            resources: ["b", "a", "c", "a"].map(raw).into(),
            gone: crate::resource::Gone::Rest,
        };
        let mut failed: Vec<Failed> = ["c", "a", "b"].map(|name| (name.into(), String::new())).into();
        in_order(&mut failed, &update);
        let names: Vec<&str> = failed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "a", "c"]);
    }

    #[test]
    fn refusals_are_worded_as_envoys() {
        check(
            Kind::Cluster,
            &[("c1", "duplicate cluster c1 found")],
            "Error adding/updating cluster(s) c1: duplicate cluster c1 found",
        );
        check(
            Kind::Cluster,
            &[("a", "x"), ("b", "y")],
            "Error adding/updating cluster(s) a: x, b: y",
        );
        check(
            Kind::Listener,
            &[("l", "x"), ("m", "y")],
            "Error adding/updating listener(s) l: x\nm: y\n",
        );
        let route = "route: unknown weighted cluster 'default/foo'";
        check(Kind::Routes, &[("r", route), ("s", "y")], route);
        assert_eq!(verdict(Kind::Routes, Vec::new()), Verdict::Accepted);
    }
}
