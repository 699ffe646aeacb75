//! How does Linux tell whose a listening socket is? By inode: the kernel names it, `/proc/PID/fd` shows who holds it.

mod diag;
mod table;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use procfs::process::Stat;

use super::{Owner, answers_on_loopback};

pub(super) fn owner(port: u16, root: u32) -> Owner {
    let inodes = match diag::reached(port) {
        Ok(socket) => BTreeSet::from([socket.inode]),
        // Nobody listens, or the kernel does not answer such questions: read the table.
        Err(_) => match table::listening() {
            Ok(sockets) => reached_by_loopback(&sockets, port),
            Err(_) => return Owner::Unknown,
        },
    };
    if inodes.is_empty() {
        return Owner::Nobody;
    }
    let Ok(root) = i32::try_from(root) else {
        return Owner::Unknown;
    };
    // Most replicas are one process, or a shell and its child: look there before all of /proc.
    if holds_any(&family(root), &inodes) == Held::Yes {
        return Owner::Replica;
    }
    match holds_any(&tree(root), &inodes) {
        Held::Yes => Owner::Replica,
        Held::No => Owner::Stranger,
        Held::Hidden => Owner::Unknown,
    }
}

pub(super) fn listening(root: u32) -> Vec<SocketAddr> {
    let Ok(root) = i32::try_from(root) else {
        return Vec::new();
    };
    let sockets = diag::all().or_else(|_| table::listening()).unwrap_or_default();
    let held_by = |pids: Vec<i32>| -> BTreeSet<SocketAddr> {
        let inodes: BTreeSet<u64> = pids
            .into_iter()
            .filter_map(|pid| socket_inodes(pid).ok())
            .flatten()
            .collect();
        sockets
            .iter()
            .filter(|socket| inodes.contains(&socket.inode))
            .map(|socket| socket.address)
            .collect()
    };
    let mut found = held_by(family(root));
    if found.is_empty() {
        found = held_by(tree(root));
    }
    found.into_iter().collect()
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    inode: u64,
}

/// The sockets that get a connection to `127.0.0.1:port`: one bound to that very address takes it from one bound to all.
fn reached_by_loopback(sockets: &[Socket], port: u16) -> BTreeSet<u64> {
    let reached = sockets
        .iter()
        .filter(|socket| socket.address.port() == port && answers_on_loopback(socket.address.ip()));
    let (exact, any): (Vec<&Socket>, Vec<&Socket>) =
        reached.partition(|socket| socket.address.ip().to_canonical().is_loopback());
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

fn holds_any(pids: &[i32], inodes: &BTreeSet<u64>) -> Held {
    let mut held = Held::No;
    for pid in pids {
        match socket_inodes(*pid) {
            Ok(mut found) => {
                if found.any(|inode| inodes.contains(&inode)) {
                    return Held::Yes;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => held = Held::Hidden,
            // It ended while we looked.
            Err(_) => {}
        }
    }
    held
}

/// The sockets that a process has open. One system call for each descriptor: this stands in the way of the first
/// request.
fn socket_inodes(pid: i32) -> io::Result<impl Iterator<Item = u64>> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(descriptors.filter_map(|descriptor| socket_inode(&std::fs::read_link(descriptor.ok()?.path()).ok()?)))
}

/// `socket:[INODE]`, as proc_pid_fd(5) has it.
fn socket_inode(target: &Path) -> Option<u64> {
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// The first process and its children.
fn family(root: i32) -> Vec<i32> {
    let mut family = children(root);
    family.insert(0, root);
    family
}

/// The children that the kernel lists for a process; not every kernel does.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The members of the process group that `root` leads, and all descendants of `root`.
fn tree(root: i32) -> Vec<i32> {
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    let mut rest: Vec<Stat> = all.filter_map(|process| process.ok()?.stat().ok()).collect();
    let mut members = BTreeSet::from([root]);
    loop {
        let (inside, outside): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|stat| stat.pgrp == root || members.contains(&stat.ppid));
        if inside.is_empty() {
            return members.into_iter().collect();
        }
        members.extend(inside.iter().map(|stat| stat.pid));
        rest = outside;
    }
}

#[cfg(test)]
mod tests;
