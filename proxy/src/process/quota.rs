//! How many cores may this process use? A quota of one and a half is two: the second is there half of the time.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

const ROOT: &str = "/sys/fs/cgroup";

/// How many it may use, of those that it may run on; at least one.
pub(super) fn cores() -> NonZeroUsize {
    let count = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let read = |path: &Path| fs::read_to_string(path).ok();
    match quota(read) {
        // The count has the quota in it, rounded down.
        Some(quota) => quota.min(allowed(read).unwrap_or(count)),
        None => count,
    }
}

/// How many cores the scheduler lets it run on.
fn allowed(read: impl Fn(&Path) -> Option<String>) -> Option<NonZeroUsize> {
    let status = read(Path::new("/proc/self/status"))?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
    let cores = mask.trim().chars().filter_map(|digit| digit.to_digit(16));
    NonZeroUsize::new(cores.map(|digit| digit.count_ones() as usize).sum())
}

/// The smallest quota of the groups that it is in, in cores begun.
fn quota(read: impl Fn(&Path) -> Option<String>) -> Option<NonZeroUsize> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let quotas = groups.lines().filter_map(|line| {
        let (_, group) = line.split_once(':')?;
        let (controllers, path) = group.split_once(':')?;
        let path = path.trim_start_matches('/');
        match controllers {
            "" => smallest(&Path::new(ROOT).join(path), |group| unified(&read, group)),
            of if of.split(',').any(|of| of == "cpu") => {
                smallest(&Path::new(ROOT).join("cpu").join(path), |group| {
                    separate(&read, group)
                })
            }
            _ => None,
        }
    });
    quotas.min()
}

/// Of a group and those above it. One that cannot be seen from here has none.
fn smallest(group: &Path, quota: impl Fn(&Path) -> Option<NonZeroUsize>) -> Option<NonZeroUsize> {
    let groups = group.ancestors().take_while(|group| group.starts_with(ROOT));
    groups.filter_map(quota).min()
}

/// Of version 2: `max 100000`, or two numbers of microseconds.
fn unified(read: impl Fn(&Path) -> Option<String>, group: &Path) -> Option<NonZeroUsize> {
    let text = read(&group.join("cpu.max"))?;
    let mut words = text.split_whitespace();
    begun(words.next()?, words.next()?)
}

/// Of version 1: two files, and -1 for no quota.
fn separate(read: impl Fn(&Path) -> Option<String>, group: &Path) -> Option<NonZeroUsize> {
    let quota = read(&group.join("cpu.cfs_quota_us"))?;
    let period = read(&group.join("cpu.cfs_period_us"))?;
    begun(&quota, &period)
}

fn begun(quota: &str, period: &str) -> Option<NonZeroUsize> {
    let quota: usize = quota.trim().parse().ok()?;
    let period: NonZeroUsize = period.trim().parse().ok()?;
    NonZeroUsize::new(quota.div_ceil(period.get()).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: Option<usize>) {
        let read = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(quota(read).map(NonZeroUsize::get), expected, "{files:?}");
    }

    #[test]
    fn a_quota_counts_as_the_cores_that_it_begins_to_use() {
        const GROUP: (&str, &str) = ("/proc/self/cgroup", "0::/\n");
        for (quota, expected) in [
            ("max 100000\n", None),
            ("50000 100000\n", Some(1)),
            ("100000 100000\n", Some(1)),
            ("150000 100000\n", Some(2)),
            ("0 100000\n", Some(1)),
            ("garbage\n", None),
            ("100000 0\n", None),
        ] {
            check(&[GROUP, ("/sys/fs/cgroup/cpu.max", quota)], expected);
        }
        check(&[], None);
        check(&[GROUP], None);
    }

    #[test]
    fn the_smallest_of_all_groups_above_counts() {
        check(
            &[
                ("/proc/self/cgroup", "0::/pods/one/container\n"),
                ("/sys/fs/cgroup/pods/one/container/cpu.max", "400000 100000"),
                ("/sys/fs/cgroup/pods/one/cpu.max", "250000 100000"),
                ("/sys/fs/cgroup/pods/cpu.max", "max 100000"),
            ],
            Some(3),
        );
    }

    #[test]
    fn groups_of_the_first_version_have_files_of_their_own() {
        let groups = (
            "/proc/self/cgroup",
            "5:memory:/other\n4:cpu,cpuacct:/docker/one\n",
        );
        let period = ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        check(
            &[
                groups,
                period,
                ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "110000\n"),
            ],
            Some(2),
        );
        check(
            &[groups, period, ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")],
            None,
        );
    }

    #[test]
    fn the_mask_of_the_scheduler_counts_in_groups_of_hexadecimal_digits() {
        let status = |_: &Path| Some("Name:\tx\nCpus_allowed:\t3,00000005\n".to_owned());
        assert_eq!(allowed(status).map(NonZeroUsize::get), Some(4));
    }

    #[test]
    fn there_is_always_a_core_and_never_one_too_many() {
        let most = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        assert!((1..=most + 1).contains(&cores().get()));
    }
}
