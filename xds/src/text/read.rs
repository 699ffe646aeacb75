//! From a tree to a message: which field does each name set, and with what?
//!
//! Takes what Envoy takes, which is more than the JSON form of protocol buffers allows: a lone item where a list belongs, enum
//! values in lower case, durations and wrappers written as messages.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Field,
};

use super::problem::{Problem, did_you_mean};
use super::schema::Schema;
use super::tree::{Entry, Node, Position, Value};

mod any;
mod scalar;
mod time;
mod well_known;

pub(super) use well_known::{is as is_well_known, is_wrapper};

/// Reads one tree.
pub(super) struct Reader<'s> {
    schema: &'s Schema,
    path: String,
    /// Fields and enum values that are not there, in order.
    pub(super) unknown: Vec<Problem>,
    /// Types that Envoy has and of which no fields are known; what they hold is dropped.
    pub(super) opaque: Vec<Problem>,
}

type Done<T = ()> = Result<T, Problem>;

impl<'s> Reader<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self {
            schema,
            path: String::new(),
            unknown: Vec::new(),
            opaque: Vec::new(),
        }
    }

    /// Reads a message of any type but the well-known ones.
    pub(super) fn message(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<DynamicMessage> {
        let mut message = DynamicMessage::new(descriptor.clone());
        self.fields_of(node, &mut message)?;
        Ok(message)
    }

    fn fields_of(&mut self, node: &Node, message: &mut DynamicMessage) -> Done {
        let Value::Map(entries) = &node.value else {
            return Err(self.expected(node, "a map"));
        };
        self.fields(entries.iter(), message)
    }

    fn fields<'n>(&mut self, entries: impl Iterator<Item = &'n Entry>, message: &mut DynamicMessage) -> Done {
        let descriptor = message.descriptor();
        let mut set = Vec::new();
        for entry in entries {
            let found = descriptor
                .get_field_by_name(&entry.name)
                .or_else(|| descriptor.get_field_by_json_name(&entry.name));
            let Some(field) = found else {
                self.no_field(entry, &descriptor);
                continue;
            };
            self.inside(field.name(), |reader| {
                reader.field(entry, &field, message, &mut set)
            })?;
        }
        Ok(())
    }

    /// `set` has the one-ofs that are set.
    fn field(
        &mut self,
        entry: &Entry,
        field: &FieldDescriptor,
        message: &mut DynamicMessage,
        set: &mut Vec<String>,
    ) -> Done {
        if matches!(entry.node.value, Value::Null) && !takes_null(field) {
            return Ok(());
        }
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            if set.iter().any(|name| name == oneof.name()) {
                let message = format!(
                    "'{}' has already been set (either directly or as part of a oneof)",
                    field.name()
                );
                return Err(self.problem(entry.at, message));
            }
            set.push(oneof.name().to_owned());
        }
        if field.is_map() {
            return self.map(&entry.node, field, message);
        }
        if field.is_list() {
            return self.list(&entry.node, field, message);
        }
        // What stands there twice, as `aB` and `a_b`, is merged.
        if let Kind::Message(descriptor) = field.kind()
            && !well_known::is(descriptor.full_name())
            && let Field::Message(inner) = message.get_field_mut(field)
        {
            return self.fields_of(&entry.node, inner);
        }
        if let Some(value) = self.value(&entry.node, &field.kind())? {
            message.set_field(field, value);
        }
        Ok(())
    }

    fn list(&mut self, node: &Node, field: &FieldDescriptor, message: &mut DynamicMessage) -> Done {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = self.inside(&format!("[{index}]"), |reader| {
                // A `null` is an item of which nothing is set.
                let is_default = matches!(item.value, Value::Null) && !takes_null(field);
                if is_default {
                    return Ok(Some(Field::default_value(&field.kind())));
                }
                reader.value(item, &field.kind())
            })?;
            values.extend(value);
        }
        if let Field::List(list) = message.get_field_mut(field) {
            list.extend(values);
        }
        Ok(())
    }

    fn map(&mut self, node: &Node, field: &FieldDescriptor, message: &mut DynamicMessage) -> Done {
        let Value::Map(entries) = &node.value else {
            return Err(self.expected(node, "a map"));
        };
        let Kind::Message(pair) = field.kind() else {
            return Ok(());
        };
        let (key, kind) = (pair.map_entry_key_field().kind(), pair.map_entry_value_field());
        for entry in entries {
            let read = self.inside(&format!("[\"{}\"]", entry.name), |reader| {
                let name = reader.key(entry, &key)?;
                let value = if matches!(entry.node.value, Value::Null) && !takes_null(&kind) {
                    Some(Field::default_value(&kind.kind()))
                } else {
                    reader.value(&entry.node, &kind.kind())?
                };
                Ok(value.map(|value| (name, value)))
            })?;
            if let (Some((name, value)), Field::Map(map)) = (read, message.get_field_mut(field)) {
                map.insert(name, value);
            }
        }
        Ok(())
    }

    fn key(&self, entry: &Entry, kind: &Kind) -> Done<MapKey> {
        let text = Node {
            at: entry.at,
            value: Value::Text(entry.name.clone()),
        };
        let value = scalar::read(&text.value, kind).map_err(|message| self.problem(entry.at, message))?;
        value
            .into_map_key()
            .ok_or_else(|| self.problem(entry.at, "a key is a string, a number or a boolean"))
    }

    /// One value; `None` for an enum value that is not there.
    fn value(&mut self, node: &Node, kind: &Kind) -> Done<Option<Field>> {
        match kind {
            Kind::Message(descriptor) if well_known::is(descriptor.full_name()) => {
                self.well_known(node, descriptor).map(Some)
            }
            Kind::Message(descriptor) => self
                .message(node, descriptor)
                .map(|message| Some(Field::Message(message))),
            Kind::Enum(descriptor) => match scalar::enumeration(&node.value, descriptor) {
                Ok(number) => Ok(Some(Field::EnumNumber(number))),
                Err(scalar::EnumProblem::Unknown(name)) => {
                    let mut problem = self.problem(node.at, format!("unknown enum value: '{name}'"));
                    let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
                    problem.hint = did_you_mean(&name, names.iter().map(String::as_str));
                    self.unknown.push(problem);
                    Ok(None)
                }
                Err(scalar::EnumProblem::Kind) => Err(self.expected(node, "the name of an enum value")),
            },
            _ => scalar::read(&node.value, kind)
                .map(Some)
                .map_err(|message| self.problem(node.at, message)),
        }
    }

    fn no_field(&mut self, entry: &Entry, descriptor: &MessageDescriptor) {
        let mut problem = self.problem(entry.at, format!("no such field: '{}'", entry.name));
        let fields: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
        problem.hint = did_you_mean(&entry.name, fields.iter().map(String::as_str));
        self.unknown.push(problem);
    }

    /// Goes on below `step`: a name, or an index in brackets.
    fn inside<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let done = read(self);
        self.path.truncate(length);
        done
    }

    fn problem(&self, at: Position, message: impl Into<String>) -> Problem {
        Problem {
            path: self.path.clone(),
            ..Problem::new(at, message)
        }
    }

    fn expected(&self, node: &Node, what: &str) -> Problem {
        self.problem(
            node.at,
            format!("expected {what}, but found {}", node.value.kind()),
        )
    }
}

/// Whether `null` is a value of the field.
fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(descriptor) => descriptor.full_name() == "google.protobuf.Value",
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}
