//! Which inputs come from strangers, and what must hold whatever they send?
//!
//! Each target is a function of bytes that panics when a property is broken. It knows nothing of the fuzzer: the
//! tests replay the corpora through it, and `fuzz_targets/` holds the programs that libFuzzer drives.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a fuzz target reports a broken property by panicking"
)]

pub mod answer;
pub mod certificate;
pub mod exchange;
pub mod h1;
pub mod h2_meter;
pub mod head;
pub mod host;
pub mod proxy_protocol;
pub mod rewrite;
pub mod snapshot_file;
pub mod text;
pub mod xds_response;
pub mod yaml;

/// A named fuzz target. Its corpus is `corpus/NAME`, its program `fuzz_targets/NAME.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its corpus and program.
    pub name: &'static str,
    /// What runs one input.
    pub run: fn(&[u8]),
}

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "answer",
        run: answer::run,
    },
    Target {
        name: "certificate",
        run: certificate::run,
    },
    Target {
        name: "exchange",
        run: exchange::run,
    },
    Target {
        name: "h1",
        run: h1::run,
    },
    Target {
        name: "h2_meter",
        run: h2_meter::run,
    },
    Target {
        name: "head",
        run: head::run,
    },
    Target {
        name: "host",
        run: host::run,
    },
    Target {
        name: "proxy_protocol",
        run: proxy_protocol::run,
    },
    Target {
        name: "rewrite",
        run: rewrite::run,
    },
    Target {
        name: "snapshot_file",
        run: snapshot_file::run,
    },
    Target {
        name: "text",
        run: text::run,
    },
    Target {
        name: "xds_response",
        run: xds_response::run,
    },
    Target {
        name: "yaml",
        run: yaml::run,
    },
];
