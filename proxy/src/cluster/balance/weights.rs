//! What part of the whole each endpoint is, for the tables that hashes are looked up in.

/// Parts that add up to 1.
#[derive(Debug)]
pub(crate) struct Weights {
    parts: Vec<f64>,
}

impl Weights {
    /// By weight alone.
    #[cfg(test)]
    pub(crate) fn of(weights: &[u32]) -> Self {
        Self::within(weights.iter().map(|weight| (*weight, 0)), &[1.0])
    }

    /// By weight in a locality, and by the locality's own part; who is in none (its index is beyond) gets nothing.
    pub(crate) fn within(weights: impl Iterator<Item = (u32, usize)> + Clone, localities: &[f64]) -> Self {
        let mut sums = vec![0_u64; localities.len()];
        for (weight, locality) in weights.clone() {
            if let Some(sum) = sums.get_mut(locality) {
                *sum += u64::from(weight);
            }
        }
        // Localities without an endpoint have no say.
        let whole: f64 = localities
            .iter()
            .zip(&sums)
            .filter(|(_, sum)| **sum > 0)
            .map(|(part, _)| part)
            .sum();
        let part = |(weight, locality): (u32, usize)| {
            let (Some(part), Some(sum)) = (localities.get(locality), sums.get(locality)) else {
                return 0.0;
            };
            f64::from(weight) * part / whole / *sum as f64
        };
        Self {
            parts: weights.map(part).collect(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> {
        self.parts.iter().copied()
    }

    pub(crate) fn max(&self) -> f64 {
        self.parts.iter().copied().fold(0.0, f64::max)
    }

    /// The least of those that are not nothing.
    pub(crate) fn min(&self) -> f64 {
        let some = self.parts.iter().copied().filter(|part| *part > 0.0);
        some.fold(1.0, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_shares_its_part_among_its_endpoints() {
        let weights = [(1, 0), (3, 0), (5, 1), (1, 9)].into_iter();
        let parts: Vec<f64> = Weights::within(weights, &[0.8, 0.2, 7.0]).iter().collect();
        let expected = [0.2, 0.6, 0.2, 0.0];
        assert!(
            parts
                .iter()
                .zip(expected)
                .all(|(part, expected)| (part - expected).abs() < 1e-9),
            "{parts:?}"
        );
    }
}
