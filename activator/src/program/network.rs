//! What does `config-network` say about how pods are reached?

use crate::{backends::Mesh, world::ConfigMap};

/// As much of `config-network` as the program goes by. It is read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// `mesh-compatibility-mode`.
    pub mesh: Mesh,
    /// `enable-mesh-pod-addressability`.
    pub passthrough: bool,
    /// `system-internal-tls`.
    pub is_encrypted: bool,
}

/// A value that is none of those that the key may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config-network: {key}: {value:?} is not {wanted}")]
pub struct NetworkError {
    key: &'static str,
    value: String,
    wanted: &'static str,
}

impl Network {
    /// Reads it.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn read(config: &ConfigMap) -> Result<Self, NetworkError> {
        let mesh = match config
            .get("mesh-compatibility-mode")
            .map(|word| word.to_lowercase())
        {
            Some(word) if word == "enabled" => Mesh::Enabled,
            Some(word) if word == "disabled" => Mesh::Disabled,
            // Other words are ignored there.
            _ => Mesh::Auto,
        };
        let tls = match config.get(TLS) {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("enabled") => true,
            Some(word) if word.is_empty() || word.eq_ignore_ascii_case("disabled") => false,
            Some(word) => return Err(invalid(TLS, word, "enabled or disabled")),
        };
        Ok(Self {
            mesh,
            passthrough: truth(config, "enable-mesh-pod-addressability")?,
            is_encrypted: tls || truth(config, "internal-encryption")?,
        })
    }
}

const TLS: &str = "system-internal-tls";

fn truth(config: &ConfigMap, key: &'static str) -> Result<bool, NetworkError> {
    match config.get(key).map(String::as_str) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(word) => Err(invalid(key, word, "true or false")),
    }
}

fn invalid(key: &'static str, value: &str, wanted: &'static str) -> NetworkError {
    NetworkError {
        key,
        value: value.to_owned(),
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &[(&str, &str)], expected: Result<Network, &str>) {
        let map = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let read = Network::read(&map.collect()).map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{config:?}");
    }

    #[test]
    fn config_network_is_read_as_knative_reads_it() {
        let default = Network::default();
        let (mesh, is_encrypted) = (Mesh::Enabled, true);
        check(&[], Ok(default));
        check(
            &[("mesh-compatibility-mode", "Enabled")],
            Ok(Network { mesh, ..default }),
        );
        check(&[("mesh-compatibility-mode", "perhaps")], Ok(default));
        check(
            &[("system-internal-tls", "ENABLED")],
            Ok(Network {
                is_encrypted,
                ..default
            }),
        );
        // The old key wins, whatever the new one says.
        check(
            &[
                ("system-internal-tls", "disabled"),
                ("internal-encryption", "true"),
            ],
            Ok(Network {
                is_encrypted,
                ..default
            }),
        );
        check(
            &[("enable-mesh-pod-addressability", "yes")],
            Err("config-network: enable-mesh-pod-addressability: \"yes\" is not true or false"),
        );
        check(
            &[("system-internal-tls", "on")],
            Err("config-network: system-internal-tls: \"on\" is not enabled or disabled"),
        );
    }
}
