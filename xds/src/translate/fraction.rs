//! `FractionalPercent`, and the runtime values around it with their defaults; what overrides these is [`super::runtime`]'s.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;

/// A million are all.
pub const MILLION: u32 = 1_000_000;

/// Of a million so many.
#[must_use]
pub fn per_million(percent: FractionalPercent) -> u32 {
    let factor = match percent.denominator() {
        DenominatorType::Hundred => 10_000,
        DenominatorType::TenThousand => 100,
        DenominatorType::Million => 1,
    };
    percent.numerator.saturating_mul(factor).min(MILLION)
}

/// Of a million so many; `unset` where nothing is said.
#[must_use]
pub fn runtime_per_million(percent: Option<&RuntimeFractionalPercent>, unset: u32) -> u32 {
    match percent {
        None => unset,
        Some(percent) => percent.default_value.map_or(MILLION, per_million),
    }
}
