//! Reads the kernel's messages about processes that it kills for memory.
//!
//! Formats: `mm/oom_kill.c` and `mm/memcontrol.c` of Linux 4.9 to 6.x. From 5.0 on (and in kernels of RHEL 8) a line that
//! begins with `oom-kill:` names the cgroup of the process. Before that, `Task in CGROUP killed as a result of limit of
//! CGROUP` names it, without a pid. The kill itself is another line. A process chooses its own name, up to 15 bytes, so the
//! reader searches for the fields after a name from the end of the line.

use super::containers::{ContainerId, container_id};

/// A line about a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `oom-kill:...`: this process was chosen.
    Chosen {
        /// The cgroup of the process.
        cgroup: &'a str,
        /// The cgroup whose limit was reached; `None` if the node itself has no memory left.
        limit: Option<&'a str>,
        task: &'a str,
        pid: u32,
    },
    /// `Task in ...`, before 5.0: some process of this cgroup was chosen.
    TaskIn { cgroup: &'a str, limit: &'a str },
    /// `Kill process ... or sacrifice child`, before 5.1: this process or a child of it is about to be killed.
    WillKill { pid: u32, task: &'a str },
    /// `Killed process ...`.
    Killed(Killed<'a>),
    /// `Tasks in ... are going to be killed due to memory.oom.group set`: the rest of a container follows.
    Group { cgroup: &'a str },
}

/// A process that was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Killed<'a> {
    pub pid: u32,
    pub task: &'a str,
    pub uid: Option<u32>,
    /// In KiB, like the other sizes.
    pub total_vm: Option<u64>,
    pub anon_rss: Option<u64>,
    pub file_rss: Option<u64>,
    pub shmem_rss: Option<u64>,
    pub pgtables: Option<u64>,
    pub oom_score_adj: Option<i64>,
}

impl<'a> Line<'a> {
    /// The cgroup that the line names.
    pub(super) fn cgroup(&self) -> Option<&'a str> {
        match self {
            Self::Chosen { cgroup, .. } | Self::TaskIn { cgroup, .. } | Self::Group { cgroup } => Some(cgroup),
            Self::WillKill { .. } | Self::Killed(_) => None,
        }
    }

    /// Reads a message of the kernel's, without the prefix that a log puts before it.
    pub(super) fn of(message: &'a str) -> Option<Self> {
        let message = without_stamp(message).trim_end();
        if let Some(rest) = message.strip_prefix("oom-kill:") {
            return chosen(rest);
        }
        if let Some(rest) = message.strip_prefix("Task in ") {
            let (cgroup, limit) = rest.split_once(" killed as a result of limit of ")?;
            return (is_path(cgroup) && is_path(limit)).then_some(Self::TaskIn { cgroup, limit });
        }
        if let Some(rest) = message.strip_prefix("Tasks in ") {
            let cgroup = rest.strip_suffix(" are going to be killed due to memory.oom.group set")?;
            return is_path(cgroup).then_some(Self::Group { cgroup });
        }
        const CAUSES: [&str; 2] = ["Memory cgroup out of memory: ", "Out of memory: "];
        let rest = CAUSES.iter().find_map(|cause| message.strip_prefix(cause)).unwrap_or(message);
        if let Some(rest) = rest.strip_prefix("Kill process ").filter(|_| rest.len() < message.len()) {
            let (pid, rest) = rest.split_once(" (")?;
            let (task, _) = rest.rsplit_once(") score ")?;
            return Some(Self::WillKill { pid: pid.parse().ok()?, task });
        }
        killed(rest.strip_prefix("Killed process ")?).map(Self::Killed)
    }
}

fn chosen(rest: &str) -> Option<Line<'_>> {
    const CGROUP: &str = ",task_memcg=";
    let (before, rest) = rest.split_once(CGROUP)?;
    let (cgroup, rest) = rest.split_once(",task=")?;
    let (rest, uid) = rest.rsplit_once(",uid=")?;
    let (task, pid) = rest.rsplit_once(",pid=")?;
    let limit = before.split_once(",oom_memcg=").map(|(_, limit)| limit);
    let sound = before.starts_with("constraint=") && is_path(cgroup) && uid.bytes().all(|byte| byte.is_ascii_digit());
    Some(Line::Chosen { cgroup, limit, task, pid: pid.parse().ok()? }).filter(|_| sound)
}

/// `1234 (java) total-vm:1kB, anon-rss:2kB, ...`, in some versions `1234 (java), UID 1000, total-vm:...`.
fn killed(rest: &str) -> Option<Killed<'_>> {
    let (head, sizes) = rest.rsplit_once(" total-vm:").map_or((rest, ""), |(head, sizes)| (head, sizes));
    let (pid, task) = head.split_once(" (")?;
    let task = task.trim_end_matches(',');
    let (task, uid) = match task.strip_suffix(')') {
        Some(task) => (task, None),
        None => {
            let (task, uid) = task.rsplit_once("), UID ")?;
            (task, uid.parse().ok())
        }
    };
    let mut killed = Killed { pid: pid.parse().ok()?, task, uid, ..Killed::default() };
    let kib = |size: &str| size.strip_suffix("kB")?.parse().ok();
    for (at, part) in sizes.split([',', ' ']).filter(|part| !part.is_empty()).enumerate() {
        if at == 0 {
            killed.total_vm = kib(part);
            continue;
        }
        let Some((name, value)) = part.split_once(':') else { continue };
        match name {
            "anon-rss" => killed.anon_rss = kib(value),
            "file-rss" => killed.file_rss = kib(value),
            "shmem-rss" => killed.shmem_rss = kib(value),
            "pgtables" => killed.pgtables = kib(value),
            "UID" => killed.uid = value.parse().ok(),
            "oom_score_adj" => killed.oom_score_adj = value.parse().ok(),
            _ => {}
        }
    }
    Some(killed)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 4_096
}

/// `[12345.678901] `, `[T1234] ` and the dates of `dmesg -T`, which some logs leave before a message.
fn without_stamp(message: &str) -> &str {
    let stamp = |text: &str| {
        let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b' ');
        let is_stamp =
            inside.len() <= 32 && inside.bytes().all(fits) && inside.bytes().any(|byte| byte.is_ascii_digit());
        is_stamp.then_some(rest.len())
    };
    let mut message = message;
    for _ in 0..2 {
        message = message.trim_start();
        let Some(rest) = stamp(message) else { break };
        message = &message[message.len() - rest..];
    }
    message.trim_start()
}

/// The kernel's message in a line of a text log such as `/var/log/kern.log`: `Nov 30 06:00:00 node-1 kernel: [1.5] message`, also
/// with a priority before it or a time as in RFC 3339; or the message alone, as `dmesg` prints it. `None` if another program
/// wrote the line.
pub(super) fn message_of_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest)) if priority.len() <= 3 && priority.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => line,
    };
    if line.starts_with('[') || Line::of(line).is_some() {
        return Some(line);
    }
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    // RFC 3339 is one word, the classic form three.
    let is_date = first.len() >= 19 && first.as_bytes()[4] == b'-' && first.as_bytes()[10] == b'T';
    let is_month = first.len() == 3 && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_month {
        let (day, clock) = (words.next()?, words.next()?);
        let is_clock = clock.len() >= 8 && clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
        if day.parse::<u8>().is_err() || !is_clock {
            return None;
        }
    } else if !is_date {
        return None;
    }
    let _host = words.next()?;
    let program = words.next()?;
    // What comes behind the program's name.
    let rest = &line[program.as_ptr() as usize - line.as_ptr() as usize + program.len()..];
    (program == "kernel:").then(|| rest.trim_start())
}

/// The ids of containers in a cgroup's path, the innermost first: `cri-containerd-ID.scope`, `crio-ID.scope`, `docker-ID.scope`,
/// `libpod-ID.scope` or the id alone.
pub(super) fn containers_in(cgroup: &str) -> impl Iterator<Item = ContainerId> {
    cgroup.rsplit('/').filter_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        // With the systemd driver of some runtimes: `kubepods-burstable-pod...slice:cri-containerd:ID`.
        let id = part.rsplit(['-', ':']).next()?;
        container_id(id.as_bytes())
    })
}

/// The uid of the pod in a cgroup's path: `podUID`, or `kubepods-burstable-podUID.slice` with `_` for `-`.
pub(super) fn pod_in(cgroup: &str) -> Option<String> {
    let uid = cgroup.rsplit('/').find_map(|part| {
        let part = part.split(':').next()?;
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = part.rsplit('-').next().filter(|_| part.contains("kubepods")).unwrap_or(part);
        let uid = uid.strip_prefix("pod").or_else(|| part.strip_prefix("pod"))?;
        let fits = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
        (uid.len() >= 32 && uid.len() <= 36 && uid.bytes().all(fits)).then_some(uid)
    })?;
    Some(uid.replace('_', "-").to_ascii_lowercase())
}
