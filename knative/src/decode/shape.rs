//! Which fields of the parts we only hand on are legal, as tables (Knative's CRDs, `serving-service.yaml`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::Field;
use super::fields::Fields;

/// What a field that is only handed on has to look like.
pub(super) enum Shape {
    /// Any map: the CRD does not look inside.
    AnyMap,
    /// Any list: the CRD does not look inside.
    AnyList,
    /// Text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number from 0 to this.
    UpTo(i64),
    /// A list of texts.
    Texts,
    /// A map of texts.
    TextMap,
    /// A number or text.
    NumberOrText,
    /// A map with these fields.
    Map(&'static [Row]),
    /// A list of such maps.
    Maps(&'static [Row]),
}

/// A field by name, and its shape.
pub(super) type Row = (&'static str, Shape);

const INT32_MAX: i64 = i32::MAX as i64;
/// File permissions, octal 0777.
const MODE_MAX: i64 = 0o777;

/// `securityContext` of a container and the other fields that only Kubernetes acts on.
pub(super) const CONTAINER: [Row; 4] = [
    (
        "imagePullPolicy",
        Shape::OneOf(&["Always", "IfNotPresent", "Never"]),
    ),
    ("terminationMessagePath", Shape::Text),
    (
        "terminationMessagePolicy",
        Shape::OneOf(&["File", "FallbackToLogsOnError"]),
    ),
    (
        "securityContext",
        Shape::Map(&[
            ("allowPrivilegeEscalation", Shape::Flag),
            (
                "capabilities",
                Shape::Map(&[("add", Shape::Texts), ("drop", Shape::Texts)]),
            ),
            ("privileged", Shape::Flag),
            ("readOnlyRootFilesystem", Shape::Flag),
            ("runAsGroup", Shape::UpTo(INT32_MAX)),
            ("runAsNonRoot", Shape::Flag),
            ("runAsUser", Shape::UpTo(INT32_MAX)),
            (
                "seccompProfile",
                Shape::Map(&[("localhostProfile", Shape::Text), ("type", Shape::Text)]),
            ),
        ]),
    ),
];

/// Fields of the pod that only Kubernetes acts on.
pub(super) const POD: [Row; 17] = [
    ("affinity", Shape::AnyMap),
    ("automountServiceAccountToken", Shape::Flag),
    ("dnsConfig", Shape::AnyMap),
    ("dnsPolicy", Shape::Text),
    ("hostAliases", Shape::AnyList),
    ("hostIPC", Shape::Flag),
    ("hostNetwork", Shape::Flag),
    ("hostPID", Shape::Flag),
    ("imagePullSecrets", Shape::Maps(&[("name", Shape::Text)])),
    ("nodeSelector", Shape::TextMap),
    ("priorityClassName", Shape::Text),
    ("runtimeClassName", Shape::Text),
    ("schedulerName", Shape::Text),
    ("securityContext", Shape::AnyMap),
    ("shareProcessNamespace", Shape::Flag),
    ("tolerations", Shape::AnyList),
    ("topologySpreadConstraints", Shape::AnyList),
];

const KEYS_TO_PATHS: &[Row] = &[
    ("key", Shape::Text),
    ("path", Shape::Text),
    ("mode", Shape::UpTo(MODE_MAX)),
];

/// The sources of a volume; exactly one of them makes a volume.
pub(super) const VOLUME_SOURCES: [Row; 9] = [
    (
        "configMap",
        Shape::Map(&[
            ("name", Shape::Text),
            ("items", Shape::Maps(KEYS_TO_PATHS)),
            ("defaultMode", Shape::UpTo(MODE_MAX)),
            ("optional", Shape::Flag),
        ]),
    ),
    (
        "secret",
        Shape::Map(&[
            ("secretName", Shape::Text),
            ("items", Shape::Maps(KEYS_TO_PATHS)),
            ("defaultMode", Shape::UpTo(MODE_MAX)),
            ("optional", Shape::Flag),
        ]),
    ),
    (
        "projected",
        Shape::Map(&[
            ("defaultMode", Shape::UpTo(MODE_MAX)),
            ("sources", Shape::Maps(PROJECTIONS)),
        ]),
    ),
    ("emptyDir", Shape::AnyMap),
    ("persistentVolumeClaim", Shape::AnyMap),
    ("ephemeral", Shape::AnyMap),
    ("hostPath", Shape::AnyMap),
    ("csi", Shape::AnyMap),
    ("image", Shape::AnyMap),
];

const PROJECTION: Shape = Shape::Map(&[
    ("name", Shape::Text),
    ("items", Shape::Maps(KEYS_TO_PATHS)),
    ("optional", Shape::Flag),
]);

const PROJECTIONS: &[Row] = &[
    ("configMap", PROJECTION),
    ("secret", PROJECTION),
    (
        "downwardAPI",
        Shape::Map(&[(
            "items",
            Shape::Maps(&[
                ("path", Shape::Text),
                ("mode", Shape::UpTo(MODE_MAX)),
                (
                    "fieldRef",
                    Shape::Map(&[("apiVersion", Shape::Text), ("fieldPath", Shape::Text)]),
                ),
                (
                    "resourceFieldRef",
                    Shape::Map(&[
                        ("containerName", Shape::Text),
                        ("resource", Shape::Text),
                        ("divisor", Shape::NumberOrText),
                    ]),
                ),
            ]),
        )]),
    ),
    (
        "serviceAccountToken",
        Shape::Map(&[
            ("audience", Shape::Text),
            ("expirationSeconds", Shape::UpTo(i64::MAX)),
            ("path", Shape::Text),
        ]),
    ),
];

/// The fields of `rows` that are there, checked, as they were written.
pub(super) fn checked(fields: &mut Fields<'_>, rows: &'static [Row]) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (name, shape) in rows {
        if let Some(field) = fields.take(name) {
            shape.check(&field);
            values.insert((*name).to_owned(), field.json());
        }
    }
    values
}

impl Shape {
    /// Tells where the field departs from the shape.
    pub(super) fn check(&self, field: &Field<'_>) {
        match self {
            Self::AnyMap => drop(field.entries()),
            Self::AnyList => drop(field.items()),
            Self::Text => drop(field.text()),
            Self::OneOf(words) => {
                if let Some(text) = field
                    .text()
                    .filter(|text| !text.is_empty() && !words.contains(&text.as_str()))
                {
                    field.refuse_value(text, &format!("expected {}", words.join(" or ")));
                }
            }
            Self::Flag => drop(field.boolean()),
            Self::UpTo(most) => drop(field.integer(0..=*most)),
            Self::Texts => drop(field.texts()),
            Self::TextMap => drop(field.text_map()),
            Self::NumberOrText => drop(field.quantity()),
            Self::Map(rows) => check_rows(field, rows),
            Self::Maps(rows) => field.items().iter().for_each(|item| check_rows(item, rows)),
        }
    }
}

fn check_rows(field: &Field<'_>, rows: &'static [Row]) {
    if let Some(mut fields) = field.fields() {
        checked(&mut fields, rows);
        fields.finish();
    }
}
