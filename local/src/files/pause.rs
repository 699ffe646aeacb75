//! When files that change should be read: once they were left alone for a while, but not never.

use std::time::Instant;

use crate::limits::{FILES_QUIET, FILES_QUIET_MAX};

/// The touches since the last reading.
#[derive(Debug, Default)]
pub(super) struct Pause {
    touches: Option<Touches>,
}

#[derive(Debug)]
struct Touches {
    first: Instant,
    last: Instant,
}

impl Pause {
    /// Something was touched.
    pub(super) fn touch(&mut self, now: Instant) {
        self.touches
            .get_or_insert(Touches {
                first: now,
                last: now,
            })
            .last = now;
    }

    /// When to read; never if nothing was touched.
    pub(super) fn due(&self) -> Option<Instant> {
        let Touches { first, last } = self.touches.as_ref()?;
        Some((*last + FILES_QUIET).min(*first + FILES_QUIET_MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn files_are_read_once_they_were_left_alone() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pause = Pause::default();
        assert_eq!(pause.due(), None);
        pause.touch(at(0));
        assert_eq!(pause.due(), Some(at(200)));
        pause.touch(at(150));
        assert_eq!(pause.due(), Some(at(350)));
        for millis in (200..=1950).step_by(50) {
            pause.touch(at(millis));
        }
        assert_eq!(
            pause.due(),
            Some(at(2000)),
            "something that always writes is read all the same"
        );
    }
}
