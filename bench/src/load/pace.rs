//! Requests at a given rate, whatever the answers take: an open loop.
//!
//! A thread of its own gives the beat, since the runtime's timers tick once a millisecond. The latency of a request
//! counts from its beat, also when its connection was still busy then.

use std::io;
use std::time::{Duration, Instant};

use rustix::thread::{NanosleepRelativeResult, nanosleep};
use rustix::time::Timespec;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Counted;
use super::class::Shape;
use super::dial::Dial;
use super::h1::Connection;

/// How many requests a connection may be behind; what exceeds it counts as failed.
const BEHIND_MAX: usize = 1_000;

/// Starts the connections and the beat.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    shape: &Shape,
    per_second: u32,
    counted: &Counted,
) -> io::Result<()> {
    let mut queues = Vec::with_capacity(shape.connections);
    for _ in 0..shape.connections {
        let connection = Connection::open(dial, shape.traffic).await?;
        let (queue, due) = mpsc::channel(BEHIND_MAX);
        let counted = counted.clone();
        senders.spawn(async move { follow(connection, due, &counted).await });
        queues.push(queue);
    }
    let counted = counted.clone();
    senders.spawn_blocking(move || conduct(Duration::from_secs(1) / per_second, &queues, &counted));
    Ok(())
}

/// Hands out the beats, to one connection after the other, until the time is over.
fn conduct(interval: Duration, queues: &[mpsc::Sender<Instant>], counted: &Counted) -> io::Result<()> {
    let mut next = Instant::now();
    for queue in queues.iter().cycle() {
        next += interval;
        let now = wait_until(next)?;
        if counted.is_over(now) {
            break;
        }
        if queue.try_send(now).is_err() {
            counted.failed();
        }
    }
    Ok(())
}

fn wait_until(next: Instant) -> io::Result<Instant> {
    loop {
        let now = Instant::now();
        let left = next.saturating_duration_since(now);
        if left.is_zero() {
            return Ok(now);
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        if let NanosleepRelativeResult::Err(error) = nanosleep(&left) {
            return Err(error.into());
        }
    }
}

async fn follow(
    mut connection: Connection,
    mut due: mpsc::Receiver<Instant>,
    counted: &Counted,
) -> io::Result<()> {
    while let Some(due) = due.recv().await {
        connection.exchange(counted, due).await?;
    }
    Ok(())
}
