//! Which templates are the same: a hash over everything they say, and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::revision::RevisionTemplate;

/// The content hash of a template after defaulting: only a template with another digest makes a new generation.
///
/// Neither the place in a file, nor the order of keys, nor comments count. Stable across runs of one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateDigest(String);

impl TemplateDigest {
    pub(super) fn of(template: &RevisionTemplate) -> Self {
        // Structs have a fixed order of fields and all our maps are sorted, so equal templates give equal bytes.
        let mut hash = Sha256::new();
        match serde_json::to_vec(template) {
            Ok(bytes) => hash.update(bytes),
            // No map of a template has other keys than texts, which is all that can fail here; should that ever
            // change, the debug form tells templates apart as well.
            Err(_) => hash.update(format!("{template:?}")),
        }
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digest in hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
