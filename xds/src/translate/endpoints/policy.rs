//! What does an assignment say about all of its endpoints together?

use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;

use crate::translate::Reject;
use crate::translate::message::number;
use crate::translate::notes::Notes;

/// The overprovisioning factor, in percent.
pub(super) fn read(policy: Option<&Policy>, path: &str, notes: &mut Notes) -> Result<Option<u32>, Reject> {
    let Some(policy) = policy else {
        return Ok(None);
    };
    let drops = |index: usize| {
        policy
            .drop_overloads
            .get(index)?
            .drop_percentage
            .filter(|drop| drop.numerator > 0)
    };
    for index in 0..policy.drop_overloads.len() {
        if drops(index).is_some() {
            return Err(Reject::unsupported(format_args!(
                "{path}policy.drop_overloads[{index}]"
            )));
        }
    }
    notes.ignored(
        format_args!("{path}policy.endpoint_stale_after"),
        policy.endpoint_stale_after.is_some(),
    );
    notes.ignored(
        format_args!("{path}policy.weighted_priority_health"),
        policy.weighted_priority_health,
    );
    Ok(number(policy.overprovisioning_factor.as_ref()))
}
