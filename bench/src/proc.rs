//! What did a process cost: its CPU time and memory by `/proc`, and on which core did it run?

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// What threads that carry traffic are called, before their number.
const WORKER: &str = "worker-";
/// The pause between two looks at memory that may still change.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
/// After how many looks that show the same it is settled.
const SAME_LOOKS: u32 = 15;

/// The user and system time of a process and all its descendants so far.
///
/// # Errors
/// When the process is gone.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    Ok(duration(tree(pid)?.iter().map(|stat| stat.ticks).sum::<u64>()))
}

/// The user and system time of a process so far, without its descendants.
///
/// # Errors
/// When it is gone.
pub fn own_cpu_time(pid: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let stat = parse(&text).ok_or_else(|| malformed("/proc/PID/stat"))?;
    Ok(duration(stat.ticks))
}

/// The user and system time of all processes so far, and what the machine's host gave to others.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn machine_cpu_time() -> io::Result<Duration> {
    const FILE: &str = "/proc/stat";
    let text = fs::read_to_string(FILE)?;
    let ticks = machine_ticks(&text).ok_or_else(|| malformed(FILE))?;
    Ok(duration(ticks))
}

/// Reads the first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
fn machine_ticks(text: &str) -> Option<u64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, _irq, _softirq, steal, ..] = *ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + steal)
}

/// Has all threads of a process step back but those that carry traffic, which are called `worker-N`.
///
/// # Errors
/// When the process is gone, or the system refuses.
pub fn let_workers_go_first(pid: u32, niceness: i32) -> io::Result<()> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        let is_worker = fs::read_to_string(thread.path().join("comm"))?.starts_with(WORKER);
        let number = thread.file_name().to_string_lossy().parse().unwrap_or_default();
        if let Some(id) = Pid::from_raw(number).filter(|_| !is_worker) {
            setpriority_process(Some(id), niceness)?;
        }
    }
    Ok(())
}

/// The time of each thread of a process that carries traffic, by their numbers.
///
/// # Errors
/// When it is gone.
pub fn worker_cpu_times(pid: u32) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        let name = fs::read_to_string(thread.join("comm"))?;
        if name.starts_with(WORKER) {
            let stat = parse(&fs::read_to_string(thread.join("stat"))?);
            let stat = stat.ok_or_else(|| malformed("/proc/PID/task/ID/stat"))?;
            times.push((name, duration(stat.ticks)));
        }
    }
    times.sort();
    Ok(times.into_iter().map(|(_, time)| time).collect())
}

/// Has this thread run only when no other wants its core, which any of them gets at once (`SCHED_IDLE`, sched(7)).
///
/// # Errors
/// When the system refuses.
pub fn run_when_idle() -> anyhow::Result<()> {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    set.map_err(|error| anyhow::anyhow!("the system refuses SCHED_IDLE: {error:?}"))
}

fn duration(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_secs(ticks) / u32::try_from(per_second).unwrap_or(100)
}

/// The resident memory of this process in bytes.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn own_resident_bytes() -> io::Result<u64> {
    resident_bytes(std::process::id())
}

/// The resident memory of a process in bytes.
///
/// # Errors
/// When it is gone.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let file = format!("/proc/{pid}/statm");
    let statm = fs::read_to_string(&file)?;
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or_else(|| malformed(&file))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// The most that was ever resident of a process, in bytes.
///
/// # Errors
/// When it is gone.
pub fn peak_resident_bytes(pid: u32) -> io::Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.ok_or_else(|| malformed(&file))? * 1024)
}

/// The resident memory of a process in bytes, once it no longer changes by a percent for some seconds: what allocators give back
/// goes with a delay.
///
/// # Errors
/// When it is gone.
pub async fn settled_resident_bytes(pid: u32) -> io::Result<u64> {
    let mut before = resident_bytes(pid)?;
    let mut same = 0;
    while same < SAME_LOOKS {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = resident_bytes(pid)?;
        if now.abs_diff(before) < before / 100 {
            same += 1;
        } else {
            (before, same) = (now, 0);
        }
    }
    resident_bytes(pid)
}

/// Keeps this thread, and what it starts from now on, on one core.
///
/// # Errors
/// When there is no such core.
pub fn pin_to(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// The process and what descends from it.
fn tree(root: u32) -> io::Result<Vec<Stat>> {
    let mut processes: HashMap<u32, Stat> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ends while we look is none of ours, or is missed by the next read.
        if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            processes.insert(pid, parse(&text).ok_or_else(|| malformed("/proc/PID/stat"))?);
        }
    }
    if !processes.contains_key(&root) {
        let message = format!("process {root} has ended while it was measured");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let mut open = vec![root];
    let mut found = Vec::new();
    while let Some(pid) = open.pop() {
        open.extend(
            processes
                .iter()
                .filter(|(_, stat)| stat.parent == pid)
                .map(|(pid, _)| *pid),
        );
        found.extend(processes.remove(&pid));
    }
    Ok(found)
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)); the name in its second field may have blanks and parentheses.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    // From field 3 on: state, parent, …; user time is field 14 and system time field 15.
    let field = |number: usize| rest.split_whitespace().nth(number - 3);
    let number = |at| field(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        ticks: number(14)? + number(15)?,
    })
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{file} does not look as expected"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_a_name_with_blanks() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 1 0 100 1 1";
        let stat = parse(line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 300));
        assert!(parse("7 (a").is_none());
    }

    #[test]
    fn the_machine_s_time_leaves_out_what_it_idled() {
        let text = "cpu  10 2 30 400 5 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(machine_ticks(text), Some(50));
        assert_eq!(machine_ticks("cpu  10 2\n"), None);
        assert!(machine_cpu_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn this_process_can_be_measured() {
        assert!(cpu_time(std::process::id()).is_ok());
        assert!(own_resident_bytes().unwrap() > 0);
        let error = cpu_time(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
    }
}
