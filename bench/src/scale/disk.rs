//! How soon does a program serve again that nobody configures but its own disk?

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::client::{self, answering, seen};
use super::subject::Subject;
use super::{BODIES, DEADLINE};

/// How many clients ask, each on a connection of its own, one request after the other.
const CLIENTS: usize = 32;

/// Where a program is asked, and for what.
pub(super) struct Place<'a> {
    pub(super) backends: [SocketAddr; 2],
    pub(super) address: SocketAddr,
    pub(super) host: &'a str,
}

/// From the start of a program that is not running to its first response.
pub(super) async fn first_response(subject: &mut Subject, place: &Place<'_>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    subject.start()?;
    seen(place.address, place.host, "", DEADLINE).await?;
    Ok(began.elapsed())
}

/// Kills a program that runs while clients ask, and starts it while they go on.
pub(super) async fn first_response_under_load(
    subject: &mut Subject,
    place: &Place<'_>,
) -> anyhow::Result<Duration> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (address, host) = (place.address, place.host.to_owned());
        clients.spawn(async move { client::ask_on_and_on(address, &host).await });
    }
    seen(place.address, place.host, "", DEADLINE).await?;
    subject.kill().await?;
    let began = Instant::now();
    subject.start()?;
    seen(place.address, place.host, "", DEADLINE).await?;
    Ok(began.elapsed())
}

impl Place<'_> {
    /// Backends that answer until they are dropped: those that a control plane had are gone with it.
    pub(super) async fn backends(&self) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        for (address, body) in self.backends.iter().zip(BODIES) {
            tasks.spawn(answering(TcpListener::bind(address).await?, body));
        }
        Ok(tasks)
    }
}
