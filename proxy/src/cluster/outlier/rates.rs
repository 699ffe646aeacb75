//! Who succeeded much more rarely than the others in an interval, or just too rarely?

use super::{OutlierSettings, Reason};

/// The outliers among endpoints of these (successes, tries): index, reason, and how likely the ejection is.
pub(super) fn outliers(counts: &[(u32, u32)], settings: &OutlierSettings) -> Vec<(usize, Reason, u8)> {
    let mut found = Vec::new();
    if let Some(settings) = &settings.success_rate {
        let rates = rates(counts, settings.requests_min);
        if rates.len() >= settings.endpoints_min.max(1) {
            let bound = least_usual(&rates, settings.deviations);
            let low = rates.iter().filter(|(_, rate)| *rate < bound);
            found.extend(low.map(|(index, _)| (*index, Reason::SuccessRate, settings.enforced_percent)));
        }
    }
    if let Some(settings) = &settings.failure_percentage {
        let rates = rates(counts, settings.requests_min);
        if rates.len() >= settings.endpoints_min {
            let failed = |rate: f64| 100.0 - rate >= f64::from(settings.failed_percent);
            let low = rates.iter().filter(|(_, rate)| failed(*rate));
            let reason = Reason::FailurePercentage;
            found.extend(low.map(|(index, _)| (*index, reason, settings.enforced_percent)));
        }
    }
    found
}

/// The success rates, in percent, of those who had enough requests.
fn rates(counts: &[(u32, u32)], requests_min: u32) -> Vec<(usize, f64)> {
    let rate = |(index, (successes, tries)): (usize, &(u32, u32))| {
        let enough = *tries >= requests_min.max(1);
        enough.then(|| (index, f64::from(*successes) * 100.0 / f64::from(*tries)))
    };
    counts.iter().enumerate().filter_map(rate).collect()
}

fn least_usual(rates: &[(usize, f64)], deviations: f64) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    mean - deviations * variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::{FailurePercentage, SuccessRate};
    use super::*;

    fn found(counts: &[(u32, u32)], settings: OutlierSettings) -> Vec<(usize, Reason)> {
        let found = outliers(counts, &settings);
        found
            .into_iter()
            .map(|(index, reason, _)| (index, reason))
            .collect()
    }

    #[test]
    fn the_one_far_below_the_mean_is_found() {
        let settings = OutlierSettings::default();
        let mut counts = vec![(100, 100); 5];
        counts[2] = (40, 100);
        assert_eq!(found(&counts, settings), [(2, Reason::SuccessRate)]);
        // Everybody is as bad.
        assert_eq!(found(&[(40, 100); 5], settings), []);
        // Too few to compare, or too few requests.
        assert_eq!(found(&counts[..4], settings), []);
        counts[2] = (40, 99);
        assert_eq!(found(&counts, settings), []);
    }

    #[test]
    fn who_fails_too_often_is_found_even_if_all_do() {
        let settings = OutlierSettings {
            success_rate: Some(SuccessRate::default()),
            failure_percentage: Some(FailurePercentage::default()),
            ..OutlierSettings::default()
        };
        let all = found(&[(7, 50); 5], settings);
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|(_, reason)| *reason == Reason::FailurePercentage));
        assert_eq!(found(&[(8, 50); 5], settings), []);
    }
}
