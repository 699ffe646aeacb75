//! Which cluster of a weighted split takes a request.
//!
//! ```
//! use tidegate_proxy::filter::FilterOverrides;
//! use tidegate_proxy::route::{HeaderMutations, Split, WeightedCluster};
//!
//! let part = |cluster: &str, weight| WeightedCluster {
//!     cluster: cluster.into(),
//!     weight,
//!     headers: HeaderMutations::default(),
//!     overrides: FilterOverrides::default(),
//!     host: None,
//! };
//! let split = Split::new([part("stable", 100), part("canary", 0)])?;
//! assert_eq!(&*split.pick().cluster, "stable");
//! assert!(Split::new([part("nobody", 0)]).is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidSplit>(())
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{HeaderMutations, HostRewrite};
use crate::filter::FilterOverrides;

/// One part of a split.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Its share of the split's total.
    pub weight: u32,
    /// Changes to the fields of the requests of this share, and of their responses.
    pub headers: HeaderMutations,
    /// What becomes of the listener's filters for this share. Default: nothing.
    pub overrides: FilterOverrides,
    /// What becomes of the host of its requests, before the route changes it; `None` leaves it to the route alone.
    pub host: Option<Arc<HostRewrite>>,
}

/// Clusters and their shares, dealt out evenly: over any run of requests each share is kept as exactly as
/// whole requests allow, without chance.
#[derive(Debug)]
pub struct Split {
    parts: Box<[WeightedCluster]>,
    total: u32,
    stride: u32,
    turn: AtomicU32,
}

/// A split that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a split needs at least one cluster with a weight above 0, and a total of at most {}",
    u32::MAX
)]
pub struct InvalidSplit;

impl Split {
    /// A split of these parts; those of weight 0 take nothing and are left out.
    ///
    /// # Errors
    /// When no part has a weight, or the total is too large.
    pub fn new(parts: impl IntoIterator<Item = WeightedCluster>) -> Result<Self, InvalidSplit> {
        let parts: Box<[_]> = parts.into_iter().filter(|part| part.weight > 0).collect();
        let total = parts
            .iter()
            .try_fold(0_u32, |sum, part| sum.checked_add(part.weight));
        let total = total.filter(|total| *total > 0).ok_or(InvalidSplit)?;
        Ok(Self {
            parts,
            total,
            stride: stride(total),
            turn: AtomicU32::new(0),
        })
    }

    /// A split with one part.
    #[must_use]
    pub fn single(cluster: impl Into<Arc<str>>, headers: HeaderMutations) -> Self {
        let part = WeightedCluster {
            cluster: cluster.into(),
            weight: 1,
            headers,
            overrides: FilterOverrides::default(),
            host: None,
        };
        Self {
            parts: Box::new([part]),
            total: 1,
            stride: 1,
            turn: AtomicU32::new(0),
        }
    }

    /// The parts that take requests.
    #[must_use]
    pub fn parts(&self) -> &[WeightedCluster] {
        &self.parts
    }

    /// The part that takes the next request.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "both constructors leave at least one part"
    )]
    pub fn pick(&self) -> &WeightedCluster {
        if let [only] = &*self.parts {
            return only;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.total;
        let mut ticket =
            u32::try_from(u64::from(turn) * u64::from(self.stride) % u64::from(self.total)).unwrap_or(0);
        for part in &self.parts {
            match ticket.checked_sub(part.weight) {
                Some(left) => ticket = left,
                None => return part,
            }
        }
        &self.parts[0]
    }
}

/// A step through the tickets `0..total` that visits each once a round and keeps neighbours apart: the
/// number nearest to the golden section of `total` that shares no divisor with it.
fn stride(total: u32) -> u32 {
    let golden = u64::from(total) * 618 / 1000;
    let golden = u32::try_from(golden).unwrap_or(1).max(1);
    (golden..total)
        .chain(1..golden)
        .find(|step| gcd(*step, total) == 1)
        .unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
