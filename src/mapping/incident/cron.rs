//! Turns the events of a CronJob's Jobs into Sentry check-ins.
//!
//! Sources: `pkg/controller/cronjob` and `pkg/controller/job` of Kubernetes, whose events say which Job was created,
//! completed or failed. The pods of the CronJob name the Sentry monitor in an annotation.

use super::super::DestinationId;
use super::kube_event::{KubeEvent, without_run};
use crate::chunk::Timestamp;
use crate::clock::WallTime;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Greatest age in seconds of an event for which a check-in is sent: a check-in has no time but that of its receipt.
const FRESH: u64 = 60;

/// Runs and workloads that are remembered.
const MOST: usize = 512;

/// Status that a check-in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The job has begun.
    InProgress,
    /// It ended well; the output works.
    Ok,
    /// It failed; the output does not work.
    Error,
}

impl Status {
    /// Sentry's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// A check-in, to be sent at once or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckIn {
    /// The destination.
    pub destination: DestinationId,
    /// Its id: the same for all check-ins of a run.
    pub id: [u8; 16],
    /// The monitor.
    pub slug: String,
    /// The status that it reports.
    pub status: Status,
    /// The time for which the job ran.
    pub duration: Option<Duration>,
    /// The interval of a monitor that is to be made if it is not there.
    pub interval: Option<Duration>,
}

/// A run of a job.
#[derive(Debug)]
struct Run {
    namespace: String,
    job: String,
    started: Option<Timestamp>,
    /// The status that was reported last.
    said: Option<Status>,
}

/// The jobs that are watched.
#[derive(Debug, Default)]
pub(super) struct Crons {
    /// Monitors by namespace and workload.
    slugs: HashMap<(String, String), String>,
    runs: VecDeque<Run>,
    /// Check-ins that nobody has taken yet.
    pub(super) made: Vec<CheckIn>,
}

/// Returns the run that an event is about, and its status.
fn run_of<'e>(event: &KubeEvent<'e>) -> Option<(&'e str, Status)> {
    let named = |head: &str| event.message.strip_prefix(head)?.split([',', ' ']).next();
    match (event.kind, event.reason) {
        ("Job", "SuccessfulCreate" | "Resumed") => Some((event.name, Status::InProgress)),
        ("Job", "Completed") => Some((event.name, Status::Ok)),
        (
            "Job",
            "BackoffLimitExceeded"
            | "DeadlineExceeded"
            | "PodFailurePolicy"
            | "FailedIndexes"
            | "MaxFailedIndexesExceeded",
        ) => Some((event.name, Status::Error)),
        ("CronJob", "SuccessfulCreate") => Some((named("Created job ")?, Status::InProgress)),
        ("CronJob", "SawCompletedJob") => {
            let failed = event.message.ends_with("Failed");
            Some((named("Saw completed job: ")?, if failed { Status::Error } else { Status::Ok }))
        }
        _ => None,
    }
}

impl Crons {
    /// Remembers the monitor of a workload.
    pub(super) fn learn(&mut self, namespace: &str, workload: &str, slug: Option<&str>) {
        let key = (namespace.to_owned(), without_run(workload).to_owned());
        match slug {
            Some(slug) if self.slugs.len() < MOST || self.slugs.contains_key(&key) => {
                self.slugs.insert(key, slug.to_owned());
            }
            _ => {}
        }
    }

    /// Takes an event, and makes the check-in that it is worth, unless its destination is not known. `id` makes the run's id of its namespace and job.
    pub(super) fn take(
        &mut self,
        event: &KubeEvent<'_>,
        destination: Option<DestinationId>,
        now: WallTime,
        id: impl Fn(&str, &str) -> [u8; 16],
    ) {
        let Some((job, status)) = run_of(event) else { return };
        let is_fresh = event.time.secs.abs_diff(now.as_secs()) <= FRESH;
        let namespace = event.namespace;
        let known = self.runs.iter().position(|run| run.namespace == namespace && run.job == job);
        let place = known.unwrap_or_else(|| {
            if self.runs.len() == MOST {
                self.runs.pop_front();
            }
            self.runs.push_back(Run {
                namespace: namespace.to_owned(),
                job: job.to_owned(),
                started: None,
                said: None,
            });
            self.runs.len() - 1
        });
        let run = &mut self.runs[place];
        if status == Status::InProgress {
            let first = event.first_time.unwrap_or(event.time);
            run.started = Some(run.started.map_or(first, |started| started.min(first)));
        }
        let slug = self.slugs.get(&(namespace.to_owned(), without_run(job).to_owned()));
        let Some(slug) = slug.filter(|_| is_fresh) else { return };
        // What has ended does not begin again, and is said once.
        if matches!(run.said, Some(Status::Ok | Status::Error)) || run.said == Some(status) {
            return;
        }
        run.said = Some(status);
        let ended = || {
            let (start, end) = (run.started?.micros(), event.time.micros());
            (end > start).then(|| Duration::from_micros(end - start))
        };
        let duration = if status == Status::InProgress { None } else { ended() };
        if let Some(destination) = destination.filter(|_| self.made.len() < MOST) {
            let id = id(namespace, job);
            self.made.push(CheckIn { destination, id, slug: slug.clone(), status, duration, interval: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_secs(1_000_000);

    fn event(
        kind: &'static str,
        name: &'static str,
        reason: &'static str,
        message: &'static str,
        at: u64,
    ) -> KubeEvent<'static> {
        let time = Timestamp { secs: at, nanos: 0 };
        KubeEvent {
            kind,
            name,
            reason,
            message,
            time,
            namespace: "shop",
            first_time: Some(time),
            ..KubeEvent::default()
        }
    }

    fn said(crons: &mut Crons, event: &KubeEvent<'_>) -> Option<(Status, Option<u64>)> {
        crons.take(event, Some(DestinationId(3)), NOW, |_, job| [job.len() as u8; 16]);
        let made = crons.made.pop()?;
        assert_eq!((made.destination, made.slug.as_str(), made.id), (DestinationId(3), "nightly-report", [16; 16]));
        Some((made.status, made.duration.map(|duration| duration.as_secs())))
    }

    fn crons() -> Crons {
        let mut crons = Crons::default();
        crons.learn("shop", "nightly-29400000", Some("nightly-report"));
        crons.learn("shop", "nightly", None);
        crons
    }

    #[test]
    fn a_run_begins_and_ends_once_whichever_controller_says_so() {
        let (job, at) = ("nightly-29400001", 999_950);
        let created = event("CronJob", "nightly", "SuccessfulCreate", "Created job nightly-29400001", at);
        let mut crons = crons();
        assert_eq!(said(&mut crons, &created), Some((Status::InProgress, None)));
        assert_eq!(
            said(&mut crons, &event("Job", job, "SuccessfulCreate", "Created pod: nightly-29400001-x2k4q", at)),
            None
        );
        assert_eq!(
            said(&mut crons, &event("Job", job, "Completed", "Job completed", at + 42)),
            Some((Status::Ok, Some(42)))
        );
        let saw = event(
            "CronJob",
            "nightly",
            "SawCompletedJob",
            "Saw completed job: nightly-29400001, condition: Complete",
            at + 43,
        );
        assert_eq!(said(&mut crons, &saw), None);
    }

    #[test]
    fn failures_are_errors() {
        for (kind, name, reason, message) in [
            ("Job", "nightly-29400001", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
            ("Job", "nightly-29400001", "DeadlineExceeded", "Job was active longer than specified deadline"),
            ("CronJob", "nightly", "SawCompletedJob", "Saw completed job: nightly-29400001, status: Failed"),
        ] {
            assert_eq!(
                said(&mut crons(), &event(kind, name, reason, message, 999_990)),
                Some((Status::Error, None)),
                "{reason}"
            );
        }
    }

    #[test]
    fn only_what_was_asked_for_and_is_of_now_is_said() {
        let mut crons = crons();
        let completed = |name, at| event("Job", name, "Completed", "Job completed", at);
        assert_eq!(said(&mut crons, &completed("nightly-29400001", 999_900)), None, "too long ago");
        assert_eq!(said(&mut crons, &completed("weekly-294000010", 999_990)), None, "no annotation");
        assert_eq!(
            said(&mut crons, &event("Pod", "nightly-29400001-x2k4q", "Started", "Started container", 999_990)),
            None
        );
    }
}
