//! Requests at a given rate, whatever the answers take: an open loop.
//!
//! The beat comes from a timer of the kernel that is exact to the microsecond, since the runtime's tick once a millisecond.
//! The latency of a request counts from when its beat was noticed, also when its connection was still busy then. What keeps this
//! thread itself from noticing, such as others on its core, is not the proxy's and does not count.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
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
    senders.spawn(async move { conduct(Duration::from_secs(1) / per_second, &queues, &counted).await });
    Ok(())
}

/// Hands out the beats, to one connection after the other, until the time is over.
async fn conduct(interval: Duration, queues: &[mpsc::Sender<Instant>], counted: &Counted) -> io::Result<()> {
    let mut beat = Beat::every(interval)?;
    for queue in queues.iter().cycle() {
        let now = beat.next().await?;
        if counted.is_over(now) {
            break;
        }
        if queue.try_send(now).is_err() {
            counted.failed();
        }
    }
    Ok(())
}

/// A timer that goes off again and again.
struct Beat {
    /// Read as a pipe is: each time how often it has gone off meanwhile (timerfd_create(2)).
    timer: pipe::Receiver,
    /// How often it has gone off and nobody asked.
    due: u64,
}

impl Beat {
    fn every(interval: Duration) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let interval = Timespec::try_from(interval).map_err(io::Error::other)?;
        let times = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        Ok(Self {
            timer: pipe::Receiver::from_owned_fd_unchecked(timer)?,
            due: 0,
        })
    }

    /// The moment at which the next beat is noticed: its own, or later when this thread had other work.
    async fn next(&mut self) -> io::Result<Instant> {
        while self.due == 0 {
            let mut count = [0; size_of::<u64>()];
            self.timer.read_exact(&mut count).await?;
            self.due = u64::from_ne_bytes(count);
        }
        self.due -= 1;
        Ok(Instant::now())
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
