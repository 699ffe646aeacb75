//! How does a test run Envoy? As [`peers`](crate::peers) found it, with an admin port of its own, awaited and asked through it.
//!
//! Listeners of a bootstrap or of xDS take port 0; [`Envoy::listener`] says where they came to listen.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Method;

use crate::body;
use crate::client::{Answer, Client};
use crate::program::{Program, Start};
use crate::wait::eventually_within;

pub mod bootstrap;

/// How long Envoy may take to start, or to do what it was told: it is a large program, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says over any bootstrap where the administration listens: on a port that is free.
const ADMIN: &str = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}";

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    program: Program,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts `envoy` with a bootstrap in YAML, whose `admin` may be left out, and waits until its administration answers; it may
    /// still be waiting for its configuration: see [`Self::live`].
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tidegate_testkit::{envoy::Envoy, peers};
    ///
    /// let Some(program) = peers::envoy("the example of how to run it") else { return };
    /// let envoy = Envoy::start(&program, "node: {id: one, cluster: two}").await;
    /// envoy.live().await;
    /// assert_eq!(envoy.get("/ready").await.text(), "LIVE\n");
    /// # }
    /// ```
    ///
    /// # Panics
    /// When it does not start, with what it said.
    pub async fn start(envoy: &Path, bootstrap: &str) -> Self {
        Self::start_with(envoy, bootstrap, &[]).await
    }

    /// [`Self::start`] with more arguments. Warnings and errors are in its output; a test that wants more says `-l`.
    ///
    /// # Panics
    /// When it does not start, with what it said.
    pub async fn start_with(envoy: &Path, bootstrap: &str, arguments: &[&str]) -> Self {
        let start = Program::new(envoy);
        let file = start.file("bootstrap.yaml", bootstrap);
        let address = start.folder().join("admin");
        let quiet = if arguments.contains(&"-l") {
            &[][..]
        } else {
            &["-l", "warning"]
        };
        // It is a child of the thread that runs the test, and so ends with the test.
        let program = common(start)
            .arg("-c")
            .arg(file)
            .args(["--config-yaml", ADMIN, "--admin-address-path"])
            .arg(&address)
            .args(quiet)
            .args(arguments)
            .start();
        let admin = eventually_within("Envoy's administration", PATIENCE, async || {
            let address = std::fs::read_to_string(&address).ok()?;
            address.trim().parse::<SocketAddr>().ok()
        });
        let admin = admin.await;
        Self { program, admin }
    }

    /// Where its administration listens.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The program: its output, its signals.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// GETs a path of the administration.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    /// POSTs to a path of the administration, without a body.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn post(&self, path: &str) -> Answer {
        self.ask(Method::POST, path).await
    }

    /// Waits until it is `LIVE`: all clusters and listeners have what they wait for, or have waited long enough.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn live(&self) {
        eventually_within("Envoy to be live", PATIENCE, async || {
            let ready = self.get("/ready").await.text();
            (ready == "LIVE\n").then_some(()).ok_or(ready)
        })
        .await;
    }

    /// Where the listener of this name listens, once it does.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn listener(&self, name: &str) -> SocketAddr {
        let what = format!("Envoy to listen as {name}");
        let found = eventually_within(&what, PATIENCE, async || {
            let all = self.get("/listeners").await.text();
            let address = all.lines().find_map(|line| {
                let (listener, address) = line.split_once("::")?;
                (listener == name).then(|| address.parse::<SocketAddr>().ok())?
            });
            address.filter(|address| address.port() != 0).ok_or(all)
        });
        found.await
    }

    /// A counter or gauge, by its whole name; 0 while there is none.
    ///
    /// # Panics
    /// When its value is no number.
    pub async fn stat(&self, name: &str) -> u64 {
        let filter = name.replace('.', "%5C.");
        let all = self.get(&format!("/stats?filter=%5E{filter}%24")).await.text();
        let value = all
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map_or(0, |value| {
            let number = value.parse();
            number.unwrap_or_else(|error| panic!("{name} is `{value}`: {error}"))
        })
    }

    /// Waits until a counter or gauge has at least this value.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn stat_reaches(&self, name: &str, value: u64) {
        eventually_within(&format!("{name} to reach {value}"), PATIENCE, async || {
            let now = self.stat(name).await;
            (now >= value).then_some(()).ok_or(format!("it was {now}"))
        })
        .await;
    }

    /// Asks it to stop, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(mut self) {
        self.program.stop().await;
    }

    async fn ask(&self, method: Method, path: &str) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.admin))
            .body(body::empty())
            .expect("a path fits a URI");
        Client::http1(self.admin).await.call(request).await
    }
}

/// Whether Envoy takes a bootstrap in YAML (`--mode validate`); why not, as it says it on its line of level critical.
///
/// # Errors
/// When it refuses the bootstrap.
///
/// # Panics
/// When it says nothing of the kind.
pub async fn validate(envoy: &Path, bootstrap: &str) -> Result<(), String> {
    let start = Program::new(envoy);
    let file = start.file("bootstrap.yaml", bootstrap);
    let mut program = common(start)
        .args(["--mode", "validate", "-l", "critical", "--log-format", "%v", "-c"])
        .arg(&file)
        .start();
    if program.exit().await.success() {
        return Ok(());
    }
    let said = program.output().join("\n");
    let why = said.split_once(&format!(
        "error initializing configuration '{}': ",
        file.display()
    ));
    Err(why.map_or_else(|| said.clone(), |(_, why)| why.to_owned()))
}

/// One worker, nothing shared with another Envoy of this machine, and an access log that is there at once.
fn common(start: Start) -> Start {
    start
        .args(["--disable-hot-restart", "--concurrency", "1"])
        .args(["--file-flush-interval-msec", "50"])
}

#[cfg(test)]
mod tests {
    use super::bootstrap::Variant;
    use super::*;
    use crate::peers;

    #[tokio::test]
    async fn a_listener_is_found_and_counted() {
        let Some(program) = peers::envoy("Envoy with a listener") else {
            return;
        };
        let bootstrap = bootstrap::direct_response("one", 204);
        let envoy = Envoy::start(&program, &bootstrap).await;
        envoy.live().await;
        let listener = envoy.listener("one").await;
        assert_eq!(crate::client::get(listener, "a.example", "/").await.status, 204);
        envoy.stat_reaches("http.one.downstream_rq_2xx", 1).await;
        assert_eq!(envoy.stat("http.one.downstream_rq_5xx").await, 0);
        envoy.stop().await;
    }

    #[tokio::test]
    async fn what_names_a_control_plane_is_valid() {
        let Some(program) = peers::envoy("Envoy's bootstraps of tests") else {
            return;
        };
        let nowhere = "127.0.0.1:1".parse().expect("an address");
        for variant in [
            Variant::Sotw,
            Variant::Delta,
            Variant::PerKind,
            Variant::DeltaPerKind,
        ] {
            let bootstrap = bootstrap::xds(nowhere, variant, "one");
            assert_eq!(validate(&program, &bootstrap).await, Ok(()), "{variant:?}");
        }
    }

    #[tokio::test]
    async fn validation_says_why() {
        let Some(program) = peers::envoy("Envoy's validation") else {
            return;
        };
        let good = bootstrap::direct_response("one", 204);
        assert_eq!(validate(&program, &good).await, Ok(()));
        let bad = "static_resources: {clusters: [{name: c, load_assignment: {cluster_name: c}, type: SOME}]}";
        let why = validate(&program, bad).await.expect_err("no such type");
        assert!(why.contains("unknown enum value: 'SOME'"), "{why}");
    }
}
