//! What do repeated measurements say: the middle, how sure it is, and how two subjects compare round by round?

use serde::Serialize;

/// Samples drawn for an interval.
const DRAWS: usize = 2_000;
/// The same figures always give the same interval.
const SEED: u64 = 1;
/// What lies outside a 95 % interval on either side.
const TAIL: f64 = 0.025;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) middle: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The middle value; of an even number the mean of the two in the middle; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    let middle = [lower, upper].map(|at| values.get(at).copied().unwrap_or_default());
    middle.iter().sum::<f64>() / 2.0
}

/// The median with its bootstrap interval; nothing of nothing.
pub(crate) fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut draw = || {
        let drawn = values
            .iter()
            .filter_map(|_| values.get(random.usize(..values.len())));
        median(drawn.copied().collect())
    };
    let mut medians: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    medians.sort_by(f64::total_cmp);
    let outside = (DRAWS as f64 * TAIL) as usize;
    Some(Estimate {
        middle: median(values.to_vec()),
        low: medians.get(outside).copied()?,
        high: medians.get(DRAWS - 1 - outside).copied()?,
    })
}

/// One subject's figures by another's, round by round: what slows a round slows both. Rounds that either lacks do not count.
pub(crate) fn ratio(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Estimate> {
    let rounds = ours.iter().zip(theirs);
    let ratios = rounds.filter_map(|(ours, theirs)| {
        let theirs = theirs.filter(|theirs| *theirs > 0.0)?;
        Some((*ours)? / theirs)
    });
    estimate(&ratios.collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let check = |values: &[f64], expected| assert_eq!(median(values.to_vec()), expected);
        check(&[], 0.0);
        check(&[3.0], 3.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
    }

    #[test]
    fn an_interval_holds_the_middle_and_leaves_out_the_odd_one() {
        let values = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0, 1.02, 9.0];
        let estimate = estimate(&values).unwrap();
        assert_eq!(estimate.middle, 1.0);
        assert!(estimate.low >= 0.95 && estimate.high <= 1.1, "{estimate:?}");
        assert_eq!(super::estimate(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        let ours = [Some(1.0), Some(10.0), None, Some(4.0)];
        let theirs = [Some(2.0), Some(20.0), Some(1.0), Some(0.0)];
        let ratio = ratio(&ours, &theirs).unwrap();
        assert_eq!((ratio.low, ratio.middle, ratio.high), (0.5, 0.5, 0.5));
    }
}
