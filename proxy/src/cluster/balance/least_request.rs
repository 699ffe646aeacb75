//! Of a few drawn by chance the one that has least to do.

/// How [`Balance::LeastRequest`](super::Balance) chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastRequest {
    /// How many endpoints are drawn, by weight, and compared. Default and least: 2.
    pub choices: u32,
    /// How much the requests under way count against an endpoint: 0 not at all, 1 in proportion to its weight, above 1 more
    /// than that. Default: 1. (Envoy's `active_request_bias`; it matters there only where weights differ, and so it does here.)
    pub active_request_bias: f64,
}

impl Default for LeastRequest {
    fn default() -> Self {
        Self {
            choices: 2,
            active_request_bias: 1.0,
        }
    }
}

/// The most endpoints that are compared for one request, whatever [`LeastRequest::choices`] says.
const CHOICES_MAX: u32 = 64;

impl LeastRequest {
    /// The best of what `draw` gives, by `load`: requests under way and weight. The first of equals stays.
    pub(crate) fn choose(
        &self,
        mut draw: impl FnMut() -> Option<usize>,
        load: impl Fn(usize) -> (usize, u32),
    ) -> Option<usize> {
        let mut best = draw()?;
        let mut least = self.score(load(best));
        for _ in 1..self.choices.clamp(2, CHOICES_MAX) {
            let other = draw()?;
            let score = self.score(load(other));
            if score < least {
                (best, least) = (other, score);
            }
        }
        Some(best)
    }

    fn score(&self, (active, weight): (usize, u32)) -> f64 {
        // Without load nobody is better than who was drawn first: weights have done their part in the draw.
        if active == 0 || self.active_request_bias == 0.0 {
            return 0.0;
        }
        let active = active as f64;
        let biased = if self.active_request_bias == 1.0 {
            active
        } else {
            active.powf(self.active_request_bias)
        };
        biased / f64::from(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(settings: LeastRequest, drawn: &[usize], loads: &[(usize, u32)]) -> Option<usize> {
        let mut drawn = drawn.iter().copied();
        settings.choose(|| drawn.next(), |index| loads[index])
    }

    #[test]
    fn the_one_with_less_to_do_wins_and_the_first_of_equals() {
        let settings = LeastRequest::default();
        let loads = [(3, 1), (1, 1), (1, 1)];
        assert_eq!(choose(settings, &[0, 1], &loads), Some(1));
        assert_eq!(choose(settings, &[1, 0], &loads), Some(1));
        assert_eq!(choose(settings, &[2, 1], &loads), Some(2));
        assert_eq!(choose(settings, &[], &loads), None);
    }

    #[test]
    fn a_weight_bears_load() {
        let loads = [(3, 4), (1, 1)];
        assert_eq!(choose(LeastRequest::default(), &[1, 0], &loads), Some(0));
        let ignorant = LeastRequest {
            active_request_bias: 0.0,
            ..LeastRequest::default()
        };
        assert_eq!(choose(ignorant, &[1, 0], &loads), Some(1));
        let strict = LeastRequest {
            active_request_bias: 2.0,
            ..LeastRequest::default()
        };
        assert_eq!(choose(strict, &[1, 0], &loads), Some(1));
    }

    #[test]
    fn more_choices_find_the_idle_one() {
        let settings = LeastRequest {
            choices: 3,
            ..LeastRequest::default()
        };
        assert_eq!(choose(settings, &[0, 1, 2], &[(2, 1), (1, 1), (0, 1)]), Some(2));
    }
}
