//! By chance, each as likely as its weight says.
//!
//! Walker's alias method as Vose builds it: a draw costs one look-up however many endpoints there are. Envoy's random policy
//! knows no weights; with equal weights the two are the same.

/// Endpoints to draw from.
#[derive(Debug)]
pub(crate) struct Urn {
    /// One slot for each endpoint: below the bound it is the endpoint itself, else the other.
    slots: Box<[(u32, u32)]>,
}

impl Urn {
    /// An urn for endpoints of these weights, none of which is 0.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let average = total as f64 / weights.len() as f64;
        let mut rest: Vec<f64> = weights
            .iter()
            .map(|weight| f64::from(*weight) / average)
            .collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|index| rest.get(*index).is_some_and(|share| *share < 1.0));
        let mut slots: Box<[(u32, u32)]> = (0..weights.len()).map(|own| (u32::MAX, own as u32)).collect();
        while let (Some(small), Some(large)) = (light.pop(), heavy.last().copied()) {
            let share = rest.get(small).copied().unwrap_or(1.0);
            if let Some(slot) = slots.get_mut(small) {
                *slot = ((share * f64::from(u32::MAX)) as u32, large as u32);
            }
            if let Some(large_rest) = rest.get_mut(large) {
                *large_rest -= 1.0 - share;
                if *large_rest < 1.0 {
                    light.extend(heavy.pop());
                }
            }
        }
        Self { slots }
    }

    /// Draws by `random`, any evenly distributed number.
    pub(crate) fn draw(&self, random: u64) -> Option<usize> {
        let (which, point) = (random >> 32, random as u32);
        let own = usize::try_from((which * self.slots.len() as u64) >> 32).ok()?;
        let (bound, other) = self.slots.get(own)?;
        Some(if point <= *bound { own } else { *other as usize })
    }
}

/// Several numbers out of one random one (SplitMix64).
#[derive(Debug)]
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_is_the_weight() {
        let (urn, mut draws) = (Urn::new(&[1, 2, 3, 4]), Draws(1));
        let mut counts = [0_usize; 4];
        for _ in 0..100_000 {
            counts[urn.draw(draws.next()).unwrap()] += 1;
        }
        for (count, weight) in counts.iter().zip([1, 2, 3, 4]) {
            assert!(count.abs_diff(weight * 10_000) < 500, "{counts:?}");
        }
    }

    #[test]
    fn extremes_are_drawn_from_too() {
        assert_eq!(Urn::new(&[]).draw(u64::MAX), None);
        for random in [0, u64::MAX, 1 << 32] {
            assert_eq!(Urn::new(&[u32::MAX]).draw(random), Some(0));
            assert!(Urn::new(&[1, u32::MAX, 1]).draw(random).is_some());
        }
    }
}
