//! Is what a certificate says fit for headers and logs, whatever its bytes are?
//!
//! Input: a certificate in DER.

use tidegate_proxy::tls::certificate::Facts;

/// Runs one input.
///
/// # Panics
/// When a name or subject has a byte that a header must not have.
pub fn run(data: &[u8]) {
    let Some(facts) = Facts::read(data) else {
        return;
    };
    let names = facts.names.iter().map(ToString::to_string);
    for text in names.chain([facts.subject.clone(), facts.issuer.clone()]) {
        assert!(
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "not printable: {text:?}"
        );
    }
}
