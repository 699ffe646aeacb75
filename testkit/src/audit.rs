//! What must hold when a test is over and everything that it started has ended?

use std::cell::RefCell;
use std::io::{Write, stderr};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::DEADLINE;

/// What one look found: the books are closed, or what is still open.
type Look = Box<dyn FnMut() -> Result<(), String>>;

thread_local! {
    static AUDIT: Audit = const { Audit { looks: RefCell::new(Vec::new()) } };
}

/// Looks at the end of this thread, which is when the test's runtime and all its tasks are gone, whether `what` holds;
/// where other threads still work on it, for at most [`DEADLINE`].
///
/// A test cannot fail any more by then: where it does not hold, the whole program of tests ends with what was found.
/// (A test that already failed is reported before that. Where the test harness uses no threads, nothing is checked.)
pub fn at_end_of_test(what: &'static str, mut look: impl FnMut() -> Result<(), String> + 'static) {
    let look = move || look().map_err(|found| format!("{what}: {found}"));
    AUDIT.with(|audit| audit.looks.borrow_mut().push(Box::new(look)));
}

struct Audit {
    looks: RefCell<Vec<Look>>,
}

impl Drop for Audit {
    fn drop(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        for look in self.looks.get_mut() {
            if let Err(found) = last_look(look, deadline) {
                let test = thread::current().name().unwrap_or("a test").to_owned();
                // Not captured by the harness. If it cannot be written, the exit code has to do.
                _ = writeln!(stderr(), "after {test}: {found}");
                process::exit(101);
            }
        }
    }
}

fn last_look(look: &mut Look, deadline: Instant) -> Result<(), String> {
    loop {
        let found = look();
        if found.is_ok() || Instant::now() >= deadline {
            return found;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}
