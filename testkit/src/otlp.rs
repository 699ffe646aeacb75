//! Which spans are in an export of OTLP? As much of its messages as tests look at, written from the protocol and not from the code
//! that is tested.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// A span.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// Its trace.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// What it is called by those below it.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// The span above it.
    #[prost(bytes = "vec", tag = "4")]
    pub parent: Vec<u8>,
    /// Its name.
    #[prost(string, tag = "5")]
    pub name: String,
    /// 2 for a server's, 3 for a client's.
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// When it began, in ns of Unix time.
    #[prost(fixed64, tag = "7")]
    pub start: u64,
    /// When it ended.
    #[prost(fixed64, tag = "8")]
    pub end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

/// All spans of an export.
///
/// ```
/// assert!(tidegate_testkit::otlp::spans(&[]).is_empty());
/// ```
///
/// # Panics
/// When it is none.
#[must_use]
pub fn spans(export: &[u8]) -> Vec<Span> {
    let resources = Export::decode(export).expect("an export").resources;
    let scopes = resources.into_iter().flat_map(|resource| resource.scopes);
    scopes.flat_map(|scope| scope.spans).collect()
}

impl Span {
    /// The attribute of this name; empty where there is none.
    #[must_use]
    pub fn says(&self, key: &str) -> String {
        let found = self.attributes.iter().find(|attribute| attribute.key == key);
        let value = found
            .and_then(|attribute| attribute.value.clone())
            .unwrap_or_default();
        value
            .text
            .or_else(|| value.number.map(|number| number.to_string()))
            .unwrap_or_default()
    }
}

/// An id as headers and logs write it.
#[must_use]
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
