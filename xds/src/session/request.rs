//! What a session asks: the next request of one kind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message;

use super::Variant;
use super::subscription::{Answer, Subscription, WILDCARD};
use crate::limits;
use crate::wire::{DeltaDiscoveryRequest, DiscoveryRequest, Node, Status};

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// In a stream of whole states.
    StateOfTheWorld(DiscoveryRequest),
    /// In a stream of changes.
    Delta(DeltaDiscoveryRequest),
}

impl Request {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::StateOfTheWorld(request) => request.encode_to_vec().into(),
            Self::Delta(request) => request.encode_to_vec().into(),
        }
    }
}

impl Subscription {
    /// The request that is due. It says all there is to say: names that have changed, and an answer that is owed.
    pub(super) fn request(&mut self, node: Option<Node>, now: Instant) -> Request {
        let answer = self.answers.pop_front();
        if let Some(refusal) = answer.as_ref().and_then(|answer| answer.refused.as_ref()) {
            self.refusals.refused(refusal.hash, now);
        }
        let names = self.names();
        let request = match self.variant {
            Variant::StateOfTheWorld => Request::StateOfTheWorld(self.whole(node, answer, &names)),
            Variant::Delta => Request::Delta(self.changes(node, answer, &names)),
        };
        self.stream.begun = true;
        self.stream.changed = false;
        self.stream.asked = names;
        request
    }

    fn whole(
        &mut self,
        node: Option<Node>,
        answer: Option<Answer>,
        names: &BTreeSet<Arc<str>>,
    ) -> DiscoveryRequest {
        let is_all = names.iter().eq([&Arc::from(WILDCARD)]) && self.kind.is_wildcard();
        // An empty list is all of them until the first name was asked for.
        let resource_names = if is_all && !self.stream.named {
            Vec::new()
        } else {
            self.stream.named = true;
            texts(names.iter())
        };
        let version_info = match self.lacks_any(names) {
            true => String::new(),
            false => self.version.to_string(),
        };
        DiscoveryRequest {
            version_info,
            node,
            resource_names,
            type_url: self.kind.type_url().to_owned(),
            response_nonce: self.stream.nonce.clone(),
            error_detail: detail(answer),
        }
    }

    /// Whether a server may believe that the client has what it has not: it goes by the version, and by what it has sent before
    /// on this stream. Then the request says that nothing was accepted, and all is sent.
    fn lacks_any(&self, names: &BTreeSet<Arc<str>>) -> bool {
        if self.kind.is_wildcard() {
            return false;
        }
        if !self.stream.begun {
            // Names that are still waited for, perhaps from another replica, whose versions are the same.
            return names.iter().any(|name| !self.known.contains_key(name));
        }
        let mut added = names.difference(&self.stream.asked);
        // Of what was not remembered any more it may be any.
        let forgot = self.stream.came.len() >= limits::NAMES_REMEMBERED_MAX;
        added.any(|name| forgot || self.stream.came.contains(name))
    }

    fn changes(
        &mut self,
        node: Option<Node>,
        answer: Option<Answer>,
        names: &BTreeSet<Arc<str>>,
    ) -> DeltaDiscoveryRequest {
        let is_first = !self.stream.begun;
        let asked = &self.stream.asked;
        let mut subscribe = texts(names.difference(asked));
        if is_first && names.iter().eq([&Arc::from(WILDCARD)]) {
            // What older servers understand too.
            subscribe.clear();
        }
        let unsubscribe = texts(asked.difference(names));
        let held = if is_first {
            self.expected()
        } else {
            Default::default()
        };
        let held = held
            .iter()
            .map(|(name, version)| (name.to_string(), version.to_string()));
        DeltaDiscoveryRequest {
            node,
            type_url: self.kind.type_url().to_owned(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            initial_resource_versions: held.collect(),
            response_nonce: answer
                .as_ref()
                .map(|answer| answer.nonce.clone())
                .unwrap_or_default(),
            error_detail: detail(answer),
        }
    }
}

fn detail(answer: Option<Answer>) -> Option<Status> {
    let refusal = answer?.refused?;
    Some(Status {
        code: INTERNAL,
        message: refusal.message,
    })
}

fn texts<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.map(|name| name.to_string()).collect()
}

/// gRPC's `INTERNAL`, Envoy's code in every NACK.
const INTERNAL: i32 = 13;
