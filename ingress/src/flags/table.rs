//! Which flags are there, what do they take, and what do they say of themselves?

/// A flag.
pub(super) struct Flag {
    /// The name after `--`.
    pub(super) name: &'static str,
    /// The letter after `-`.
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    /// What `--help` says.
    pub(super) help: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    Number,
    /// A number of seconds, or with `ms`, `s`, `m` or `h`.
    Time,
    /// Text, and the flag may come again.
    Texts,
}

impl Takes {
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Text | Self::Texts => " <string>",
            Self::Number => " <uint32_t>",
            Self::Time => " <duration>",
        }
    }
}

impl Flag {
    /// As messages of Envoy name it: `(--name)`, or `-n (--name)`.
    pub(super) fn shown(&self) -> String {
        match self.short {
            Some(short) => format!("-{short} (--{})", self.name),
            None => format!("(--{})", self.name),
        }
    }
}

/// The flag that a word names.
pub(super) fn find(word: &str) -> Option<&'static Flag> {
    let name = word.strip_prefix("--");
    let short = || {
        let mut letters = word.strip_prefix('-')?.chars();
        letters.next().filter(|_| letters.next().is_none())
    };
    match name {
        Some(name) => FLAGS.iter().find(|flag| flag.name == name),
        None => short().and_then(|short| FLAGS.iter().find(|flag| flag.short == Some(short))),
    }
}

const fn flag(name: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        takes,
        help,
    }
}

const fn lettered(short: char, name: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag {
        name,
        short: Some(short),
        takes,
        help,
    }
}

const UNUSED: &str = "Taken for Envoy's sake; has no effect";

/// All flags, ours after Envoy's.
#[rustfmt::skip]
pub(super) static FLAGS: &[Flag] = &[
    lettered('c', "config-path", Takes::Text, "The configuration file (.yaml, .yml, .json, .pb, .pb_text; any other is read as JSON)"),
    flag("config-yaml", Takes::Text, "Configuration in YAML, merged over that of the file"),
    flag("mode", Takes::Text, "'serve' (the default), or 'validate' to say whether the configuration is sound and end"),
    flag("concurrency", Takes::Number, "How many worker threads; by default what the container may use"),
    flag("service-cluster", Takes::Text, "The node's cluster, over the configuration's"),
    flag("service-node", Takes::Text, "The node's id, over the configuration's"),
    flag("service-zone", Takes::Text, "The node's zone, over the configuration's"),
    lettered('l', "log-level", Takes::Text, "[trace][debug][info][warning|warn][error][critical][off]; info by default"),
    flag("component-log-level", Takes::Text, "Levels of components, such as upstream:debug,config:trace"),
    flag("log-path", Takes::Text, "The file to log to; standard error by default"),
    flag("log-format", Takes::Text, UNUSED),
    flag("log-format-escaped", Takes::Nothing, "Escape line breaks in what is logged"),
    flag("admin-address-path", Takes::Text, "The file to write the admin endpoint's address to"),
    flag("drain-time-s", Takes::Number, "How many seconds a drain takes; 600 by default"),
    flag("drain-strategy", Takes::Text, "'gradual' (the default): more and more connections are asked to close; 'immediate': all at once"),
    flag("allow-unknown-static-fields", Takes::Nothing, "Ignore unknown fields of the configuration file"),
    flag("allow-unknown-fields", Takes::Nothing, "The same, under its old name"),
    flag("reject-unknown-dynamic-fields", Takes::Nothing, "Refuse xDS resources with unknown fields"),
    flag("ignore-unknown-dynamic-fields", Takes::Nothing, "Do not count unknown fields of xDS resources"),
    flag("local-address-ip-version", Takes::Text, "Of which kind the node's own address is: v4 or v6"),
    flag("stats-tag", Takes::Texts, "A label of every metric, such as site:north; may come again"),
    flag("disable-extensions", Takes::Text, "HTTP and network filters that are refused as if unknown, by category and name, separated by commas"),
    flag("cpuset-threads", Takes::Nothing, "As many worker threads as the cpuset has processors"),
    flag("file-flush-interval-msec", Takes::Number, "How long access logs are held back"),
    flag("file-flush-min-size-kb", Takes::Number, "How much of access logs is held back"),
    flag("base-id", Takes::Number, UNUSED),
    flag("base-id-path", Takes::Text, "The file to write the base ID to"),
    flag("use-dynamic-base-id", Takes::Nothing, UNUSED),
    flag("restart-epoch", Takes::Number, UNUSED),
    flag("parent-shutdown-time-s", Takes::Number, UNUSED),
    flag("disable-hot-restart", Takes::Nothing, UNUSED),
    flag("hot-restart-version", Takes::Nothing, "Print the version of hot restart"),
    flag("skip-hot-restart-on-no-parent", Takes::Nothing, UNUSED),
    flag("skip-hot-restart-parent-stats", Takes::Nothing, UNUSED),
    flag("socket-path", Takes::Text, UNUSED),
    flag("socket-mode", Takes::Text, UNUSED),
    flag("enable-fine-grain-logging", Takes::Nothing, UNUSED),
    flag("enable-mutex-tracing", Takes::Nothing, UNUSED),
    flag("enable-core-dump", Takes::Nothing, UNUSED),
    flag("log-stacktrace-single-entry", Takes::Nothing, UNUSED),
    flag("skip-deprecated-logs", Takes::Nothing, UNUSED),
    flag("version", Takes::Nothing, "Print the version"),
    lettered('h', "help", Takes::Nothing, "Print this"),
    flag("internal-listener", Takes::Texts, "A listener for clients inside the cluster, which keep the headers that are removed from outside; may come again; by default listener_8081 and listener_8444"),
    flag("snapshot-dir", Takes::Text, "The folder to keep the last good configuration in, or in tidegate/ of it if others can read it; none by default"),
    flag("snapshot-secrets", Takes::Text, "'keep' (the default) or 'omit' private keys in it"),
    flag("snapshot-max-age", Takes::Time, "How old it may be and still be served; 1h by default"),
    flag("drain-on-sigterm", Takes::Time, "How long SIGTERM drains; by default the drain time, or nothing when called as `envoy`"),
    flag("autoscaler-address", Takes::Text, "Where Knative's autoscaler hears of the load of revisions: host:port, or the URL of its WebSocket; by default nobody does"),
    flag("guard-empty", Takes::Nothing, "Refuse empty CDS and LDS responses instead of deleting everything"),
];
