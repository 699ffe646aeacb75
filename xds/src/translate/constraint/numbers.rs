//! Constraints of numbers and times, and of what may be missing.

use std::time::Duration;

use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf;

use super::{Checked, Rules, Violation};
use crate::translate::Reject;

impl Violation {
    /// One of several fields has to be there and is not.
    pub(crate) fn unset(oneof: &str) -> Self {
        Self(format!("field: \"{oneof}\", reason: is required"))
    }

    /// Where it is in something packed into a resource, only that resource is refused.
    pub(crate) fn of_resource(self) -> Reject {
        Reject::Resource(self.to_string())
    }
}

impl Rules {
    /// A message has to be there.
    pub(crate) fn present<T>(self, field: &str, message: Option<&T>) -> Checked {
        match message {
            Some(_) => Ok(()),
            None => Err(self.broken(field, "value is required")),
        }
    }

    /// A number, where it is there, has a least value.
    pub(crate) fn at_least(self, field: &str, number: Option<u64>, least: u64) -> Checked {
        match number {
            Some(number) if number < least => {
                let why = format_args!("value must be greater than or equal to {least}");
                Err(self.broken(field, why))
            }
            _ => Ok(()),
        }
    }

    /// A number, where it is there, has a greatest value.
    pub(crate) fn at_most(self, field: &str, number: Option<u64>, most: u64) -> Checked {
        match number {
            Some(number) if number > most => {
                let why = format_args!("value must be less than or equal to {most}");
                Err(self.broken(field, why))
            }
            _ => Ok(()),
        }
    }

    /// A number, where it is there, has both.
    pub(crate) fn between(self, field: &str, number: Option<u64>, least: u64, most: u64) -> Checked {
        match number {
            Some(number) if number < least || number > most => {
                let why = format_args!("value must be inside range [{least}, {most}]");
                Err(self.broken(field, why))
            }
            _ => Ok(()),
        }
    }

    /// A `Percent`, where it is there, is one.
    pub(crate) fn percent(self, field: &str, percent: Option<&Percent>) -> Checked {
        self.optional(field, percent, |percent| {
            match (0.0..=100.0).contains(&percent.value) {
                true => Ok(()),
                false => Err(Self::of("Percent").broken("Value", "value must be inside range [0, 100]")),
            }
        })
    }

    /// A duration, where it is there, is longer than `than`.
    pub(crate) fn longer(self, field: &str, time: Option<&protobuf::Duration>, than: Duration) -> Checked {
        match time {
            Some(time) if nanoseconds(time) <= than.as_nanos().cast_signed() => {
                let why = format_args!("value must be greater than {}", written(than));
                Err(self.broken(field, why))
            }
            _ => Ok(()),
        }
    }

    /// A duration, where it is there, is not shorter than `than`.
    pub(crate) fn not_shorter(
        self,
        field: &str,
        time: Option<&protobuf::Duration>,
        than: Duration,
    ) -> Checked {
        match time {
            Some(time) if nanoseconds(time) < than.as_nanos().cast_signed() => {
                let why = format_args!("value must be greater than or equal to {}", written(than));
                Err(self.broken(field, why))
            }
            _ => Ok(()),
        }
    }
}

fn nanoseconds(time: &protobuf::Duration) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

fn written(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_name_their_bounds() {
        let of = Rules::of("X");
        let check = |held: Checked, expected: &str| {
            let expected =
                format!("Proto constraint validation failed (XValidationError.F: value must be {expected})");
            assert_eq!(held.unwrap_err().to_string(), expected);
        };
        check(of.at_least("F", Some(1), 2), "greater than or equal to 2");
        check(of.at_most("F", Some(3), 2), "less than or equal to 2");
        check(of.between("F", Some(0), 1, 5), "inside range [1, 5]");
        let time = |seconds, nanos| protobuf::Duration { seconds, nanos };
        check(
            of.longer("F", Some(&time(0, 0)), Duration::ZERO),
            "greater than 0s",
        );
        check(
            of.longer("F", Some(&time(-1, 0)), Duration::ZERO),
            "greater than 0s",
        );
        let millisecond = Duration::from_millis(1);
        check(
            of.longer("F", Some(&time(0, 1_000_000)), millisecond),
            "greater than 1ms",
        );
        let least = "greater than or equal to 1ms";
        check(of.not_shorter("F", Some(&time(0, 1)), millisecond), least);
        assert_eq!(
            of.not_shorter("F", Some(&time(0, 1_000_000)), millisecond),
            Ok(())
        );
    }
}
