//! Why does a route not take a request?

use std::fmt;

use http::Request;
use http::header::HeaderName;

use super::path::PathRule;
use super::{
    CookieMatch, Field, HeaderMatch, Matcher, ProtocolMatch, Rule, Sense, X_FORWARDED_PROTO, cookie,
    parameter,
};
use crate::route::{Case, PathMatch, TextMatch, text::TextRule};

/// A condition that a request does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the condition is about.
    pub criterion: Criterion,
    /// What it asks for.
    pub wanted: String,
    /// What the request has there.
    pub found: String,
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// The path.
    Path,
    /// The method.
    Method,
    /// This header field, or `:path` and the like.
    Header(Box<str>),
    /// This query parameter.
    Query(Box<str>),
    /// This cookie.
    Cookie(Box<str>),
    /// The protocol on top of HTTP.
    Protocol,
}

impl Matcher {
    /// The conditions that a normalised request does not meet: none exactly where [`Matcher::matches`], chance apart, which
    /// [`Matcher::fraction`] leaves something to. For explanations; it writes texts.
    ///
    /// ```
    /// use http::{Method, Request};
    /// use tidegate_proxy::route::{Matcher, PathMatch};
    ///
    /// let matcher = Matcher {
    ///     path: PathMatch::prefix("/api"),
    ///     methods: vec![Method::GET],
    ///     ..Matcher::default()
    /// };
    /// let request = Request::get("/app").body(()).expect("it is valid");
    /// let why: Vec<String> = matcher.mismatches(&request).iter().map(ToString::to_string).collect();
    /// assert_eq!(why, ["path: wanted prefix '/api', found '/app'"]);
    /// ```
    #[must_use]
    pub fn mismatches<B>(&self, request: &Request<B>) -> Vec<Mismatch> {
        let mut list = Vec::new();
        let mut miss = |criterion, wanted: String, found: String| {
            list.push(Mismatch {
                criterion,
                wanted,
                found,
            });
        };
        let path = request.uri().path();
        if !self.path.matches(path) {
            miss(Criterion::Path, self.path.to_string(), quoted(path));
        }
        if !self.takes_method(request.method()) {
            let methods: Vec<_> = self.methods.iter().map(ToString::to_string).collect();
            miss(
                Criterion::Method,
                methods.join(" or "),
                request.method().to_string(),
            );
        }
        for header in self.headers.iter().filter(|header| !header.matches(request)) {
            let name = Criterion::Header(header.name().into());
            miss(name, header.wanted(), header.found(request));
        }
        let query = request.uri().query().unwrap_or_default();
        for condition in self.query.iter().filter(|condition| !condition.matches(query)) {
            let found = parameter(query, condition.name()).map_or_else(nothing, quoted);
            miss(
                Criterion::Query(condition.name().into()),
                condition.rule().to_string(),
                found,
            );
        }
        let headers = request.headers();
        for condition in self
            .cookies
            .iter()
            .filter(|condition| !condition.matches(headers))
        {
            let found = cookie(headers, &condition.name);
            let found = found.map_or_else(nothing, |value| quoted(&String::from_utf8_lossy(value)));
            miss(
                Criterion::Cookie(condition.name.clone()),
                condition.wanted(),
                found,
            );
        }
        if !self.takes_protocol(headers) {
            miss(Criterion::Protocol, "gRPC".to_owned(), "another".to_owned());
        }
        list
    }

    /// Everything that it asks for, each condition with what it is about; the path comes first and always.
    #[must_use]
    pub fn conditions(&self) -> Vec<(Criterion, String)> {
        let mut list = vec![(Criterion::Path, self.path.to_string())];
        if !self.methods.is_empty() {
            let methods: Vec<_> = self.methods.iter().map(ToString::to_string).collect();
            list.push((Criterion::Method, methods.join(" or ")));
        }
        let headers = self.headers.iter();
        list.extend(headers.map(|header| (Criterion::Header(header.name().into()), header.wanted())));
        let query = self.query.iter();
        list.extend(query.map(|query| (Criterion::Query(query.name().into()), query.rule().to_string())));
        let cookies = self.cookies.iter();
        list.extend(cookies.map(|cookie| (Criterion::Cookie(cookie.name.clone()), cookie.wanted())));
        if self.protocol == ProtocolMatch::Grpc {
            list.push((Criterion::Protocol, "gRPC".to_owned()));
        }
        list
    }
}

impl HeaderMatch {
    fn wanted(&self) -> String {
        let not = if self.is_inverted() { "not " } else { "" };
        let empty = if self.takes_missing_as_empty() {
            " (missing counts as empty)"
        } else {
            ""
        };
        format!("{not}{}{empty}", self.rule())
    }

    fn found<B>(&self, request: &Request<B>) -> String {
        match &self.field {
            Field::Method => request.method().to_string(),
            Field::Path => request
                .uri()
                .path_and_query()
                .map_or_else(nothing, |target| quoted(target.as_str())),
            Field::Scheme => values(request, &X_FORWARDED_PROTO),
            Field::Header(name) => values(request, name),
        }
    }
}

impl CookieMatch {
    fn wanted(&self) -> String {
        let not = match self.sense {
            Sense::Plain => "",
            Sense::Inverted => "not ",
        };
        format!("{not}{}", self.condition)
    }
}

fn values<B>(request: &Request<B>, name: &HeaderName) -> String {
    let values = request.headers().get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| quoted(&String::from_utf8_lossy(value.as_bytes())))
        .collect();
    if values.is_empty() {
        return nothing();
    }
    values.join(", ")
}

fn nothing() -> String {
    "nothing".to_owned()
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: wanted {}, found {}",
            self.criterion, self.wanted, self.found
        )
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Protocol => f.write_str("protocol"),
        }
    }
}

/// What it asks for, in words.
impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule() {
            PathRule::Any => f.write_str("any"),
            PathRule::Prefix(prefix) => write!(f, "prefix '{prefix}'"),
            PathRule::Exact(path) => write!(f, "exactly '{path}'"),
            PathRule::Segments(prefix) => write!(f, "'{prefix}' or what lies below it"),
            PathRule::Regex(text) => write!(f, "regex '{text}'"),
        }?;
        case(f, self.case())
    }
}

/// What it asks for, in words.
impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule() {
            TextRule::Exact(text) => write!(f, "exactly '{text}'"),
            TextRule::Prefix(text) => write!(f, "prefix '{text}'"),
            TextRule::Suffix(text) => write!(f, "suffix '{text}'"),
            TextRule::Contains(text) => write!(f, "'{text}' in it"),
            TextRule::Regex(text) => write!(f, "regex '{text}'"),
        }?;
        case(f, self.case())
    }
}

/// What it asks for, in words.
impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::Text(condition) => condition.fmt(f),
            Self::Range { start, end } => write!(f, "a number from {start} to below {end}"),
        }
    }
}

fn case(f: &mut fmt::Formatter<'_>, case: Case) -> fmt::Result {
    match case {
        Case::Sensitive => Ok(()),
        Case::Ignored => f.write_str(" in any case"),
    }
}

#[cfg(test)]
mod tests;
