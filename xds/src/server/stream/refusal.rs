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

/// Which of the resources of a response its NACK blames; none where it blames none by name.
pub(super) fn blamed(message: &str, sent: &[Arc<str>]) -> Vec<Arc<str>> {
    if let [only] = sent {
        return vec![Arc::clone(only)];
    }
    let named = sent.iter().filter(|name| names(message, name));
    named.cloned().collect()
}

/// Whether a message names a resource: with nothing beside the name that could be a part of another one.
fn names(message: &str, name: &str) -> bool {
    let ends = |beside: Option<char>| beside.is_none_or(|beside| " ,:'\"\n()[]".contains(beside));
    !name.is_empty()
        && message.match_indices(name).any(|(at, _)| {
            let before = message.get(..at).and_then(|before| before.chars().next_back());
            let after = message
                .get(at + name.len()..)
                .and_then(|after| after.chars().next());
            ends(before) && ends(after)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_blames_whom_it_names() {
        let check = |message: &str, sent: &[&str], expected: &[&str]| {
            let sent: Vec<Arc<str>> = sent.iter().map(|name| (*name).into()).collect();
            let expected: Vec<Arc<str>> = expected.iter().map(|name| (*name).into()).collect();
            assert_eq!(blamed(message, &sent), expected, "{message}");
        };
        let clusters = "Error adding/updating cluster(s) ns/a, ns/b: no such thing";
        check(clusters, &["ns/a", "ns/b", "ns/ab", "ns", "a"], &["ns/a", "ns/b"]);
        let listener = "Error adding/updating listener(s) l-1: no\n";
        check(listener, &["l", "l-1", "1"], &["l-1"]);
        let constraint = "name: \"a b\"\n: Proto constraint validation failed";
        check(constraint, &["a b", "b c"], &["a b"]);
        check("Unable to unpack", &["x", "y"], &[]);
        check("route: unknown cluster 'x'", &["routes"], &["routes"]);
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
