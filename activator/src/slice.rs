//! Which pods of a revision are this activator's own, when several activators share them?
//!
//! Each activator that is in the path of a revision finds itself in the sorted list of their addresses, and takes the
//! same slice of the sorted pods as all others think it takes: they agree without talking (Knative
//! `pkg/activator/net/throttler.go`).
//!
//! ```
//! use tidegate_activator::slice::{assign, infer_index};
//!
//! let activators = ["10.0.0.2".parse()?, "10.0.0.1".parse()?];
//! let mine = infer_index(&activators, "10.0.0.2".parse()?);
//! assert_eq!(assign(&["a", "b", "c"], mine, activators.len()), ["b"]);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::net::IpAddr;

/// The pods of the activator with this index, of `activators` in all. `sorted` are all pods, in the order of their
/// addresses as text.
///
/// Pods that are left over after an even share go to the first activators, one each. Where there are more activators
/// than pods, each has one, and shares it. An activator that does not know its index takes all.
#[must_use]
pub fn assign<T: Clone>(sorted: &[T], index: Option<usize>, activators: usize) -> Vec<T> {
    let pods = sorted.len();
    let Some(index) = index.filter(|_| pods > 1 && activators > 1) else {
        return sorted.to_vec();
    };
    if activators > pods {
        return sorted.get(index % pods).cloned().into_iter().collect();
    }
    let (share, left_over) = (pods / activators, pods % activators);
    let own = sorted.iter().skip(index * share).take(share);
    let extra = (index < left_over).then(|| pods - left_over + index);
    let extra = extra.and_then(|at| sorted.get(at));
    own.chain(extra).cloned().collect()
}

/// Where an activator stands among those in the path of a revision, if it is one of them.
#[must_use]
pub fn infer_index(activators: &[IpAddr], own: IpAddr) -> Option<usize> {
    let mut sorted: Vec<String> = activators.iter().map(IpAddr::to_string).collect();
    sorted.sort_unstable();
    let own = own.to_string();
    sorted.iter().position(|address| *address == own)
}

#[cfg(test)]
mod tests;
