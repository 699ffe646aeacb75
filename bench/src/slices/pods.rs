//! What are requests sent to? Pods that take one request at a time, note when they are idle, and queue what comes on top.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_activator::Revision;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::driver::Driver;
use super::sampler::Slice;
use crate::backend::head_end;

/// How many requests a pod of containerConcurrency 1 has at most, running or not.
const REQUESTS_MAX: usize = 11;
const READ_BYTES: usize = 2_048;
const DONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// All pods, served by one thread.
pub(super) struct Pods {
    pods: Vec<Arc<Pod>>,
}

/// One pod.
pub(super) struct Pod {
    address: SocketAddr,
    /// Told when a request begins, and tells when it is done.
    worker: mpsc::Sender<oneshot::Sender<()>>,
    /// Requests that it has.
    requests: AtomicUsize,
    /// Whether it works on one.
    busy: AtomicBool,
    /// Whose slice it is in.
    owner: OnceLock<Arc<Revision>>,
    turn: tokio::sync::Mutex<()>,
    gaps: Mutex<Gaps>,
}

#[derive(Default)]
struct Gaps {
    /// When it became idle while requests waited for it.
    since: Option<Instant>,
    all: Vec<Duration>,
}

impl Gaps {
    fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.all.push(since.elapsed());
        }
    }
}

impl Pods {
    pub(super) fn start(count: usize, work: Duration) -> anyhow::Result<Self> {
        let (mut pods, mut listeners) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            pods.push(Arc::new(Pod::new(listener.local_addr()?, worker(work)?)));
            listeners.push(listener);
        }
        let served = pods.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // Ends with the process.
        thread::Builder::new()
            .name("pods".into())
            .spawn(move || runtime.block_on(serve(served, listeners)))?;
        Ok(Self { pods })
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.pods.iter().map(|pod| pod.address)
    }

    pub(super) fn states(&self) -> Vec<Arc<Pod>> {
        self.pods.clone()
    }

    /// The pods of an activator, which are its own from now on.
    pub(super) fn slice(&self, driver: &Driver) -> Slice {
        let own: Vec<SocketAddr> = driver.own().collect();
        let pods = self.pods.iter().filter(|pod| own.contains(&pod.address));
        let pods: Vec<_> = pods.map(Arc::clone).collect();
        if let Some(revision) = driver.revision() {
            for pod in &pods {
                // Each pod is in one slice, so nobody was before.
                _ = pod.owner.set(Arc::clone(revision));
            }
        }
        Slice {
            revision: driver.revision().map(Arc::clone),
            pods,
        }
    }

    /// How long pods were idle while requests waited for them; sorted.
    pub(super) fn hand_overs(&self) -> Vec<Duration> {
        let gaps = |pod: &Arc<Pod>| pod.gaps().all.clone();
        let mut all: Vec<Duration> = self.pods.iter().flat_map(gaps).collect();
        all.sort_unstable();
        all
    }
}

impl Pod {
    fn new(address: SocketAddr, worker: mpsc::Sender<oneshot::Sender<()>>) -> Self {
        Self {
            address,
            worker,
            requests: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            owner: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
            gaps: Mutex::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.busy.load(SeqCst)
    }

    /// Requests that wait here for their turn.
    pub(super) fn queued(&self) -> usize {
        self.requests.load(SeqCst).saturating_sub(1)
    }

    fn gaps(&self) -> std::sync::MutexGuard<'_, Gaps> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        let _turn = self.turn.lock().await;
        self.busy.store(true, SeqCst);
        self.gaps().end();
        let (done, is_done) = oneshot::channel();
        // The worker lives as long as the process.
        _ = self.worker.send(done);
        _ = is_done.await;
        self.busy.store(false, SeqCst);
        if self.owner.get().is_some_and(|revision| revision.parked() > 0) {
            self.gaps().since = Some(Instant::now());
        }
    }
}

/// Takes its time over one request after the other, on a thread of its own: timers of a runtime tick once a millisecond, and
/// pods that always end at the same ticks would become free together, which real ones do not.
fn worker(work: Duration) -> std::io::Result<mpsc::Sender<oneshot::Sender<()>>> {
    let (worker, begun) = mpsc::channel::<oneshot::Sender<()>>();
    thread::Builder::new().name("work".into()).spawn(move || {
        for done in begun {
            let end = Instant::now() + work;
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
            // A client that has left does not wait for it.
            _ = done.send(());
        }
    })?;
    Ok(worker)
}

async fn serve(pods: Vec<Arc<Pod>>, listeners: Vec<std::net::TcpListener>) -> std::io::Result<()> {
    let mut serving = JoinSet::new();
    for (pod, listener) in pods.into_iter().zip(listeners) {
        let listener = TcpListener::from_std(listener)?;
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&pod)));
            }
        });
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// One request after the other; a connection that breaks is over.
async fn connection(mut stream: TcpStream, pod: Arc<Pod>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(READ_BYTES);
    loop {
        while head_end(&read).is_none() {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.clear();
        let answer = if pod.requests.fetch_add(1, SeqCst) < REQUESTS_MAX {
            pod.work().await;
            DONE
        } else {
            FULL
        };
        pod.requests.fetch_sub(1, SeqCst);
        stream.write_all(answer).await?;
    }
}
