//! A field mask: which fields are left of a message?

use std::fmt;

use tidegate_xds::text::Json;

/// The paths of fields that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask {
    paths: Vec<Vec<Box<str>>>,
}

impl Mask {
    /// Reads `a.b,c`.
    pub(super) fn read(text: &str) -> Self {
        let path = |path: &str| path.split('.').map(Into::into).collect();
        Self {
            paths: text.split(',').map(path).collect(),
        }
    }

    /// The fields at the top.
    pub(super) fn tops(&self) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .filter_map(|path| path.first().map(|top| &**top))
    }

    /// Whether a field at the top, or a part of it, is kept.
    pub(super) fn has(&self, top: &str) -> bool {
        self.tops().any(|known| known == top)
    }

    /// Whether every path begins with one of these fields.
    pub(super) fn fits(&self, fields: &[&str]) -> bool {
        self.tops().all(|top| fields.contains(&top))
    }

    /// Whether a part of a field at the top is asked for.
    pub(super) fn goes_into(&self, top: &str) -> bool {
        self.into(top).is_some()
    }

    /// The mask for a field at the top; none where all of it is kept.
    pub(super) fn into(&self, top: &str) -> Option<Self> {
        let mut paths = Vec::new();
        for path in &self.paths {
            match path.split_first() {
                Some((first, [])) if &**first == top => return None,
                Some((first, rest)) if &**first == top => paths.push(rest.to_vec()),
                _ => {}
            }
        }
        (!paths.is_empty()).then_some(Self { paths })
    }

    /// What is left of a message. The type of a message in an `Any` stays, as it is no field.
    pub(super) fn of(&self, json: Json) -> Json {
        let Json::Map(fields) = json else {
            return json;
        };
        let keep = |(name, value): (Box<str>, Json)| match () {
            () if &*name == "@type" => Some((name, value)),
            () if !self.has(&name) => None,
            () => match self.into(&name) {
                Some(inner) => Some((name, inner.of(value))),
                None => Some((name, value)),
            },
        };
        Json::Map(fields.into_iter().filter_map(keep).collect())
    }

    /// As Envoy shows it where it cannot be used.
    pub(super) fn debug(&self) -> String {
        let paths: Vec<String> = self
            .paths
            .iter()
            .map(|path| format!("\"{}\"", path.join(".")))
            .collect();
        match paths.as_slice() {
            [one] => format!("paths: {one}\n"),
            many => many.iter().map(|path| format!("paths: {path}\n")).collect(),
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.paths.iter().map(|path| path.join(".")).collect();
        f.write_str(&paths.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, Json)]) -> Json {
        Json::Map(
            fields
                .iter()
                .map(|(name, value)| ((*name).into(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn what_no_path_names_is_cut() {
        let text = |text: &str| Json::Text(text.to_owned());
        let cluster = map(&[("@type", text("t")), ("name", text("n")), ("type", text("EDS"))]);
        let whole = map(&[("cluster", cluster), ("last_updated", text("now"))]);
        let check = |mask, expected: &str| {
            assert_eq!(Mask::read(mask).of(whole.clone()).compact(), expected, "{mask}");
        };
        check("cluster.name", r#"{"cluster":{"@type":"t","name":"n"}}"#);
        check("last_updated", r#"{"last_updated":"now"}"#);
        check(
            "cluster.name,cluster",
            r#"{"cluster":{"@type":"t","name":"n","type":"EDS"}}"#,
        );
        check("cluster.name,cluster.type,last_updated", &whole.compact());
        check("other", "{}");
    }

    #[test]
    fn a_mask_fits_what_has_its_first_fields() {
        assert!(Mask::read("cluster.name,last_updated").fits(&["cluster", "last_updated"]));
        assert!(!Mask::read("cluster,bogus").fits(&["cluster"]));
    }
}
