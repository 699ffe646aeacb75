//! Which resources does a file, or the dump of a running program, hold? For those who look at configurations without running them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use tidegate_xds::resource::{Kind, Raw};
use tidegate_xds::text::Schema;

use crate::bootstrap::Report;

mod dump;
mod file;

/// What a configuration holds.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// What it is called: the file's name, or the URL.
    pub name: String,
    /// All of them, in the order in which they stand there.
    pub list: Vec<Resource>,
    /// Endpoints that a running program knows beside its resources, as it does those of names that it looked up.
    pub known: Vec<Resource>,
    /// Whether keys and the like were blacked out, so that they cannot be compared.
    pub redacted: bool,
    /// What is to be known about it: updates that were refused, what still warms.
    pub remarks: Vec<String>,
}

/// A resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Of which kind.
    pub kind: Kind,
    /// Its name and bytes.
    pub raw: Raw,
    /// Where it stands: `file:line:column`, or the field of a dump.
    pub place: String,
}

impl Resources {
    /// Reads a file: a bootstrap, a configuration dump in JSON, or a `DiscoveryResponse`. What a bootstrap has in further files
    /// (`path_config_source` of CDS and LDS) is read too.
    ///
    /// # Errors
    /// When it cannot be read or understood; with the place, where there is one.
    pub fn of_file(path: &Path) -> Result<Self, Report> {
        file::read(path)
    }

    /// Reads what `/config_dump` answers, best with `?include_eds`. `name` is what it is called.
    ///
    /// # Errors
    /// When it is no such answer.
    pub fn of_dump(name: &str, text: &[u8]) -> Result<Self, Report> {
        dump::read(name, text).map_err(|message| refusal(name, None, message))
    }

    /// All of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Resource> {
        self.list.iter().filter(move |resource| resource.kind == kind)
    }
}

/// The descriptors for these resources.
#[must_use]
pub fn schema<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Schema {
    let roots = Kind::ALL.map(message_name);
    Schema::for_contents(
        &roots,
        resources.into_iter().map(|resource| &resource.raw.body[..]),
    )
}

/// The name of the message that describes a kind.
fn message_name(kind: Kind) -> &'static str {
    let url = kind.type_url();
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

fn refusal(name: &str, place: Option<String>, message: impl Into<String>) -> Report {
    Report {
        config: name.to_owned(),
        place,
        message: message.into(),
    }
}

/// What a text is, by the fields at its top.
fn top_fields(content: &[u8]) -> HashMap<String, Value> {
    serde_json::from_slice(content).unwrap_or_default()
}

#[cfg(test)]
mod tests;
