//! Whose certificates does a `CertificateValidationContext` believe?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use tidegate_proxy::tls::pin::Pin;
use tidegate_proxy::tls::trust::{NameKind, NameMatch, Pattern, Revocation, TextMatch, Trust};

use super::certificate::shown;
use super::source::{Content, FileRead};
use super::{ShownCertificate, source};
use crate::translate::notes::Notes;
use crate::translate::{Reject, text_match};

/// Who is believed.
#[derive(Clone, Debug)]
pub(super) enum Believed {
    /// Whoever answers: nothing is said about it.
    Anyone,
    /// Whoever has a certificate that fits.
    Some(Trust),
}

/// A validation context that was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) believed: Believed,
    pub(super) files: Vec<FileRead>,
    /// What of it was in other places, as it was when it was read: `trusted_ca` and `crl`.
    contents: [Option<Content>; 2],
    pub(super) shown: Vec<ShownCertificate>,
}

/// Reads a validation context; `path` is where it stands.
pub(super) fn read(
    message: &envoy::CertificateValidationContext,
    path: &str,
    notes: &mut Notes,
) -> Result<Read, Reject> {
    unsupported(message, path)?;
    notes.ignored(
        format_args!("{path}.suppress_client_ca_list"),
        message.suppress_client_ca_list,
    );
    let names = names(message, path)?;
    let pins = pins(message)?;
    let mut read = Read {
        believed: Believed::Anyone,
        files: Vec::new(),
        contents: [None, None],
        shown: Vec::new(),
    };
    let Some(authorities) = &message.trusted_ca else {
        without_authority(message, &names)?;
        if accepts_untrusted(message) {
            // A certificate is asked for, whatever it is like.
            read.believed = Believed::Some(Trust::dangerously_in_anyone());
        } else if !pins.is_empty() {
            read.believed = Believed::Some(Trust::in_pinned(pins));
        }
        return Ok(read);
    };
    let authorities = source::read(authorities)?;
    if authorities.bytes.is_empty() {
        return refuse("DataSource cannot be empty");
    }
    let mut trust = Trust::in_pem(&authorities.bytes).map_err(|_| {
        Reject::Resource(format!(
            "Failed to load trusted CA certificates from {}",
            authorities.place()
        ))
    })?;
    read.shown = shown(&authorities, true);
    read.files.extend(authorities.file_read());
    read.contents[0] = Some(authorities);
    if let Some(lists) = &message.crl {
        let lists = source::read(lists)?;
        // As Envoy: text without a list is no list.
        if lists.bytes.windows(CRL.len()).any(|part| part == CRL) {
            trust = trust
                .with_revoked(&lists.bytes)
                .map_err(|_| Reject::Resource(format!("Failed to load CRL from {}", lists.place())))?;
        }
        read.files.extend(lists.file_read());
        read.contents[1] = Some(lists);
    }
    if message.only_verify_leaf_cert_crl {
        trust.revocation = Revocation::Own;
    }
    trust.names = names;
    trust.pins = pins;
    if accepts_untrusted(message) {
        // As in Envoy: names and pins count for nothing then.
        trust = Trust::dangerously_in_anyone();
    }
    read.believed = Believed::Some(trust);
    Ok(read)
}

impl Read {
    /// The context with all that it names by file in it, so that who builds with it later has what was read here, whatever has
    /// become of the files.
    pub(super) fn whole(
        self,
        message: &envoy::CertificateValidationContext,
    ) -> envoy::CertificateValidationContext {
        let mut whole = message.clone();
        let fields = [&mut whole.trusted_ca, &mut whole.crl];
        for (field, content) in fields.into_iter().zip(self.contents) {
            if let (Some(source), Some(content)) = (field, content) {
                source.specifier = Some(Specifier::InlineBytes(content.bytes.to_vec()));
            }
        }
        whole
    }
}

fn accepts_untrusted(message: &envoy::CertificateValidationContext) -> bool {
    message.trust_chain_verification == TrustChainVerification::AcceptUntrusted as i32
}

fn without_authority(
    message: &envoy::CertificateValidationContext,
    names: &[NameMatch],
) -> Result<(), Reject> {
    if let Some(lists) = &message.crl {
        let why = format!(
            "Failed to load CRL from {} without trusted CA",
            source::read(lists)?.place()
        );
        return Err(Reject::Resource(why));
    }
    if !names.is_empty() {
        return refuse(
            "SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
        );
    }
    if message.allow_expired_certificate {
        return refuse("Certificate validity period is always ignored without trusted CA");
    }
    Ok(())
}

fn unsupported(message: &envoy::CertificateValidationContext, path: &str) -> Result<(), Reject> {
    let sct = &message.require_signed_certificate_timestamp;
    let fields = [
        (
            "ca_certificate_provider_instance",
            message.ca_certificate_provider_instance.is_some(),
        ),
        ("system_root_certs", message.system_root_certs.is_some()),
        (
            "require_signed_certificate_timestamp",
            sct.is_some_and(|required| required.value),
        ),
        (
            "allow_expired_certificate",
            message.allow_expired_certificate && message.trusted_ca.is_some(),
        ),
        (
            "custom_validator_config",
            message.custom_validator_config.is_some(),
        ),
        (
            "max_verify_depth",
            message.max_verify_depth.is_some_and(|depth| depth.value < 6),
        ),
    ];
    match fields.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(Reject::unsupported(format_args!("{path}.{field}"))),
        None => Ok(()),
    }
}

fn names(message: &envoy::CertificateValidationContext, path: &str) -> Result<Vec<NameMatch>, Reject> {
    let mut names = Vec::new();
    for (index, name) in message.match_typed_subject_alt_names.iter().enumerate() {
        let path = format!("{path}.match_typed_subject_alt_names[{index}]");
        let kind = match SanType::try_from(name.san_type).unwrap_or_default() {
            SanType::Email => NameKind::Email,
            SanType::Dns => NameKind::Dns,
            SanType::Uri => NameKind::Uri,
            SanType::IpAddress => NameKind::Ip,
            SanType::OtherName if name.oid.is_empty() => {
                return refuse("Failed to create SAN matcher for OTHER_NAME with OID: ");
            }
            SanType::OtherName | SanType::Unspecified => return Err(Reject::unsupported(path)),
        };
        if let Some(matcher) = &name.matcher {
            names.push(name_match(Some(kind), matcher, &path)?);
        }
    }
    for (index, matcher) in message.match_subject_alt_names.iter().enumerate() {
        let path = format!("{path}.match_subject_alt_names[{index}]");
        names.push(name_match(None, matcher, &path)?);
    }
    Ok(names)
}

fn name_match(kind: Option<NameKind>, matcher: &StringMatcher, path: &str) -> Result<NameMatch, Reject> {
    let Some(wanted) = &matcher.match_pattern else {
        return Err(Reject::unsupported(path));
    };
    // Host names are compared without case anyway.
    let without_case = matcher.ignore_case && kind != Some(NameKind::Dns);
    let text = match wanted {
        MatchPattern::Exact(text) if without_case => pattern("", text, "")?,
        MatchPattern::Prefix(text) if without_case => pattern("", text, "(?s:.*)")?,
        MatchPattern::Suffix(text) if without_case => pattern("(?s:.*)", text, "")?,
        MatchPattern::Contains(text) if without_case => pattern("(?s:.*)", text, "(?s:.*)")?,
        MatchPattern::Exact(text) => TextMatch::Exact(text.as_str().into()),
        MatchPattern::Prefix(text) => TextMatch::Prefix(text.as_str().into()),
        MatchPattern::Suffix(text) => TextMatch::Suffix(text.as_str().into()),
        MatchPattern::Contains(text) => TextMatch::Contains(text.as_str().into()),
        MatchPattern::SafeRegex(regex) => {
            text_match::text_regex(&regex.regex)?;
            TextMatch::Regex(checked(&regex.regex)?)
        }
        MatchPattern::Custom(_) => return Err(Reject::unsupported(path)),
    };
    Ok(NameMatch { kind, text })
}

fn pattern(before: &str, text: &str, after: &str) -> Result<TextMatch, Reject> {
    let expression = format!("{before}(?i:{}){after}", regex::escape(text));
    checked(&expression).map(TextMatch::Regex)
}

fn checked(expression: &str) -> Result<Pattern, Reject> {
    Pattern::new(expression).map_err(|error| Reject::Resource(error.to_string()))
}

fn pins(message: &envoy::CertificateValidationContext) -> Result<Vec<Pin>, Reject> {
    let mut pins = Vec::new();
    for text in &message.verify_certificate_hash {
        let hash = hexadecimal(&text.replace(':', ""));
        pins.push(Pin::Certificate(hash.ok_or_else(|| {
            Reject::Resource(format!("Invalid hex-encoded SHA-256 {text}"))
        })?));
    }
    for text in &message.verify_certificate_spki {
        let hash = STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok());
        pins.push(Pin::Key(hash.ok_or_else(|| {
            Reject::Resource(format!("Invalid base64-encoded SHA-256 {text}"))
        })?));
    }
    Ok(pins)
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .filter_map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect();
    bytes.try_into().ok()
}

fn refuse<T>(why: &str) -> Result<T, Reject> {
    Err(Reject::Resource(why.to_owned()))
}

const CRL: &[u8] = b"BEGIN X509 CRL";

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::DataSource;
    use tidegate_testkit::certificates::Authority;

    use super::*;

    #[test]
    fn who_accepts_the_untrusted_asks_for_a_certificate_and_not_what_is_in_it() {
        let check = |accepts: bool, authority: bool, pins: usize, expected: Option<usize>| {
            let verification = if accepts {
                TrustChainVerification::AcceptUntrusted
            } else {
                TrustChainVerification::VerifyTrustChain
            };
            let pem = Specifier::InlineString(Authority::new("a").pem);
            let message = envoy::CertificateValidationContext {
                trust_chain_verification: verification as i32,
                trusted_ca: authority.then(|| DataSource {
                    specifier: Some(pem),
                    ..DataSource::default()
                }),
                verify_certificate_hash: vec!["ab".repeat(32); pins],
                ..Default::default()
            };
            let believed = read(&message, "", &mut Notes::default()).unwrap().believed;
            let asked = match believed {
                Believed::Anyone => None,
                Believed::Some(trust) => Some(trust.pins.len()),
            };
            assert_eq!(asked, expected, "{accepts} {authority} {pins}");
        };
        check(false, false, 0, None);
        check(false, false, 1, Some(1));
        check(false, true, 1, Some(1));
        check(true, false, 0, Some(0));
        check(true, false, 1, Some(0));
        check(true, true, 1, Some(0));
    }
}
