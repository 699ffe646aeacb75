//! A group of hosts that share their routes, and how it holds what it is called and answers: thousands of them are in memory.

use std::fmt;
use std::sync::Arc;

use super::domain::{self, Domain};
use super::{HeaderMutations, Route};
use crate::config::limits;
use crate::filter::FilterOverrides;

/// A group of hosts that share their routes.
///
/// ```
/// use tidegate_proxy::route::{Domain, Route, VirtualHost};
///
/// let domains = ["a.example", "a.example:*"].map(|domain| Domain::parse(domain).expect("it is one"));
/// let host = VirtualHost::new("a", domains.clone(), [] as [Route; 0]);
/// assert_eq!(host.name(), "a");
/// assert!(host.domains().eq(domains));
/// ```
pub struct VirtualHost {
    /// Its name, and then what its domains say and the text has not said before.
    text: Arc<str>,
    claimed: Claimed,
    /// The routes, in the order in which they are tried.
    pub routes: Box<[Arc<Route>]>,
    /// Changes to the fields of all its requests and responses. Default: none.
    pub headers: HeaderMutations,
    /// What becomes of the listener's filters. Default: nothing.
    pub overrides: FilterOverrides,
}

/// The name of a virtual host.
#[derive(Clone, Debug)]
pub(crate) struct HostName {
    text: Arc<str>,
    length: usize,
}

impl HostName {
    pub(crate) fn as_str(&self) -> &str {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// Which part of the text is what. Most hosts have one domain, with or without any port.
enum Claimed {
    One {
        /// How long the name is.
        name: u32,
        kind: Kind,
        start: u32,
        length: u32,
    },
    Many {
        name: u32,
        spans: Box<Box<[Span]>>,
    },
}

/// One domain, or two that differ in the port alone.
#[derive(Clone, Copy, Debug)]
struct Span {
    kind: Kind,
    start: u32,
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Exact,
    Suffix,
    Prefix,
    /// This host with any port: `name:*`.
    Ports,
    /// This host, and then the same with any port.
    ExactAndPorts,
}

/// A domain as an index asks for it. Those that are a name, and a name with any port, are told by the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    Any,
    Name(&'a str, Parts),
    Suffix(&'a str),
    Prefix(&'a str),
}

/// For which hosts of a name: as it stands, with any port, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) alone: bool,
    pub(super) ports: bool,
}

impl VirtualHost {
    /// A virtual host that changes no fields.
    pub fn new<R: Into<Arc<Route>>>(
        name: impl Into<Arc<str>>,
        domains: impl IntoIterator<Item = Domain>,
        routes: impl IntoIterator<Item = R>,
    ) -> Self {
        let (text, claimed) = written(name.into(), domains);
        Self {
            text,
            claimed,
            routes: routes.into_iter().map(Into::into).collect(),
            headers: HeaderMutations::default(),
            overrides: FilterOverrides::default(),
        }
    }

    /// Its name, for metrics and explanations.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Claimed::One { name, .. } | Claimed::Many { name, .. }) = self.claimed;
        self.text.get(..name as usize).unwrap_or_default()
    }

    /// The same, to be held longer than the host with its routes.
    pub(crate) fn shared_name(&self) -> HostName {
        let (Claimed::One { name, .. } | Claimed::Many { name, .. }) = self.claimed;
        HostName {
            text: Arc::clone(&self.text),
            length: name as usize,
        }
    }

    /// The hosts that it answers.
    pub fn domains(&self) -> impl Iterator<Item = Domain> {
        self.spans().flat_map(|span| span.domains(&self.text))
    }

    /// Has it hold another text of which its own is the beginning, such as the name of a route: both are there once then.
    pub fn share(&mut self, text: &Arc<str>) {
        if text.starts_with(&*self.text) {
            self.text = Arc::clone(text);
        }
    }

    /// Its domains as an index asks for them.
    pub(super) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.spans().map(|span| span.asked(&self.text))
    }

    /// One of them.
    pub(super) fn asked_at(&self, number: u32) -> Option<Asked<'_>> {
        let span = self.span(number as usize)?;
        Some(span.asked(&self.text))
    }

    fn spans(&self) -> impl Iterator<Item = Span> {
        (0..).map_while(|number| self.span(number))
    }

    fn span(&self, number: usize) -> Option<Span> {
        match &self.claimed {
            Claimed::Many { spans, .. } => spans.get(number).copied(),
            Claimed::One {
                kind, start, length, ..
            } => (number == 0).then_some(Span {
                kind: *kind,
                start: *start,
                length: *length,
            }),
        }
    }
}

impl fmt::Debug for VirtualHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualHost")
            .field("name", &self.name())
            .field("domains", &self.domains().collect::<Vec<_>>())
            .field("routes", &self.routes)
            .field("headers", &self.headers)
            .field("overrides", &self.overrides)
            .finish()
    }
}

impl Span {
    fn text(self, text: &str) -> &str {
        let start = self.start as usize;
        text.get(start..start + self.length as usize).unwrap_or_default()
    }

    fn asked(self, text: &str) -> Asked<'_> {
        let text = self.text(text);
        let parts = |alone, ports| Asked::Name(text, Parts { alone, ports });
        match self.kind {
            Kind::Any => Asked::Any,
            Kind::Exact => parts(true, false),
            Kind::Ports => parts(false, true),
            Kind::ExactAndPorts => parts(true, true),
            Kind::Suffix => Asked::Suffix(text),
            Kind::Prefix => Asked::Prefix(text),
        }
    }

    fn domains(self, text: &str) -> impl Iterator<Item = Domain> + use<> {
        let [first, second] = self.asked(text).domains();
        first.into_iter().chain(second)
    }
}

impl Asked<'_> {
    /// The domains that this is.
    pub(super) fn domains(self) -> [Option<Domain>; 2] {
        match self {
            Self::Any => [Some(Domain::Any), None],
            Self::Suffix(suffix) => [Some(Domain::Suffix(suffix.into())), None],
            Self::Prefix(prefix) => [Some(Domain::Prefix(prefix.into())), None],
            Self::Name(name, parts) => [
                parts.alone.then(|| Domain::Exact(name.into())),
                parts.ports.then(|| Domain::Prefix(format!("{name}:").into())),
            ],
        }
    }

    /// How many of them can only be meant for hosts that name a port.
    pub(super) fn ports(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Suffix(text) | Self::Prefix(text) => domain::names_port(text).into(),
            Self::Name(name, parts) => {
                usize::from(parts.alone && domain::names_port(name)) + usize::from(parts.ports)
            }
        }
    }
}

/// A name and domains as one text. What of a domain's text stands somewhere in it already, as it does in names that say what they
/// are for, is not written once more.
fn written(name: Arc<str>, domains: impl IntoIterator<Item = Domain>) -> (Arc<str>, Claimed) {
    let mut text = Written {
        known: name,
        more: String::new(),
    };
    let bytes = text.known.len();
    let mut spans: Vec<Span> = Vec::new();
    for domain in domains {
        let (kind, said) = match &domain {
            Domain::Any => (Kind::Any, ""),
            Domain::Exact(name) => (Kind::Exact, &**name),
            Domain::Suffix(suffix) => (Kind::Suffix, &**suffix),
            Domain::Prefix(prefix) => match any_port(prefix) {
                Some(name) => (Kind::Ports, name),
                None => (Kind::Prefix, &**prefix),
            },
        };
        if let Some(last) = spans.last_mut().filter(|last| last.kind == Kind::Exact)
            && kind == Kind::Ports
            && last.text(text.all()) == said
        {
            last.kind = Kind::ExactAndPorts;
            continue;
        }
        spans.push(text.span(kind, said));
    }
    let name = number(bytes);
    let claimed = match *spans {
        [Span { kind, start, length }] => Claimed::One {
            name,
            kind,
            start,
            length,
        },
        _ => Claimed::Many {
            name,
            spans: Box::new(spans.into()),
        },
    };
    (text.finish(), claimed)
}

/// The name in `name:`, the prefix of that name with any port. What has colons of its own is a prefix like any other.
fn any_port(prefix: &str) -> Option<&str> {
    let name = prefix.strip_suffix(':')?;
    let is_plain = !name.is_empty() && !name.contains([':', '[', ']']);
    is_plain.then_some(name)
}

/// A text that is written.
struct Written {
    known: Arc<str>,
    /// The whole, once it is more than that.
    more: String,
}

impl Written {
    fn all(&self) -> &str {
        match self.more.is_empty() {
            true => &self.known,
            false => &self.more,
        }
    }

    fn span(&mut self, kind: Kind, said: &str) -> Span {
        // A host of many domains would look through all for each of them.
        let is_short = self.all().len() <= limits::HOST_TEXT_SEARCHED_BYTES_MAX;
        let said_before = is_short.then(|| self.all().find(said)).flatten();
        let start = said_before.unwrap_or_else(|| {
            if self.more.is_empty() {
                self.more.push_str(&self.known);
            }
            self.more.push_str(said);
            self.more.len() - said.len()
        });
        Span {
            kind,
            start: number(start),
            length: number(said.len()),
        }
    }

    fn finish(self) -> Arc<str> {
        match self.more.is_empty() {
            true => self.known,
            false => self.more.into(),
        }
    }
}

/// A place in a text. No message that brings one has 4 GiB.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, domains: &[&str], text: &str) {
        let domains: Vec<Domain> = domains
            .iter()
            .map(|domain| Domain::parse(domain).unwrap())
            .collect();
        let host = VirtualHost::new(name, domains.clone(), [] as [Route; 0]);
        assert_eq!((host.name(), &*host.text), (name, text));
        assert_eq!(host.domains().collect::<Vec<_>>(), domains, "{name}");
    }

    #[test]
    fn what_a_name_says_of_its_domains_is_there_once() {
        check("(a/b).Domain[b.a]", &["b.a", "b.a:*"], "(a/b).Domain[b.a]");
        check("b", &["b.a", "b.a:*"], "bb.a");
        check("b", &["b.a:*", "b.a", "*.a", "a"], "bb.a");
        check("", &["*", "b.*", "b:80", "[::1]:*", "[::1]"], "b.b:80[::1]:");
        check("none", &[], "none");
        check("x", &["x", "x:*", "x:*"], "x");
    }

    #[test]
    fn a_host_of_many_domains_says_some_of_them_twice() {
        let many = limits::HOST_TEXT_SEARCHED_BYTES_MAX / 4;
        let domains: Vec<Domain> = (0..many)
            .map(|number| Domain::Exact(format!("x{number:07}").into()))
            .collect();
        let twice = [&domains[..], &[Domain::Prefix("x0000000".into())]].concat();
        let host = VirtualHost::new("many", twice.clone(), [] as [Route; 0]);
        assert_eq!(host.domains().collect::<Vec<_>>(), twice);
        assert_eq!(host.text.len(), "many".len() + 8 * twice.len());
    }

    #[test]
    fn a_longer_text_is_shared_where_it_begins_with_the_own_one() {
        let domains = ["b.a", "b.a:*"].map(|domain| Domain::parse(domain).unwrap());
        let mut host = VirtualHost::new("Domain[b.a]", domains.clone(), [] as [Route; 0]);
        for (text, shares) in [("Domain[c]", false), ("Domain[b.a].Paths[/]", true)] {
            let text: Arc<str> = text.into();
            host.share(&text);
            assert_eq!(Arc::ptr_eq(&host.text, &text), shares);
            assert_eq!(host.name(), "Domain[b.a]");
            assert!(host.domains().eq(domains.clone()));
        }
    }

    #[test]
    fn a_host_of_one_name_takes_no_more_than_80_bytes_beside_text_and_routes() {
        // With the counts of its `Arc`; there are some for each service.
        assert!(size_of::<VirtualHost>() + 2 * size_of::<usize>() <= 80);
    }
}
