//! Which messages are there? Envoy's descriptors, of which only the files that a text needs are loaded.

use std::collections::{BTreeSet, HashMap};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use super::write::{Secrets, Writer};
use super::{Format, Json, Parsed, Problem, Unknown};

/// All of Envoy's messages, as `cargo xtask descriptors` writes them.
pub(super) static DESCRIPTORS: &[u8] = include_bytes!("descriptors.binpb");

/// What Envoy 1.40 has beyond the descriptors: the type is known, what is in it is not.
const WITHOUT_DESCRIPTOR: [&str; 9] = [
    "envoy.extensions.http.ai_filters.schema_validation.v3.SchemaValidation",
    "envoy.extensions.http.ai_filters.transcoder.v3.Transcoder",
    "envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier",
    "envoy.extensions.router.route_specifiers.dynamic_modules.v3.DynamicModuleRouteSpecifier",
    "envoy.extensions.transport_sockets.tls.handshakers.dynamic_modules.v3.DynamicModuleTlsHandshaker",
    "xds.type.matcher.v3.CelMatcher",
    "xds.type.matcher.v3.HttpAttributesCelMatchInput",
    "xds.type.matcher.v3.IPMatcher",
    "xds.type.matcher.v3.ServerNameMatcher",
];

/// Whether Envoy has a message of this name, so that an extension configured by it is one that Envoy knows. Takes about as long
/// as reading the descriptors once: ask only about what is unknown to us.
#[must_use]
pub fn is_known_to_envoy(name: &str) -> bool {
    WITHOUT_DESCRIPTOR.contains(&name) || files().any(|file| file.messages.iter().any(|known| known == name))
}

/// Whether the type is Envoy's and nothing is known of its fields.
pub(super) fn is_opaque(name: &str) -> bool {
    WITHOUT_DESCRIPTOR.contains(&name)
}

/// The descriptors that some messages need. Costs megabytes: dropped after use.
#[derive(Clone, Debug)]
pub struct Schema {
    pool: DescriptorPool,
}

impl Schema {
    /// The descriptors of the messages whose names these are or begin with, and of all that they refer to.
    fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let files: Vec<File> = files().collect();
        let by_name: HashMap<&str, &File> = files.iter().map(|file| (file.name, file)).collect();
        let mut by_message: HashMap<&str, &File> = HashMap::new();
        for file in &files {
            by_message.extend(file.messages.iter().map(|message| (message.as_str(), file)));
        }
        let mut wanted = BTreeSet::new();
        let mut next: Vec<&str> = names
            .into_iter()
            .chain(WELL_KNOWN)
            .flat_map(|name| (1..=name.len()).filter_map(|length| name.get(..length)))
            .filter_map(|prefix| by_message.get(prefix).map(|file| file.name))
            .collect();
        while let Some(name) = next.pop() {
            if wanted.insert(name)
                && let Some(file) = by_name.get(name)
            {
                next.extend(&file.imports);
            }
        }
        // Imports come first in the set, and stay so.
        let mut set = Vec::new();
        for file in files.iter().filter(|file| wanted.contains(file.name)) {
            prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut set);
            prost::encoding::encode_varint(file.encoded.len() as u64, &mut set);
            set.extend_from_slice(file.encoded);
        }
        Self {
            // What is built in is well-formed; without it every name is unknown, which is told as such.
            pool: DescriptorPool::decode(set.as_slice()).unwrap_or_default(),
        }
    }

    /// The descriptors that texts or encoded messages need: those of the messages named `roots`, and every type URL that stands
    /// in `contents`.
    #[must_use]
    pub fn for_contents<'c>(roots: &[&'c str], contents: impl IntoIterator<Item = &'c [u8]>) -> Self {
        let mut names: BTreeSet<&str> = roots.iter().copied().collect();
        names.extend(contents.into_iter().flat_map(mentioned));
        Self::of(names)
    }

    /// Reads a message of the type that `name` names, such as `envoy.config.bootstrap.v3.Bootstrap`.
    ///
    /// # Errors
    /// The first thing that is wrong; what is merely unknown only when nothing else is wrong.
    pub fn parse(
        &self,
        text: &[u8],
        format: Format,
        name: &str,
        unknown: Unknown,
    ) -> Result<Parsed, Problem> {
        super::parse_with(self, text, format, name, unknown)
    }

    /// An encoded message as Envoy's admin endpoints show it; `None` when the type is unknown or the bytes are no message of it.
    ///
    /// `type_url` is a type URL or the name of a message.
    #[must_use]
    pub fn to_json(&self, type_url: &str, bytes: &[u8], secrets: Secrets) -> Option<Json> {
        let name = type_url.rsplit('/').next().unwrap_or(type_url);
        let message = DynamicMessage::decode(self.message(name)?, bytes).ok()?;
        Some(Writer::new(self, secrets).message(&message, false))
    }

    /// The message of this name.
    pub(super) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(name)
    }
}

/// What any text may refer to.
const WELL_KNOWN: [&str; 8] = [
    "google.protobuf.Any",
    "google.protobuf.Duration",
    "google.protobuf.Empty",
    "google.protobuf.FieldMask",
    "google.protobuf.Struct",
    "google.protobuf.Timestamp",
    "google.protobuf.UInt32Value",
    "validate.FieldRules",
];

/// What follows each slash as far as it may be the name of a message: more than type URLs, never less. In an encoded message
/// a name may seem longer than it is, as the byte after it may be a letter.
fn mentioned(bytes: &[u8]) -> impl Iterator<Item = &str> + use<'_> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'_';
    bytes
        .split(|byte| *byte == b'/')
        .skip(1)
        .filter_map(move |rest| {
            let end = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
            std::str::from_utf8(rest.get(..end)?).ok()
        })
        .filter(|name| name.contains('.'))
}

/// A file of the descriptors.
struct File {
    name: &'static str,
    imports: Vec<&'static str>,
    /// Full names.
    messages: Vec<String>,
    encoded: &'static [u8],
}

fn files() -> impl Iterator<Item = File> {
    fields(DESCRIPTORS)
        .filter(|(number, _)| *number == 1)
        .map(|(_, encoded)| {
            let mut file = File {
                name: "",
                imports: Vec::new(),
                messages: Vec::new(),
                encoded,
            };
            let mut package = "";
            let mut messages = Vec::new();
            for (number, content) in fields(encoded) {
                match number {
                    1 => file.name = text(content),
                    2 => package = text(content),
                    3 => file.imports.push(text(content)),
                    4 => messages.push(content),
                    _ => {}
                }
            }
            for message in messages {
                collect(package, message, &mut file.messages);
            }
            file
        })
}

/// The names of a message and of those nested in it.
fn collect(outer: &str, message: &'static [u8], names: &mut Vec<String>) {
    let own = fields(message)
        .find(|(number, _)| *number == 1)
        .map_or("", |(_, name)| text(name));
    let full = format!("{outer}.{own}");
    for (_, nested) in fields(message).filter(|(number, _)| *number == 3) {
        collect(&full, nested, names);
    }
    names.push(full);
}

fn text(bytes: &'static [u8]) -> &'static str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The length-delimited fields of an encoded message.
fn fields(mut bytes: &'static [u8]) -> impl Iterator<Item = (u64, &'static [u8])> {
    std::iter::from_fn(move || {
        while !bytes.is_empty() {
            let tag = prost::encoding::decode_varint(&mut bytes).ok()?;
            let length = match tag & 7 {
                0 => {
                    prost::encoding::decode_varint(&mut bytes).ok()?;
                    continue;
                }
                1 => 8,
                2 => usize::try_from(prost::encoding::decode_varint(&mut bytes).ok()?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (content, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if tag & 7 == 2 {
                return Some((tag >> 3, content));
            }
        }
        None
    })
}
