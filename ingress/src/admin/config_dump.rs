//! `/config_dump`: what this program goes by, in Envoy's messages, keys redacted.
//!
//! Each resource is made JSON when its turn comes to be sent: the whole is never held.

use std::fmt::{self, Write};

use http::StatusCode;
use tidegate_xds::text::Json;

use super::Admin;
use super::answer::{Answer, Content, JSON, PLAIN};
use super::json::nested;
use super::parameters::Parameters;
use crate::stats;

mod endpoints;
mod mask;
mod message;
mod resources;

use mask::Mask;
use message::{Message, Wanted};

/// What a request asks for.
struct Query {
    resource: Option<String>,
    mask: Option<Mask>,
    wanted: Wanted,
}

pub(super) fn show(admin: &Admin, parameters: &Parameters) -> Answer {
    let query = match read(parameters) {
        Ok(query) => query,
        Err(text) => return refused(StatusCode::BAD_REQUEST, text),
    };
    let messages = resources::messages(admin, &query.wanted);
    match (&query.resource, &query.mask) {
        (None, None) => written(move |out| all(&messages, out)),
        (None, Some(mask)) => masked(messages, mask),
        (Some(resource), _) => one(messages, resource, query.mask.clone()),
    }
}

fn read(parameters: &Parameters) -> Result<Query, String> {
    let name =
        match parameters.said("name_regex") {
            None => None,
            Some(text) => Some(stats::pattern(text).map_err(|why| {
                format!("INVALID_ARGUMENT: Error while parsing name_regex from {text}: {why}")
            })?),
        };
    Ok(Query {
        resource: parameters.said("resource").map(str::to_owned),
        mask: parameters.said("mask").map(Mask::read),
        wanted: Wanted {
            name,
            endpoints: parameters.has("include_eds"),
        },
    })
}

fn refused(status: StatusCode, text: String) -> Answer {
    Answer {
        status,
        content_type: PLAIN,
        content: Content::Text(text),
    }
}

fn written(write: impl FnOnce(&mut dyn Write) -> fmt::Result + Send + 'static) -> Answer {
    Answer::written(JSON, write)
}

/// `{"configs": […]}`, message by message.
fn all(messages: &[Message], out: &mut dyn Write) -> fmt::Result {
    let mut list = List::begin(out);
    for message in messages {
        list.message(message)?;
    }
    list.end()
}

/// Of each message the fields that are asked for; messages that do not have them are left out.
fn masked(messages: Vec<Message>, mask: &Mask) -> Answer {
    let kept: Vec<Message> = messages
        .into_iter()
        .filter_map(|message| message.only(mask))
        .collect();
    if kept.is_empty() {
        let text = format!("FieldMask {mask} could not be successfully applied to any configs.");
        return refused(StatusCode::BAD_REQUEST, text);
    }
    written(move |out| all(&kept, out))
}

/// The elements of one field, each as a message of its own.
fn one(messages: Vec<Message>, resource: &str, mask: Option<Mask>) -> Answer {
    let message = messages.into_iter().find(|message| message.has(resource));
    let Some(message) = message else {
        return refused(
            StatusCode::NOT_FOUND,
            format!("{resource} not found in config dump"),
        );
    };
    let Some((element, parts)) = message.repeated(resource) else {
        let text = format!("{resource} is not a repeated field. Use ?mask={resource} to get only this field");
        return refused(StatusCode::BAD_REQUEST, text);
    };
    if let Some(mask) = &mask
        && !mask.fits(element.fields)
    {
        let text = format!("FieldMask {} could not be successfully used.", mask.debug());
        return refused(StatusCode::BAD_REQUEST, text);
    }
    written(move |out| {
        let mut list = List::begin(out);
        for part in &parts {
            let json = part.json();
            let json = match &mask {
                Some(mask) => mask.of(json),
                None => json,
            };
            list.value(&typed(element.name, json))?;
        }
        list.end()
    })
}

/// A message with its type in front.
fn typed(name: &str, json: Json) -> Json {
    let mut fields = vec![("@type".into(), Json::Text(format!("type.googleapis.com/{name}")))];
    if let Json::Map(rest) = json {
        fields.extend(rest);
    }
    Json::Map(fields)
}

/// Writes the list of configurations as it comes.
struct List<'a> {
    out: &'a mut dyn Write,
    empty: bool,
}

impl<'a> List<'a> {
    fn begin(out: &'a mut dyn Write) -> Self {
        Self { out, empty: true }
    }

    fn value(&mut self, value: &Json) -> fmt::Result {
        self.next()?;
        nested(value, 2, self.out)
    }

    /// A message, its repeated fields element by element.
    fn message(&mut self, message: &Message) -> fmt::Result {
        self.next()?;
        write!(
            self.out,
            "{{\n   \"@type\": \"type.googleapis.com/{}\"",
            message.name
        )?;
        for (name, part) in &message.scalars {
            write!(self.out, ",\n   \"{name}\": ")?;
            nested(&part.json(), 3, self.out)?;
        }
        for field in &message.lists {
            let parts = field.parts();
            if parts.is_empty() {
                continue;
            }
            write!(self.out, ",\n   \"{}\": [", field.name)?;
            for (at, part) in parts.iter().enumerate() {
                self.out.write_str(if at == 0 { "\n    " } else { ",\n    " })?;
                nested(&part.json(), 4, self.out)?;
            }
            self.out.write_str("\n   ]")?;
        }
        self.out.write_str("\n  }")
    }

    fn next(&mut self) -> fmt::Result {
        let first = std::mem::replace(&mut self.empty, false);
        self.out
            .write_str(if first { "{\n \"configs\": [\n  " } else { ",\n  " })
    }

    fn end(self) -> fmt::Result {
        self.out.write_str(if self.empty { "{}\n" } else { "\n ]\n}\n" })
    }
}
