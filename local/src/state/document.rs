//! How state stands in its file: `{"format":1,"sha256":"…","state":{…}}`, the checksum over the bytes of `state`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use tidegate_controller::State;

/// The version of the form of `state`. Another one is not read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    sha256: String,
    state: Box<RawValue>,
}

/// The part that every format has.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

/// Why a stored state cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// It was cut, edited, or never was ours.
    NotOurs,
    /// Another version of tidegate wrote it.
    Format(u32),
    /// It is not what was written.
    Checksum,
    /// It is what was written, and no state.
    Content(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("is damaged, or not a state file of tidegate"),
            Self::Format(found) => {
                write!(
                    f,
                    "has format {found}, and this tidegate knows format {FORMAT} only"
                )
            }
            Self::Checksum => f.write_str("does not match its checksum"),
            Self::Content(reason) => write!(f, "cannot be understood ({reason})"),
        }
    }
}

pub(super) fn encode(state: &State) -> serde_json::Result<Vec<u8>> {
    let state = to_raw_value(state)?;
    serde_json::to_vec(&Document {
        format: FORMAT,
        sha256: checksum(&state),
        state,
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<State, Damage> {
    let header: Header = serde_json::from_slice(bytes).map_err(|_| Damage::NotOurs)?;
    if header.format != FORMAT {
        return Err(Damage::Format(header.format));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|_| Damage::NotOurs)?;
    if checksum(&document.state) != document.sha256 {
        return Err(Damage::Checksum);
    }
    serde_json::from_str(document.state.get()).map_err(|error| Damage::Content(error.to_string()))
}

fn checksum(state: &RawValue) -> String {
    super::place::hex(&Sha256::digest(state.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: &Damage) {
        assert_eq!(decode(bytes.as_bytes()).as_ref(), Err(expected), "{bytes}");
    }

    #[test]
    fn a_state_survives_its_file() {
        let bytes = encode(&State::default()).unwrap();
        assert_eq!(decode(&bytes), Ok(State::default()));
    }

    #[test]
    fn every_damage_is_told() {
        let good = String::from_utf8(encode(&State::default()).unwrap()).unwrap();
        check("", &Damage::NotOurs);
        check("[1]", &Damage::NotOurs);
        check(&good[..good.len() - 1], &Damage::NotOurs);
        check(&good.replace("\"format\":1", "\"format\":2"), &Damage::Format(2));
        check(
            &good.replace("\"routes\":{}", "\"routes\":{ }"),
            &Damage::Checksum,
        );
        let odd = to_raw_value(&[1]).unwrap();
        let document = Document {
            format: FORMAT,
            sha256: checksum(&odd),
            state: odd,
        };
        let Err(Damage::Content(_)) = decode(&serde_json::to_vec(&document).unwrap()) else {
            panic!()
        };
    }
}
