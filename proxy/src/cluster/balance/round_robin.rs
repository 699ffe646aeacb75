//! One after the other, each as often as its weight says, and without chance.
//!
//! A static stride schedule (as gRPC's weighted round robin): turns are numbered, and the number alone says whether the
//! endpoint whose turn it is takes it or lets it pass. So workers share one counter and need no lock, and an endpoint's turns
//! lie as far apart as they can.

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest scaled weight: who has it lets no turn pass.
const SCALE: u64 = u16::MAX as u64;

/// The turns of some endpoints.
#[derive(Debug)]
pub(crate) struct Stride {
    turn: AtomicU64,
    count: u64,
    /// The weights, scaled so that the largest is [`SCALE`]; empty where all are equal.
    scaled: Box<[u16]>,
}

impl Stride {
    /// Turns for endpoints of these weights. Where the round begins is `start`'s matter, so that many tables, or one that is
    /// made anew often, do not all begin with the same endpoint.
    pub(crate) fn new(weights: &[u32], start: u64) -> Self {
        let heaviest = weights.iter().copied().max().unwrap_or(1).max(1);
        let scale = |weight: &u32| {
            let scaled = u64::from(*weight) * SCALE / u64::from(heaviest);
            u16::try_from(scaled.max(1)).unwrap_or(u16::MAX)
        };
        let equal = weights.iter().all(|weight| *weight == heaviest);
        Self {
            // Half the range: the counter must not overflow in its lifetime.
            turn: AtomicU64::new(start >> 1),
            count: weights.len() as u64,
            scaled: if equal {
                Box::default()
            } else {
                weights.iter().map(scale).collect()
            },
        }
    }

    /// Whose turn it is; `factor` makes an endpoint's weight smaller for now (1 leaves it).
    pub(crate) fn next(&self, factor: impl Fn(usize) -> f64) -> Option<usize> {
        // The heaviest lets no turn of its own pass, unless it starts slowly: then this bound ends the search.
        for _ in 0..self.count.saturating_mul(4) {
            let index = self.take_turn(&factor);
            if index.is_some() {
                return index;
            }
        }
        self.take_turn(|_| 1.0).or((self.count > 0).then_some(0))
    }

    fn take_turn(&self, factor: impl Fn(usize) -> f64) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = usize::try_from(turn.checked_rem(self.count)?).ok()?;
        let weight = self.scaled.get(index).map_or(SCALE, |weight| u64::from(*weight));
        let factor = factor(index);
        let weight = if factor < 1.0 {
            (weight as f64 * factor) as u64
        } else {
            weight
        };
        if weight == SCALE {
            return Some(index);
        }
        let round = turn / self.count;
        // Each endpoint's turns are shifted, so that light ones do not all let the same rounds pass.
        let shift = (SCALE / 2).wrapping_mul(index as u64);
        let phase = weight.wrapping_mul(round).wrapping_add(shift) % SCALE;
        (phase >= SCALE - weight).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], picks: usize, start: u64) -> Vec<usize> {
        let stride = Stride::new(weights, start);
        let mut counts = vec![0; weights.len()];
        for _ in 0..picks {
            counts[stride.next(|_| 1.0).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn equals_take_turns() {
        let stride = Stride::new(&[7, 7, 7], 0);
        let picked: Vec<_> = (0..6).filter_map(|_| stride.next(|_| 1.0)).collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
        assert_eq!(Stride::new(&[], 0).next(|_| 1.0), None);
    }

    #[test]
    fn the_share_is_the_weight_wherever_it_starts() {
        for start in [0, 12_345, u64::MAX] {
            let counts = counts(&[1, 2, 3, 4], 10_000, start);
            for (count, weight) in counts.iter().zip([1, 2, 3, 4]) {
                assert!(count.abs_diff(weight * 1000) <= 2, "{counts:?}");
            }
        }
    }

    #[test]
    fn a_light_endpoint_is_not_forgotten() {
        let counts = counts(&[1000, 1], 10_010, 0);
        assert!((9..=11).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_heavy_endpoint_is_not_asked_in_one_go() {
        let stride = Stride::new(&[2, 1], 0);
        let picked: Vec<_> = (0..12).filter_map(|_| stride.next(|_| 1.0)).collect();
        for three in picked.chunks(3) {
            assert_eq!(three.iter().sum::<usize>(), 1, "{picked:?}");
        }
    }

    #[test]
    fn a_factor_makes_less_of_a_weight() {
        let stride = Stride::new(&[1, 1], 0);
        let slow = |index| if index == 1 { 0.25 } else { 1.0 };
        let slow = (0..5000).filter(|_| stride.next(slow) == Some(1)).count();
        assert!(slow.abs_diff(1000) <= 2, "{slow}");
        assert!(Stride::new(&[1, 1], 0).next(|_| 0.0).is_some());
    }
}
