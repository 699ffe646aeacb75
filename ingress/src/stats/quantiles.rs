//! What do the counts of a histogram say: quantiles, buckets, the sum?

use tidegate_proxy::observe::counts::times::Bin;

/// The quantiles that are shown, in percent.
pub(super) const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// The upper bounds of buckets, in milliseconds.
pub(super) const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// How many values there are.
pub(super) fn count(bins: &[Bin]) -> u64 {
    bins.iter().map(|bin| bin.count).sum()
}

/// The sum of all values, each taken as the middle of its bin.
#[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
pub(super) fn sum(bins: &[Bin]) -> f64 {
    bins.iter()
        .map(|bin| (lowest(bin) + width(bin) / 2.0) * bin.count as f64)
        .sum()
}

/// The value below which this share of all values is; none where there are none. Values of a bin are spread evenly over it.
#[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
pub(super) fn quantile(bins: &[Bin], percent: f64) -> Option<f64> {
    let wanted = percent / 100.0 * count(bins) as f64;
    let mut below = 0.0;
    for bin in bins {
        let up_to = below + bin.count as f64;
        if up_to >= wanted {
            let nth = (wanted - below).ceil().max(1.0);
            return Some(lowest(bin) + width(bin) * nth / (bin.count as f64 + 1.0));
        }
        below = up_to;
    }
    None
}

/// How many values are not above each of the bounds.
pub(super) fn cumulative(bins: &[Bin]) -> [u64; BOUNDS.len()] {
    BOUNDS.map(|bound| {
        let within = bins.iter().filter(|bin| lowest(bin) <= bound);
        within.map(|bin| bin.count).sum()
    })
}

/// How many values are above the bound before and not above this one.
pub(super) fn disjoint(bins: &[Bin]) -> [u64; BOUNDS.len()] {
    let mut below = 0;
    cumulative(bins).map(|count| count - std::mem::replace(&mut below, count))
}

/// The lowest value of a bin.
#[expect(clippy::cast_precision_loss, reason = "it has two significant digits")]
pub(super) fn lowest(bin: &Bin) -> f64 {
    bin.lowest as f64
}

/// How wide a bin is taken to be: Envoy's have two significant digits below 10, too.
#[expect(clippy::cast_precision_loss, reason = "it is a power of ten")]
pub(super) fn width(bin: &Bin) -> f64 {
    match bin.lowest {
        0 => 0.0,
        1..10 => 0.1,
        _ => bin.width as f64,
    }
}

/// A number as C's `%g` writes it.
pub(super) fn general(number: f64) -> String {
    if number == 0.0 || (1e-4..1e6).contains(&number) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(of: &[(u64, u64, u64)]) -> Vec<Bin> {
        let bin = |&(lowest, width, count): &_| Bin { lowest, width, count };
        of.iter().map(bin).collect()
    }

    #[test]
    fn quantiles_are_those_that_envoy_shows_of_the_same_values() {
        // Read from Envoy 1.40: `totals=0,0:3, 2,0.1:1, 10,1:1, 42,1:1, 43,1:2`.
        let bins = bins(&[(0, 1, 3), (2, 1, 1), (10, 1, 1), (42, 1, 1), (43, 1, 2)]);
        let check = |percent, expected: &str| {
            let quantile = quantile(&bins, percent).unwrap();
            assert_eq!(quantile.to_string(), expected, "{percent}");
        };
        check(0.0, "0");
        check(25.0, "0");
        check(50.0, "2.05");
        check(75.0, "42.5");
        check(90.0, "43.666666666666664");
        check(100.0, "43.666666666666664");
        assert_eq!(cumulative(&bins)[..6], [3, 3, 4, 5, 5, 8]);
        assert_eq!(disjoint(&bins)[..6], [3, 0, 1, 1, 0, 3]);
        assert_eq!((count(&bins), sum(&bins).to_string().as_str()), (8, "142.05"));
    }

    #[test]
    fn many_values_in_one_bin_are_spread_over_it() {
        let bins = bins(&[(1, 1, 8)]);
        assert_eq!(quantile(&bins, 25.0).unwrap().to_string(), "1.0222222222222221");
        assert_eq!(quantile(&bins, 99.9).unwrap().to_string(), "1.0888888888888888");
        assert_eq!(quantile(&[], 50.0), None);
    }

    #[test]
    fn large_numbers_are_written_with_an_exponent() {
        let check = |number, expected: &str| assert_eq!(general(number), expected);
        check(0.5, "0.5");
        check(600_000.0, "600000");
        check(1_800_000.0, "1.8e+06");
        check(3_600_000.0, "3.6e+06");
    }
}
