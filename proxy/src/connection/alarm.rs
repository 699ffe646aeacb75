//! Is a deadline over? One timer for all the deadlines that somebody has one after the other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer that is set up when it is first needed, and set anew only for an earlier time: moving a deadline into the
/// future, which each request does, costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadlines_move_both_ways() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        for seconds in [10, 3, 12, 12, 20] {
            let deadline = start + Duration::from_secs(seconds);
            poll_fn(|cx| alarm.poll(cx, deadline)).await;
            assert!(Instant::now() >= deadline);
        }
        assert_eq!(start.elapsed().as_secs(), 20);
    }
}
