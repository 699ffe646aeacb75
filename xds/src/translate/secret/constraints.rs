//! Which constraints of their own may secrets and TLS contexts break?

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as envoy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::{
    OcspStaplePolicy, SessionTicketKeysType,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;

use crate::translate::constraint::{Checked, Rules};
use crate::translate::message::wide;
use crate::translate::text_match::check_string;

/// Of a secret.
pub(super) fn secret(message: &envoy::Secret) -> Checked {
    let of = Rules::of("Secret");
    match &message.r#type {
        Some(Type::TlsCertificate(certificate)) => {
            of.within("TlsCertificate", self::certificate(certificate))
        }
        Some(Type::ValidationContext(context)) => of.within("ValidationContext", validation(context)),
        Some(Type::SessionTicketKeys(keys)) => of.within("SessionTicketKeys", ticket_keys(keys)),
        Some(Type::GenericSecret(_)) | None => Ok(()),
    }
}

/// Of TLS towards clients.
pub(super) fn downstream(message: &envoy::DownstreamTlsContext) -> Checked {
    let of = Rules::of("DownstreamTlsContext");
    of.optional("CommonTlsContext", message.common_tls_context.as_ref(), common)?;
    of.defined::<OcspStaplePolicy>("OcspStaplePolicy", message.ocsp_staple_policy)?;
    match &message.session_ticket_keys_type {
        Some(SessionTicketKeysType::SessionTicketKeys(keys)) => {
            of.within("SessionTicketKeys", ticket_keys(keys))
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(reference)) => {
            of.within("SessionTicketKeysSdsSecretConfig", self::reference(reference))
        }
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(_)) | None => Ok(()),
    }
}

/// Of TLS towards endpoints.
pub(super) fn upstream(message: &envoy::UpstreamTlsContext) -> Checked {
    let of = Rules::of("UpstreamTlsContext");
    of.optional("CommonTlsContext", message.common_tls_context.as_ref(), common)?;
    match message.sni.len() > 255 {
        true => Err(of.broken("Sni", "value length must be at most 255 bytes")),
        false => Ok(()),
    }
}

fn common(message: &envoy::CommonTlsContext) -> Checked {
    let of = Rules::of("CommonTlsContext");
    of.optional("TlsParams", message.tls_params.as_ref(), |params| {
        let of = Rules::of("TlsParameters");
        of.defined::<TlsProtocol>("TlsMinimumProtocolVersion", params.tls_minimum_protocol_version)?;
        of.defined::<TlsProtocol>("TlsMaximumProtocolVersion", params.tls_maximum_protocol_version)?;
        of.items_max("CompliancePolicies", &params.compliance_policies, 1)
    })?;
    of.each("TlsCertificates", &message.tls_certificates, certificate)?;
    let references = &message.tls_certificate_sds_secret_configs;
    of.each("TlsCertificateSdsSecretConfigs", references, reference)?;
    if let Some(selector) = &message.custom_tls_certificate_selector {
        let held = Rules::of("TypedExtensionConfig").present("TypedConfig", selector.typed_config.as_ref());
        of.within("CustomTlsCertificateSelector", held)?;
    }
    match &message.validation_context_type {
        Some(ValidationContextType::ValidationContext(context)) => {
            of.within("ValidationContext", validation(context))
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(name)) => {
            of.within("ValidationContextSdsSecretConfig", reference(name))
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            of.within("CombinedValidationContext", self::combined(combined))
        }
        _ => Ok(()),
    }
}

fn combined(message: &envoy::common_tls_context::CombinedCertificateValidationContext) -> Checked {
    let of = Rules::of("CombinedCertificateValidationContext");
    let usual = message.default_validation_context.as_ref();
    of.required("DefaultValidationContext", usual, validation)?;
    let name = message.validation_context_sds_secret_config.as_ref();
    of.required("ValidationContextSdsSecretConfig", name, reference)
}

fn certificate(message: &envoy::TlsCertificate) -> Checked {
    let of = Rules::of("TlsCertificate");
    of.optional(
        "PrivateKeyProvider",
        message.private_key_provider.as_ref(),
        |provider| Rules::of("PrivateKeyProvider").not_empty("ProviderName", &provider.provider_name),
    )
}

fn reference(message: &envoy::SdsSecretConfig) -> Checked {
    Rules::of("SdsSecretConfig").not_empty("Name", &message.name)
}

fn ticket_keys(message: &envoy::TlsSessionTicketKeys) -> Checked {
    Rules::of("TlsSessionTicketKeys").some_items("Keys", &message.keys)
}

/// Of what is asked of a peer's certificate.
pub(super) fn validation(message: &envoy::CertificateValidationContext) -> Checked {
    let of = Rules::of("CertificateValidationContext");
    for (index, pin) in message.verify_certificate_spki.iter().enumerate() {
        if pin.chars().count() < 44 {
            let field = format!("VerifyCertificateSpki[{index}]");
            return Err(of.broken(&field, "value length must be at least 44 characters"));
        }
        if pin.len() > 44 {
            let field = format!("VerifyCertificateSpki[{index}]");
            return Err(of.broken(&field, "value length must be at most 44 bytes"));
        }
    }
    for (index, pin) in message.verify_certificate_hash.iter().enumerate() {
        if pin.chars().count() < 64 {
            let field = format!("VerifyCertificateHash[{index}]");
            return Err(of.broken(&field, "value length must be at least 64 characters"));
        }
        if pin.len() > 95 {
            let field = format!("VerifyCertificateHash[{index}]");
            return Err(of.broken(&field, "value length must be at most 95 bytes"));
        }
    }
    of.each(
        "MatchTypedSubjectAltNames",
        &message.match_typed_subject_alt_names,
        |name| {
            let of = Rules::of("SubjectAltNameMatcher");
            of.defined::<SanType>("SanType", name.san_type)?;
            if name.san_type == SanType::Unspecified as i32 {
                return Err(of.broken("SanType", "value must not be in list [SAN_TYPE_UNSPECIFIED]"));
            }
            of.required("Matcher", name.matcher.as_ref(), check_string)
        },
    )?;
    of.each(
        "MatchSubjectAltNames",
        &message.match_subject_alt_names,
        check_string,
    )?;
    of.defined::<TrustChainVerification>("TrustChainVerification", message.trust_chain_verification)?;
    if let Some(validator) = &message.custom_validator_config {
        let held = Rules::of("TypedExtensionConfig").present("TypedConfig", validator.typed_config.as_ref());
        of.within("CustomValidatorConfig", held)?;
    }
    of.at_most("MaxVerifyDepth", wide(message.max_verify_depth.as_ref()), 100)
}
