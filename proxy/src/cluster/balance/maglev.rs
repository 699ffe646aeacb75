//! The endpoint in the slot of the request's hash, in a table that all fill evenly (Maglev, NSDI 2016, §3.4).
//!
//! Built as Envoy builds it, by xxHash64 and weight, so that both send the same hash to the same endpoint.

use xxhash_rust::xxh64::xxh64;

use super::weights::Weights;
use crate::config::limits;

/// How large the table of [`Balance::Maglev`](super::Balance) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maglev {
    size: u32,
}

/// A size that Maglev cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Maglev table has {0} slots: it needs a prime number of at most {max}, well above the number of endpoints; 65537 is usual",
    max = limits::MAGLEV_SLOTS_MAX
)]
pub struct InvalidMaglev(u32);

/// The slots, each with its endpoint's index.
#[derive(Debug)]
pub(crate) struct Slots(Box<[u32]>);

/// What an empty slot holds.
const FREE: u32 = u32::MAX;

impl Maglev {
    /// A table of `size` slots, 4 bytes each.
    ///
    /// # Errors
    /// When `size` is not prime, or above [`limits::MAGLEV_SLOTS_MAX`].
    pub fn new(size: u32) -> Result<Self, InvalidMaglev> {
        let divides = |divisor: &u32| size.is_multiple_of(*divisor);
        let prime = size >= 2 && !(2..=size.isqrt()).any(|divisor| divides(&divisor));
        if prime && size <= limits::MAGLEV_SLOTS_MAX {
            Ok(Self { size })
        } else {
            Err(InvalidMaglev(size))
        }
    }
}

impl Default for Maglev {
    fn default() -> Self {
        Self {
            size: limits::MAGLEV_SLOTS,
        }
    }
}

/// An endpoint while the table is filled.
struct Filling {
    index: u32,
    offset: u64,
    skip: u64,
    next: u64,
    weight: f64,
    target: f64,
}

impl Slots {
    pub(crate) fn new(keys: &[&str], weights: &Weights, Maglev { size }: Maglev) -> Self {
        let modulus = u64::from(size);
        let mut order: Vec<(&str, (usize, f64))> =
            keys.iter().copied().zip(weights.iter().enumerate()).collect();
        // The order in which endpoints are listed must not matter.
        order.sort_by(|one, other| one.0.cmp(other.0));
        let filling = |(key, (index, weight)): (&str, (usize, f64))| Filling {
            index: index as u32,
            offset: xxh64(key.as_bytes(), 0) % modulus,
            skip: xxh64(key.as_bytes(), 1) % modulus.saturating_sub(1).max(1) + 1,
            next: 0,
            weight,
            target: 0.0,
        };
        let mut entries: Vec<Filling> = order.into_iter().map(filling).collect();
        let mut slots = vec![FREE; size as usize];
        let mut left = if entries.is_empty() { 0 } else { slots.len() };
        let mut iteration = 1.0;
        while left > 0 {
            for entry in &mut entries {
                // The heaviest takes a slot in every iteration, one of a third of its weight in every third.
                if left == 0 || iteration * entry.weight < entry.target {
                    continue;
                }
                entry.target += weights.max();
                if let Some(slot) = entry.free_slot(&slots).and_then(|at| slots.get_mut(at)) {
                    *slot = entry.index;
                }
                left -= 1;
            }
            iteration += 1.0;
        }
        Self(slots.into())
    }

    /// The endpoint of `hash`; another one, most likely, for each `attempt` after a failure.
    pub(crate) fn find(&self, hash: u64, attempt: u32) -> Option<usize> {
        let hash = match attempt {
            0 => hash,
            attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
        };
        let at = usize::try_from(hash.checked_rem(self.0.len() as u64)?).ok()?;
        self.0
            .get(at)
            .filter(|index| **index != FREE)
            .map(|index| *index as usize)
    }
}

impl Filling {
    /// The next slot of its own sequence that is free. The size is prime, so the sequence visits every slot.
    fn free_slot(&mut self, slots: &[u32]) -> Option<usize> {
        for _ in 0..slots.len() {
            let at = (self.offset + self.skip * self.next) % slots.len() as u64;
            let at = usize::try_from(at).ok()?;
            self.next += 1;
            if slots.get(at) == Some(&FREE) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[&str], weights: &[u32], size: u32) -> Slots {
        Slots::new(keys, &Weights::of(weights), Maglev::new(size).unwrap())
    }

    /// The table of Envoy's own test (`MaglevLoadBalancerTest.Basic`): six hosts, seven slots.
    #[test]
    fn the_table_is_envoys() {
        let hosts: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let keys: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let table = table(&keys, &[1; 6], 7);
        let ports: Vec<_> = table.0.iter().map(|index| 90 + index).collect();
        assert_eq!(ports, [92, 94, 90, 91, 95, 90, 93]);
        assert_eq!(table.find(8, 0), Some(4));
    }

    #[test]
    fn slots_are_by_weight_whatever_the_order() {
        let count = |table: &Slots, index| table.0.iter().filter(|at| **at == index).count();
        let (one, other) = (
            table(&["a", "b"], &[1, 3], 1021),
            table(&["b", "a"], &[3, 1], 1021),
        );
        assert!(count(&one, 0).abs_diff(255) <= 1);
        assert!((0..1021).all(|hash| one.find(hash, 0) == other.find(hash, 0).map(|index| 1 - index)));
        assert_eq!(table(&[], &[], 7).find(3, 0), None);
    }

    #[test]
    fn another_attempt_is_another_endpoint_most_of_the_time() {
        let table = table(&["a", "b", "c"], &[1; 3], 65_537);
        let moved = (0..1000)
            .filter(|hash| table.find(*hash, 0) != table.find(*hash, 1))
            .count();
        assert!(moved > 500, "{moved}");
    }

    #[test]
    fn only_primes_will_do() {
        assert!(Maglev::new(65_537).is_ok());
        for size in [0, 1, 4, 65_536, u32::MAX] {
            assert_eq!(Maglev::new(size), Err(InvalidMaglev(size)));
        }
    }
}
