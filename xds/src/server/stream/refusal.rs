//! What a client refused, and when it is tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{NACK_RETRY_MAX, NACK_RETRY_MIN};
use crate::server::resources::{Resource, Resources};

/// Something that a client refused: one resource, or a response as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The hash of what it refused.
    hash: u128,
    /// The hash of what that names: a change of it may make it acceptable.
    context: u128,
    pause: Duration,
    until: Instant,
}

impl Refusal {
    /// Something was refused, perhaps once more.
    pub(super) fn next(before: Option<&Self>, hash: u128, context: u128, now: Instant) -> Self {
        let again = before.filter(|before| before.hash == hash && before.context == context);
        let pause = again.map_or(NACK_RETRY_MIN, |before| (before.pause * 2).min(NACK_RETRY_MAX));
        Self {
            hash,
            context,
            pause,
            until: now + pause,
        }
    }

    /// Whether this is kept from the client now.
    pub(super) fn holds_back(&self, hash: u128, context: u128, now: Instant) -> bool {
        self.hash == hash && self.context == context && now < self.until
    }

    pub(super) fn is_of(&self, hash: u128) -> bool {
        self.hash == hash
    }

    /// When it is tried again.
    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

/// The hash of what a resource names.
pub(super) fn context(resource: &Resource, resources: &Resources) -> u128 {
    let references = resource.references().iter();
    let hashes = references.map(|reference| {
        let named = resources.get(reference.kind, &reference.name);
        named.map_or(1, |named| named.hash())
    });
    // Order counts: two that swap their content are a change.
    hashes.fold(0, |all: u128, hash| all.rotate_left(1) ^ hash)
}

/// Which of the resources of a response its NACK blames; none where it blames none by name. Of a client's own words only the
/// forms are taken that name resources: a name may be a word of the language too.
pub(super) fn blamed(message: &str, sent: &[Arc<Resource>]) -> Vec<Arc<str>> {
    if let [only] = sent {
        return vec![Arc::clone(only.name())];
    }
    let listed = LISTS
        .iter()
        .find_map(|list| message.strip_prefix(list)?.split_once(": "));
    let listed: Vec<_> = listed
        .map(|(names, _)| names.split(", ").collect())
        .unwrap_or_default();
    let broken = message.contains(CONSTRAINT);
    let is_blamed = |resource: &&Arc<Resource>| {
        let name = resource.name().as_ref();
        listed.contains(&name)
            || broken && message.contains(&format!("name: \"{name}\""))
            || listed.is_empty()
                && !broken
                && resource
                    .references()
                    .iter()
                    .any(|named| quotes(message, &named.name))
    };
    sent.iter()
        .filter(is_blamed)
        .map(|resource| Arc::clone(resource.name()))
        .collect()
}

fn quotes(message: &str, name: &str) -> bool {
    message.contains(&format!("'{name}'"))
}

/// How Envoy begins when it names what it refuses.
const LISTS: [&str; 2] = [
    "Error adding/updating cluster(s) ",
    "Error adding/updating listener(s) ",
];

/// How Envoy ends when a resource breaks a constraint; before that comes the whole resource as text.
const CONSTRAINT: &str = "Proto constraint validation failed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;
    use crate::server::Reference;

    #[test]
    fn a_message_blames_whom_it_names() {
        let check = |message: &str, sent: &[&str], expected: &[&str]| {
            let resource = |name: &&str| {
                let cluster = Reference {
                    kind: Kind::Cluster,
                    name: format!("of {name}").into(),
                };
                Arc::new(Resource::new(*name, "x").naming([cluster]))
            };
            let sent: Vec<_> = sent.iter().map(resource).collect();
            let expected: Vec<Arc<str>> = expected.iter().map(|name| (*name).into()).collect();
            assert_eq!(blamed(message, &sent), expected, "{message}");
        };
        let clusters = "Error adding/updating cluster(s) ns/a, ns/b: not a thing";
        check(clusters, &["ns/a", "ns/b", "ns/ab", "ns", "a"], &["ns/a", "ns/b"]);
        let listener = "Error adding/updating listener(s) l-1: no\n";
        check(listener, &["l", "l-1", "1"], &["l-1"]);
        let constraint = "name: \"a b\"\n: Proto constraint validation failed (x)";
        check(constraint, &["a b", "b c"], &["a b"]);
        check("Unable to unpack a x", &["x", "a"], &[]);
        check("route: unknown cluster 'of x'", &["x", "y"], &["x"]);
        check("anything", &["routes"], &["routes"]);
    }

    #[test]
    fn what_is_refused_again_waits_twice_as_long_up_to_a_bound() {
        let now = Instant::now();
        let mut refusal = Refusal::next(None, 1, 0, now);
        assert!(
            refusal.holds_back(1, 0, now) && !refusal.holds_back(2, 0, now) && !refusal.holds_back(1, 9, now)
        );
        assert!(!refusal.holds_back(1, 0, now + NACK_RETRY_MIN));
        refusal = Refusal::next(Some(&refusal), 1, 0, now);
        assert_eq!(refusal.until(), now + NACK_RETRY_MIN * 2);
        for _ in 0..20 {
            refusal = Refusal::next(Some(&refusal), 1, 0, now);
        }
        assert_eq!(refusal.until(), now + NACK_RETRY_MAX);
        assert_eq!(
            Refusal::next(Some(&refusal), 2, 0, now).until(),
            now + NACK_RETRY_MIN
        );
    }
}
