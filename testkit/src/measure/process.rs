//! What a process has used, from `/proc`.

use std::fs;
use std::time::Duration;

/// Time on a processor of all its threads, user and system. Threads that are gone count in steps of 10 ms.
pub fn cpu(process: u32) -> Duration {
    of_threads(process).max(of_process(process).unwrap_or_default())
}

/// To the nanosecond, but only of those alive.
fn of_threads(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let run = |task: fs::DirEntry| -> Option<u64> {
        fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(run).sum())
}

/// Of all that ever were, in hundredths of a second: the unit of `/proc` on Linux whatever the kernel's own clock.
fn of_process(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; times are the 12th and 13th field after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// A figure of its memory in KiB: `VmRSS`, `VmHWM`.
pub fn memory(process: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Its own threads that the plugin named.
pub fn plugin_threads(process: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("sentry-")).count()
}

/// Forgets the highest memory of this process, so that `VmHWM` is what comes from here on.
pub fn forget_peak() {
    _ = fs::write("/proc/self/clear_refs", "5");
}

/// Returns the position up to which a process has read this file. `None` while it has not opened the file.
pub fn read_so_far(process: u32, path: &std::path::Path) -> Option<u64> {
    let links = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let open = links.filter(|link| fs::read_link(link.path()).is_ok_and(|target| target == path));
    let position = |link: fs::DirEntry| -> Option<u64> {
        let number = link.file_name();
        let text = fs::read_to_string(format!("/proc/{process}/fdinfo/{}", number.to_string_lossy())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
    };
    open.filter_map(position).max()
}
