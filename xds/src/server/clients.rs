//! Who is connected, what each has accepted, and what it refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::NodeKey;
use super::stream::{Protocol, Stream};
use crate::resource::Kind;

/// One stream of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who it says it is.
    pub node: NodeKey,
    /// Where it comes from, if that has an address.
    pub address: Option<SocketAddr>,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it has asked for.
    pub kinds: BTreeMap<Kind, KindStatus>,
}

/// How far a client is with one kind of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStatus {
    /// The version that it last accepted.
    pub accepted: Option<Box<str>>,
    /// Why it refused what it got last; `None` once it has accepted another response.
    pub error: Option<Arc<str>>,
    /// The resources that are kept from it because it refused them.
    pub refused: Vec<Arc<str>>,
    /// How many resources this stream has sent of it, those that were sent again counted again.
    pub sent: u64,
    /// Whether a response is on its way.
    pub waiting: bool,
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    clients: BTreeMap<u64, Client>,
}

/// The place of one stream, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    number: u64,
}

impl Clients {
    pub(super) fn all(&self) -> Vec<Client> {
        self.with(|table| table.clients.values().cloned().collect())
    }

    pub(super) fn enter(self: &Arc<Self>, client: Client) -> Place {
        let number = self.with(|table| {
            table.next += 1;
            table.clients.insert(table.next, client);
            table.next
        });
        Place {
            clients: Arc::clone(self),
            number,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Place {
    pub(super) fn show(&self, stream: &Stream) {
        let kinds = stream.subscriptions().map(|(kind, subscription)| {
            let status = KindStatus {
                accepted: subscription.accepted().map(Into::into),
                error: subscription.error().cloned(),
                refused: subscription.refused().cloned().collect(),
                sent: subscription.sent_count(),
                waiting: subscription.is_waiting(),
            };
            (kind, status)
        });
        let kinds = kinds.collect();
        self.clients.with(|table| {
            if let Some(client) = table.clients.get_mut(&self.number) {
                client.kinds = kinds;
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.with(|table| table.clients.remove(&self.number));
    }
}
