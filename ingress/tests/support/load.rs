//! What does a change cost clients that ask all the time? No request, or the test fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tidegate_testkit::client::{Answer, Client, get, get_request};
use tidegate_testkit::wait::eventually_within;
use tokio::task::JoinSet;

/// Clients that ask one after the other until they are told to stop: some keep their connection, one makes a new one each time.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    answered: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    /// Asks each host over a connection that is kept, and the first over one of HTTP/2 and over new ones, too.
    pub(crate) fn start(address: SocketAddr, hosts: &[String]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        for host in hosts {
            clients.spawn(keep_asking(address, host.clone(), Arc::clone(&shared)));
        }
        if let Some(first) = hosts.first() {
            clients.spawn(multiplex(address, first.clone(), Arc::clone(&shared)));
            clients.spawn(come_and_go(address, first.clone(), Arc::clone(&shared)));
        }
        Self { shared, clients }
    }

    /// Waits until `count` more requests were answered.
    pub(crate) async fn goes_on(&mut self, count: usize) {
        let (shared, clients) = (&self.shared, &mut self.clients);
        let wanted = shared.answered.load(Ordering::Relaxed) + count;
        eventually_within("more answers", LONG, async || {
            if let Some(ended) = clients.try_join_next() {
                ended.expect("no client ends before it is told to, or fails");
            }
            shared.answered.load(Ordering::Relaxed) >= wanted
        })
        .await;
    }

    /// Stops; says how many requests were answered, all of them with 200.
    pub(crate) async fn ends(mut self) -> usize {
        self.stop().await
    }

    /// [`Load::ends`] of one that is not let go of.
    pub(crate) async fn stop(&mut self) -> usize {
        self.shared.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client whose every request is answered");
        }
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn answered(&self, host: &str, status: u16) {
        assert_eq!(status, 200, "of {host}, after {self:?}");
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// One connection, until a response says that it ends.
async fn keep_asking(address: SocketAddr, host: String, shared: Arc<Shared>) {
    while shared.goes_on() {
        let mut client = Client::http1(address).await;
        while shared.goes_on() {
            let answer = client.get(&host, "/").await;
            shared.answered(&host, answer.status.as_u16());
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
}

/// One connection of HTTP/2, until the server says goodbye.
async fn multiplex(address: SocketAddr, host: String, shared: Arc<Shared>) {
    while shared.goes_on() {
        let mut client = Client::http2(address).await;
        while shared.goes_on() && !client.is_closed() {
            match client.send(get_request(&host, "/")).await {
                Ok(response) => {
                    let answer = Answer::read(response).await.expect("a whole response");
                    shared.answered(&host, answer.status.as_u16());
                }
                // It was never sent: the goodbye came first.
                Err(error) => assert!(error.is_canceled(), "{host}: {error:?}"),
            }
        }
    }
}

async fn come_and_go(address: SocketAddr, host: String, shared: Arc<Shared>) {
    while shared.goes_on() {
        let answer = get(address, &host, "/").await;
        shared.answered(&host, answer.status.as_u16());
    }
}

/// Long enough for a machine that builds meanwhile.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);
