//! Which virtual host claims a domain: numbers of hosts and domains by text, of which there is no other copy than the host's own.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::route::VirtualHost;
use crate::route::host::Asked;

/// Virtual hosts by number. A number whose host is gone is free.
pub(super) type Places = Vec<Option<Arc<VirtualHost>>>;

/// A domain of a virtual host, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) place: u32,
    pub(super) domain: u32,
}

/// The claims of one kind by their texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    table: HashTable<Claim>,
}

/// Suffixes, or prefixes, and which lengths there are, the longest first, each with how many have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Affixes {
    claims: Claims,
    lengths: Vec<(usize, usize)>,
}

impl Claims {
    pub(super) fn for_so_many(count: usize) -> Self {
        Self {
            table: HashTable::with_capacity(count),
        }
    }

    pub(super) fn find<'a>(
        &self,
        text: &str,
        places: &'a Places,
        hasher: &RandomState,
    ) -> Option<&'a Arc<VirtualHost>> {
        let is_it = |claim: &Claim| text_of(*claim, places) == text;
        let claim = self.table.find(hasher.hash_one(text), is_it)?;
        places.get(claim.place as usize)?.as_ref()
    }

    /// Adds a claim; one to the same text that is there stays, and then this says false.
    pub(super) fn add(&mut self, claim: Claim, text: &str, places: &Places, hasher: &RandomState) -> bool {
        let is_it = |known: &Claim| text_of(*known, places) == text;
        let hash = |known: &Claim| hasher.hash_one(text_of(*known, places));
        match self.table.entry(hasher.hash_one(text), is_it, hash) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(claim);
                true
            }
        }
    }

    /// Takes a claim back, if it is there.
    pub(super) fn remove(&mut self, claim: Claim, text: &str, hasher: &RandomState) {
        let hash = hasher.hash_one(text);
        if let Ok(found) = self.table.find_entry(hash, |known| *known == claim) {
            found.remove();
        }
    }
}

impl Affixes {
    pub(super) fn for_so_many(count: usize) -> Self {
        Self {
            claims: Claims::for_so_many(count),
            lengths: Vec::new(),
        }
    }

    /// As [`Claims::add`].
    pub(super) fn add(&mut self, claim: Claim, text: &str, places: &Places, hasher: &RandomState) -> bool {
        match self.find_length(text.len()) {
            Ok(at) => {
                if let Some((_, count)) = self.lengths.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => self.lengths.insert(at, (text.len(), 1)),
        }
        self.claims.add(claim, text, places, hasher)
    }

    pub(super) fn remove(&mut self, claim: Claim, text: &str, hasher: &RandomState) {
        self.claims.remove(claim, text, hasher);
        if let Ok(at) = self.find_length(text.len())
            && let Some((_, count)) = self.lengths.get_mut(at)
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(at);
            }
        }
    }

    /// The host of the longest text that `cut` finds in `name` and that has at least `least` bytes, and less than `below`.
    pub(super) fn longest<'a>(
        &self,
        (name, least, below): (&str, usize, usize),
        cut: fn(&str, usize) -> Option<&str>,
        places: &'a Places,
        hasher: &RandomState,
    ) -> Option<&'a Arc<VirtualHost>> {
        let lengths = self.lengths.iter().map(|(length, _)| *length);
        let lengths = lengths
            .take_while(|length| *length >= least)
            .filter(|length| *length < below);
        lengths
            .filter_map(|length| cut(name, length))
            .find_map(|text| self.claims.find(text, places, hasher))
    }

    fn find_length(&self, length: usize) -> Result<usize, usize> {
        self.lengths.binary_search_by(|(known, _)| length.cmp(known))
    }
}

/// What a domain is found by.
pub(super) fn text_of(claim: Claim, places: &Places) -> &str {
    let host = places.get(claim.place as usize).and_then(Option::as_ref);
    match host.and_then(|host| host.asked_at(claim.domain)) {
        Some(Asked::Name(text, _) | Asked::Suffix(text) | Asked::Prefix(text)) => text,
        Some(Asked::Any) | None => "",
    }
}
