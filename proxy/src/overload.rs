//! How much may one process hold at once, and who is turned away above that?
//!
//! Every bound is shared by all workers that follow one [`Handle`](crate::config::Handle). A request that finds no room is
//! shed before anything is done for it: 503, `Retry-After`, and a counted reason. Only what a request can do without, that its
//! body is kept for another try, is left out instead.
//!
//! ```
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::error::Kind;
//! use tidegate_proxy::overload::{Overload, OverloadSettings};
//!
//! let settings = OverloadSettings { requests_max: 1, ..OverloadSettings::default() };
//! let config = Handle::new(Snapshot::default()).bounded(Overload::new(settings));
//! // Each request does this by itself.
//! let requests = config.overload().requests();
//! let first = requests.reserve(1)?;
//! let second = requests.reserve(1).expect_err("there is one place");
//! assert_eq!(second.kind(), Kind::Overloaded);
//! assert!(second.retry_after().is_some());
//! drop(first);
//! assert!(requests.reserve(1).is_ok());
//! # Ok::<(), tidegate_proxy::Error>(())
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::counter;

use crate::config::limits;
use crate::error::{Error, Kind};
use crate::observe::metrics::REQUESTS_SHED;

mod memory;

pub use memory::MemoryUnknown;

/// The bounds of a process. The defaults are [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadSettings {
    /// Requests under way, to the last byte of their responses; tunnels and parked requests count.
    /// Default: [`limits::REQUESTS_MAX`].
    pub requests_max: usize,
    /// Bytes that are kept in memory for requests. The proxy itself keeps what may be sent in another try, and where there is no
    /// room for that, a body is sent once. What is read ahead of an upstream has a bound for each connection and stream instead.
    /// Layers may reserve what they collect.
    /// Default: [`limits::BUFFERED_BYTES_MAX`].
    pub buffered_bytes_max: usize,
    /// Requests that wait for something other than their upstream's answer, as the layer counts them that has them wait.
    /// Default: [`limits::PARKED_REQUESTS_MAX`].
    pub parked_max: usize,
    /// What a request that was shed is told to wait. Default: [`limits::OVERLOAD_RETRY_AFTER`].
    pub retry_after: Duration,
    /// The memory that the process may have, in bytes; see [`Overload::follow_memory`]. Default: nobody looks.
    pub memory_bytes_max: Option<u64>,
}

impl Default for OverloadSettings {
    fn default() -> Self {
        Self {
            requests_max: limits::REQUESTS_MAX,
            buffered_bytes_max: limits::BUFFERED_BYTES_MAX,
            parked_max: limits::PARKED_REQUESTS_MAX,
            retry_after: limits::OVERLOAD_RETRY_AFTER,
            memory_bytes_max: None,
        }
    }
}

/// What a process holds now, and may. Clones share it.
#[derive(Clone, Debug)]
pub struct Overload {
    requests: Budget,
    buffered: Budget,
    parked: Budget,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Memory {
    bytes_max: Option<u64>,
    retry_after: Duration,
    pressure: AtomicU8,
}

/// How near to its memory's end a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pressure {
    None,
    /// New requests are shed, connections are not kept alive.
    Shed,
    /// Nothing is accepted either.
    Stop,
}

impl Overload {
    /// The bounds of one process, of which nothing is used yet.
    #[must_use]
    pub fn new(settings: OverloadSettings) -> Self {
        let budget = |max, reason| Budget::new(max, reason, settings.retry_after);
        Self {
            requests: budget(settings.requests_max, "requests"),
            buffered: budget(settings.buffered_bytes_max, "buffered_bytes"),
            parked: budget(settings.parked_max, "parked"),
            memory: Arc::new(Memory {
                bytes_max: settings.memory_bytes_max,
                retry_after: settings.retry_after,
                pressure: AtomicU8::new(Pressure::None as u8),
            }),
        }
    }

    /// Bytes that are kept in memory for requests; whoever buffers reserves them before.
    #[must_use]
    pub fn buffered(&self) -> &Budget {
        &self.buffered
    }

    /// Requests that wait for something other than their upstream's answer.
    #[must_use]
    pub fn parked(&self) -> &Budget {
        &self.parked
    }

    /// Requests that are under way.
    #[must_use]
    pub fn requests(&self) -> &Budget {
        &self.requests
    }

    /// Whether new connections are taken; not within 2 % of the memory's end.
    #[must_use]
    pub fn accepts_connections(&self) -> bool {
        self.pressure() < Pressure::Stop as u8
    }

    /// Whether connections are kept for another request; not within 5 % of the memory's end.
    #[must_use]
    pub fn keeps_connections(&self) -> bool {
        self.pressure() < Pressure::Shed as u8
    }

    /// Takes note of how much memory the process has, in bytes. [`Overload::follow_memory`] calls it; so may an embedder
    /// that measures by other means.
    pub fn note_memory(&self, used: u64) {
        let Some(max) = self.memory.bytes_max else { return };
        let pressure = memory::pressure(used, max);
        let before = self.memory.pressure.swap(pressure as u8, Ordering::Relaxed);
        if before != pressure as u8 {
            tracing::warn!(used, max, ?pressure, "memory pressure changed");
        }
    }

    /// Makes room for one more request, until [`Overload::release`].
    pub(crate) fn admit(&self) -> Result<(), Error> {
        if !self.keeps_connections() {
            return Err(shed("memory", self.memory.retry_after));
        }
        self.requests.take(1)
    }

    /// Gives the room of a request back.
    pub(crate) fn release(&self) {
        self.requests.give_back(1);
    }

    fn pressure(&self) -> u8 {
        self.memory.pressure.load(Ordering::Relaxed)
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self::new(OverloadSettings::default())
    }
}

/// A bounded amount of something that requests share. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: AtomicUsize,
    max: usize,
    reason: &'static str,
    retry_after: Duration,
}

/// A part of a [`Budget`]; it goes back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    amount: usize,
}

impl Budget {
    fn new(max: usize, reason: &'static str, retry_after: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                used: AtomicUsize::new(0),
                max,
                reason,
                retry_after,
            }),
        }
    }

    /// Takes `amount` of it, until the reservation is dropped.
    ///
    /// # Errors
    /// [`Kind::Overloaded`], counted and with `Retry-After`, when less than that is left.
    pub fn reserve(&self, amount: usize) -> Result<Reservation, Error> {
        self.take(amount)?;
        Ok(Reservation {
            budget: self.clone(),
            amount,
        })
    }

    /// As [`Budget::reserve`], for what can be left out: nobody is shed, so nothing is counted.
    pub(crate) fn spare(&self, amount: usize) -> Option<Reservation> {
        self.fits(amount).then(|| Reservation {
            budget: self.clone(),
            amount,
        })
    }

    /// How much is taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    fn take(&self, amount: usize) -> Result<(), Error> {
        if self.fits(amount) {
            return Ok(());
        }
        Err(shed(self.shared.reason, self.shared.retry_after))
    }

    /// Takes `amount` if there is so much.
    fn fits(&self, amount: usize) -> bool {
        let before = self.shared.used.fetch_add(amount, Ordering::Relaxed);
        let fits = before.saturating_add(amount) <= self.shared.max;
        if !fits {
            self.give_back(amount);
        }
        fits
    }

    fn give_back(&self, amount: usize) {
        self.shared.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl Reservation {
    /// Takes `amount` more.
    ///
    /// # Errors
    /// As [`Budget::reserve`]; what was reserved before stays reserved.
    pub fn grow(&mut self, amount: usize) -> Result<(), Error> {
        self.budget.take(amount)?;
        self.amount += amount;
        Ok(())
    }

    /// Takes `amount` more if there is so much; as [`Budget::spare`].
    pub(crate) fn stretch(&mut self, amount: usize) -> bool {
        let fits = self.budget.fits(amount);
        if fits {
            self.amount += amount;
        }
        fits
    }

    /// How much is reserved.
    #[must_use]
    pub fn amount(&self) -> usize {
        self.amount
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}

/// What a request is told for which there is no room.
fn shed(reason: &'static str, retry_after: Duration) -> Error {
    counter!(REQUESTS_SHED, "reason" => reason).increment(1);
    Error::new(Kind::Overloaded)
        .with_retry_after(retry_after)
        .with_source(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_takes_nothing() {
        let bytes = Budget::new(10, "buffered_bytes", Duration::from_secs(1));
        let mut kept = bytes.reserve(6).unwrap();
        assert_eq!(bytes.reserve(5).unwrap_err().kind(), Kind::Overloaded);
        kept.grow(4).unwrap();
        assert_eq!(
            kept.grow(1).unwrap_err().retry_after(),
            Some(Duration::from_secs(1))
        );
        assert_eq!((kept.amount(), bytes.used()), (10, 10));
        drop(kept);
        assert_eq!(bytes.used(), 0);
        bytes.reserve(10).unwrap();
    }

    #[test]
    fn an_absurd_amount_is_refused_too() {
        let bytes = Budget::new(10, "buffered_bytes", Duration::from_secs(1));
        let _kept = bytes.reserve(6).unwrap();
        bytes.reserve(usize::MAX).unwrap_err();
        assert_eq!(bytes.used(), 6);
    }

    #[test]
    fn memory_near_its_end_sheds_and_then_stops_accepting() {
        let overload = Overload::new(OverloadSettings {
            memory_bytes_max: Some(1000),
            ..OverloadSettings::default()
        });
        let check = |used, keeps, accepts| {
            overload.note_memory(used);
            let (kept, accepted) = (overload.keeps_connections(), overload.accepts_connections());
            assert_eq!((kept, accepted), (keeps, accepts), "{used}");
        };
        check(949, true, true);
        check(950, false, true);
        overload.admit().unwrap_err();
        check(980, false, false);
        check(2000, false, false);
        check(100, true, true);
        overload.admit().unwrap();
    }
}
