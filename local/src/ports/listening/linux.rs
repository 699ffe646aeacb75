//! How does Linux tell whose a listening socket is? By inode: `/proc/net/tcp` names it, `/proc/PID/fd` shows who holds it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;

use procfs::net::{TcpNetEntries, TcpNetEntry};
use procfs::process::{FDTarget, Process, Stat};
use procfs::{FromBufReadSI, ProcError, ProcResult};

use super::{Owner, answers_on_loopback};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// A small buffer: the kernel writes as many lines as fit, and the listening sockets come first.
const TABLE_READ_BYTES: usize = 4096;
/// State `LISTEN` as the tables write it.
const LISTEN: &str = "0A";

pub(super) fn owner(port: u16, root: u32) -> Owner {
    let Ok(sockets) = listening_sockets() else {
        return Owner::Unknown;
    };
    let inodes = reached_by_loopback(&sockets, port);
    if inodes.is_empty() {
        return Owner::Nobody;
    }
    // Most replicas are one process: look there before all of /proc.
    let root_alone = process(root).map(|first| vec![first]).unwrap_or_default();
    if holds_any(&root_alone, &inodes) == Held::Yes {
        return Owner::Replica;
    }
    match holds_any(&tree(root), &inodes) {
        Held::Yes => Owner::Replica,
        Held::No => Owner::Stranger,
        Held::Hidden => Owner::Unknown,
    }
}

pub(super) fn listening(root: u32) -> Vec<SocketAddr> {
    let Ok(sockets) = listening_sockets() else {
        return Vec::new();
    };
    let held: BTreeSet<u64> = tree(root)
        .iter()
        .filter_map(|process| socket_inodes(process).ok())
        .flatten()
        .collect();
    let found: BTreeSet<SocketAddr> = sockets
        .iter()
        .filter(|socket| held.contains(&socket.inode))
        .map(|socket| socket.local_address)
        .collect();
    found.into_iter().collect()
}

/// The listening lines of both tables, without reading the connected sockets behind them: there may be 10 000.
fn listening_sockets() -> ProcResult<Vec<TcpNetEntry>> {
    let mut sockets = Vec::new();
    for table in TABLES {
        match File::open(table) {
            Ok(file) => sockets.extend(listening_entries(BufReader::with_capacity(
                TABLE_READ_BYTES,
                file,
            ))?),
            // A kernel without IPv6 has no tcp6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sockets)
}

fn listening_entries(table: impl BufRead) -> ProcResult<Vec<TcpNetEntry>> {
    let mut lines = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line?;
        if index > 0 && line.split_whitespace().nth(3) != Some(LISTEN) {
            break;
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    let TcpNetEntries(entries) =
        TcpNetEntries::from_buf_read(lines.as_bytes(), procfs::current_system_info())?;
    Ok(entries)
}

/// The sockets that get a connection to `127.0.0.1:port`: one bound to that very address takes it from one bound to all.
fn reached_by_loopback(sockets: &[TcpNetEntry], port: u16) -> BTreeSet<u64> {
    let reached = sockets.iter().filter(|socket| {
        socket.local_address.port() == port && answers_on_loopback(socket.local_address.ip())
    });
    let (exact, any): (Vec<_>, Vec<_>) =
        reached.partition(|socket| socket.local_address.ip().to_canonical().is_loopback());
    let chosen = if exact.is_empty() { any } else { exact };
    chosen.into_iter().map(|socket| socket.inode).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
    /// Not by what could be seen, but a process could not be looked into.
    Hidden,
}

fn holds_any(processes: &[Process], inodes: &BTreeSet<u64>) -> Held {
    let mut held = Held::No;
    for process in processes {
        match socket_inodes(process) {
            Ok(found) if !found.is_disjoint(inodes) => return Held::Yes,
            Err(ProcError::PermissionDenied(_)) => held = Held::Hidden,
            // It ended while we looked.
            Ok(_) | Err(_) => {}
        }
    }
    held
}

fn socket_inodes(process: &Process) -> ProcResult<BTreeSet<u64>> {
    let sockets = process
        .fd()?
        .filter_map(Result::ok)
        .filter_map(|descriptor| match descriptor.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        });
    Ok(sockets.collect())
}

/// The members of the process group that `root` leads, and all descendants of `root`.
fn tree(root: u32) -> Vec<Process> {
    let Ok(root) = i32::try_from(root) else {
        return Vec::new();
    };
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    let mut rest: Vec<(Process, Stat)> = all
        .filter_map(Result::ok)
        .filter_map(|process| process.stat().ok().map(|stat| (process, stat)))
        .collect();
    let mut pids = BTreeSet::from([root]);
    let mut members = Vec::new();
    loop {
        let (inside, outside): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, stat)| {
            stat.pgrp == root || pids.contains(&stat.ppid) || pids.contains(&stat.pid)
        });
        if inside.is_empty() {
            return members;
        }
        pids.extend(inside.iter().map(|(_, stat)| stat.pid));
        members.extend(inside.into_iter().map(|(process, _)| process));
        rest = outside;
    }
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

#[cfg(test)]
mod tests;
