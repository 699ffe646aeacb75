//! The endpoint that comes next on a ring after the request's hash: few requests move when endpoints come or go.
//!
//! The construction is Envoy's (a ketama of xxHash64 over `key_i`), so that both send the same hash to the same endpoint.

use std::fmt::Write;

use xxhash_rust::xxh64::xxh64;

use super::weights::Weights;
use crate::config::limits;

/// How large the ring of [`Balance::RingHash`](super::Balance) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHash {
    /// The fewest points. Default: [`limits::RING_POINTS_MIN`].
    pub points_min: usize,
    /// The most points, 16 bytes each. Default: [`limits::RING_POINTS_MAX`], which it cannot exceed.
    pub points_max: usize,
}

impl Default for RingHash {
    fn default() -> Self {
        Self {
            points_min: limits::RING_POINTS_MIN,
            points_max: limits::RING_POINTS_MAX,
        }
    }
}

/// The points, each with its endpoint's index, by hash.
#[derive(Debug)]
pub(crate) struct Ring(Box<[(u64, u32)]>);

impl Ring {
    pub(crate) fn new<'a>(
        keys: impl Iterator<Item = &'a str>,
        weights: &Weights,
        settings: RingHash,
    ) -> Self {
        let points_max = settings.points_max.min(limits::RING_POINTS_MAX) as f64;
        let points_min = (settings.points_min as f64).min(points_max);
        // The lightest gets a whole number of points, as long as the ring has room.
        let scale = ((weights.min() * points_min).ceil() / weights.min()).min(points_max);
        let mut points = Vec::new();
        let (mut current, mut target) = (0.0, 0.0);
        let mut name = String::new();
        for ((index, key), weight) in keys.enumerate().zip(weights.iter()) {
            // Running sums: where a share is not a whole number, the points even out over several endpoints.
            target += scale * weight;
            name.clear();
            name.push_str(key);
            name.push('_');
            for number in 0.. {
                if current >= target {
                    break;
                }
                name.truncate(key.len() + 1);
                // Writing to a string cannot fail.
                _ = write!(name, "{number}");
                points.push((xxh64(name.as_bytes(), 0), index as u32));
                current += 1.0;
            }
        }
        points.sort_unstable();
        Self(points.into())
    }

    /// The endpoint of `hash`; the `attempt`th further one after a failure.
    pub(crate) fn find(&self, hash: u64, attempt: u32) -> Option<usize> {
        let after = self.0.partition_point(|(point, _)| *point < hash);
        let at = (after + attempt as usize).checked_rem(self.0.len())?;
        self.0.get(at).map(|(_, index)| *index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[&str], weights: &[u32], points_min: usize, points_max: usize) -> Ring {
        let settings = RingHash {
            points_min,
            points_max,
        };
        Ring::new(keys.iter().copied(), &Weights::of(weights), settings)
    }

    /// The ring of Envoy's own test (`RingHashLoadBalancerTest.Basic`): six hosts, twelve points.
    #[test]
    fn the_ring_is_envoys() {
        let hosts: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let keys: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let ring = ring(&keys, &[1; 6], 12, limits::RING_POINTS_MAX);
        let expected = [
            (833_437_586_790_550_860, 94),
            (928_266_305_478_181_108, 92),
            (1_033_482_794_131_418_490, 90),
            (3_551_244_743_356_806_947, 95),
            (3_851_675_632_748_031_481, 93),
            (5_583_722_120_771_150_861, 91),
            (6_311_230_543_546_372_928, 91),
            (7_700_377_290_971_790_572, 93),
            (13_144_177_310_400_110_813, 95),
            (13_444_792_449_719_432_967, 92),
            (15_516_499_411_664_133_160, 94),
            (16_117_243_373_044_804_889, 90),
        ];
        let built: Vec<_> = ring.0.iter().map(|(hash, index)| (*hash, 90 + *index)).collect();
        assert_eq!(built, expected);
        assert_eq!(ring.find(0, 0), Some(4));
        assert_eq!(ring.find(u64::MAX, 0), Some(4));
        assert_eq!(ring.find(3_551_244_743_356_806_947, 0), Some(5));
        assert_eq!(ring.find(3_551_244_743_356_806_947, 1), Some(3));
    }

    #[test]
    fn points_are_by_weight_and_bounded() {
        let count = |ring: &Ring, index| ring.0.iter().filter(|(_, at)| *at == index).count();
        let wide = ring(&["a", "b"], &[1, 3], 8, 1000);
        assert_eq!((count(&wide, 0), count(&wide, 1)), (2, 6));
        let narrow = ring(&["a", "b", "c", "d"], &[1; 4], 1024, 6);
        assert_eq!(narrow.0.len(), 6);
        assert_eq!(ring(&[], &[], 8, 8).find(1, 0), None);
    }
}
