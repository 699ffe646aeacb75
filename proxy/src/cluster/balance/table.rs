//! All endpoints of a cluster, sorted into priorities, tiers of health and localities.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group::Group;
use super::priority::{Census, Loads, Tier};
use super::random::Draws;
use super::round_robin::Stride;
use super::{BalanceSettings, Moment, Preference};
use crate::cluster::Endpoint;
use crate::cluster::endpoint::{Health, Locality};

/// What picks are made from; replaced whole when endpoints or their health change.
#[derive(Debug, Default)]
pub(crate) struct Table {
    endpoints: Arc<[Arc<Endpoint>]>,
    /// None where there is one endpoint, and a healthy one: it gets all, whatever the settings.
    levels: Box<[Level]>,
    /// Absent where one priority takes everything.
    loads: Option<Box<Loads>>,
}

/// One priority.
#[derive(Debug)]
struct Level {
    /// The healthy ones; all in panic.
    healthy: Groups,
    /// Absent where there are none.
    degraded: Option<Box<Groups>>,
}

#[derive(Debug)]
enum Groups {
    One(Group),
    /// Locality first; the stride goes by what they weigh and bear.
    Localities(Stride, Box<[Group]>),
}

impl Table {
    /// Sorts `endpoints` by what they are now. `seed` says where rounds begin.
    pub(crate) fn new(endpoints: Arc<[Arc<Endpoint>]>, settings: &BalanceSettings, seed: u64) -> Self {
        if let [only] = &*endpoints
            && only.health() == Health::Healthy
        {
            return Self {
                endpoints,
                ..Self::default()
            };
        }
        let mut by_priority: BTreeMap<u32, Vec<&Arc<Endpoint>>> = BTreeMap::new();
        for endpoint in endpoints.iter() {
            by_priority.entry(endpoint.priority()).or_default().push(endpoint);
        }
        let census: Vec<Census> = by_priority.values().map(|members| census(members)).collect();
        let panic_below = settings.panic_below_percent;
        let loads = Loads::new(&census, settings.overprovisioning_percent, panic_below);
        let mut seeds = Draws(seed);
        let level = |(members, panic): (&Vec<&Arc<Endpoint>>, &bool)| {
            let mut groups = |tier| groups(&endpoints, members, tier, (settings, &mut seeds));
            let degraded = members.iter().any(|member| member.health() == Health::Degraded);
            Level {
                healthy: groups(if *panic { None } else { Some(Health::Healthy) }),
                degraded: degraded.then(|| Box::new(groups(Some(Health::Degraded)))),
            }
        };
        let levels: Box<[Level]> = by_priority.values().zip(&loads.panic).map(level).collect();
        let simple = loads.healthy.first() == Some(&100);
        Self {
            levels,
            loads: (!simple).then(|| Box::new(loads)),
            endpoints,
        }
    }

    /// All of them, healthy or not.
    pub(crate) fn endpoints(&self) -> &Arc<[Arc<Endpoint>]> {
        &self.endpoints
    }

    /// The endpoint for one request; none where nobody is there, or nobody healthy and panic is off.
    pub(crate) fn pick(&self, preference: Preference, moment: Moment) -> Option<&Arc<Endpoint>> {
        let (priority, tier) = match &self.loads {
            None => (0, Tier::Healthy),
            Some(loads) => loads.choose(preference.hash.unwrap_or(moment.random)),
        };
        let Some(level) = self.levels.get(priority) else {
            return self.endpoints.first().filter(|_| self.levels.is_empty());
        };
        let groups = match tier {
            Tier::Healthy => &level.healthy,
            Tier::Degraded => level.degraded.as_deref()?,
        };
        match groups {
            Groups::One(group) => group.pick(preference, moment),
            Groups::Localities(stride, groups) => groups
                .get(stride.next(|_| 1.0)?)
                .and_then(|group| group.pick(preference, moment)),
        }
    }
}

fn census(members: &[&Arc<Endpoint>]) -> Census {
    let count = |health| members.iter().filter(|member| member.health() == health).count();
    Census {
        total: members.len(),
        healthy: count(Health::Healthy),
        degraded: count(Health::Degraded),
    }
}

/// The endpoints of one priority that are in `tier`; without a tier all. Where that is `all` there are, it is the same list.
fn groups(
    all: &Arc<[Arc<Endpoint>]>,
    members: &[&Arc<Endpoint>],
    tier: Option<Health>,
    (settings, seeds): (&BalanceSettings, &mut Draws),
) -> Groups {
    let belongs = |member: &&Arc<Endpoint>| tier.is_none_or(|tier| member.health() == tier);
    let chosen: Arc<[Arc<Endpoint>]> = match members.len() == all.len() && members.iter().all(belongs) {
        true => Arc::clone(all),
        false => members.iter().copied().filter(belongs).cloned().collect(),
    };
    let localities = if settings.by_locality {
        effective_weights(members, tier, settings.overprovisioning_percent)
    } else {
        BTreeMap::new()
    };
    if localities.is_empty() {
        return Groups::One(Group::new(chosen, settings, None, seeds.next()));
    }
    let place = |member: &Arc<Endpoint>| {
        let mut keys = localities.keys();
        let found = keys.position(|key| Some(*key) == member.locality().map(|locality| &**locality));
        found.unwrap_or(usize::MAX)
    };
    let places: Vec<usize> = chosen.iter().map(place).collect();
    let parts: Vec<f64> = localities.values().copied().collect();
    if settings.follows_hash() || tier.is_none() {
        // In panic a hash still goes by localities; who needs no hash takes everybody.
        let localities = settings.follows_hash().then_some((&*parts, &*places));
        return Groups::One(Group::new(chosen, settings, localities, seeds.next()));
    }
    let heaviest = parts.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scale = |part: &f64| (part / heaviest * f64::from(u32::MAX)) as u32;
    let group = |at: usize| {
        let pairs = chosen.iter().zip(&places);
        let own = pairs.filter(|(_, place)| **place == at).map(|(member, _)| member);
        Group::new(own.cloned().collect(), settings, None, seeds.next())
    };
    let groups: Box<[Group]> = (0..parts.len()).map(group).collect();
    let weights: Vec<u32> = parts.iter().map(scale).collect();
    Groups::Localities(Stride::new(&weights, 0), groups)
}

/// What each locality with a weight bears: its weight as far as its endpoints of this tier are enough
/// (`weight * min(1, overprovisioning * available share)`). Empty where none has a weight.
fn effective_weights<'a>(
    members: &[&'a Arc<Endpoint>],
    tier: Option<Health>,
    overprovisioning: u32,
) -> BTreeMap<&'a Locality, f64> {
    let mut counts: BTreeMap<&Locality, (u32, u32)> = BTreeMap::new();
    for member in members {
        if let Some(locality) = member.locality().filter(|locality| locality.weight > 0) {
            let (total, available) = counts.entry(locality).or_default();
            *total += 1;
            *available += u32::from(tier.is_none_or(|tier| member.health() == tier));
        }
    }
    let weigh = |(locality, (total, available)): (&'a Locality, (u32, u32))| {
        let share = f64::from(available) / f64::from(total) * f64::from(overprovisioning) / 100.0;
        (locality, f64::from(locality.weight) * share.min(1.0))
    };
    let weights = counts.into_iter().map(weigh);
    weights.filter(|(_, weight)| *weight > 0.0).collect()
}

#[cfg(test)]
mod tests;
