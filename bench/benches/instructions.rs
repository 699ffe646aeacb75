//! How many instructions does a warm exchange take, from the client's bytes to the client's bytes?
//!
//! Counted by callgrind, so that neither the machine nor what else it does can move the figure: the guard against a request path
//! that grows, and what shows that a thousand times as many hosts cost the same. Client, proxy and backend share one thread; what
//! the first and the last of them take is in each figure, and the same in all.
//!
//! Takes valgrind and gungraun's runner: `cargo xtask instructions` brings both.

#![expect(missing_docs, reason = "the macros make items that cannot have any")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up is not measured")]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use gungraun::{library_benchmark, library_benchmark_group, main};
use tidegate_bench::backend::{self, head_end};
use tidegate_bench::fixture::{self, Activated};
use tidegate_proxy::Proxy;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Figures are for so many.
const COUNTED: usize = 100;
const WARM_UP: usize = 20;
/// There in each of the tables.
const ASKED: usize = 7;

/// A client with its connection, and who answers it.
struct Front {
    runtime: Runtime,
    client: TcpStream,
    request: String,
    tasks: JoinSet<std::io::Result<()>>,
    _drain: Drain,
}

impl Front {
    /// Everything warm, with what `snapshot` makes of a backend's address; without a proxy where that is nothing.
    fn start(snapshot: impl FnOnce(SocketAddr) -> Option<Snapshot>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (drain, watch) = Drain::new();
        let mut tasks = JoinSet::new();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let client = runtime.block_on(async {
            let socket = TcpListener::bind(any).await.unwrap();
            let mut target = socket.local_addr().unwrap();
            tasks.spawn(backend::serve(socket));
            if let Some(snapshot) = snapshot(target) {
                let (policy, bounds) = (EdgePolicy::default(), Connections::default());
                let listener = Listener::bind(any, NonZeroUsize::MIN, policy, bounds).unwrap();
                target = listener.address();
                let proxy = Proxy::new(Handle::new(snapshot), watch);
                for acceptor in listener.into_acceptors() {
                    tasks.spawn(acceptor.serve(proxy.clone()));
                }
            }
            let client = TcpStream::connect(target).await.unwrap();
            client.set_nodelay(true).unwrap();
            client
        });
        let host = fixture::host(ASKED);
        let front = Self {
            runtime,
            client,
            request: format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"),
            tasks,
            _drain: drain,
        };
        front.exchange(WARM_UP)
    }

    /// So many requests, one after the other.
    fn exchange(mut self, count: usize) -> Self {
        self.runtime.block_on(async {
            let mut answer = Vec::with_capacity(4096);
            for _ in 0..count {
                self.client.write_all(self.request.as_bytes()).await.unwrap();
                answer.clear();
                // A small answer comes in one piece, and ends with a newline.
                while head_end(&answer).is_none() || answer.ends_with(b"\r\n") {
                    assert_ne!(self.client.read_buf(&mut answer).await.unwrap(), 0);
                }
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        });
        assert!(self.tasks.try_join_next().is_none(), "everybody is there still");
        self
    }
}

fn direct() -> Front {
    Front::start(|_| None)
}

fn hosts(count: usize) -> Front {
    Front::start(|backend| fixture::snapshot(count, backend).ok())
}

fn revision() -> Front {
    let activated = Activated::new(100);
    Front::start(|backend| {
        activated.ready([backend]);
        activated.snapshot(fixture::HOSTS).ok()
    })
}

#[library_benchmark]
#[bench::without_a_proxy(direct())]
#[bench::hosts_10(hosts(10))]
#[bench::hosts_1_000(hosts(1_000))]
#[bench::hosts_100_000(hosts(100_000))]
#[bench::activator_and_sidecar(revision())]
fn exchanges(front: Front) -> Front {
    front.exchange(COUNTED)
}

library_benchmark_group!(name = warm, benchmarks = exchanges);
main!(library_benchmark_groups = warm);
