//! What does `/proc` tell about processes: when one started, whether a group lives, who carries an instance's id?

use std::collections::BTreeSet;
use std::ffi::OsStr;

use procfs::process::{Process, all_processes};
use rustix::process::getpgrp;

use crate::instance::Instance;
use crate::names::INSTANCE_VARIABLE;

/// States of a process that has ended: zombie, and dead. source: proc_pid_stat(5)
const ENDED: [char; 3] = ['Z', 'X', 'x'];

pub(super) fn started(pid: i32) -> Option<u64> {
    Some(Process::new(pid).ok()?.stat().ok()?.starttime)
}

pub(super) fn has_living_member(group: i32) -> bool {
    let Ok(mut all) = all_processes() else { return true };
    all.any(|process| {
        process
            .and_then(|process| process.stat())
            .is_ok_and(|stat| stat.pgrp == group && !ENDED.contains(&stat.state))
    })
}

pub(super) fn groups_of(instance: &Instance) -> Vec<u32> {
    let own = getpgrp().as_raw_pid();
    let Ok(all) = all_processes() else {
        return Vec::new();
    };
    let groups: BTreeSet<u32> = all
        .filter_map(Result::ok)
        .filter(|process| carries(process, instance))
        .filter_map(|process| process.stat().ok())
        .filter(|stat| stat.pgrp != own)
        .filter_map(|stat| u32::try_from(stat.pgrp).ok())
        .collect();
    groups.into_iter().collect()
}

/// The environment a process was started with; other users' processes do not show it.
fn carries(process: &Process, instance: &Instance) -> bool {
    process.environ().is_ok_and(|environment| {
        environment
            .get(OsStr::new(INSTANCE_VARIABLE))
            .is_some_and(|id| id == instance.as_str())
    })
}
