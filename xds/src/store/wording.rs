//! How refused updates are worded: as Envoy words them, to the byte, since control planes parse it.

use std::sync::Arc;

use crate::resource::{Kind, Rejection, Verdict};

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
