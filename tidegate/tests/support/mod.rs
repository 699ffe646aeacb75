//! What do the tests of `tidegate up` start, and how do they speak to it?

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tidegate_testkit::client::{self, Answer};
use tidegate_testkit::program::{Program, Start};
use tidegate_testkit::wait::eventually;

/// The program under test.
pub(crate) const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// A running `tidegate up` over one file.
pub(crate) struct Up {
    pub(crate) program: Program,
    pub(crate) file: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// `tidegate up` over a file with this text, about to start: on a free admin port, and on the HTTP address that `flags`
/// name, by default a free port.
pub(crate) fn up(yaml: &str, flags: &[&str]) -> (Start, PathBuf) {
    let start = Program::new(TIDEGATE);
    let file = start.file("services.yaml", yaml);
    let names_http = flags.iter().any(|flag| flag.starts_with("--http"));
    let http = (!names_http).then_some("--http=localhost:0");
    let start = start
        .arg("up")
        .arg(&file)
        .arg("--admin=127.0.0.1:0")
        .args(http)
        .args(flags);
    (start, file)
}

impl Up {
    /// Starts it and waits until it serves.
    pub(crate) async fn start(yaml: &str, flags: &[&str]) -> Self {
        let (start, file) = up(yaml, flags);
        let mut program = start.start();
        let (http, admin) = program.line("the addresses", addresses).await;
        Self {
            program,
            file,
            http,
            admin,
        }
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Answer {
        client::get(self.http, host, path).await
    }

    /// Writes the file anew, as an editor does: beside it, then over it.
    pub(crate) fn edit(&self, yaml: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, yaml).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    /// The value of a metric, all its label sets added up; nothing where there is none.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = client::get(self.admin, "admin", "/metrics").await.text();
        let lines = page
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    pub(crate) async fn metric_becomes(&self, name: &str, expected: f64) {
        eventually(&format!("{name} to be {expected}"), async || {
            let value = self.metric(name).await;
            ((value - expected).abs() < f64::EPSILON)
                .then_some(())
                .ok_or(format!("it is {value}"))
        })
        .await;
    }

    /// SIGTERM, and the exit code.
    pub(crate) async fn stop(mut self) -> Option<i32> {
        self.program.signal(Signal::TERM);
        self.program.exit().await.code()
    }
}

fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (http, admin) = line
        .strip_prefix("serving on http://")?
        .split_once(", admin on http://")?;
    let admin = admin.split([',', ';', ' ']).next()?;
    let port = http.rsplit_once(':')?.1.parse().ok()?;
    Some((SocketAddr::from(([127, 0, 0, 1], port)), admin.parse().ok()?))
}

/// A Service whose container is one of the sample servers.
pub(crate) fn service(name: &str, sample: &str, extra: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {name}
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/window: 6s
    spec:
      {extra}
      containers:
      - command: [tidegate, sample, {sample}]
"
    )
}

/// A Service that runs a shell script.
pub(crate) fn script(name: &str, script: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {name}
spec:
  template:
    spec:
      timeoutSeconds: 20
      containers:
      - command: [sh, -c, {script:?}]
"
    )
}

/// The ids of the processes that carry this marker in their environment.
pub(crate) fn processes_with(marker: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        carries(
            Path::new("/proc").join(id.to_string()).join("environ").as_path(),
            marker,
        )
    })
    .collect()
}

fn carries(environment: &Path, marker: &str) -> bool {
    std::fs::read(environment).is_ok_and(|bytes| {
        bytes
            .split(|byte| *byte == 0)
            .any(|entry| entry == marker.as_bytes())
    })
}
