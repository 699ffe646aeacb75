//! How ConfigMaps, Secrets and Namespaces are read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::field::Field;
use super::fields::Fields;
use super::metadata::{self, NameRule};
use super::source;
use crate::object::{ConfigMap, Namespace, Secret};

/// The longest key of a ConfigMap or Secret (Kubernetes `IsConfigMapKey`).
const KEY_BYTES_MAX: usize = 253;

pub(super) fn config_map(document: &Field<'_>, mut fields: Fields<'_>) -> Option<ConfigMap> {
    let metadata = metadata::decode(&mut fields, NameRule::Dns1123Subdomain);
    let data = fields.take("data");
    let binary = fields.take("binaryData");
    fields.drop_all(&["immutable"]);
    fields.finish();
    let data = data.map(|field| texts(&field)).unwrap_or_default();
    let binary_data = binary.as_ref().map(bytes).unwrap_or_default();
    for key in binary_data.keys().filter(|key| data.contains_key(*key)) {
        document.refuse_below(
            &["binaryData", key],
            format!("duplicate key {key:?}"),
            "a key is either in data or in binaryData",
        );
    }
    Some(ConfigMap {
        source: source(document),
        metadata: metadata?,
        data,
        binary_data,
    })
}

pub(super) fn secret(document: &Field<'_>, mut fields: Fields<'_>) -> Option<Secret> {
    let metadata = metadata::decode(&mut fields, NameRule::Dns1123Subdomain);
    let mut data = fields.take("data").as_ref().map(bytes).unwrap_or_default();
    let plain = fields
        .take("stringData")
        .map(|field| texts(&field))
        .unwrap_or_default();
    data.extend(plain.into_iter().map(|(key, text)| (key, text.into_bytes())));
    let kind = fields.text("type").unwrap_or_else(|| "Opaque".to_owned());
    fields.drop_all(&["immutable"]);
    fields.finish();
    Some(Secret {
        source: source(document),
        metadata: metadata?,
        kind,
        data,
    })
}

pub(super) fn namespace(document: &Field<'_>, mut fields: Fields<'_>) -> Option<Namespace> {
    let metadata = metadata::decode(&mut fields, NameRule::Dns1123Label);
    fields.drop_all(&["spec"]);
    fields.finish();
    Some(Namespace {
        source: source(document),
        metadata: metadata?,
    })
}

fn texts(field: &Field<'_>) -> BTreeMap<String, String> {
    check_keys(field);
    field.text_map()
}

fn bytes(field: &Field<'_>) -> BTreeMap<String, Vec<u8>> {
    check_keys(field);
    field
        .entries()
        .into_iter()
        .filter_map(|(key, value)| Some((key, decoded(&value)?)))
        .collect()
}

fn decoded(field: &Field<'_>) -> Option<Vec<u8>> {
    if field.node().is_null() {
        return Some(Vec::new());
    }
    // Long values are broken over lines; Kubernetes ignores the breaks.
    let text: String = field.text()?.split(['\n', '\r']).collect();
    let bytes = STANDARD.decode(text).ok();
    if bytes.is_none() {
        // The value may be a secret: no part of it is shown.
        field.refuse(
            "no valid base64",
            "encode the value, or write it plain under stringData",
        );
    }
    bytes
}

fn check_keys(field: &Field<'_>) {
    let legal = |key: &str| {
        !key.is_empty()
            && key.len() <= KEY_BYTES_MAX
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    for (key, value) in field.entries() {
        if !legal(&key) {
            value.refuse(
                format!("invalid key name {key:?}"),
                "use letters, digits, dashes, dots and underscores",
            );
        }
    }
}
