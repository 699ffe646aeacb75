//! How volumes and their mounts are read, and that they fit each other.

use std::collections::{BTreeMap, BTreeSet};

use super::field::Field;
use super::fields::Fields;
use super::shape::VOLUME_SOURCES;
use crate::names;
use crate::object::{Volume, VolumeMount, VolumeSource};

/// Where nothing can be mounted (Knative `pkg/apis/serving/k8s_validation.go`).
const RESERVED_PATHS: [&str; 3] = ["/", "/dev", "/dev/log"];

/// The volumes of a revision, each with its field.
pub(super) fn decode<'a>(spec: &mut Fields<'a>) -> Vec<(Field<'a>, Volume)> {
    let mut volumes: Vec<(Field<'a>, Volume)> = Vec::new();
    for item in spec
        .take("volumes")
        .map(|field| field.items())
        .unwrap_or_default()
    {
        let Some(volume) = volume(&item) else { continue };
        if volumes.iter().any(|(_, other)| other.name == volume.name) {
            item.refuse_below(
                &["name"],
                format!("duplicate volume name {:?}", volume.name),
                "rename one of them",
            );
        }
        volumes.push((item, volume));
    }
    volumes
}

fn volume(item: &Field<'_>) -> Option<Volume> {
    let mut fields = item.fields()?;
    let name = fields.require_text("name", "name the volume, as its mounts do");
    let mut sources: Vec<VolumeSource> = Vec::new();
    for (kind, shape) in &VOLUME_SOURCES {
        if let Some(field) = fields.take(kind) {
            shape.check(&field);
            sources.push(VolumeSource {
                kind: (*kind).to_owned(),
                value: field.json(),
            });
        }
    }
    fields.finish();
    if let [_, _, ..] = sources.as_slice() {
        let kinds: Vec<&str> = sources.iter().map(|source| source.kind.as_str()).collect();
        item.refuse(
            format!("expected exactly one, got both: {}", kinds.join(", ")),
            "make two volumes of it",
        );
    }
    let Some(source) = sources.pop() else {
        let kinds: Vec<&str> = VOLUME_SOURCES.iter().map(|(kind, _)| *kind).collect();
        item.refuse(
            "expected exactly one, got neither",
            &format!("say what is mounted: {}", kinds.join(", ")),
        );
        return None;
    };
    let name = name?;
    if !names::is_dns1123_label(&name) {
        item.refuse_below(
            &["name"],
            format!("invalid value: {name}"),
            "use lower-case letters, digits and dashes",
        );
    }
    Some(Volume { name, source })
}

/// One entry of `volumeMounts`.
pub(super) fn mount(item: &Field<'_>) -> Option<VolumeMount> {
    let mut fields = item.fields()?;
    let name = fields.require_text("name", "name the volume");
    let path = fields.require_text("mountPath", "say where the volume appears in the container");
    let sub_path = fields.text("subPath").filter(|path| !path.is_empty());
    let read_only = fields.flag("readOnly");
    let other = fields.json(&["mountPropagation"]);
    fields.finish();
    Some(VolumeMount {
        name: name?,
        mount_path: path?,
        sub_path,
        read_only,
        other,
    })
}

/// Checks the mounts of one container against the volumes, and makes them read-only where Knative does.
pub(super) fn settle_mounts(
    mounts: Vec<(Field<'_>, VolumeMount)>,
    volumes: &[(Field<'_>, Volume)],
) -> Vec<VolumeMount> {
    let sources: BTreeMap<&str, &VolumeSource> = volumes
        .iter()
        .map(|(_, volume)| (volume.name.as_str(), &volume.source))
        .collect();
    let mut paths = BTreeSet::new();
    let mut settled = Vec::new();
    for (field, mut mount) in mounts {
        match sources.get(mount.name.as_str()) {
            Some(source) => mount.read_only |= !source.is_writable(),
            None => field.refuse_below(
                &["name"],
                "volumeMount has no matching volume",
                "add it to spec.volumes",
            ),
        }
        check_path(&field, &mount.mount_path, &mut paths);
        settled.push(mount);
    }
    settled
}

fn check_path(field: &Field<'_>, path: &str, taken: &mut BTreeSet<String>) {
    let clean = clean(path);
    if RESERVED_PATHS.contains(&clean.as_str()) {
        field.refuse_below(
            &["mountPath"],
            format!("mountPath {clean:?} is a reserved path"),
            "mount it elsewhere",
        );
    } else if !path.starts_with('/') {
        field.refuse_below(
            &["mountPath"],
            format!("invalid value: {path}"),
            "write a path that begins with a slash",
        );
    } else if !taken.insert(clean) {
        field.refuse_below(
            &["mountPath"],
            format!("invalid value: {path:?} must be unique"),
            "mount it elsewhere",
        );
    }
}

/// The path without empty, `.` and `..` parts.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Tells the volumes that no container mounts.
pub(super) fn check_all_mounted(volumes: &[(Field<'_>, Volume)], mounted: &BTreeSet<String>) {
    for (field, volume) in volumes
        .iter()
        .filter(|(_, volume)| !mounted.contains(&volume.name))
    {
        let message = format!("volume with name {:?} not mounted", volume.name);
        field.refuse_below(&["name"], message, "mount it in a container, or remove it");
    }
}
