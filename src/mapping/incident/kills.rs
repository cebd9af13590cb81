//! Assembles each kill by the kernel from the lines about it.

use super::kernel::{Killed, Line};
use crate::chunk::Timestamp;
use std::collections::VecDeque;

/// Seconds between the lines of a kill.
const TOGETHER: u64 = 60;

/// Most lines that wait for a kill.
const MOST: usize = 256;

/// A process that is about to be killed, as far as the lines so far tell.
#[derive(Clone, Debug)]
struct Chosen {
    /// Hash of where the lines come from: pids are of a node.
    source: u64,
    time: Timestamp,
    pid: u32,
    task: String,
    /// `None` where it is not known which cgroup it belongs to.
    cgroup: Option<Cgroup>,
}

/// A cgroup, and the one whose limit was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    /// That of the process.
    pub own: String,
    /// `None` if the node itself has no memory left.
    pub limit: Option<String>,
}

impl Cgroup {
    /// A cgroup of which it does not matter whose limit was reached.
    pub(super) fn new(own: &str) -> Self {
        Self { own: own.to_owned(), limit: None }
    }
}

/// Meaning of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// A process was killed; its cgroup, if that is known.
    Of(Option<Cgroup>),
    /// The process belongs to a kill that is told already: the rest of its container.
    Same,
    /// Nothing was killed yet.
    None,
}

/// Lines that wait for the kill that they announce.
#[derive(Debug, Default)]
pub(super) struct Kills {
    chosen: VecDeque<Chosen>,
    /// `Task in` lines without their kill.
    tasks: VecDeque<(u64, Timestamp, Cgroup)>,
    /// The pid of the process that is killed, or a child of it, by the next line of the source.
    announced: VecDeque<(u64, Timestamp, u32)>,
    /// Containers of which all processes are being killed.
    groups: VecDeque<(u64, Timestamp)>,
}

impl Kills {
    /// Takes the next line of a source, at its time.
    pub(super) fn next(&mut self, source: u64, time: Timestamp, line: &Line<'_>) -> Kill {
        let near = |at: Timestamp| at.secs.abs_diff(time.secs) <= TOGETHER;
        match *line {
            Line::Chosen { cgroup, limit, task, pid } => {
                self.groups.retain(|(of, _)| *of != source);
                let cgroup = Cgroup { own: cgroup.to_owned(), limit: limit.map(str::to_owned) };
                self.choose(Chosen { source, time, pid, task: task.to_owned(), cgroup: Some(cgroup) });
            }
            Line::TaskIn { cgroup, limit } => {
                self.groups.retain(|(of, _)| *of != source);
                let cgroup = Cgroup { own: cgroup.to_owned(), limit: Some(limit.to_owned()) };
                push(&mut self.tasks, (source, time, cgroup));
            }
            Line::WillKill { pid, task } => {
                if self.find(source, near, |chosen| chosen.pid == pid && chosen.task == task).is_none() {
                    let cgroup = self.only_task(source, near);
                    self.choose(Chosen { source, time, pid, task: task.to_owned(), cgroup });
                }
                push(&mut self.announced, (source, time, pid));
            }
            Line::Group { .. } => push(&mut self.groups, (source, time)),
            Line::Killed(Killed { pid, task, .. }) => return self.killed(source, time, (pid, task)),
        }
        Kill::None
    }

    fn killed(&mut self, source: u64, time: Timestamp, (pid, task): (u32, &str)) -> Kill {
        let near = |at: Timestamp| at.secs.abs_diff(time.secs) <= TOGETHER;
        let own = self.find(source, near, |chosen| chosen.pid == pid && chosen.task == task).cloned();
        // A thread may have a name of its own, which one of the lines gives; a child is killed in its parent's place.
        let own = own.or_else(|| self.find(source, near, |chosen| chosen.pid == pid).cloned());
        if let Some(chosen) = own {
            self.announced.retain(|(of, _, announced)| *of != source || *announced != pid);
            return Kill::Of(chosen.cgroup);
        }
        let is_near = |(of, at, _): &&(u64, Timestamp, u32)| *of == source && near(*at);
        let mut announced = self.announced.iter().filter(is_near).map(|(_, _, pid)| *pid);
        if let Some(parent) = announced.next() {
            // Of two that are announced nobody can say whose child it is.
            let chosen = self.find(source, near, |chosen| chosen.pid == parent).filter(|_| announced.next().is_none());
            let cgroup = chosen.and_then(|chosen| chosen.cgroup.clone());
            if cgroup.is_some() {
                self.announced.retain(|(of, _, announced)| *of != source || *announced != parent);
            }
            return Kill::Of(cgroup);
        }
        if self.groups.iter().any(|(of, at)| *of == source && near(*at)) {
            return Kill::Same;
        }
        Kill::Of(self.only_task(source, near))
    }

    /// The newest that fits: pids are used again.
    fn find(&self, source: u64, near: impl Fn(Timestamp) -> bool, fits: impl Fn(&Chosen) -> bool) -> Option<&Chosen> {
        self.chosen.iter().rev().find(|chosen| chosen.source == source && near(chosen.time) && fits(chosen))
    }

    fn choose(&mut self, chosen: Chosen) {
        push(&mut self.chosen, chosen);
    }

    /// The cgroup of the one `Task in` line that waits. Of several nobody can say which it is, and then it is none of them.
    fn only_task(&mut self, source: u64, near: impl Fn(Timestamp) -> bool) -> Option<Cgroup> {
        self.tasks.retain(|(of, at, _)| *of != source || near(*at));
        let mut waiting = self.tasks.iter().enumerate().filter(|(_, (of, ..))| *of == source).map(|(place, _)| place);
        let (first, more) = (waiting.next()?, waiting.next().is_some());
        if more {
            self.tasks.retain(|(of, ..)| *of != source);
            return None;
        }
        self.tasks.remove(first).map(|(_, _, cgroup)| cgroup)
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() == MOST {
        queue.pop_front();
    }
    queue.push_back(value);
}
