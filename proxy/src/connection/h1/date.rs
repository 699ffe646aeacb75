//! What is the `Date` of a response? Formatted once a second, not for each response (RFC 9110 §6.6.1).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// One worker's clock. Only its own requests lock it.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    last: Mutex<Option<(u64, HeaderValue)>>,
}

impl DateClock {
    /// The date of now.
    pub(crate) fn now(&self) -> HeaderValue {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(since)
    }

    fn at(&self, since_epoch: Duration) -> HeaderValue {
        // The last second that the format can say.
        let second = since_epoch.as_secs().min(253_402_300_799);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, date)) if *known == second => date.clone(),
            _ => {
                let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
                let date = HeaderValue::try_from(text).unwrap_or(EPOCH);
                last.insert((second, date)).1.clone()
            }
        }
    }
}

const EPOCH: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_changes_with_the_second() {
        let clock = DateClock::default();
        let check = |millis, expected: &str| assert_eq!(clock.at(Duration::from_millis(millis)), expected);
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(999, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(1_000, "Thu, 01 Jan 1970 00:00:01 GMT");
        check(1_700_000_000_500, "Tue, 14 Nov 2023 22:13:20 GMT");
    }
}
