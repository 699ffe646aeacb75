//! Which priority takes the next request: the first, as far as it is healthy, and the others as far as it is not.
//!
//! Envoy's arithmetic (`LoadBalancerBase::recalculatePerPriorityState`), in whole percent as there.

/// How many endpoints of one priority there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) total: usize,
    pub(crate) healthy: usize,
    pub(crate) degraded: usize,
}

/// What share of the requests each priority takes, and which of them send to all endpoints since too few are healthy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads {
    /// For the healthy endpoints of each priority, in percent.
    pub(crate) healthy: Vec<u32>,
    /// For the degraded ones. Both lists add up to 100 together.
    pub(crate) degraded: Vec<u32>,
    /// Which priorities are in panic.
    pub(crate) panic: Vec<bool>,
}

/// Which endpoints of a priority are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Healthy,
    Degraded,
}

impl Loads {
    /// The shares for these priorities. `overprovisioning` is how many percent of a priority's healthy endpoints its load is
    /// taken to need (140: down to 71 % health it takes everything); `panic_below` the percentage of available endpoints
    /// below which health is ignored, 0 never.
    pub(crate) fn new(levels: &[Census], overprovisioning: u32, panic_below: u8) -> Self {
        let available = |count: usize, level: &Census| {
            share(count.saturating_mul(overprovisioning as usize), level.total)
        };
        let healthy: Vec<u32> = levels
            .iter()
            .map(|level| available(level.healthy, level))
            .collect();
        let degraded: Vec<u32> = levels
            .iter()
            .map(|level| available(level.degraded, level))
            .collect();
        let total = healthy.iter().chain(&degraded).sum::<u32>().min(100);
        let mut loads = distribute(&healthy, &degraded, total);
        if panic_below == 0 && total == 0 {
            // Nobody is there: whoever is asked says so.
            if let Some(first) = loads.healthy.first_mut() {
                *first = 100;
            }
            return loads;
        }
        loads.panic = levels
            .iter()
            .map(|level| total != 100 && is_in_panic(level, panic_below))
            .collect();
        if loads.panic.iter().all(|panic| *panic) {
            loads.spread_by_size(levels);
        }
        loads
    }

    /// Who takes the request at `point`, which is any number, evenly distributed.
    pub(crate) fn choose(&self, point: u64) -> (usize, Tier) {
        let mut left = u32::try_from(point % 100).unwrap_or(0);
        let tiers = [(&self.healthy, Tier::Healthy), (&self.degraded, Tier::Degraded)];
        for (loads, tier) in tiers {
            for (priority, load) in loads.iter().enumerate() {
                if left < *load {
                    return (priority, tier);
                }
                left -= load;
            }
        }
        (0, Tier::Healthy)
    }

    /// Everybody is in panic: health is ignored altogether.
    fn spread_by_size(&mut self, levels: &[Census]) {
        let total: usize = levels.iter().map(|level| level.total).sum();
        self.degraded.fill(0);
        let mut left = 100;
        for (load, level) in self.healthy.iter_mut().zip(levels) {
            *load = share(level.total * 100, total);
            left -= *load;
        }
        let first = levels.iter().position(|level| level.total > 0).unwrap_or(0);
        if let Some(load) = self.healthy.get_mut(first) {
            *load += left;
        }
    }
}

fn distribute(healthy: &[u32], degraded: &[u32], total: u32) -> Loads {
    let mut left = 100;
    let mut take = |available: &[u32]| -> Vec<u32> {
        let shares = available.iter().map(|available| {
            let load = (100 * available).checked_div(total).unwrap_or(0).min(left);
            left -= load;
            load
        });
        shares.collect()
    };
    let (mut loads, mut worse) = (take(healthy), take(degraded));
    // What is left is due to rounding.
    let first = |available: &[u32]| available.iter().position(|available| *available > 0);
    if let Some(load) = first(healthy).and_then(|first| loads.get_mut(first)) {
        *load += left;
    } else if let Some(load) = first(degraded).and_then(|first| worse.get_mut(first)) {
        *load += left;
    }
    Loads {
        panic: vec![false; loads.len()],
        healthy: loads,
        degraded: worse,
    }
}

fn is_in_panic(level: &Census, panic_below: u8) -> bool {
    // Whole numbers: available / total < threshold / 100.
    level.total == 0 && panic_below > 0
        || (level.healthy + level.degraded) * 100 < level.total * usize::from(panic_below.min(100))
}

/// How often `whole` goes into `hundredfold`, in percent and at most 100.
fn share(hundredfold: usize, whole: usize) -> u32 {
    let percent = hundredfold.checked_div(whole).unwrap_or(0);
    u32::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(levels: &[(usize, usize, usize)], panic_below: u8) -> Loads {
        let census = |(total, healthy, degraded): &(usize, usize, usize)| Census {
            total: *total,
            healthy: *healthy,
            degraded: *degraded,
        };
        Loads::new(&levels.iter().map(census).collect::<Vec<_>>(), 140, panic_below)
    }

    /// The table of Envoy's documentation, "Priority levels", and its source's own examples.
    #[test]
    fn the_next_priority_takes_what_the_first_cannot() {
        let check = |levels: &[(usize, usize, usize)], expected: &[u32]| {
            assert_eq!(loads(levels, 50).healthy, expected, "{levels:?}");
        };
        check(&[(100, 100, 0), (100, 100, 0)], &[100, 0]);
        check(&[(100, 72, 0), (100, 72, 0)], &[100, 0]);
        check(&[(100, 71, 0), (100, 71, 0)], &[99, 1]);
        check(&[(100, 50, 0), (100, 50, 0)], &[70, 30]);
        check(&[(100, 25, 0), (100, 100, 0)], &[35, 65]);
        check(&[(100, 25, 0), (100, 25, 0)], &[50, 50]);
        check(&[(100, 0, 0), (100, 100, 0)], &[0, 100]);
        check(&[(100, 20, 0), (100, 20, 0), (100, 20, 0)], &[34, 33, 33]);
    }

    #[test]
    fn degraded_endpoints_take_what_healthy_ones_cannot() {
        let loads = loads(&[(10, 5, 5), (10, 2, 0)], 50);
        assert_eq!((loads.healthy, loads.degraded), (vec![70, 28], vec![2, 0]));
    }

    #[test]
    fn a_priority_panics_below_its_threshold_but_not_while_others_take_all() {
        assert_eq!(loads(&[(10, 4, 0)], 50).panic, [true]);
        assert_eq!(loads(&[(10, 4, 1)], 50).panic, [false]);
        assert_eq!(loads(&[(10, 1, 0), (10, 10, 0)], 50).panic, [false, false]);
        assert_eq!(loads(&[(10, 4, 0), (10, 1, 0)], 50).panic, [true, true]);
    }

    #[test]
    fn when_all_panic_size_decides() {
        let loads = loads(&[(10, 0, 0), (30, 0, 0)], 50);
        assert_eq!((loads.healthy, loads.panic), (vec![25, 75], vec![true, true]));
    }

    #[test]
    fn with_panic_disabled_nobody_is_nobody() {
        let loads = loads(&[(10, 0, 0), (30, 0, 0)], 0);
        assert_eq!((loads.healthy, loads.panic), (vec![100, 0], vec![false, false]));
    }

    #[test]
    fn points_fall_on_priorities_by_their_loads() {
        let loads = loads(&[(10, 5, 5), (10, 2, 0)], 50);
        let chosen = |point| loads.choose(point);
        assert_eq!((chosen(0), chosen(169)), ((0, Tier::Healthy), (0, Tier::Healthy)));
        assert_eq!((chosen(70), chosen(97)), ((1, Tier::Healthy), (1, Tier::Healthy)));
        assert_eq!(
            (chosen(98), chosen(99)),
            ((0, Tier::Degraded), (0, Tier::Degraded))
        );
    }
}
