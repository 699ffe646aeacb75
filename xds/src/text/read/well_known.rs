//! Messages that have a form of their own in JSON: durations, timestamps, wrappers, structs and masks.

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, Value as Field};

use super::{Done, Reader, scalar, time};
use crate::text::tree::{Node, Value, snake};

/// Whether the message has a form of its own.
pub(in crate::text) fn is(name: &str) -> bool {
    let Some(name) = name.strip_prefix("google.protobuf.") else {
        return false;
    };
    is_wrapper(name)
        || matches!(
            name,
            "Any" | "Duration" | "Timestamp" | "FieldMask" | "Struct" | "Value" | "ListValue"
        )
}

/// Whether the message, by its name in `google.protobuf`, holds one scalar.
pub(in crate::text) fn is_wrapper(name: &str) -> bool {
    matches!(
        name,
        "DoubleValue"
            | "FloatValue"
            | "Int64Value"
            | "UInt64Value"
            | "Int32Value"
            | "UInt32Value"
            | "BoolValue"
            | "StringValue"
            | "BytesValue"
    )
}

impl Reader<'_> {
    pub(super) fn well_known(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<Field> {
        let name = descriptor.full_name().trim_start_matches("google.protobuf.");
        let message = match (name, &node.value) {
            ("Any", _) => self.any(node, descriptor)?,
            ("Struct", _) => self.structure(node, descriptor)?,
            ("ListValue", _) => self.list_value(node, descriptor)?,
            ("Value", _) => self.dynamic(node, descriptor)?,
            // Written as the message that it is.
            (_, Value::Map(_)) => self.message(node, descriptor)?,
            ("Duration", Value::Text(text)) => {
                let parts = time::duration(text).map_err(|message| self.problem(node.at, message))?;
                of_seconds(descriptor, parts)
            }
            ("Timestamp", Value::Text(text)) => {
                let parts = time::timestamp(text).map_err(|message| self.problem(node.at, message))?;
                of_seconds(descriptor, parts)
            }
            ("FieldMask", Value::Text(text)) => {
                let mut message = DynamicMessage::new(descriptor.clone());
                let paths = text.split(',').filter(|path| !path.is_empty());
                let paths = paths.map(|path| Field::String(snake(path))).collect();
                message.set_field_by_number(1, Field::List(paths));
                message
            }
            ("Duration" | "Timestamp" | "FieldMask", _) => {
                return Err(self.expected(node, "a string, such as \"5s\""));
            }
            (_, value) => {
                let kind = descriptor.get_field(1).map_or(Kind::Bool, |field| field.kind());
                let mut message = DynamicMessage::new(descriptor.clone());
                if !matches!(value, Value::Null) {
                    let value =
                        scalar::read(value, &kind).map_err(|message| self.problem(node.at, message))?;
                    message.set_field_by_number(1, value);
                }
                message
            }
        };
        Ok(Field::Message(message))
    }

    fn structure(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<DynamicMessage> {
        let Value::Map(entries) = &node.value else {
            return Err(self.expected(node, "a map"));
        };
        let mut message = DynamicMessage::new(descriptor.clone());
        let Some(inner) = self.schema.message("google.protobuf.Value") else {
            return Ok(message);
        };
        let mut fields = std::collections::HashMap::with_capacity(entries.len());
        for entry in entries {
            let value = self.dynamic(&entry.node, &inner)?;
            fields.insert(
                MapKey::String(entry.name.as_ref().to_owned()),
                Field::Message(value),
            );
        }
        message.set_field_by_number(1, Field::Map(fields));
        Ok(message)
    }

    fn list_value(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<DynamicMessage> {
        let Value::List(items) = &node.value else {
            return Err(self.expected(node, "a list"));
        };
        let mut message = DynamicMessage::new(descriptor.clone());
        let Some(inner) = self.schema.message("google.protobuf.Value") else {
            return Ok(message);
        };
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(Field::Message(self.dynamic(item, &inner)?));
        }
        message.set_field_by_number(1, Field::List(values));
        Ok(message)
    }

    /// A `google.protobuf.Value`.
    fn dynamic(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<DynamicMessage> {
        let mut message = DynamicMessage::new(descriptor.clone());
        let inner = |reader: &Self, name| reader.schema.message(name).unwrap_or_else(|| descriptor.clone());
        let (number, value) = match &node.value {
            Value::Null => (1, Field::EnumNumber(0)),
            Value::Number(_) => {
                let value = scalar::read(&node.value, &Kind::Double);
                (2, value.map_err(|message| self.problem(node.at, message))?)
            }
            Value::Text(text) => (3, Field::String(text.as_ref().to_owned())),
            Value::Bool(value) => (4, Field::Bool(*value)),
            Value::Map(_) => {
                let descriptor = inner(self, "google.protobuf.Struct");
                (5, Field::Message(self.structure(node, &descriptor)?))
            }
            Value::List(_) => {
                let descriptor = inner(self, "google.protobuf.ListValue");
                (6, Field::Message(self.list_value(node, &descriptor)?))
            }
        };
        message.set_field_by_number(number, value);
        Ok(message)
    }
}

fn of_seconds(descriptor: &MessageDescriptor, (seconds, nanos): (i64, i32)) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if seconds != 0 {
        message.set_field_by_number(1, Field::I64(seconds));
    }
    if nanos != 0 {
        message.set_field_by_number(2, Field::I32(nanos));
    }
    message
}
