//! What does it cost? One program for all measurements; `--help` lists them.

#[cfg(target_os = "linux")]
mod linux {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use clap::{Parser, Subcommand};
    use tidegate_bench::{abandon, compare, ends, idle, park, relay, scale, serve, slices};
    use tokio::runtime::{Builder, Runtime};

    /// As in the product's own programs.
    #[global_allocator]
    static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

    #[derive(Parser)]
    #[command(about = "Measures Tidegate")]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Subcommand)]
    enum Command {
        /// Requests a second, latency and CPU time per request: direct, through us, and through the peers found here.
        Compare(compare::Options),
        /// Whether four connections that stay keep both of two workers busy.
        Spread(compare::spread::Options),
        /// Memory of parked requests, and how soon they are on their way once a replica is ready.
        Park(park::Options),
        /// Memory while clients give their requests up, of a revision that never becomes ready.
        Abandon(abandon::Options),
        /// How well two activators keep a revision's pods busy, each with its slice of them.
        Slices(slices::Options),
        /// Memory of idle keep-alive connections.
        Idle(idle::Options),
        /// Many services: memory, time to load, time until a change is seen; beside Envoy, by our own control plane.
        Scale(scale::Options),
        /// The tail of the latency while configuration is pushed, beside the tail without.
        Push(scale::push::Options),
        /// The proxy that `compare` and `idle` measure.
        #[command(hide = true)]
        ServeTidegate {
            /// Where requests go.
            #[arg(long)]
            backend: SocketAddr,
            /// What stands before them.
            #[arg(long, value_enum)]
            chain: serve::Chain,
            /// A certificate, to listen for TLS.
            #[arg(long, requires = "key")]
            certificate: Option<PathBuf>,
            /// The certificate's key.
            #[arg(long, requires = "certificate")]
            key: Option<PathBuf>,
        },
        /// The load generator and the backend of `compare`.
        #[command(hide = true)]
        Ends,
        /// The relay of `compare`.
        #[command(hide = true)]
        Relay {
            /// Where the bytes of the first port go.
            #[arg(long)]
            backend: SocketAddr,
            /// Where the bytes of the second port go.
            #[arg(long)]
            grpc_backend: SocketAddr,
        },
        /// The clients of `abandon`.
        #[command(hide = true)]
        AbandonClient(abandon::ClientOptions),
        /// The clients of `park`.
        #[command(hide = true)]
        ParkClient {
            /// Where they connect.
            #[arg(long)]
            target: SocketAddr,
        },
    }

    pub(super) fn run() -> anyhow::Result<()> {
        match Cli::parse().command {
            Command::Compare(options) => runtime()?.block_on(compare::run(options)),
            Command::ServeTidegate {
                backend,
                chain,
                certificate,
                key,
            } => {
                let pair = certificate.zip(key);
                let pair = pair.map(|(certificate, key)| serve::Pair { certificate, key });
                serve::run(backend, chain, pair)
            }
            Command::Park(options) => runtime()?.block_on(park::run(options)),
            Command::Idle(options) => runtime()?.block_on(idle::run(options)),
            Command::Push(options) => runtime()?.block_on(scale::push::run(options)),
            Command::Spread(options) => runtime()?.block_on(compare::spread::run(options)),
            Command::Scale(options) => runtime()?.block_on(scale::run(options)),
            Command::Abandon(options) => runtime()?.block_on(abandon::run(options)),
            Command::AbandonClient(told) => runtime()?.block_on(abandon::client(told)),
            Command::Slices(options) => runtime()?.block_on(slices::run(options)),
            Command::ParkClient { target } => runtime()?.block_on(park::client::run(target)),
            Command::Ends => runtime()?.block_on(ends::run()),
            Command::Relay {
                backend,
                grpc_backend,
            } => runtime()?.block_on(serve_relay(backend, grpc_backend)),
        }
    }

    fn runtime() -> std::io::Result<Runtime> {
        Builder::new_current_thread().enable_all().build()
    }

    async fn serve_relay(backend: SocketAddr, grpc_backend: SocketAddr) -> anyhow::Result<()> {
        let (h1, grpc) = (ends::listen().await?, ends::listen().await?);
        tokio::try_join!(relay::serve(h1, backend), relay::serve(grpc, grpc_backend))?;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("the measurements need Linux: they pin processes to cores and read /proc")
}
