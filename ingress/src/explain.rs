//! What would a configuration do with a request, and why not something else?
//!
//! Pure: a [`Configuration`] and a [`Question`] in, an [`Answer`] out. What decides is the proxy's own code
//! ([`tidegate_proxy::rehearsal`]); nothing is sent.

use std::sync::Arc;

use http::header::HOST;
use http::{Request, StatusCode};
use tidegate_proxy::Body;
use tidegate_proxy::error::Kind as ErrorKind;
use tidegate_proxy::rehearsal::{Arrived, Client, Rehearsal, Stop};
use tidegate_proxy::route::{Action, VirtualHost};
use tidegate_xds::translate::listener::{ChainConfig, RouteSource};
use tidegate_xds::translate::routes::RoutesConfig;

use crate::page::Page;

mod cluster;
mod configuration;
mod forward;
mod host;
mod listener;
mod question;
mod route;
mod words;

pub use configuration::Configuration;
pub use question::Question;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Every step, and what was passed over.
    pub page: Page,
    /// Whether the request gets somewhere: to an endpoint, or to an answer of the route's own. Otherwise the page says what the
    /// client is told instead.
    pub routed: bool,
}

/// A question that cannot be answered as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuestion(String);

/// Follows a request through a configuration.
///
/// # Errors
/// When it names a listener that is not there, or there is none that speaks its scheme.
pub fn explain(configuration: &Configuration, question: &Question) -> Result<Answer, BadQuestion> {
    let mut page = Page::default();
    page.text("request", question.to_string());
    let choice = listener::choose(configuration, question)?;
    choice.show(&mut page);
    page.list("remarks", configuration.remarks.clone());
    let Some(chain) = choice.chain else {
        page.text(
            "answer",
            "none: no filter chain takes the connection, it is closed",
        );
        return Ok(Answer { page, routed: false });
    };
    if let Some(relay) = &chain.relay {
        return Ok(listener::relayed(relay, page));
    }
    let trip = Trip {
        configuration,
        question,
        chain,
        rehearsal: Rehearsal::new(
            Arc::clone(&chain.http),
            Client {
                tls: question.tls(),
                address: question.client,
                destination: choice.destination,
            },
        ),
    };
    let routed = trip.follow(&mut page);
    Ok(Answer { page, routed })
}

/// One request on a connection that a chain has taken.
struct Trip<'a> {
    configuration: &'a Configuration,
    question: &'a Question,
    chain: &'a ChainConfig,
    rehearsal: Rehearsal,
}

impl<'a> Trip<'a> {
    /// Goes on until the request is somewhere. Whether it gets anywhere.
    fn follow(&self, page: &mut Page) -> bool {
        let mut request = self.question.request();
        let arrived = match self.rehearsal.arrive(&mut request) {
            Ok(arrived) => arrived,
            Err(error) => return self.refused(page, error.kind(), &error.to_string()),
        };
        self.show_arrival(&arrived, &request, page);
        let Some(routes) = self.routes(page) else {
            return false;
        };
        let found = host::find(routes, &arrived.host);
        found.show(page);
        let Some(host) = found.host else {
            let status = self.rehearsal.status(ErrorKind::NoRoute);
            page.text("answer", format!("{status}: no virtual host has a domain for it"));
            return false;
        };
        self.route(host, routes, &arrived, request, page)
    }

    fn route(
        &self,
        host: &VirtualHost,
        routes: &RoutesConfig,
        arrived: &Arrived,
        request: Request<Body>,
        page: &mut Page,
    ) -> bool {
        let search = route::find(&host.routes, &request);
        search.show(&host.routes, &request, page);
        let Some(route) = search.found.and_then(|found| host.routes.get(found)) else {
            let status = self.rehearsal.status(ErrorKind::NoRoute);
            page.text(
                "answer",
                format!("{status}: no route of the virtual host matches"),
            );
            return false;
        };
        let stop = Stop {
            table: &routes.table,
            host,
            route,
            share: None,
        };
        page.list("filters", words::filters(&self.chain.http, stop));
        if arrived.own_path {
            let path = request.uri().path();
            page.text(
                "answer",
                format!("307: the client has to ask for '{path}' itself"),
            );
            return true;
        }
        match &route.action {
            Action::Forward(forward) => self.forward(stop, forward, arrived, &request, page),
            Action::Redirect(redirect) => {
                page.list("header edits", words::edits(stop));
                let status = redirect.status.code();
                match self.rehearsal.location(redirect, route, &request) {
                    Ok(location) => {
                        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
                        page.text("answer", format!("{status}: redirect to {location}"));
                        true
                    }
                    Err(error) => self.refused(page, error.kind(), &error.to_string()),
                }
            }
            Action::Respond(direct) => {
                page.list("header edits", words::edits(stop));
                let bytes = direct.body().len();
                let status = direct.status();
                page.text(
                    "answer",
                    format!("{status}: the route answers by itself, with {bytes} bytes"),
                );
                true
            }
        }
    }

    fn refused(&self, page: &mut Page, kind: ErrorKind, why: &str) -> bool {
        page.text("answer", format!("{}: {why}", self.rehearsal.status(kind)));
        false
    }

    /// What routes see of the request, where that is not what was asked.
    fn show_arrival(&self, arrived: &Arrived, request: &Request<Body>, page: &mut Page) {
        let asked = self.question.request();
        let target = request.uri().to_string();
        let host = request.headers().get(HOST);
        if asked.uri() != request.uri() || asked.headers().get(HOST) != host {
            page.text("normalized", format!("{} for host {}", target, arrived.host));
        }
    }

    fn routes(&self, page: &mut Page) -> Option<&'a RoutesConfig> {
        match &self.chain.routes {
            RouteSource::Inline(routes) => {
                page.text("routes", format!("'{}', written in the listener", routes.name));
                Some(routes)
            }
            RouteSource::Rds { name, .. } => {
                let routes = self.configuration.routes.get(name);
                match routes {
                    Some(_) => page.text("routes", format!("'{name}', by RDS")),
                    None => {
                        page.text("routes", format!("'{name}', by RDS: not there"));
                        let status = StatusCode::NOT_FOUND;
                        page.text(
                            "answer",
                            format!("{status}, once the listener no longer waits for its routes"),
                        );
                    }
                }
                routes.map(|routes| &**routes)
            }
            RouteSource::None => None,
        }
    }
}

#[cfg(test)]
mod tests;
