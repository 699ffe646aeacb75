//! What does a certificate say: whose it is, which names it has, until when?
//!
//! ```
//! use tidegate_proxy::tls::certificate::Facts;
//! use tidegate_testkit::certificates::Authority;
//!
//! let certificate = Authority::new("example").server("a.example").certificate();
//! let facts = Facts::read(&certificate).ok_or("no X.509 certificate")?;
//! assert_eq!(facts.hosts().collect::<Vec<_>>(), ["a.example"]);
//! assert!(facts.expires_at > std::time::SystemTime::now());
//! # Ok::<(), &'static str>(())
//! ```

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::der::{self, Element, Reader};

/// What a certificate (RFC 5280) says, as far as names and time go. Whether any of it is true, verification decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its subject as RFC 2253 writes it: `CN=a.example,O=Example`. Control characters are escaped.
    pub subject: String,
    /// Its issuer, written in the same way.
    pub issuer: String,
    /// Its subject alternative names, in order; kinds that nothing here uses are left out.
    pub names: Vec<SubjectName>,
    /// Its subject's common name, where there is one.
    pub common_name: Option<String>,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// Its first second.
    pub valid_from: SystemTime,
    /// Its last second.
    pub expires_at: SystemTime,
}

/// One subject alternative name (RFC 5280 §4.2.1.6). Names with bytes that are not printable ASCII are left out, so that
/// they fit headers and logs as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// A host name, perhaps `*.` first.
    Dns(String),
    /// A URI, such as a SPIFFE id.
    Uri(String),
    /// An address.
    Ip(IpAddr),
    /// A mail address.
    Email(String),
}

impl Facts {
    /// Reads a certificate; none where the bytes are not one.
    #[must_use]
    pub fn read(certificate: &[u8]) -> Option<Self> {
        let mut outer = Reader::new(Reader::new(certificate).expect(der::SEQUENCE)?);
        let mut body = Reader::new(outer.expect(der::SEQUENCE)?);
        body.optional(VERSION);
        let (serial, _algorithm) = (body.next()?, body.expect(der::SEQUENCE)?);
        let issuer = body.expect(der::SEQUENCE)?;
        let mut validity = Reader::new(body.expect(der::SEQUENCE)?);
        let (from, until) = (validity.next()?, validity.next()?);
        let subject = body.expect(der::SEQUENCE)?;
        let _key = body.expect(der::SEQUENCE)?;
        Some(Self {
            subject: distinguished_name(subject)?,
            issuer: distinguished_name(issuer)?,
            names: alternative_names(body).unwrap_or_default(),
            common_name: common_name(subject),
            serial: hexadecimal(serial.value),
            valid_from: time(from)?,
            expires_at: time(until)?,
        })
    }

    /// What each certificate of PEM text says, in order; what is none is passed over.
    #[must_use]
    pub fn read_pem(text: &[u8]) -> Vec<Self> {
        let certificates = CertificateDer::pem_slice_iter(text).flatten();
        certificates
            .filter_map(|certificate| Self::read(&certificate))
            .collect()
    }

    /// The host names that it is for: its DNS names or, where it has none, its common name (as Envoy has it).
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let mut names = self
            .names
            .iter()
            .filter_map(|name| match name {
                SubjectName::Dns(host) => Some(host.as_str()),
                _ => None,
            })
            .peekable();
        let fallback = self.common_name.as_deref().filter(|_| names.peek().is_none());
        names.chain(fallback)
    }
}

/// The public key of a certificate, with all that says what kind it is (`SubjectPublicKeyInfo`).
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader::new(Reader::new(certificate).expect(der::SEQUENCE)?);
    let mut body = Reader::new(outer.expect(der::SEQUENCE)?);
    body.optional(VERSION);
    // Number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        body.next()?;
    }
    body.whole()
}

impl SubjectName {
    fn read(element: Element<'_>) -> Option<Self> {
        let text = || {
            let text = str::from_utf8(element.value).ok()?;
            text.bytes()
                .all(|byte| byte.is_ascii_graphic())
                .then(|| text.to_owned())
        };
        match element.tag {
            EMAIL => text().map(Self::Email),
            DNS => text().map(Self::Dns),
            URI => text().map(Self::Uri),
            IP => match *element.value {
                [a, b, c, d] => Some(Self::Ip([a, b, c, d].into())),
                _ => <[u8; 16]>::try_from(element.value)
                    .ok()
                    .map(|bytes| Self::Ip(bytes.into())),
            },
            _ => None,
        }
    }
}

impl std::fmt::Display for SubjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The names in the extensions, which stand last in the body.
fn alternative_names(mut body: Reader<'_>) -> Option<Vec<SubjectName>> {
    let extensions = std::iter::from_fn(|| body.next()).find(|element| element.tag == EXTENSIONS)?;
    let mut extensions = Reader::new(Reader::new(extensions.value).expect(der::SEQUENCE)?);
    loop {
        let mut extension = Reader::new(extensions.expect(der::SEQUENCE)?);
        let id = extension.expect(der::OBJECT_IDENTIFIER)?;
        if id == SUBJECT_ALTERNATIVE_NAME {
            extension.optional(der::BOOLEAN);
            let value = extension.expect(der::OCTET_STRING)?;
            let mut names = Reader::new(Reader::new(value).expect(der::SEQUENCE)?);
            let names = std::iter::from_fn(|| names.next());
            return Some(names.filter_map(SubjectName::read).collect());
        }
    }
}

/// The attributes of a name, each with its type.
fn attributes<'a>(name: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Element<'a>)> {
    let mut sets = Reader::new(name);
    let sets = std::iter::from_fn(move || sets.expect(der::SET));
    sets.flat_map(|set| {
        let mut pairs = Reader::new(set);
        std::iter::from_fn(move || {
            let mut pair = Reader::new(pairs.expect(der::SEQUENCE)?);
            Some((pair.expect(der::OBJECT_IDENTIFIER)?, pair.next()?))
        })
    })
}

fn common_name(name: &[u8]) -> Option<String> {
    let (_, value) = attributes(name).find(|(id, _)| *id == COMMON_NAME)?;
    text(value)
}

/// RFC 2253: the last part first.
fn distinguished_name(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    for (id, value) in attributes(name) {
        let label = LABELS.iter().find(|(known, _)| *known == id);
        let mut part = match label {
            Some((_, label)) => format!("{label}="),
            None => format!("{}=", dotted(id)),
        };
        escape(&text(value)?, &mut part);
        parts.push(part);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn text(element: Element<'_>) -> Option<String> {
    if element.tag == der::BMP_STRING {
        let units = element.value.chunks_exact(2).map(|unit| match *unit {
            [high, low] => u16::from_be_bytes([high, low]),
            _ => 0,
        });
        return Some(
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or('\u{fffd}'))
                .collect(),
        );
    }
    Some(String::from_utf8_lossy(element.value).into_owned())
}

/// RFC 2253 §2.4, and whatever is not printable as the hexadecimal of its bytes.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string cannot fail.
                    _ = write!(out, "\\{byte:02X}");
                }
            }
        }
    }
}

/// A number as it is written: a zero in front says only that it is not negative.
fn hexadecimal(number: &[u8]) -> String {
    let number = match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        number => number,
    };
    number.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dotted(id: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in id {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(number);
            number = 0;
        }
    }
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(".")
}

/// RFC 5280 §4.1.2.5: always in UTC, always with seconds.
fn time(element: Element<'_>) -> Option<SystemTime> {
    let text = str::from_utf8(element.value).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (element.tag, text.len()) {
        (der::UTC_TIME, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (der::GENERALIZED_TIME, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| -> Option<i64> { rest.get(at..at + 2)?.parse().ok() };
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// Of the Gregorian calendar; the year is taken to begin in March, which puts the leap day last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const LABELS: [(&[u8], &str); 6] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
];

#[cfg(test)]
mod tests;
