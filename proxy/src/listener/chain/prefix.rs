//! Which addresses are meant by `10.0.0.0/8`?

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    network: IpAddr,
    bits: u8,
}

/// A text that is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address with a prefix length, such as 10.0.0.0/8")]
pub struct InvalidPrefix(String);

impl Prefix {
    /// The addresses that share their first `bits` with `address`; what follows in it is dropped. An IPv4 address mapped
    /// to IPv6 is an IPv4 address.
    ///
    /// # Errors
    /// When the family has fewer bits.
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(format!("{address}/{bits}"));
        let network = match address {
            IpAddr::V4(address) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) if bits <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
            _ => return Err(invalid()),
        };
        match (network.to_canonical(), bits.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(bits)) if network.is_ipv6() => Ok(Self { network: v4, bits }),
            _ => Ok(Self { network, bits }),
        }
    }

    /// Whether an address is one of these; mapped IPv4 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address.to_canonical(), self.bits).is_ok_and(|other| other.network == self.network)
    }

    /// How many bits are shared.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    /// An address alone means itself.
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(text.to_owned());
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(whole), |bits| bits.parse().map_err(|_| invalid()))?;
        Self::new(address, bits).map_err(|_| invalid())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}
