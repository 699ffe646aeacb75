//! Who sends requests all the time, and notes what becomes of each?

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request};
use tidegate_testkit::body::{self, Body};
use tidegate_testkit::client::{Answer, Client, get_request, post_request};
use tidegate_testkit::wait::soon;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

use crate::app::ID;
use crate::ledger::Ledger;

/// The pace of one client.
const PACE: Duration = Duration::from_millis(10);

/// Where a load balancer before the ingresses would lead: to the next that takes connections.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    addresses: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Doors {
    pub(crate) fn set(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// A connection to one of them.
    pub(crate) async fn enter(&self) -> TcpStream {
        soon("an ingress that takes connections", self.try_all()).await
    }

    async fn try_all(&self) -> TcpStream {
        let mut pace = interval(PACE);
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let address = {
                let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                addresses[turn % addresses.len()]
            };
            if let Ok(stream) = TcpStream::connect(address).await {
                stream
                    .set_nodelay(true)
                    .expect("a fresh socket takes TCP_NODELAY");
                return stream;
            }
            pace.tick().await;
        }
    }
}

/// Whom a client calls, and how.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) doors: Arc<Doors>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) host: String,
}

/// How a client treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// HTTP/1.1, kept.
    Keeps,
    /// HTTP/1.1, one for each request.
    ComesAndGoes,
    /// HTTP/2, kept.
    Multiplexes,
}

/// What became of a request.
enum Outcome {
    Answered {
        closes: bool,
    },
    /// It was never sent.
    Unsent,
    Failed,
}

impl Caller {
    /// Clients of all habits.
    pub(crate) fn start(&self, clients: &mut JoinSet<()>) {
        for habit in [Habit::Keeps, Habit::ComesAndGoes, Habit::Multiplexes] {
            clients.spawn(self.clone().run(habit));
        }
    }

    async fn run(self, habit: Habit) {
        let mut pace = interval(PACE);
        while !self.ledger.is_over() {
            let stream = self.doors.enter().await;
            let mut client = match habit {
                Habit::Keeps | Habit::ComesAndGoes => Client::http1_over(stream).await,
                Habit::Multiplexes => Client::http2_over(stream).await,
            };
            self.ask_on(&mut client, habit, &mut pace).await;
        }
    }

    /// Asks on one connection until it ends.
    async fn ask_on(&self, client: &mut Client, habit: Habit, pace: &mut Interval) {
        while !self.ledger.is_over() {
            if client.is_closed() {
                return;
            }
            let closes = match self.ask(client, habit).await {
                Outcome::Answered { closes } => closes,
                Outcome::Unsent | Outcome::Failed => true,
            };
            if closes || habit == Habit::ComesAndGoes {
                return;
            }
            pace.tick().await;
        }
    }

    async fn ask(&self, client: &mut Client, habit: Habit) -> Outcome {
        let (id, request) = self.request();
        self.ledger.sent();
        let response = match client.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_canceled() => {
                self.ledger.unsent();
                return Outcome::Unsent;
            }
            Err(error) => return self.failed(&id, habit, &format!("{error:?}")),
        };
        match Answer::read(response).await {
            Ok(answer) if answer.status == 200 && answer.text().starts_with(&id) => {
                self.ledger.answered();
                let closes = answer.header("connection") == Some("close");
                Outcome::Answered { closes }
            }
            Ok(answer) => self.failed(&id, habit, &format!("{} {}", answer.status, answer.text())),
            Err(error) => self.failed(&id, habit, &format!("the response breaks off: {error:?}")),
        }
    }

    fn failed(&self, id: &str, habit: Habit, what: &str) -> Outcome {
        self.ledger
            .failed(format!("{habit:?} of {}, request {id}: {what}", self.host));
        Outcome::Failed
    }

    /// Every other one has a body, and may not be sent twice.
    fn request(&self) -> (String, Request<Body>) {
        let id = self.ledger.number();
        let mut request = if id.ends_with(['0', '2', '4', '6', '8']) {
            get_request(&self.host, "/")
        } else {
            post_request(&self.host, "/", body::full(" and a body"))
        };
        let value = HeaderValue::from_str(&id).expect("a number fits a header");
        request.headers_mut().insert(ID, value);
        (id, request)
    }
}
