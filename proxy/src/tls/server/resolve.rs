//! Which certificate does a client get?

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::tls::identity::Identity;

/// The certificates of a [`ServerTls`](super::ServerTls), by name. Each group has its best kind of key first.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<Box<str>, Group>,
    /// By what follows `*.`.
    below: HashMap<Box<str>, Group>,
    all: Group,
}

type Group = Vec<Arc<CertifiedKey>>;

impl Resolver {
    pub(super) fn new(identities: &[Identity]) -> Self {
        let mut resolver = Self::default();
        for identity in identities {
            let key = identity.certified_key();
            for host in identity.hosts().map(str::to_ascii_lowercase) {
                let (map, name) = match host.strip_prefix("*.") {
                    Some(parent) => (&mut resolver.below, parent),
                    None => (&mut resolver.exact, &*host),
                };
                map.entry(name.into()).or_default().push(Arc::clone(key));
            }
            resolver.all.push(Arc::clone(key));
        }
        let groups = resolver.exact.values_mut().chain(resolver.below.values_mut());
        for group in groups.chain([&mut resolver.all]) {
            group.sort_by_key(|key| preference(key));
        }
        resolver
    }

    /// The best certificate for this name of which the client can check the signature.
    pub(super) fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let exact = name.as_deref().and_then(|name| self.exact.get(name));
        let parent = name.as_deref().and_then(|name| name.split_once('.'));
        let below = parent.and_then(|(_, parent)| self.below.get(parent));
        [exact, below, Some(&self.all)]
            .into_iter()
            .flatten()
            .find_map(|group| group.iter().find(|key| key.key.choose_scheme(schemes).is_some()))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
            .map(Arc::clone)
    }
}

/// Small and quick signatures first.
fn preference(key: &CertifiedKey) -> u8 {
    match key.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 | SignatureAlgorithm::ED448 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_testkit::certificates::{Authority, Key, Wanted};

    use super::*;

    #[test]
    fn the_name_comes_first_and_then_what_the_client_can_check() {
        let authority = Authority::new("tests");
        let identity = |name: &str, key| {
            let files = authority.issue(&Wanted {
                key,
                ..Wanted::names([name])
            });
            Identity::from_pem(files.certificate_pem.as_bytes(), files.key_pem.as_bytes()).unwrap()
        };
        let identities = [
            identity("first.example", Key::EcdsaP256),
            identity("a.example", Key::Rsa2048),
            identity("A.example", Key::EcdsaP256),
            identity("*.b.example", Key::EcdsaP256),
        ];
        let resolver = Resolver::new(&identities);
        let check = |name, schemes: &[SignatureScheme], expected: usize| {
            let found = resolver.find(name, schemes).unwrap();
            let expected = identities[expected].certified_key();
            assert!(Arc::ptr_eq(found, expected), "{name:?} {schemes:?}");
        };
        let (ecdsa, rsa) = (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        );
        check(Some("a.example"), &[rsa, ecdsa], 2);
        check(Some("a.EXAMPLE"), &[rsa], 1);
        check(Some("x.b.example"), &[ecdsa], 3);
        check(Some("x.b.example"), &[rsa], 1);
        check(Some("b.example"), &[ecdsa], 0);
        check(None, &[ecdsa], 0);
        assert!(resolver.find(None, &[SignatureScheme::ED25519]).is_none());
    }
}
