//! What a server has to give: immutable sets of encoded resources, which all clients share.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::resource::Kind;

/// One resource, encoded once for all clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    name: Arc<str>,
    body: Bytes,
    hash: u128,
    version: Box<str>,
    references: Vec<Reference>,
}

/// Another resource that one names: a change of it is a reason to try again what a client refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
}

/// Everything that one group of clients is to have. Cheap to clone; what two have in common they share.
///
/// ```
/// use tidegate_xds::resource::Kind;
/// use tidegate_xds::server::{Resource, Resources};
///
/// let one = Resources::default().with(Kind::Cluster, [Resource::new("a", "encoded"), Resource::new("b", "encoded")]);
/// let two = one.with(Kind::Cluster, [Resource::new("a", "changed")]).without(Kind::Cluster, ["b"]);
/// assert_eq!(two.names(Kind::Cluster).collect::<Vec<_>>(), ["a"]);
/// assert_ne!(one.version(Kind::Cluster), two.version(Kind::Cluster));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Resources {
    kinds: BTreeMap<Kind, Arc<Set>>,
}

/// The resources of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    by_name: BTreeMap<Arc<str>, Arc<Resource>>,
    version: Box<str>,
}

impl Resource {
    /// A resource of this name: the encoded message, without the `Any` around it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let hash = xxh3_128(&body);
        Self {
            name: name.into(),
            body,
            hash,
            version: version(hash),
            references: Vec::new(),
        }
    }

    /// Says which others it names.
    #[must_use]
    pub fn naming(self, references: impl IntoIterator<Item = Reference>) -> Self {
        let references = references.into_iter().collect();
        Self { references, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The encoded message.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The hash of the message.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// Its version in delta: its hash.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The others that it names.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }
}

impl Resources {
    /// These, with more of one kind; what has the name of one that was there replaces it.
    #[must_use]
    pub fn with<R: Into<Arc<Resource>>>(&self, kind: Kind, resources: impl IntoIterator<Item = R>) -> Self {
        self.changed(kind, |by_name| {
            let named = resources.into_iter().map(Into::into);
            by_name.extend(named.map(|resource: Arc<Resource>| (Arc::clone(&resource.name), resource)));
        })
    }

    /// These, without some of one kind.
    #[must_use]
    pub fn without<'a>(&self, kind: Kind, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.changed(kind, |by_name| {
            for name in names {
                by_name.remove(name);
            }
        })
    }

    /// The resource of this name.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        self.kinds.get(&kind)?.by_name.get(name)
    }

    /// The names of all of one kind, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let set = self.kinds.get(&kind);
        set.into_iter()
            .flat_map(|set| set.by_name.keys().map(AsRef::as_ref))
    }

    /// The version of one kind: one hash of the names and hashes of all.
    #[must_use]
    pub fn version(&self, kind: Kind) -> &str {
        self.kinds.get(&kind).map_or("", |set| &set.version)
    }

    pub(super) fn set(&self, kind: Kind) -> Arc<Set> {
        let set = self.kinds.get(&kind).cloned();
        set.unwrap_or_else(|| Arc::new(Set::of(BTreeMap::new())))
    }

    fn changed(&self, kind: Kind, change: impl FnOnce(&mut BTreeMap<Arc<str>, Arc<Resource>>)) -> Self {
        let mut kinds = self.kinds.clone();
        let mut by_name = kinds
            .remove(&kind)
            .map_or_else(BTreeMap::new, |set| set.by_name.clone());
        change(&mut by_name);
        kinds.insert(kind, Arc::new(Set::of(by_name)));
        Self { kinds }
    }
}

impl Set {
    fn of(by_name: BTreeMap<Arc<str>, Arc<Resource>>) -> Self {
        let version = version_of(by_name.values());
        Self { by_name, version }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.by_name.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// The version of a state of the world that consists of these, in the order of their names.
pub(super) fn version_of<'a>(resources: impl IntoIterator<Item = &'a Arc<Resource>>) -> Box<str> {
    let mut hash = Xxh3::new();
    for resource in resources {
        hash.update(&(resource.name.len() as u64).to_le_bytes());
        hash.update(resource.name.as_bytes());
        hash.update(&resource.hash.to_le_bytes());
    }
    version(hash.digest128())
}

/// The hash that a version of ours stands for; of any other text none.
pub(super) fn hash_of(version: &str) -> Option<u128> {
    let ours = version.len() == VERSION_DIGITS;
    ours.then(|| u128::from_str_radix(version, 16).ok())?
}

fn version(hash: u128) -> Box<str> {
    format!("{hash:0width$x}", width = VERSION_DIGITS).into()
}

const VERSION_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_content_whatever_the_way_to_it() {
        let [a, b] = ["a", "b"].map(|name| Arc::new(Resource::new(name, "x")));
        let both = Resources::default().with(Kind::Listener, [Arc::clone(&b), Arc::clone(&a)]);
        let more = both.with(Kind::Listener, [Resource::new("c", "y")]);
        assert_ne!(more.version(Kind::Listener), both.version(Kind::Listener));
        let back = more.without(Kind::Listener, ["c"]).with(Kind::Cluster, [a]);
        assert_eq!(back.version(Kind::Listener), both.version(Kind::Listener));
    }

    #[test]
    fn a_version_says_its_hash() {
        let resource = Resource::new("a", "x");
        assert_eq!(hash_of(resource.version()), Some(resource.hash()));
        assert_eq!(hash_of("1"), None);
    }
}
