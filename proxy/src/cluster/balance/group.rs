//! Endpoints that are equals: one priority, one tier of health, one locality if those are told apart.

use std::sync::Arc;
use std::time::Instant;

use super::least_request::LeastRequest;
use super::maglev::Slots;
use super::random::{Draws, Urn};
use super::ring_hash::Ring;
use super::round_robin::Stride;
use super::slow_start::SlowStart;
use super::weights::Weights;
use super::{Balance, BalanceSettings, Moment, Preference};
use crate::cluster::Endpoint;

/// Some endpoints and how one of them is chosen.
#[derive(Debug)]
pub(crate) struct Group {
    members: Arc<[Arc<Endpoint>]>,
    choice: Choice,
    slow_start: Option<Box<SlowStart>>,
}

#[derive(Debug)]
enum Choice {
    Only,
    RoundRobin(Stride),
    LeastRequest(Urn, LeastRequest),
    Random(Urn),
    RingHash(Ring),
    Maglev(Slots),
}

/// How often a draw that slow start refuses is repeated.
const REFUSALS_MAX: u32 = 8;

impl Group {
    /// A group of `members`. `localities` says how much each locality counts to a hash, and which one a member is in.
    pub(crate) fn new(
        members: Arc<[Arc<Endpoint>]>,
        settings: &BalanceSettings,
        localities: Option<(&[f64], &[usize])>,
        start: u64,
    ) -> Self {
        let weights: Vec<u32> = members.iter().map(|member| member.weight()).collect();
        let policy = settings.policy;
        let by_name = settings.placed_by_name;
        let choice = match policy {
            _ if members.len() < 2 => Choice::Only,
            Balance::RoundRobin(_) => Choice::RoundRobin(Stride::new(&weights, start)),
            Balance::LeastRequest(settings, _) => Choice::LeastRequest(Urn::new(&weights), settings),
            Balance::Random => Choice::Random(Urn::new(&weights)),
            Balance::RingHash(settings) => {
                let (keys, parts) = (keys(&members, by_name), parts(&weights, localities));
                Choice::RingHash(Ring::new(keys.iter().map(String::as_str), &parts, settings))
            }
            Balance::Maglev(settings) => {
                let keys = keys(&members, by_name);
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                Choice::Maglev(Slots::new(&keys, &parts(&weights, localities), settings))
            }
        };
        let slow_start = match policy {
            Balance::RoundRobin(slow_start) | Balance::LeastRequest(_, slow_start) => {
                slow_start.map(Box::new)
            }
            _ => None,
        };
        Self {
            members,
            choice,
            slow_start,
        }
    }

    pub(crate) fn pick(&self, preference: Preference, moment: Moment) -> Option<&Arc<Endpoint>> {
        let hash = preference.hash.unwrap_or(moment.random);
        let mut draws = Draws(moment.random);
        let index = match &self.choice {
            Choice::Only => 0,
            Choice::RoundRobin(stride) => stride.next(|index| self.factor(index, moment.now))?,
            Choice::LeastRequest(urn, settings) => {
                let load = |index: usize| {
                    let member = self.members.get(index);
                    member.map_or((usize::MAX, 1), |member| (member.in_flight(), member.weight()))
                };
                settings.choose(|| self.draw(urn, &mut draws, moment.now), load)?
            }
            Choice::Random(urn) => urn.draw(draws.next())?,
            Choice::RingHash(ring) => ring.find(hash, preference.attempt)?,
            Choice::Maglev(slots) => slots.find(hash, preference.attempt)?,
        };
        self.members.get(index)
    }

    /// A draw by weight, in which who starts slowly is refused as often as its share is smaller.
    fn draw(&self, urn: &Urn, draws: &mut Draws, now: Option<Instant>) -> Option<usize> {
        let mut drawn = urn.draw(draws.next())?;
        if self.slow_start.is_some() {
            for _ in 0..REFUSALS_MAX {
                let factor = self.factor(drawn, now);
                if factor >= 1.0 || draws.fraction() < factor {
                    break;
                }
                drawn = urn.draw(draws.next())?;
            }
        }
        Some(drawn)
    }

    fn factor(&self, index: usize, now: Option<Instant>) -> f64 {
        let (Some(slow_start), Some(now)) = (&self.slow_start, now) else {
            return 1.0;
        };
        let member = self.members.get(index);
        member.map_or(1.0, |member| slow_start.factor(member.state().available_for(now)))
    }
}

fn keys(members: &[Arc<Endpoint>], by_name: bool) -> Vec<String> {
    members.iter().map(|member| member.hash_key(by_name)).collect()
}

fn parts(weights: &[u32], localities: Option<(&[f64], &[usize])>) -> Weights {
    let weights = weights.iter().copied();
    match localities {
        Some((parts, of_member)) => Weights::within(weights.zip(of_member.iter().copied()), parts),
        None => Weights::within(weights.map(|weight| (weight, 0)), &[1.0]),
    }
}
