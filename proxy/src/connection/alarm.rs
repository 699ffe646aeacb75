//! Is a deadline over? One timer for all the deadlines that somebody has one after the other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// A timer that is set up when it is first needed, and set anew only for an earlier time: moving a deadline into the
/// future, which each request does, costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    timer: Option<Pin<Box<Timer>>>,
}

pin_project! {
    /// In a box as a whole: each idle connection has room for an alarm.
    #[derive(Debug)]
    struct Timer {
        #[pin]
        sleep: Sleep,
        // Who it wakes.
        wakes: Option<Waker>,
    }
}

impl Timer {
    fn until(deadline: Instant) -> Self {
        Self {
            sleep: tokio::time::sleep_until(deadline),
            wakes: None,
        }
    }
}

impl Alarm {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(Timer::until(deadline)));
        let timer = timer.as_mut().project();
        let (mut sleep, wakes) = (timer.sleep, timer.wakes);
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if !sleep.is_elapsed() && wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // It was asked before, and will wake whoever asks now: asking again costs more than all of this.
            return Poll::Pending;
        }
        loop {
            // A timer that is asked by a task whose turn is over does not look who asks.
            let looks = coop::has_budget_remaining();
            if sleep.as_mut().poll(cx).is_pending() {
                *wakes = looks.then(|| cx.waker().clone());
                return Poll::Pending;
            }
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

    const MINUTE: Duration = Duration::from_secs(60);

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

    #[tokio::test(start_paused = true)]
    async fn whoever_asked_last_is_woken() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        let deadline = start + Duration::from_secs(10);
        let mut other = Context::from_waker(Waker::noop());
        for _again in 0..2 {
            assert!(alarm.poll(&mut other, deadline).is_pending());
        }
        let rings = poll_fn(|cx| alarm.poll(cx, deadline));
        assert!(tokio::time::timeout(MINUTE, rings).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_turn_is_over_is_woken_all_the_same() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        let (late, early) = (start + Duration::from_secs(20), start + Duration::from_secs(10));
        let mut other = Context::from_waker(Waker::noop());
        assert!(alarm.poll(&mut other, late).is_pending());
        while coop::has_budget_remaining() {
            coop::consume_budget().await;
        }
        let rings = poll_fn(|cx| alarm.poll(cx, early));
        assert!(tokio::time::timeout(MINUTE, rings).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
