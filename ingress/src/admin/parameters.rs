//! The parameters of a request's query, decoded.

use std::borrow::Cow;

/// Parameters in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    all: Vec<(String, String)>,
}

impl Parameters {
    /// Reads `a=b&c`; what is escaped is decoded, as far as it can be.
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name).into_owned(), decoded(value).into_owned())
        };
        Self {
            all: pairs.map(pair).collect(),
        }
    }

    /// The first of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The first of this name that says anything.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Text without `%xx`; a `+` stays one, as in Envoy: it stands in patterns.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_decoded_and_the_rest_stays() {
        let check = |query, expected: &[(&str, &str)]| {
            let parameters = Parameters::read(Some(query));
            assert_eq!(parameters.iter().collect::<Vec<_>>(), expected, "{query}");
        };
        check("graceful", &[("graceful", "")]);
        check("a=b&c=d%3De&&f", &[("a", "b"), ("c", "d=e"), ("f", "")]);
        check("filter=a.%2A+b", &[("filter", "a.*+b")]);
        check("x=%zz%4", &[("x", "%zz%4")]);
        check("x=%ff", &[("x", "\u{fffd}")]);
    }
}
