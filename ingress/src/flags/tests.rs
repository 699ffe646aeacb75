//! Command lines as Envoy takes and refuses them: every row of Envoy's own flags was run with Envoy 1.40.

use super::*;

fn request(words: &[&str]) -> Result<Request, UsageError> {
    Flags::parse(words.iter().map(|word| (*word).to_owned()))
}

fn flags(words: &[&str]) -> Flags {
    match request(words) {
        Ok(Request::Run(flags)) => *flags,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn kouriers_arguments_are_five_words_with_blanks() {
    let found = flags(&[
        "/usr/local/bin/envoy",
        "--base-id 1",
        "-c /tmp/config/envoy-bootstrap.yaml",
        "--log-level debug",
        "--drain-time-s 15",
        "--drain-strategy immediate",
    ]);
    let mut expected = Flags::of("/usr/local/bin/envoy");
    expected.hot_restart.base_id = 1;
    expected.config_path = Some("/tmp/config/envoy-bootstrap.yaml".into());
    expected.log.level = LogLevel::Debug;
    expected.drain.time = Duration::from_secs(15);
    expected.drain.strategy = DrainStrategy::Immediate;
    assert_eq!(found, expected);
    assert!(found.is_envoy());
    assert_eq!(found.drain.on_sigterm, Duration::ZERO);
}

#[test]
fn contours_and_istios_arguments_are_taken() {
    let found = flags(&[
        "envoy",
        "-c",
        "/config/envoy.json",
        "--service-cluster default",
        "--service-node",
        "a b",
        "--log-level info",
        "--component-log-level misc:error,upstream:trace",
        "--concurrency 0",
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
        "--log-format",
        "%Y-%m-%d [%l] %v",
        "--config-yaml",
        "admin: {}",
        "--stats-tag",
        "a:b",
        "--stats-tag c:d",
    ]);
    assert_eq!(found.service_cluster, "default");
    assert_eq!(found.service_node, "a b");
    let components = [("misc", LogLevel::Error), ("upstream", LogLevel::Trace)];
    assert_eq!(
        found.log.components,
        components.map(|(name, level)| (name.to_owned(), level))
    );
    assert_eq!(found.concurrency, Some(1));
    assert!(found.unknown.allow_static);
    assert_eq!(found.config_yaml.as_deref(), Some("admin: {}"));
    assert_eq!(found.stats_tags.len(), 2);
}

#[test]
fn our_own_flags_have_defaults_that_change_nothing() {
    let found = flags(&["tidegate-ingress", "--drain-time-s", "20"]);
    assert_eq!(found.internal_listeners, ["listener_8081", "listener_8444"]);
    assert_eq!(found.snapshot.dir, None);
    assert_eq!(found.drain.on_sigterm, Duration::from_secs(20));
    let found = flags(&[
        "tidegate-ingress",
        "--internal-listener",
        "a",
        "--internal-listener b",
        "--snapshot-dir",
        "/x",
        "--snapshot-secrets",
        "omit",
        "--snapshot-max-age",
        "5m",
        "--drain-on-sigterm",
        "1500ms",
        "--guard-empty",
    ]);
    assert_eq!(found.internal_listeners, ["a", "b"]);
    assert_eq!(found.snapshot.secrets, SnapshotSecrets::Omit);
    assert_eq!(found.snapshot.max_age, Duration::from_secs(300));
    assert_eq!(found.drain.on_sigterm, Duration::from_millis(1500));
    assert!(found.guard_empty);
}

#[test]
fn the_autoscaler_is_a_host_and_a_port_or_a_url() {
    let check = |word: &str, expected: Option<&str>| {
        let found = request(&["envoy", "--autoscaler-address", word]);
        let found = found.map(|request| match request {
            Request::Run(flags) => flags.autoscaler.map(|url| url.to_string()),
            Request::Print(text) => Some(text),
        });
        let refusal = format!("error: invalid autoscaler-address '{word}'");
        let expected = expected.map(|url| Some(url.to_owned()));
        assert_eq!(found.map_err(|error| error.to_string()), expected.ok_or(refusal));
    };
    check("a.b.svc:8080", Some("ws://a.b.svc:8080/"));
    check("[::1]:80", Some("ws://[::1]:80/"));
    check("ws://a:1/path", Some("ws://a:1/path"));
    check("wss://a:1/", None);
    check("", None);
    check("a b", None);
    check(":8080", None);
}

#[test]
fn refusals_are_worded_as_envoys() {
    let check = |words: &[&str], expected: &str| {
        let words = [&["envoy"], words].concat();
        let found = request(&words).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{words:?}: {found}");
    };
    let unmatched = "\n             Couldn't find match for argument\n\nBrief USAGE: \n   envoy ";
    check(
        &["--concurrency=2"],
        &format!("PARSE ERROR: Argument: --concurrency=2{unmatched}"),
    );
    check(
        &["--bogus"],
        &format!("PARSE ERROR: Argument: --bogus{unmatched}"),
    );
    check(&["foo"], &format!("PARSE ERROR: Argument: foo{unmatched}"));
    check(
        &["--concurrency", "x"],
        "PARSE ERROR: Argument: (--concurrency)\n             Couldn't read argument value from string 'x'\n",
    );
    check(
        &["-c"],
        "PARSE ERROR: Argument: -c (--config-path)\n             Missing a value for this argument!\n",
    );
    check(
        &["--base-id", "1", "--base-id 2"],
        "PARSE ERROR: Argument: (--base-id)\n             Argument already set!\n",
    );
    check(&["--mode", "foo"], "error: unknown mode 'foo'");
    check(&["-l", "bogus"], "error: invalid log level specified 'bogus'");
    check(&["--drain-strategy", "x"], "error: unknown drain-strategy 'x'");
    check(
        &["--component-log-level", "a:b"],
        "error: invalid log level specified 'b'",
    );
    check(&["--stats-tag", "a"], "error: misformatted stats-tag 'a'");
}

#[test]
fn version_and_help_are_printed_whatever_else_is_said() {
    let printed = |words: &[&str]| match request(words) {
        Ok(Request::Print(text)) => text,
        other => panic!("{words:?}: {other:?}"),
    };
    let version = printed(&["/bin/envoy", "--version"]);
    assert!(
        version.starts_with("\n/bin/envoy  version: tidegate-"),
        "{version}"
    );
    assert!(version.contains("/1.40.0/Clean/RELEASE/"), "{version}");
    let help = printed(&["envoy", "-c", "x", "-h"]);
    assert!(help.contains("-c <string>,  --config-path <string>"), "{help}");
    assert_eq!(printed(&["envoy", "--hot-restart-version"]), "11.104\n");
}

#[test]
fn what_follows_two_dashes_is_ignored() {
    assert_eq!(flags(&["envoy", "--", "--bogus"]), Flags::of("envoy"));
}
