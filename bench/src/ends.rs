//! Both ends of what is measured, who sends and who answers at last, in one thread of one process.
//!
//! As two processes on one core they waited for each other: Linux lets who has the core keep it for a slice of
//! milliseconds, which was most of the tail of the latency, whatever stood between them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use crate::backend;
use crate::child::{LISTENING, Process};
use crate::load::{self, Doors, MEASURING, Plan, Report};

/// The process, seen by who measures.
#[derive(Debug)]
pub struct Ends {
    process: Process,
    /// Where HTTP/1.1 and WebSocket are answered.
    pub backend: SocketAddr,
    /// Where gRPC is answered.
    pub grpc_backend: SocketAddr,
}

impl Ends {
    /// Starts it on `core`.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn start(core: usize) -> anyhow::Result<Self> {
        let mut process = Process::own(["ends"], Some(core))?;
        let (backend, grpc_backend) = (process.address().await?, process.address().await?);
        Ok(Self {
            process,
            backend,
            grpc_backend,
        })
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.process.id()
    }

    /// The process with its ports, as a backend that sends nothing.
    #[must_use]
    pub fn into_backend(self) -> (Process, Doors) {
        let doors = Doors::of_backend(self.backend, self.grpc_backend);
        (self.process, doors)
    }

    /// Has it send, and waits until that counts.
    ///
    /// # Errors
    /// When no connection can be made.
    pub async fn begin(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.process.tell(&serde_json::to_string(plan)?).await?;
        let line = self.process.line().await?;
        anyhow::ensure!(line == MEASURING, "who sends says '{line}'");
        Ok(())
    }

    /// What came of it, once it is over.
    ///
    /// # Errors
    /// When sending failed.
    pub async fn report(&mut self) -> anyhow::Result<Report> {
        self.process.line().await?.parse()
    }
}

/// What the process does: answers, and sends what each line of its input says.
///
/// # Errors
/// When there is no port, a line is no [`Plan`], or it cannot be carried out.
pub async fn run() -> anyhow::Result<()> {
    let (h1, grpc) = (listen().await?, listen().await?);
    let answering = async {
        tokio::try_join!(backend::serve(h1), backend::echo::serve(grpc))?;
        Ok(())
    };
    tokio::select! {
        ended = answering => ended,
        ended = send_what_is_asked() => ended,
    }
}

async fn send_what_is_asked() -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let plan = serde_json::from_str(&line).with_context(|| format!("no plan: '{line}'"))?;
        load::run(plan).await?;
    }
    Ok(())
}

/// A port of its own, which it tells to whoever started this.
///
/// # Errors
/// When there is none.
pub async fn listen() -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "{LISTENING}{}", listener.local_addr()?)?;
    Ok(listener)
}
