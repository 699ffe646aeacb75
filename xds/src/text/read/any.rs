//! `google.protobuf.Any`: which message does `@type` name, and what is in it?

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value as Field};

use super::{Done, Reader, well_known};
use crate::text::schema::is_opaque;
use crate::text::tree::{Entry, Node, Value};

impl Reader<'_> {
    pub(super) fn any(&mut self, node: &Node, descriptor: &MessageDescriptor) -> Done<DynamicMessage> {
        let Value::Map(entries) = &node.value else {
            return Err(self.expected(node, "a map"));
        };
        let mut any = DynamicMessage::new(descriptor.clone());
        let Some(entry) = entries.iter().find(|entry| &*entry.name == "@type") else {
            if entries.is_empty() {
                return Ok(any);
            }
            return Err(self.problem(
                node.at,
                "missing @type in Any is only allowed for an empty object",
            ));
        };
        let Value::Text(url) = &entry.node.value else {
            return Err(self.expected(&entry.node, "a type URL"));
        };
        let Some((_, name)) = url.rsplit_once('/').filter(|(host, _)| !host.is_empty()) else {
            let message = format!("@type must contain at least one / and a nonempty host; got: {url}");
            return Err(self.problem(entry.node.at, message));
        };
        let value = match self.schema.message(name) {
            Some(content) => self.inside("<any>", |reader| reader.content(node, entries, &content))?,
            None if is_opaque(name) => {
                let problem = self.problem(entry.node.at, format!("nothing is known of what '{name}' holds"));
                self.opaque.push(problem);
                Vec::new()
            }
            None => {
                let message = format!("could not find @type '{url}'");
                return Err(self.problem(entry.node.at, message));
            }
        };
        any.set_field_by_number(1, Field::String(url.as_ref().to_owned()));
        any.set_field_by_number(2, Field::Bytes(value.into()));
        Ok(any)
    }

    /// What has a form of its own in JSON stands under `value`, everything else beside `@type`.
    fn content(&mut self, node: &Node, entries: &[Entry], descriptor: &MessageDescriptor) -> Done<Vec<u8>> {
        let mut others = entries.iter().filter(|entry| &*entry.name != "@type");
        if !well_known::is(descriptor.full_name()) {
            let mut message = DynamicMessage::new(descriptor.clone());
            self.fields(others, &mut message)?;
            return Ok(message.encode_to_vec());
        }
        let Some(value) = others.next() else {
            return Ok(Vec::new());
        };
        if &*value.name != "value" || others.next().is_some() {
            return Err(self.problem(node.at, "fields in a well-known-typed Any must be @type or value"));
        }
        let Field::Message(message) = self.well_known(&value.node, descriptor)? else {
            return Ok(Vec::new());
        };
        Ok(message.encode_to_vec())
    }
}
