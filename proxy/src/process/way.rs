//! How does work that can wait let those go first who carry traffic on the same core?
//!
//! A thread that has the core keeps it, by Linux's scheduler, until its slice is over, which may take until the next tick:
//! milliseconds for a request that came meanwhile. So long work says itself, again and again, that others may run.

use std::cell::Cell;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::limits;

thread_local! {
    /// When this thread offers its core next; none before its first work.
    static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How many steps it takes before it looks at the clock again.
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

/// Has the calling thread, and those that it starts, take less of a core that workers want too:
/// [`limits::CONTROL_NICENESS`].
///
/// # Errors
/// When the system refuses, as a filter of system calls may do.
#[cfg(target_os = "linux")]
pub fn step_back() -> io::Result<()> {
    // Linux counts niceness for each thread (setpriority(2)).
    let this = rustix::thread::gettid();
    Ok(rustix::process::setpriority_process(
        Some(this),
        limits::CONTROL_NICENESS,
    )?)
}

/// Elsewhere niceness is that of the whole process: nobody steps back.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn step_back() -> io::Result<()> {
    Ok(())
}

/// For each step of long work, on a thread that carries no traffic: lets others run who wait for this core, once in
/// [`limits::GIVE_WAY_EVERY`].
///
/// Where the core is so busy that this takes long, it does the less often: a share of the time is left for the work.
pub fn give_way() {
    if let Some(left) = STEPS.get().checked_sub(1) {
        STEPS.set(left);
        return;
    }
    STEPS.set(limits::GIVE_WAY_STEPS);
    let now = Instant::now();
    match NEXT.get() {
        Some(next) if now < next => return,
        Some(_) => thread::yield_now(),
        None => {}
    }
    let after = Instant::now();
    NEXT.set(Some(after + until_next(after.duration_since(now))));
}

/// How long to go on, by how long it took to get the core back.
fn until_next(waited: Duration) -> Duration {
    limits::GIVE_WAY_EVERY.max(waited / limits::GIVE_WAY_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_long_for_the_core_goes_on_longer() {
        assert_eq!(until_next(Duration::ZERO), limits::GIVE_WAY_EVERY);
        let waited = limits::GIVE_WAY_EVERY * limits::GIVE_WAY_SHARE * 3;
        assert_eq!(until_next(waited), limits::GIVE_WAY_EVERY * 3);
    }

    #[test]
    fn the_core_is_offered_only_once_in_a_while() {
        let before = Instant::now();
        let offer = || {
            STEPS.set(0);
            give_way();
        };
        offer();
        assert!(
            NEXT.get() >= Some(before + limits::GIVE_WAY_EVERY),
            "after the first step"
        );
        let far = Some(before + Duration::from_secs(3_600));
        NEXT.set(far);
        offer();
        assert_eq!(NEXT.get(), far, "not before its time");
        NEXT.set(Some(before));
        offer();
        assert!(
            NEXT.get() >= Some(before + limits::GIVE_WAY_EVERY),
            "once it is time"
        );
        assert_ne!(NEXT.get(), far);
    }

    #[test]
    fn the_clock_is_looked_at_only_every_few_steps() {
        STEPS.set(0);
        for step in 0..=limits::GIVE_WAY_STEPS {
            NEXT.set(None);
            give_way();
            assert_eq!(NEXT.get().is_some(), step == 0, "step {step}");
        }
        NEXT.set(None);
        give_way();
        assert!(NEXT.get().is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_steps_back_has_less_of_a_core() {
        let niceness = thread::spawn(|| {
            step_back().unwrap();
            rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
        });
        assert_eq!(niceness.join().unwrap(), limits::CONTROL_NICENESS);
    }
}
