//! How are the programs built that are shipped? By a profile of the load that they are for, which is kept beside the images.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{command, place};

mod order;

/// A program, and the load that shows the compiler what matters in it.
struct Program {
    /// What it is called, as is its package.
    name: &'static str,
    features: &'static [&'static str],
    /// Whether its calls can be traced back, by tables that no call needs: it is to end at a panic, and has no names to tell.
    traces_back: bool,
    /// What the load comparison calls it.
    subject: &'static str,
    classes: &'static [&'static str],
    /// What else the benches have for it, beside that comparison.
    more: &'static [&'static str],
}

const PROGRAMS: [Program; 3] = [
    Program {
        name: "tidegate-ingress",
        features: &[],
        traces_back: true,
        subject: "tidegate",
        classes: &[
            "h1",
            "h1-100k",
            "post",
            "tls",
            "tls-new",
            "h2c",
            "grpc",
            "grpc-stream",
            "h1-paced",
        ],
        more: &["scale", "--services", "1000"],
    },
    Program {
        name: "tidegate-queue-proxy",
        features: &[],
        traces_back: false,
        subject: "sidecar",
        classes: &["h1", "h1-100k", "post", "websocket", "h1-paced"],
        more: &[],
    },
    Program {
        name: "tidegate-activator",
        features: &["kubernetes"],
        traces_back: true,
        subject: "activator",
        classes: &["h1", "h1-100k", "post", "websocket", "h1-paced"],
        more: &[],
    },
];

/// What gives the load.
const BENCH: &str = "tidegate-bench";
/// What reads profiles, and makes one of many.
const PROFILE_TOOL: &str = "llvm-profdata";
/// Where such builds lie in the target directory.
const FOLDER: &str = "pgo";
/// The C library is a part of the program: an idle sidecar has 4.0 MB in memory instead of 5.0.
const STATIC: &str = "-Ctarget-feature=+crt-static";
/// Addresses that are adjusted at each start are a list of a megabyte as a rule. Packed it is some kilobytes.
const PACKED: &str = "-Clink-arg=-Wl,-z,pack-relative-relocs";
/// The first C library that reads it.
const PACKED_SINCE: (u32, u32) = (2, 36);
/// For the linker that rustc brings for [`LINKED_BY_LLD`]: leaves out the tables that calls are traced back by. They are half a
/// megabyte of the sidecar. A panic says what and where as ever; a debugger sees no callers in what was left of the program.
const UNTRACED: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT AFTER .text;\n";
/// For whom rustc links by lld: another linker wants the tables that it was promised, and takes no order of functions.
const LINKED_BY_LLD: &str = "x86_64-unknown-linux-gnu";
/// How often each class of load is given, and for how long.
const LOAD: [&str; 4] = ["--repeats", "2", "--milliseconds", "1500"];

/// Builds the programs named, or all, into the target directory's `dist`, each by its committed profile.
///
/// # Errors
/// When there is no such program, cargo cannot say for whom it builds, or a build fails.
pub(crate) fn build(names: &[&str]) -> anyhow::Result<()> {
    let host = host()?;
    let shipped = place::target()?.join("dist");
    std::fs::create_dir_all(&shipped).with_context(|| format!("cannot make {}", shipped.display()))?;
    for program in wanted(names)? {
        let profile = profile_of(&program)?;
        let mut flags = format!("-Cprofile-use={}", profile.display());
        if host == LINKED_BY_LLD {
            let order = shipped.join(program.name).with_extension("order");
            order::write(&profile_tool(&host)?, &profile, &order)?;
            // What a newer compiler names otherwise is left where it is.
            flags += &format!(
                " -Clink-arg=-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering",
                order.display()
            );
        }
        let built = cargo(&program, &host, &flags)?;
        let shipped = shipped.join(program.name);
        // A new file: the old one may run.
        let fresh = shipped.with_extension("new");
        std::fs::copy(&built, &fresh)
            .and_then(|_length| std::fs::rename(&fresh, &shipped))
            .with_context(|| format!("cannot write {}", shipped.display()))?;
        println!("{}", shipped.display());
    }
    Ok(())
}

/// Takes the profiles of the programs named, or of all, anew.
///
/// # Errors
/// When there is no such program, a tool cannot be had, or a step fails.
pub(crate) fn profile(names: &[&str]) -> anyhow::Result<()> {
    let host = host()?;
    let merge = profile_tool(&host)?;
    let target = place::target()?;
    command::run(&mut command::cargo(&[
        "build",
        "--locked",
        "--profile",
        "dist",
        "--package",
        BENCH,
    ])?)?;
    for program in wanted(names)? {
        let counts = target.join(FOLDER).join(program.name);
        // What an earlier build of the program counted says nothing about this one.
        match std::fs::remove_dir_all(&counts) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", counts.display()));
            }
            _ => {}
        }
        let counting = cargo(
            &program,
            &host,
            &format!("-Cprofile-generate={}", counts.display()),
        )?;
        // The load comparison takes the program that lies beside it.
        let bench = counting.with_file_name(BENCH);
        std::fs::copy(target.join("dist").join(BENCH), &bench)
            .with_context(|| format!("cannot write {}", bench.display()))?;
        let mut load = Command::new(&bench);
        load.args(["compare", "--subject", program.subject]).args(LOAD);
        for class in program.classes {
            load.args(["--class", class]);
        }
        command::run(&mut load)?;
        if !program.more.is_empty() {
            command::run(Command::new(&bench).args(program.more))?;
        }
        let mut merge = Command::new(&merge);
        merge.args(["merge", "--sparse", "--output"]);
        command::run(merge.arg(profile_of(&program)?).arg(&counts))?;
    }
    Ok(())
}

/// Those with these names, or all.
fn wanted(names: &[&str]) -> anyhow::Result<Vec<Program>> {
    let is_known = |name: &str| PROGRAMS.iter().any(|program| program.name == name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        let known = PROGRAMS.map(|known| known.name).join(", ");
        bail!("no program `{name}` is built here; there are: {known}");
    }
    let mut programs = Vec::from(PROGRAMS);
    programs.retain(|program| names.is_empty() || names.contains(&program.name));
    Ok(programs)
}

/// Where a program's profile is kept.
fn profile_of(program: &Program) -> anyhow::Result<PathBuf> {
    let folder = place::workspace()?.join("deploy").join("profiles");
    Ok(folder.join(program.name).with_extension("profdata"))
}

/// Builds a program with the flags, and says where it lies.
fn cargo(program: &Program, host: &str, flags: &str) -> anyhow::Result<PathBuf> {
    // In a folder of its own, as other flags build everything anew.
    let folder = place::target()?.join(FOLDER);
    let features = program.features.join(",");
    let mut cargo = command::cargo(&["build", "--locked", "--profile", "dist"])?;
    // The target is named so that the flags are not for build scripts and macros.
    cargo.args([
        "--package",
        program.name,
        "--target",
        host,
        "--features",
        &features,
    ]);
    let packed = if reads_packed(&libc()) { PACKED } else { "" };
    let untraced = if program.traces_back || host != LINKED_BY_LLD {
        String::new()
    } else {
        untraced(&folder)?
    };
    let flags = format!("{flags} {STATIC} {packed} {untraced}");
    cargo
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", flags.trim());
    command::run(&mut cargo)?;
    Ok(folder.join(host).join("dist").join(program.name))
}

/// Writes down for the linker what it leaves out, and says how it is told.
fn untraced(folder: &Path) -> anyhow::Result<String> {
    let script = folder.join("untraced.ld");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&script, UNTRACED))
        .with_context(|| format!("cannot write {}", script.display()))?;
    let script = script.display();
    Ok(format!(
        "-Clink-arg=-Wl,--no-eh-frame-hdr -Clink-arg=-Wl,-T,{script}"
    ))
}

/// The C library here, such as `glibc 2.36`.
fn libc() -> String {
    command::read(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default()
}

fn reads_packed(libc: &str) -> bool {
    let version = libc
        .trim()
        .strip_prefix("glibc ")
        .and_then(|version| version.split_once('.'));
    let number = |text: &str| text.split('.').next()?.parse::<u32>().ok();
    version.is_some_and(|(major, minor)| number(major).zip(number(minor)) >= Some(PACKED_SINCE))
}

/// For whom the toolchain builds.
fn host() -> anyhow::Result<String> {
    let version = rustc(&["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc says for whom it builds")?.to_owned())
}

/// What reads profiles and makes one of many; a part of the toolchain that is not everybody's.
fn profile_tool(host: &str) -> anyhow::Result<PathBuf> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    let folder = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin");
    let merge = folder.join(PROFILE_TOOL);
    if !merge.is_file() {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "llvm-tools"]);
        command::run(rustup.current_dir(place::workspace()?)).with_context(|| {
            format!(
                "{PROFILE_TOOL} is not in {}, and rustup cannot add it",
                folder.display()
            )
        })?;
    }
    Ok(merge)
}

fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let mut rustc = Command::new("rustc");
    command::read(rustc.args(arguments).current_dir(place::workspace()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_list_is_for_libraries_that_read_it() {
        let check = |libc: &str, expected| assert_eq!(reads_packed(libc), expected, "{libc:?}");
        check("glibc 2.36\n", true);
        check("glibc 2.41.1", true);
        check("glibc 3.0", true);
        check("glibc 2.35", false);
        check("musl", false);
        check("", false);
    }

    #[test]
    fn a_program_is_found_by_its_name_and_has_a_profile() {
        let one = wanted(&["tidegate-queue-proxy"]).unwrap();
        assert_eq!(one.len(), 1);
        let error = wanted(&["envoy"]).err().unwrap().to_string();
        assert!(
            error.contains("`envoy`") && error.contains("tidegate-ingress"),
            "{error}"
        );
        for program in wanted(&[]).unwrap() {
            let profile = profile_of(&program).unwrap();
            assert!(
                profile.is_file(),
                "{} is missing: cargo xtask profile {}",
                profile.display(),
                program.name
            );
        }
    }
}
