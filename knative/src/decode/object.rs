//! Which kind of object a document holds, and whether its version is the one we read.

use super::field::Field;
use super::fields::Fields;
use super::{core, spec};
use crate::names::SERVING_API_VERSION;
use crate::object::{Kind, Object};
use crate::suggest;

/// The object in a document.
pub(super) fn decode(document: &Field<'_>) -> Option<Object> {
    let mut fields = document.fields()?;
    let version = fields.require_text("apiVersion", "begin with apiVersion: serving.knative.dev/v1");
    let kind = fields.require("kind", "name the kind, such as Service");
    let (kind, version) = (kind?, version?);
    let text = kind.text()?;
    let Some(known) = Kind::ALL.into_iter().find(|known| known.as_str() == text) else {
        kind.refuse(format!("unknown kind {text:?} of {version}"), &kind_hint(&text));
        return None;
    };
    if version != known.api_version() {
        refuse_version(&fields, known, &version);
        return None;
    }
    fields.drop_all(&["status"]);
    match known {
        Kind::Service => spec::service(document, fields).map(Object::Service),
        Kind::Configuration => spec::configuration(document, fields).map(Object::Configuration),
        Kind::Route => spec::route(document, fields).map(Object::Route),
        Kind::ConfigMap => core::config_map(document, fields).map(Object::ConfigMap),
        Kind::Secret => core::secret(document, fields).map(Object::Secret),
        Kind::Namespace => core::namespace(document, fields).map(Object::Namespace),
    }
}

fn kind_hint(kind: &str) -> String {
    match kind {
        "Revision" => "revisions come from the template of a Service or Configuration".to_owned(),
        "List" => "write each item as a document of its own, with --- between them".to_owned(),
        _ => suggest::among(kind, Kind::ALL.map(Kind::as_str)),
    }
}

fn refuse_version(fields: &Fields<'_>, kind: Kind, version: &str) {
    let right = kind.api_version();
    let hint = match (kind, version) {
        (Kind::Service, "v1") => format!("this is Kubernetes' Service; Knative's is {SERVING_API_VERSION}"),
        _ => format!("write apiVersion: {right}"),
    };
    fields.refuse(
        "apiVersion",
        format!("a {kind} of {version:?} is not known"),
        &hint,
    );
}
