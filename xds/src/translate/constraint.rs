//! Which constraint of its message a resource breaks, in the words of Envoy's validators.
//!
//! ```
//! use tidegate_xds::translate::constraint::Rules;
//!
//! let host = Rules::of("VirtualHost").not_empty("Name", "");
//! let broken = Rules::of("RouteConfiguration").within("VirtualHosts[0]", host).expect_err("the name is empty");
//! assert_eq!(
//!     broken.to_string(),
//!     "Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed \
//!      validation | caused by VirtualHostValidationError.Name: value length must be at least 1 characters)"
//! );
//! ```

use std::fmt;

use super::Reject;

mod numbers;

/// A constraint that is broken: the whole response is refused for it. The resource's text, which Envoy puts in front, is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

/// What a check of constraints comes to.
pub type Checked = Result<(), Violation>;

/// The constraints of one message.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    message: &'static str,
}

/// What Envoy allows a header's name or value at most, in bytes.
const HEADER_BYTES_MAX: usize = 16_384;

impl Rules {
    /// The constraints of the message of this name, without its package.
    #[must_use]
    pub const fn of(message: &'static str) -> Self {
        Self { message }
    }

    /// A field, named as Go would, that breaks its constraint.
    #[must_use]
    pub fn broken(self, field: &str, reason: impl fmt::Display) -> Violation {
        Violation(format!("{}ValidationError.{field}: {reason}", self.message))
    }

    /// A text has to have a character.
    ///
    /// # Errors
    /// This and each of the others: where it is not so.
    pub fn not_empty(self, field: &str, value: &str) -> Checked {
        match value {
            "" => Err(self.broken(field, "value length must be at least 1 characters")),
            _ => Ok(()),
        }
    }

    /// A text, which may be empty, has to be one that a header may have.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn header_text(self, field: &str, value: &str) -> Checked {
        if value.contains(['\0', '\n', '\r']) {
            return Err(self.broken(field, r#"value does not match regex pattern "^[^\x00\n\r]*$""#));
        }
        Ok(())
    }

    /// A header's name or value must not be longer than Envoy allows.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn header_length(self, field: &str, bytes: usize) -> Checked {
        if bytes > HEADER_BYTES_MAX {
            let why = format!("value length must be at most {HEADER_BYTES_MAX} bytes");
            return Err(self.broken(field, why));
        }
        Ok(())
    }

    /// A list has to have an item.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn some_items<T>(self, field: &str, items: &[T]) -> Checked {
        match items {
            [] => Err(self.broken(field, "value must contain at least 1 item(s)")),
            _ => Ok(()),
        }
    }

    /// A list must not have more items.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn items_max<T>(self, field: &str, items: &[T], max: usize) -> Checked {
        if items.len() > max {
            let why = format!("value must contain no more than {max} item(s)");
            return Err(self.broken(field, why));
        }
        Ok(())
    }

    /// A number of an enumeration has to be one that it defines.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn defined<T: TryFrom<i32>>(self, field: &str, number: i32) -> Checked {
        match T::try_from(number) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.broken(field, "value must be one of the defined enum values")),
        }
    }

    /// The check of a message in a field of this one.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn within(self, field: &str, checked: Checked) -> Checked {
        checked.map_err(|Violation(cause)| {
            self.broken(
                field,
                format!("embedded message failed validation | caused by {cause}"),
            )
        })
    }

    /// Each message of a list has to meet its own constraints.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn each<T>(self, field: &str, items: &[T], check: impl Fn(&T) -> Checked) -> Checked {
        for (index, item) in items.iter().enumerate() {
            if let Err(cause) = check(item) {
                return self.within(&format!("{field}[{index}]"), Err(cause));
            }
        }
        Ok(())
    }

    /// A message, where it is there, has to meet its own constraints.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn optional<T>(self, field: &str, value: Option<&T>, check: impl Fn(&T) -> Checked) -> Checked {
        self.within(field, value.map_or(Ok(()), check))
    }

    /// A message has to be there and meet its own constraints.
    ///
    /// # Errors
    /// As [`Rules::not_empty`].
    pub fn required<T>(self, field: &str, value: Option<&T>, check: impl Fn(&T) -> Checked) -> Checked {
        match value {
            Some(value) => self.within(field, check(value)),
            None => Err(self.broken(field, "value is required")),
        }
    }
}

/// One of several fields has to be there.
///
/// # Errors
/// Where none is.
pub fn one_of<'a, T>(name: &str, value: Option<&'a T>) -> Result<&'a T, Violation> {
    value.ok_or_else(|| Violation(format!("field: \"{name}\", reason: is required")))
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proto constraint validation failed ({})", self.0)
    }
}

impl std::error::Error for Violation {}

impl From<Violation> for Reject {
    fn from(violation: Violation) -> Self {
        Self::Message(violation.to_string())
    }
}
