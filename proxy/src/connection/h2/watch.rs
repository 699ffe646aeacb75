//! Which streams have lasted long enough to have timers of their own?
//!
//! Most streams end within milliseconds, and each timer costs them more than many another step: so nobody sets one for a
//! stream while it is young. Its connection knows when that is over, and has it look at its deadlines then.

use std::sync::Arc;

use tokio::time::Instant;

use super::link::Link;
use crate::clock;
use crate::config::limits;

/// The young streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Those that have ended are forgotten when their places are needed.
    young: Vec<Arc<Link>>,
    until: Option<Instant>,
}

impl Watch {
    /// A stream has begun.
    pub(super) fn add(&mut self, link: &Arc<Link>) {
        if self.young.len() == self.young.capacity() {
            self.young.retain(|link| Arc::strong_count(link) > 1);
            // Half of it is room for others, so that they are not looked at one by one.
            self.young.reserve(self.young.len().max(FEW));
        }
        self.young.push(Arc::clone(link));
        self.until
            .get_or_insert_with(|| clock::now() + limits::H2_STREAM_YOUTH);
    }

    /// When [`Watch::look`] has something to do.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Has the streams that are still there look after themselves, if it is time.
    pub(super) fn look(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            self.young.drain(..).for_each(|link| link.grow_up());
            self.until = None;
        }
    }
}

const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_forgotten() {
        let mut watch = Watch::default();
        let stays = Arc::new(Link::new(None));
        watch.add(&stays);
        for _short in 0..10 * FEW {
            watch.add(&Arc::new(Link::new(None)));
        }
        assert!(watch.young.capacity() <= 4 * FEW, "{}", watch.young.capacity());
        assert_eq!(Arc::strong_count(&stays), 2);
        watch.look(clock::now());
        assert_eq!(Arc::strong_count(&stays), 2, "it is still young");
        watch.look(clock::now() + limits::H2_STREAM_YOUTH);
        assert_eq!(Arc::strong_count(&stays), 1);
        assert!(watch.until().is_none());
    }
}
