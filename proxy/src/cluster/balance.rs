//! Which of a cluster's endpoints takes the next request.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One after the other. `turn` is shared by all workers and wraps around.
#[must_use]
pub fn round_robin<'a, T>(endpoints: &'a [T], turn: &AtomicUsize) -> Option<&'a T> {
    match endpoints {
        [] => None,
        [only] => Some(only),
        many => many.get(turn.fetch_add(1, Ordering::Relaxed) % many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_gets_a_turn() {
        let turn = AtomicUsize::new(usize::MAX);
        let picked: Vec<_> = (0..4).filter_map(|_| round_robin(&["a", "b"], &turn)).collect();
        assert_eq!(picked.iter().filter(|pick| **pick == &"a").count(), 2);
        assert_eq!(round_robin::<u8>(&[], &turn), None);
    }
}
