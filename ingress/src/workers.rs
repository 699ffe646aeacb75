//! The threads that carry traffic, and how a listener's sockets come to them while they run.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_proxy::Proxy;
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::Acceptor;
use tidegate_proxy::process::{self, Workers};
use tokio::sync::mpsc;

use crate::lifecycle::Lifecycle;
use crate::limits::SOCKETS_WAITING_MAX;

/// Hands sockets to the workers. Clones hand them to the same ones.
#[derive(Clone, Debug)]
pub struct Seats {
    seats: Arc<[mpsc::Sender<Acceptor>]>,
}

/// Why sockets could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker takes no more sockets")]
pub struct NoSeat;

/// Starts `count` workers, each with a proxy of its own that follows `config`. They end with the drain.
///
/// # Errors
/// When the system refuses a thread.
pub fn start(
    count: NonZeroUsize,
    config: &Handle,
    lifecycle: &Lifecycle,
    drain: &Watch,
) -> io::Result<(Seats, Workers)> {
    let (seats, inboxes): (Vec<_>, Vec<_>) = (0..count.get())
        .map(|_| mpsc::channel(SOCKETS_WAITING_MAX))
        .unzip();
    let inboxes = Arc::new(Mutex::new(inboxes));
    let (config, lifecycle, drain) = (config.clone(), lifecycle.clone(), drain.clone());
    let workers = Workers::start(count, move |_index| {
        let inbox = inboxes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (vital, working) = (
            lifecycle.vital("worker"),
            work(inbox, config.clone(), drain.clone()),
        );
        async move {
            let _vital = vital;
            working.await;
        }
    })?;
    Ok((Seats { seats: seats.into() }, workers))
}

/// One worker: takes up sockets as they come, and stays until the last connection is done or cut.
async fn work(inbox: Option<mpsc::Receiver<Acceptor>>, config: Handle, drain: Watch) {
    let Some(mut inbox) = inbox else {
        return;
    };
    let proxy = Proxy::new(config, drain.clone());
    let mut forced = drain.forced();
    loop {
        let acceptor = tokio::select! {
            Some(acceptor) = inbox.recv() => acceptor,
            () = &mut forced => return,
        };
        let serving = acceptor.serve(proxy.clone());
        process::spawn("acceptor", drain.unguarded(), async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "a socket could not be used");
            }
        });
    }
}

impl Seats {
    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.seats.len()).unwrap_or(NonZeroUsize::MIN)
    }

    /// Gives each worker one of a listener's sockets, or none of them any, and the sockets back.
    ///
    /// # Errors
    /// When a worker is gone or far behind.
    pub fn seat(&self, acceptors: Vec<Acceptor>) -> Result<(), (NoSeat, Vec<Acceptor>)> {
        let places: Result<Vec<_>, _> = self.seats.iter().map(mpsc::Sender::try_reserve).collect();
        match places {
            Ok(places) => {
                let seated = places.into_iter().zip(acceptors);
                seated.for_each(|(place, acceptor)| place.send(acceptor));
                Ok(())
            }
            Err(_full_or_gone) => Err((NoSeat, acceptors)),
        }
    }
}
