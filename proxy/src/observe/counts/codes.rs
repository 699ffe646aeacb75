//! How often each status code was seen, of the few that are.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A list that only grows, by one for each new code: at most as long as there are codes, mostly one or two.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    first: OnceLock<Box<Code>>,
}

#[derive(Debug)]
struct Code {
    status: u16,
    count: AtomicU64,
    next: OnceLock<Box<Self>>,
}

impl Codes {
    /// One more of this.
    pub(crate) fn add(&self, status: u16) {
        let mut place = &self.first;
        loop {
            let code = place.get_or_init(|| Box::new(Code::of(status)));
            if code.status == status {
                code.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
            place = &code.next;
        }
    }

    /// All of them, by code.
    pub(crate) fn all(&self) -> Vec<(u16, u64)> {
        let (mut all, mut place) = (Vec::new(), &self.first);
        while let Some(code) = place.get() {
            all.push((code.status, code.count.load(Ordering::Relaxed)));
            place = &code.next;
        }
        all.sort_unstable();
        all
    }
}

impl Code {
    fn of(status: u16) -> Self {
        Self {
            status,
            count: AtomicU64::new(0),
            next: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_counted_apart_also_by_several_threads() {
        let codes = Codes::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|i| codes.add(if i % 4 == 0 { 404 } else { 200 })));
            }
        });
        assert_eq!(codes.all(), [(200, 300), (404, 100)]);
    }
}
