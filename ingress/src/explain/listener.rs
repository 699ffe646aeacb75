//! Which listener takes the connection, and which of its filter chains?

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_proxy::listener::chain::explain::{Connection, Verdict, explain};
use tidegate_proxy::listener::chain::{ChainMatch, Transport};
use tidegate_proxy::listener::settings::ListenAddress;
use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::relay::RelaySettings;
use tidegate_xds::translate::listener::{ChainConfig, ListenerConfig, RouteSource};

use super::{Answer, BadQuestion, Configuration, Question, words};
use crate::limits::CANDIDATES_SHOWN_MAX;
use crate::page::Page;

/// What clients offer that can speak both.
const OFFERED: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What was chosen.
pub(super) struct Choice<'a> {
    listener: &'a ListenerConfig,
    others: Vec<String>,
    /// The chain; none where the connection is closed.
    pub(super) chain: Option<&'a ChainConfig>,
    passed_over: Vec<String>,
    /// Where the client connected to.
    pub(super) destination: Option<SocketAddr>,
}

/// Chooses the listener that the question names, else by scheme, then by port, then by whether it knows the host.
pub(super) fn choose<'a>(
    configuration: &'a Configuration,
    question: &Question,
) -> Result<Choice<'a>, BadQuestion> {
    let all = &configuration.listeners;
    if let Some(name) = &question.listener {
        let known: Vec<&str> = all.keys().map(|name| &**name).collect();
        let listener = all.get(name.as_str()).ok_or_else(|| {
            let known = known.join(", ");
            BadQuestion(format!("there is no listener '{name}'; there are: {known}"))
        })?;
        return Ok(chain(listener, question, Vec::new()));
    }
    let scheme = if question.tls() { "https" } else { "http" };
    let chosen = all
        .values()
        .filter(|listener| speaks(listener, question.tls()))
        .max_by_key(|listener| {
            let knows = knows(
                configuration,
                chain(listener, question, Vec::new()).chain,
                question,
            );
            // Of equals the first by name.
            (
                listens(listener, question.port()),
                knows,
                std::cmp::Reverse(Arc::clone(&listener.name)),
            )
        });
    let Some(chosen) = chosen else {
        let message = match all.is_empty() {
            true => "the configuration has no listener".to_owned(),
            false => format!("no listener speaks {scheme}"),
        };
        return Err(BadQuestion(message));
    };
    let others = all.values().filter(|other| !Arc::ptr_eq(other, chosen));
    let others = others.map(|other| {
        let shown = words::listener(other);
        if !speaks(other, question.tls()) {
            return format!("{shown}: does not speak {scheme}");
        }
        let port = question.port();
        if listens(chosen, port) && !listens(other, port) {
            return format!("{shown}: not on port {port}");
        }
        format!("{shown}: would do as well; --listener {} asks it", other.name)
    });
    Ok(chain(chosen, question, others.collect()))
}

fn speaks(listener: &ListenerConfig, tls: bool) -> bool {
    let mut chains = listener.chains.iter().chain(&listener.default_chain);
    chains.any(|chain| takes(chain, tls))
}

/// Whether a chain takes what is, or is not, TLS: one that passes bytes on takes either.
fn takes(chain: &ChainConfig, tls: bool) -> bool {
    chain.tls.is_some() == tls || chain.relay.is_some() && chain.tls.is_none()
}

fn listens(listener: &ListenerConfig, port: u16) -> bool {
    let is = |address: &ListenAddress| matches!(address, ListenAddress::Tcp(at) if at.port() == port);
    listener.addresses.iter().any(|(address, _)| is(address))
}

/// Whether a chain's routes have a virtual host for the question's host.
fn knows(configuration: &Configuration, chain: Option<&ChainConfig>, question: &Question) -> bool {
    let routes = match chain.map(|chain| &chain.routes) {
        Some(RouteSource::Inline(routes)) => Some(routes),
        Some(RouteSource::Rds { name, .. }) => configuration.routes.get(name),
        Some(RouteSource::None) | None => None,
    };
    let request = question.request();
    let host = request.headers().get(http::header::HOST);
    let host = host.and_then(|host| Host::parse(host.as_bytes()).ok());
    routes
        .zip(host)
        .is_some_and(|(routes, host)| routes.table.find(&host).is_some())
}

/// Chooses the chain of a listener.
fn chain<'a>(listener: &'a ListenerConfig, question: &Question, others: Vec<String>) -> Choice<'a> {
    let tcp = listener.addresses.iter().find_map(|(address, _)| match address {
        ListenAddress::Tcp(at) => Some(*at),
        ListenAddress::Unix(_) => None,
    });
    let matches: Vec<ChainMatch> = listener
        .chains
        .iter()
        .map(|chain| chain.matches.clone())
        .collect();
    let name = question.server_name();
    let connection = Connection {
        destination: tcp,
        source: question.client,
        server_name: name.as_deref(),
        application_protocols: if question.tls() { &OFFERED } else { &[] },
        ..Connection::of(if question.tls() {
            Transport::Tls
        } else {
            Transport::Raw
        })
    };
    let verdicts = explain(&matches, &connection);
    let taken = verdicts.iter().position(|verdict| *verdict == Verdict::Taken);
    let mut passed_over = Vec::new();
    for (index, (verdict, chain)) in verdicts.iter().zip(&listener.chains).enumerate() {
        let shown = words::chain(index, chain);
        match verdict {
            Verdict::Taken => {}
            Verdict::Mismatch(criterion) => {
                let wanted = words::criterion(*criterion, &chain.matches);
                passed_over.push(format!("{shown}: {criterion}: wanted {wanted}"));
            }
            Verdict::LessSpecific(criterion) => {
                passed_over.push(format!(
                    "{shown}: another matches more specifically by {criterion}"
                ));
            }
        }
    }
    let chain = match taken {
        Some(taken) => listener.chains.get(taken),
        None => listener.default_chain.as_ref(),
    };
    // What is not what the chain speaks fails in its handshake, or as its request.
    let chain = chain.filter(|chain| takes(chain, question.tls()));
    Choice {
        listener,
        others,
        chain,
        passed_over: words::at_most(passed_over, CANDIDATES_SHOWN_MAX),
        destination: tcp,
    }
}

/// Where a chain's bytes go that speaks no HTTP.
pub(super) fn relayed(relay: &RelaySettings, mut page: Page) -> Answer {
    let parts = relay.to.parts().iter();
    let parts = parts.map(|part| format!("'{}', weight {}", part.cluster, part.weight));
    page.list("clusters", parts.collect());
    page.text(
        "answer",
        "the chain passes bytes on as they are: the request is the cluster's to answer",
    );
    Answer { page, routed: true }
}

impl Choice<'_> {
    pub(super) fn show(&self, page: &mut Page) {
        page.text("listener", words::listener(self.listener));
        page.list("other listeners", self.others.clone());
        let chains = &self.listener.chains;
        let shown =
            self.chain.map(
                |chain| match chains.iter().position(|other| std::ptr::eq(other, chain)) {
                    Some(index) => words::chain(index, chain),
                    None => format!("the default one, {}", words::protocol(chain)),
                },
            );
        page.text("filter chain", shown.unwrap_or_else(|| "none".to_owned()));
        page.list("other chains", self.passed_over.clone());
    }
}
