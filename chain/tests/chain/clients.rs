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

use crate::app::{HELD, ID};
use crate::ledger::{Ledger, Ticket};

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

/// Those of the clients of each revision, one client of each.
pub(crate) const HABITS: [Habit; 3] = [Habit::Keeps, Habit::ComesAndGoes, Habit::Multiplexes];

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
        for habit in HABITS {
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
        let ticket = self.ledger.request();
        let request = self.asking(&ticket.number);
        self.outcome(client, ticket, request, habit).await
    }

    async fn outcome(
        &self,
        client: &mut Client,
        ticket: Ticket,
        request: Request<Body>,
        habit: Habit,
    ) -> Outcome {
        let response = match client.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_canceled() => {
                self.ledger.unsent();
                return Outcome::Unsent;
            }
            Err(error) => return self.failed(ticket, habit, &format!("{error:?}")),
        };
        match Answer::read(response).await {
            Ok(answer) if answer.status == 200 && answer.text().starts_with(&ticket.number) => {
                self.ledger.answered();
                let closes = answer.header("connection") == Some("close");
                Outcome::Answered { closes }
            }
            Ok(answer) => self.failed(ticket, habit, &format!("{} {}", answer.status, answer.text())),
            Err(error) => self.failed(ticket, habit, &format!("the response breaks off: {error:?}")),
        }
    }

    fn failed(&self, ticket: Ticket, habit: Habit, what: &str) -> Outcome {
        self.ledger
            .failed(ticket, format!("{habit:?} of {}: {what}", self.host));
        Outcome::Failed
    }

    /// Every other one has a body, and may not be sent twice.
    fn asking(&self, number: &str) -> Request<Body> {
        if !may_be_repeated(number) {
            return self.telling(number);
        }
        let mut request = get_request(&self.host, "/");
        request.headers_mut().insert(ID, value(number));
        request
    }

    fn telling(&self, number: &str) -> Request<Body> {
        let mut request = post_request(&self.host, "/", body::full(" and a body"));
        request.headers_mut().insert(ID, value(number));
        request
    }

    /// Asks for answers that are held back, each on a connection of its own; says by which numbers. None may be sent twice.
    pub(crate) fn start_held(&self, count: usize, clients: &mut JoinSet<()>) -> Vec<String> {
        let tickets = (0..count).map(|_| self.ledger.request());
        tickets
            .map(|ticket| {
                let number = ticket.number.clone();
                clients.spawn(self.clone().wait_for(ticket));
                number
            })
            .collect()
    }

    async fn wait_for(self, ticket: Ticket) {
        let mut client = Client::http1_over(self.doors.enter().await).await;
        let mut request = self.telling(&ticket.number);
        request.headers_mut().insert(HELD, value("until the gate opens"));
        let outcome = self.outcome(&mut client, ticket, request, Habit::ComesAndGoes);
        assert!(
            !matches!(outcome.await, Outcome::Unsent),
            "a fresh connection takes a request"
        );
    }
}

/// Whether the request of this number is one that may be sent again where nobody knows how far it came.
pub(crate) fn may_be_repeated(number: &str) -> bool {
    number.ends_with(['0', '2', '4', '6', '8'])
}

pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a number fits a header")
}
