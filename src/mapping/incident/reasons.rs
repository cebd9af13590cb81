//! Gives each reason of a Kubernetes event its level.
//!
//! The reasons are those of `pkg/kubelet/events/event.go`, of the controllers and of the scheduler of Kubernetes 1.9 to
//! 1.35, and of node-problem-detector's default rules.

use crate::level::Level;

/// Reasons of events of type Warning after which something does not run. The others are warnings.
const ERRORS: &[&str] = &[
    "BackOff",
    "BackoffLimitExceeded",
    "CrashLoopBackOff",
    "DeadlineExceeded",
    "ErrImageNeverPull",
    "Evicted",
    "ExceededGracePeriod",
    "Failed",
    "FailedAttachVolume",
    "FailedBinding",
    "FailedCreate",
    "FailedCreatePodContainer",
    "FailedCreatePodSandBox",
    "FailedDaemonPod",
    "FailedMapVolume",
    "FailedMount",
    "FailedPostStartHook",
    "FailedScheduling",
    "FailedStart",
    "FailedSync",
    "FailedValidation",
    "HostPortConflict",
    "InspectFailed",
    "InsufficientFreeCPU",
    "InsufficientFreeMemory",
    "InvalidDiskCapacity",
    "KernelDeadlock",
    "KubeletSetupFailed",
    "NetworkNotReady",
    "NodeNotReady",
    "OutOfDisk",
    "PodSandboxFailed",
    "ProvisioningFailed",
    "Rebooted",
    "VolumeFailedDelete",
    "VolumeResizeFailed",
];

/// Reasons after which a process or a node is gone.
const FATAL: &[&str] = &["OOMKilling", "SystemOOM", "TaskHung", "KernelOops"];

/// Returns the level of an event of this reason whose type is Warning.
pub(super) fn level_of(reason: &str) -> Level {
    if FATAL.contains(&reason) {
        Level::Fatal
    } else if ERRORS.contains(&reason) {
        Level::Error
    } else {
        Level::Warn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_do_not_run_are_errors_and_others_warnings() {
        for (reason, level) in [
            ("BackOff", Level::Error),
            ("FailedScheduling", Level::Error),
            ("Unhealthy", Level::Warn),
            ("DNSConfigForming", Level::Warn),
            ("OOMKilling", Level::Fatal),
            ("", Level::Warn),
        ] {
            assert_eq!(level_of(reason), level, "{reason}");
        }
        assert!(ERRORS.is_sorted());
    }
}
