//! How are the keys of tables hashed that the configuration fills? By a fast hash with a seed of the process.
//!
//! A client that asks chooses a key and seldom what is in the table (a pool has a place for each host where handshakes name it, and
//! only while it is connected to), and nobody who writes the configuration knows the seed: entries that collide by intent, which
//! SipHash is slow for, are not to be had. A table that peers alone fill keeps the standard library's hash.

use foldhash::fast::RandomState;

/// By key, for keys of the configuration.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set of keys of the configuration.
pub(crate) type HashSet<K> = std::collections::HashSet<K, RandomState>;
