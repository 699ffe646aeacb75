//! How many requests may an activator have under way at a revision's pods?
//!
//! Where the pods are addressed one by one, this is the sum of their own limits. It is a number of its own where only
//! the address of all of them together is known: there each activator takes its even part of what they can do.
//!
//! ```
//! // Ten pods with ten requests each, behind one address, shared by five activators.
//! assert_eq!(tidegate_activator::capacity::capacity(10, 10, 0, 5), 20);
//! ```

/// The most that a capacity can be (Knative `pkg/activator/net/throttler.go`, `revisionMaxConcurrency`).
pub const CAPACITY_MAX: u32 = i32::MAX as u32;

/// How many requests are let through.
///
/// `backends` are the ready pods, `trackers` those of them that are addressed one by one and are this activator's (0 if
/// none is), `activators` those who share the revision. Without a `container_concurrency` all are let through as long
/// as there is a pod.
#[must_use]
pub fn capacity(container_concurrency: u32, backends: usize, trackers: usize, activators: usize) -> u32 {
    let product = |pods: usize| u64::from(container_concurrency).saturating_mul(pods as u64);
    let capacity = match product(trackers) {
        0 => match product(backends) {
            0 => 0,
            all => (all / activators.max(1) as u64).max(1),
        },
        own => own,
    };
    if backends > 0 && container_concurrency == 0 {
        return CAPACITY_MAX;
    }
    u32::try_from(capacity).map_or(CAPACITY_MAX, |capacity| capacity.min(CAPACITY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check([container_concurrency, backends, trackers, activators]: [usize; 4], expected: u32) {
        let limit = u32::try_from(container_concurrency).unwrap();
        assert_eq!(
            capacity(limit, backends, trackers, activators),
            expected,
            "containerConcurrency {container_concurrency}, {backends} backends, {trackers} trackers, {activators} activators"
        );
    }

    #[test]
    fn ac_14_the_capacity_of_one_address_is_shared_by_activators() {
        check([10, 1, 0, 1], 10);
        check([10, 10, 0, 1], 100);
        check([10, 100, 0, 1], 1_000);
        check([10, 10, 0, 5], 20);
        check([10, 10, 0, 200], 1);
        check([10, 0, 0, 200], 0);
        check([10, 10, 0, 0], 100);
    }

    #[test]
    fn ac_15_without_a_limit_one_backend_opens_the_gate() {
        check([0, 0, 0, 1], 0);
        for activators in [0, 1, 5, 200] {
            check([0, 1, 0, activators], CAPACITY_MAX);
            check([0, 10, 3, activators], CAPACITY_MAX);
        }
    }

    #[test]
    fn ac_16_own_pods_count_in_full() {
        check([10, 1, 1, 1], 10);
        check([10, 2, 2, 1], 20);
        check([10, 2, 1, 2], 10);
        check([10, 3, 2, 2], 20);
        check([10, 3, 1, 2], 10);
        check([1, 5, 3, 2], 3);
        check([1, 5, 2, 2], 2);
    }

    #[test]
    fn ac_17_an_absurd_product_is_cut() {
        check([1_000_000, 1_000_000, 0, 1], CAPACITY_MAX);
        check([u32::MAX as usize, usize::MAX, usize::MAX, 1], CAPACITY_MAX);
    }
}
