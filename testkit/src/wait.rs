//! How does a test wait for something to become true? The only place that polls, and always with a deadline.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long [`eventually`] and every read of this crate wait before they call the test failed. Generous, since it is only
/// ever spent by a failing test: a loaded machine must not fail a right program.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What one look at the world found: the awaited value, or why it is not there yet.
pub trait Look {
    /// What [`eventually`] returns.
    type Found;

    /// The value, or a sentence for the failure message.
    ///
    /// # Errors
    /// What stood in the way at this look.
    fn found(self) -> Result<Self::Found, String>;
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("it was false".to_owned())
        }
    }
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "there was none".to_owned())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks again and again until `look` finds something (`true`, `Some`, `Ok`), for at most [`DEADLINE`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut looks = 0;
/// let found = tidegate_testkit::wait::eventually("the third look", async || {
///     looks += 1;
///     if looks == 3 { Ok("there") } else { Err(format!("look {looks}")) }
/// })
/// .await;
/// assert_eq!(found, "there");
/// # }
/// ```
///
/// # Panics
/// After the deadline, with `what`, the caller's place and what the last look found instead.
#[track_caller]
pub fn eventually<L: Look>(what: &str, look: impl AsyncFnMut() -> L) -> impl Future<Output = L::Found> {
    eventually_within(what, DEADLINE, look)
}

/// [`eventually`] with a deadline of its own.
///
/// # Panics
/// After the deadline, as [`eventually`] does.
#[track_caller]
pub fn eventually_within<L: Look>(
    what: &str,
    deadline: Duration,
    look: impl AsyncFnMut() -> L,
) -> impl Future<Output = L::Found> {
    poll(what, deadline, look, Location::caller())
}

/// The future's value, if it comes within [`DEADLINE`].
///
/// # Panics
/// After the deadline, with `what` and the caller's place.
#[track_caller]
pub fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{what}: nothing within {DEADLINE:?} (waited for at {caller})"),
        }
    }
}

async fn poll<L: Look>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> L,
    caller: &Location<'_>,
) -> L::Found {
    let end = Instant::now() + deadline;
    let mut last = "the first look never came back".to_owned();
    while let Ok(looked) = timeout_at(end, look()).await {
        match looked.found() {
            Ok(found) => return found,
            Err(why) => last = why,
        }
        if Instant::now() >= end {
            break;
        }
        sleep(PAUSE).await;
    }
    panic!("{what}: not within {deadline:?} (waited for at {caller}); at the last look: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_the_look_found() {
        let mut looks = 0;
        let found = eventually("the second look", async || {
            looks += 1;
            (looks == 2).then_some(looks)
        });
        assert_eq!(found.await, 2);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the gauge: not within 1s")]
    async fn says_what_it_waited_for() {
        eventually_within("the gauge", Duration::from_secs(1), async || false).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "at the last look: gauge is 7")]
    async fn says_what_it_saw_last() {
        eventually("the gauge", async || Err::<(), _>("gauge is 7")).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "a look that hangs: not within")]
    async fn a_look_that_hangs_is_bounded() {
        eventually("a look that hangs", async || std::future::pending::<bool>().await).await;
    }
}
