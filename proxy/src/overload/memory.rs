//! How much memory does the process have, and is that near to what it may?

use std::time::Duration;

use super::{Overload, Pressure};
use crate::config::limits;

/// The memory of the process cannot be told here: only Linux says it, in `/proc`.
#[derive(Debug, thiserror::Error)]
#[error(
    "the memory of this process cannot be read from {STATUS}: run without a memory bound, or note it by other means"
)]
pub struct MemoryUnknown(#[source] Option<std::io::Error>);

const STATUS: &str = "/proc/self/status";

impl Overload {
    /// Looks every [`limits::MEMORY_SAMPLE_INTERVAL`] at how much memory the process has, for ever; to be spawned where no
    /// traffic runs. Without [`OverloadSettings::memory_bytes_max`](super::OverloadSettings::memory_bytes_max) it does
    /// nothing.
    ///
    /// From 95 % of the bound on new requests get 503 and connections are not kept alive; from 98 % on nothing is
    /// accepted, until it is less.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn follow_memory(self) -> Result<(), MemoryUnknown> {
        if self.memory.bytes_max.is_none() {
            return Ok(());
        }
        let mut ticks = tokio::time::interval(limits::MEMORY_SAMPLE_INTERVAL.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.note_memory(resident()?);
        }
    }
}

pub(super) fn pressure(used: u64, max: u64) -> Pressure {
    let percent = u128::from(used) * 100 / u128::from(max.max(1));
    if percent >= u128::from(limits::MEMORY_STOP_PERCENT) {
        Pressure::Stop
    } else if percent >= u128::from(limits::MEMORY_SHED_PERCENT) {
        Pressure::Shed
    } else {
        Pressure::None
    }
}

fn resident() -> Result<u64, MemoryUnknown> {
    let status = std::fs::read_to_string(STATUS).map_err(|error| MemoryUnknown(Some(error)))?;
    resident_of(&status).ok_or(MemoryUnknown(None))
}

/// The line `VmRSS:      1234 kB`: of all files in `/proc` that tell it, the one that needs no page size.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::OverloadSettings;

    #[test]
    fn the_resident_memory_is_read_in_kibibytes() {
        assert_eq!(
            resident_of("Name:\tx\nVmRSS:\t    2048 kB\nVmData: 1 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(resident_of("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn a_process_above_its_bound_is_noticed() {
        let overload = Overload::new(OverloadSettings {
            memory_bytes_max: Some(1),
            ..OverloadSettings::default()
        });
        tokio::select! {
            biased;
            outcome = overload.clone().follow_memory() => outcome.unwrap(),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        assert!(!overload.accepts_connections());
    }
}
