//! Header values that are made for each request: text with commands in it, as Envoy's header mutations have them.
//!
//! ```
//! use tidegate_proxy::route::{Mutation, Template, Write};
//!
//! let client = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";
//! let _tells = Mutation::write("x-client", client, Write::Overwrite)?;
//! assert!(Template::parse("id %REQ(x-request-id?x-id):36%, all of 100 %%").is_ok());
//! // What would be empty for every request is an error at once.
//! assert!(Template::parse("%REQ(x-id").is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::fmt;
use std::time::SystemTime;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};

use super::InvalidField;
use crate::config::limits;
use crate::observe::access_log::time::{self, TimeFormat};

/// A header value with commands: `%REQ(name)%`, `%REQ(name?other):12%` (at most 12 bytes), `%RESP(name)%`,
/// `%PROTOCOL%`, `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`, `%START_TIME%` in the form that an access log has it or in one of its
/// own, as `%START_TIME(%s.%3f)%`, and `%%` for a percent sign.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<str>),
    Command { what: Command, bytes_max: usize },
}

#[derive(Clone, Debug)]
enum Command {
    Request(Source, Option<Source>),
    Response(HeaderName, Option<HeaderName>),
    Protocol,
    ClientAddress,
    StartTime(TimeFormat),
}

/// What `%REQ` may name.
#[derive(Clone, Debug)]
enum Source {
    Header(HeaderName),
    Method,
    Path,
}

/// What a template may speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) client: Option<&'a HeaderValue>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// For an unknown command, a `%` that begins none, a name that no field can have, and bytes that no header value
    /// can have.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let invalid = |why: &'static str| InvalidField::new("header value", text, why);
        if HeaderValue::from_str(text).is_err() {
            return Err(invalid("a header value has no control characters"));
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('%') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (piece, after) = command(after).map_err(invalid)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(piece);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self {
            pieces: pieces.into(),
        })
    }

    /// The value, where it is the same for all requests.
    pub(crate) fn constant(&self) -> Option<HeaderValue> {
        match &*self.pieces {
            [] => Some(HeaderValue::from_static("")),
            [Piece::Text(text)] => HeaderValue::from_str(text).ok(),
            _ => None,
        }
    }

    /// Whether it speaks of fields, which may be changed beside it.
    pub(crate) fn reads_fields(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Command { what, .. } => matches!(what, Command::Request(..) | Command::Response(..)),
            Piece::Text(_) => false,
        })
    }

    /// Whether it speaks of the request's fields, which are gone once it was sent.
    pub(crate) fn reads_request(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Command { what, .. } => matches!(what, Command::Request(..)),
            Piece::Text(_) => false,
        })
    }

    /// The value for a request, and for its response where there is one. What is absent is empty.
    pub(crate) fn value(
        &self,
        context: &Context<'_>,
        request: &HeaderMap,
        response: Option<&HeaderMap>,
    ) -> Option<HeaderValue> {
        let mut value = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => value.extend_from_slice(text.as_bytes()),
                Piece::Command { what, bytes_max } => {
                    let start = value.len();
                    what.write(context, request, response, &mut value);
                    value.truncate(start.saturating_add(*bytes_max));
                }
            }
            if value.len() > limits::HEADER_VALUE_BYTES_MAX {
                return None;
            }
        }
        // Its parts are text of header values, which fits again.
        HeaderValue::from_bytes(&value).ok()
    }
}

/// The template as it was given, names in lower case.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('%', "%%"))?,
                Piece::Command { what, bytes_max } => {
                    write!(f, "%{what}")?;
                    if *bytes_max != usize::MAX {
                        write!(f, ":{bytes_max}")?;
                    }
                    f.write_str("%")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(first, None) => write!(f, "REQ({first})"),
            Self::Request(first, Some(second)) => write!(f, "REQ({first}?{second})"),
            Self::Response(first, None) => write!(f, "RESP({first})"),
            Self::Response(first, Some(second)) => write!(f, "RESP({first}?{second})"),
            Self::Protocol => f.write_str("PROTOCOL"),
            Self::ClientAddress => f.write_str("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"),
            Self::StartTime(format) => write!(f, "START_TIME({format})"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(http::header::HOST) => f.write_str(":authority"),
            Self::Header(name) => f.write_str(name.as_str()),
            Self::Method => f.write_str(":method"),
            Self::Path => f.write_str(":path"),
        }
    }
}

impl Command {
    fn write(
        &self,
        context: &Context<'_>,
        request: &HeaderMap,
        response: Option<&HeaderMap>,
        value: &mut Vec<u8>,
    ) {
        match self {
            Self::Request(first, second) => {
                let found = first
                    .of(context, request)
                    .or_else(|| second.as_ref()?.of(context, request));
                value.extend_from_slice(found.unwrap_or_default());
            }
            Self::Response(first, second) => {
                let of = |name| response.and_then(|headers| headers.get(name));
                let found = of(first).or_else(|| of(second.as_ref()?));
                value.extend_from_slice(found.map(HeaderValue::as_bytes).unwrap_or_default());
            }
            Self::Protocol => value.extend_from_slice(protocol(context.version).as_bytes()),
            Self::ClientAddress => {
                value.extend_from_slice(context.client.map(HeaderValue::as_bytes).unwrap_or_default());
            }
            Self::StartTime(format) => format.write(SystemTime::now(), value),
        }
    }
}

impl Source {
    fn of<'a>(&self, context: &Context<'a>, request: &'a HeaderMap) -> Option<&'a [u8]> {
        match self {
            Self::Header(name) => request.get(name).map(HeaderValue::as_bytes),
            Self::Method => Some(context.method.as_str().as_bytes()),
            Self::Path => context.uri.path_and_query().map(|path| path.as_str().as_bytes()),
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// Reads a command up to and with its closing `%`; gives what is behind it.
fn command(text: &str) -> Result<(Piece, &str), &'static str> {
    let name_end = text
        .find(|c: char| !c.is_ascii_uppercase() && c != '_')
        .ok_or("a '%' begins no command; write '%%' for a percent sign")?;
    let (name, rest) = text.split_at(name_end);
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (argument, rest) = rest.split_once(')').ok_or("a '(' is not closed")?;
            (Some(argument), rest)
        }
        None => (None, rest),
    };
    let (bytes_max, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let end = rest.find('%').ok_or("a command has no closing '%'")?;
            let (digits, rest) = rest.split_at(end);
            let bytes_max = digits
                .parse()
                .map_err(|_| "behind ':' there has to be a length")?;
            (bytes_max, rest)
        }
        None => (usize::MAX, rest),
    };
    let rest = rest
        .strip_prefix('%')
        .ok_or("a '%' begins no command; write '%%' for a percent sign")?;
    let what = match (name, argument) {
        ("REQ", Some(names)) => {
            let (first, second) = alternatives(names);
            Command::Request(source(first)?, second.map(source).transpose()?)
        }
        ("RESP", Some(names)) => {
            let (first, second) = alternatives(names);
            Command::Response(field(first)?, second.map(field).transpose()?)
        }
        ("PROTOCOL", None) => Command::Protocol,
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", None) => Command::ClientAddress,
        ("START_TIME", format) => {
            let unknown = |_| "of a time it has something that strftime does not know";
            Command::StartTime(TimeFormat::parse(format.unwrap_or(time::DEFAULT)).map_err(unknown)?)
        }
        _ => return Err("it has a command that header values do not know"),
    };
    Ok((Piece::Command { what, bytes_max }, rest))
}

fn alternatives(names: &str) -> (&str, Option<&str>) {
    match names.split_once('?') {
        Some((first, second)) => (first, Some(second)),
        None => (names, None),
    }
}

fn source(name: &str) -> Result<Source, &'static str> {
    Ok(match name.to_ascii_lowercase().as_str() {
        ":method" => Source::Method,
        ":path" => Source::Path,
        ":authority" => Source::Header(http::header::HOST),
        name => Source::Header(field(name)?),
    })
}

fn field(name: &str) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "it names a field that cannot exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(template: &str) -> String {
        let request = HeaderMap::from_iter([
            ("x-a".parse().unwrap(), "one".parse().unwrap()),
            (http::header::HOST, "h".parse().unwrap()),
        ]);
        let response = HeaderMap::from_iter([("x-r".parse().unwrap(), "two".parse().unwrap())]);
        let client = HeaderValue::from_static("10.0.0.9");
        let context = Context {
            method: &Method::GET,
            uri: &Uri::from_static("/p?q"),
            version: Version::HTTP_2,
            client: Some(&client),
        };
        // What it shows itself as is the same template.
        let shown = Template::parse(template).unwrap().to_string();
        let template = Template::parse(&shown).unwrap();
        let value = template.value(&context, &request, Some(&response)).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn each_command_stands_for_what_it_names() {
        let check = |template: &str, expected: &str| assert_eq!(value(template), expected, "{template}");
        check("plain", "plain");
        check("", "");
        check("100%%", "100%");
        check("<%REQ(X-A)%>", "<one>");
        check("%REQ(x-none?x-a)%", "one");
        check("%REQ(x-a):2%", "on");
        check("%REQ(x-none)%", "");
        check("%REQ(:METHOD)% %REQ(:path)% %REQ(:authority)%", "GET /p?q h");
        check("%RESP(x-none?x-r)%", "two");
        check("%PROTOCOL%", "HTTP/2");
        check("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.9");
    }

    #[test]
    fn a_time_is_written_as_access_logs_write_it() {
        // Of the time that it is now: the century, and what never changes.
        let check = |template: &str, expected: &str| assert_eq!(value(template), expected, "{template}");
        check("%START_TIME(%Y):2%", "20");
        check("<%START_TIME(%Z, 100%%)%>", "<UTC, 100%>");
        check("%START_TIME(%Z)%/%START_TIME(%z)%", "UTC/+0000");
        check("%START_TIME:2%", "20");
        let whole = value("%START_TIME%");
        assert_eq!(whole.len(), "2026-11-26T15:34:20.420Z".len(), "{whole}");
        assert!(whole.starts_with("20") && whole.ends_with('Z'), "{whole}");
        assert_eq!(value("t=%START_TIME(%s.%3f)%").len(), "t=1700000000.012".len());
    }

    #[test]
    fn what_no_value_can_be_is_refused() {
        let check = |template: &str, reason: &str| {
            let error = Template::parse(template).unwrap_err().to_string();
            assert!(error.contains(reason), "{template}: {error}");
        };
        check("a\r\nb", "control");
        check("50% off", "percent sign");
        check("%", "percent sign");
        check("%REQ(a", "not closed");
        check("%REQ(a)", "percent sign");
        check("%REQ(a b)%", "cannot exist");
        check("%BOGUS%", "do not know");
        check("%PROTOCOL(x)%", "do not know");
        check("%REQ(a):x%", "length");
        check("%START_TIME(%Q)%", "strftime");
    }
}
