//! What does a session ask, answer and hand over, step by step?

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use super::*;
use crate::resource::{Gone, Rejection};
use crate::wire::{self, Any, DeltaDiscoveryResponse, DiscoveryResponse, Node, Resource};

mod convergence;
mod delta;
mod lifetimes;
mod rate;
mod sotw;

/// A session in conversation with a test.
pub(super) struct Talk {
    pub(super) session: Session,
    pub(super) status: Arc<Status>,
    pub(super) now: Instant,
}

impl Talk {
    pub(super) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(Node {
            id: "node".into(),
            ..Node::default()
        });
        change(&mut settings);
        let (now, status) = (Instant::now(), Arc::new(Status::default()));
        Self {
            session: Session::new(settings, Arc::clone(&status), now),
            status,
            now,
        }
    }

    /// On a stream, with these names wanted.
    pub(super) fn begun(variant: Variant, wanted: &[(Kind, &[&str])]) -> Self {
        let mut talk = Self::new(|settings| settings.variant = variant);
        talk.want(wanted);
        talk.session.connected();
        talk.ask();
        talk
    }

    pub(super) fn want(&mut self, wanted: &[(Kind, &[&str])]) {
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let wanted = wanted.iter().map(|(kind, list)| (*kind, names(list)));
        self.session.want(&wanted.collect(), self.now);
    }

    /// All requests that are due, in words.
    pub(super) fn ask(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.next_request(self.now))
            .map(|request| say(&request))
            .collect()
    }

    pub(super) fn hear(&mut self, kind: Kind, version: &str, nonce: &str, names: &[&str]) {
        let response = DiscoveryResponse {
            version_info: version.to_owned(),
            resources: names.iter().map(|name| any(kind, name)).collect(),
            type_url: kind.type_url().to_owned(),
            nonce: nonce.to_owned(),
            ..DiscoveryResponse::default()
        };
        self.receive(&response);
    }

    pub(super) fn hear_changes(
        &mut self,
        kind: Kind,
        nonce: &str,
        changed: &[(&str, &str)],
        removed: &[&str],
    ) {
        let resources = changed.iter().map(|(name, version)| Resource {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            resource: Some(any(kind, name)),
            ..Resource::default()
        });
        self.receive(&DeltaDiscoveryResponse {
            resources: resources.collect(),
            type_url: kind.type_url().to_owned(),
            nonce: nonce.to_owned(),
            removed_resources: removed.iter().map(|&name| name.to_owned()).collect(),
            ..DeltaDiscoveryResponse::default()
        });
    }

    pub(super) fn receive(&mut self, response: &impl Message) {
        let message = response.encode_to_vec().into();
        self.session.receive(message, self.now).expect("it can be read");
    }

    /// What is delivered next, in words, and its token.
    pub(super) fn take(&mut self) -> (Token, String) {
        let (token, update) = self.session.take_delivery().expect("there is an update");
        let mut said = format!("{:?}", update.kind);
        for raw in &update.resources {
            write!(said, " {}@{}", raw.name, raw.version).unwrap();
        }
        match update.gone {
            Gone::Rest => said.push_str(" alone"),
            Gone::Named(names) => names.iter().for_each(|name| write!(said, " -{name}").unwrap()),
        }
        (token, said)
    }

    pub(super) fn accept(&mut self) -> String {
        let (token, said) = self.take();
        self.session.judged(token, Some(&Verdict::Accepted));
        said
    }

    pub(super) fn reject(&mut self, message: &str, failed: &[&str]) -> String {
        let (token, said) = self.take();
        self.session.judged(token, Some(&rejected(message, failed)));
        said
    }

    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }
}

pub(super) fn rejected(message: &str, failed: &[&str]) -> Verdict {
    Verdict::Rejected(Rejection {
        message: message.to_owned(),
        failed: failed.iter().map(|&name| name.into()).collect(),
        whole: failed.is_empty(),
    })
}

pub(super) fn any(kind: Kind, name: &str) -> Any {
    let mut body = Vec::new();
    prost::encoding::string::encode(1, &name.to_owned(), &mut body);
    Any {
        type_url: kind.type_url().to_owned(),
        value: Bytes::from(body),
    }
}

fn say(request: &Request) -> String {
    let kind = |url: &str| Kind::of_url(url).expect("a kind");
    let error = |error: &Option<wire::Status>| {
        let error = error.as_ref();
        error.map_or_else(String::new, |error| format!(" !{} {}", error.code, error.message))
    };
    match request {
        Request::StateOfTheWorld(request) => format!(
            "{:?} {} v'{}' n'{}'{}",
            kind(&request.type_url),
            request.resource_names.join(","),
            request.version_info,
            request.response_nonce,
            error(&request.error_detail)
        ),
        Request::Delta(request) => format!(
            "{:?} +{} -{} {:?} n'{}'{}",
            kind(&request.type_url),
            request.resource_names_subscribe.join(","),
            request.resource_names_unsubscribe.join(","),
            request.initial_resource_versions,
            request.response_nonce,
            error(&request.error_detail)
        ),
    }
}
