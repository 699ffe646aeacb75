//! Which virtual host claims a name, by itself or with any port? Most claim both at once, and so take one place.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::index::{Claim, Places, text_of};
use crate::route::VirtualHost;
use crate::route::host::Parts;

/// The claims of names. Of a name there are two where one host claims it alone, and another with any port.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    table: HashTable<Claimed>,
    /// How many are for any port.
    ports: usize,
}

/// A claim, and for what. The parts are in the two highest bits of the domain's number: eight bytes for each of many hosts.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    place: u32,
    domain: u32,
}

const ALONE: u32 = 1 << 31;
const PORTS: u32 = 1 << 30;

impl Claimed {
    fn new(claim: Claim, parts: Parts) -> Self {
        let alone = if parts.alone { ALONE } else { 0 };
        let ports = if parts.ports { PORTS } else { 0 };
        Self {
            place: claim.place,
            domain: claim.domain & !(ALONE | PORTS) | alone | ports,
        }
    }

    fn claim(self) -> Claim {
        Claim {
            place: self.place,
            domain: self.domain & !(ALONE | PORTS),
        }
    }

    fn parts(self) -> Parts {
        Parts {
            alone: self.domain & ALONE != 0,
            ports: self.domain & PORTS != 0,
        }
    }
}

impl Names {
    pub(super) fn for_so_many(count: usize) -> Self {
        Self {
            table: HashTable::with_capacity(count),
            ports: 0,
        }
    }

    /// The host of a name alone.
    pub(super) fn find<'a>(
        &self,
        name: &str,
        places: &'a Places,
        hasher: &RandomState,
    ) -> Option<&'a Arc<VirtualHost>> {
        self.host((name, ALONE), places, hasher)
    }

    /// The host of a name with any port.
    pub(super) fn find_ports<'a>(
        &self,
        name: &str,
        places: &'a Places,
        hasher: &RandomState,
    ) -> Option<&'a Arc<VirtualHost>> {
        if self.ports == 0 {
            return None;
        }
        self.host((name, PORTS), places, hasher)
    }

    /// Adds a claim as far as the name is nobody's yet. Says which parts were somebody's.
    pub(super) fn add(
        &mut self,
        claim: Claim,
        (name, parts): (&str, Parts),
        places: &Places,
        hasher: &RandomState,
    ) -> Parts {
        let hash = hasher.hash_one(name);
        let mut taken = Parts::default();
        let known = self.table.iter_hash(hash);
        for known in known.filter(|known| text_of(known.claim(), places) == name) {
            let of = known.parts();
            taken.alone |= of.alone;
            taken.ports |= of.ports;
        }
        let free = Parts {
            alone: parts.alone && !taken.alone,
            ports: parts.ports && !taken.ports,
        };
        if free.alone || free.ports {
            let hash_of = |known: &Claimed| hasher.hash_one(text_of(known.claim(), places));
            self.table.insert_unique(hash, Claimed::new(claim, free), hash_of);
            self.ports += usize::from(free.ports);
        }
        Parts {
            alone: parts.alone && taken.alone,
            ports: parts.ports && taken.ports,
        }
    }

    /// Takes a claim back, if it is there.
    pub(super) fn remove(&mut self, claim: Claim, name: &str, hasher: &RandomState) {
        let hash = hasher.hash_one(name);
        if let Ok(found) = self.table.find_entry(hash, |known| known.claim() == claim) {
            self.ports -= usize::from(found.get().parts().ports);
            found.remove();
        }
    }

    fn host<'a>(
        &self,
        (name, part): (&str, u32),
        places: &'a Places,
        hasher: &RandomState,
    ) -> Option<&'a Arc<VirtualHost>> {
        if self.table.is_empty() {
            return None;
        }
        let is_it = |known: &Claimed| known.domain & part != 0 && text_of(known.claim(), places) == name;
        let found = self.table.find(hasher.hash_one(name), is_it)?;
        places.get(found.place as usize)?.as_ref()
    }
}
