//! Reads the values of options whose form or words are their own.

use super::settings::{Compress, KubeEvents, Mode, SpoolSync};
use super::value::{self, Expected};
use crate::level::Level;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn path(text: &str) -> Result<PathBuf, &'static str> {
    if Path::new(text).is_absolute() { Ok(text.into()) } else { Err("an absolute path") }
}

/// Relay's rules for environment names (facts: relay-event-normalization).
pub(super) fn environment(text: &str) -> Result<String, &'static str> {
    let bad = text.len() > 64 || text.contains(['/', '\\']) || text.chars().any(char::is_control);
    if bad || matches!(text.to_ascii_lowercase().as_str(), "." | ".." | "none") {
        return Err("an environment of at most 64 bytes without slashes, not `none`");
    }
    Ok(text.to_owned())
}

pub(super) fn release(text: &str) -> Result<String, &'static str> {
    let bad = text.len() > 200 || text.contains(['/', '\\']) || text.chars().any(char::is_control);
    if bad || matches!(text.to_ascii_lowercase().as_str(), "." | ".." | "latest") {
        return Err("a release of at most 200 bytes without slashes, not `latest`");
    }
    Ok(text.to_owned())
}

/// A qualified name (<https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>).
pub(super) fn annotation(text: &str) -> Result<String, &'static str> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let good = text.len() <= 317 && text.bytes().all(sound) && !text.starts_with('/') && !text.ends_with('/');
    if good { Ok(text.to_owned()) } else { Err("the name of a pod annotation, such as k8s.sentry.io/dsn") }
}

pub(super) fn compress(text: &str) -> Result<Compress, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Ok(Compress::Gzip),
        "zstd" => Ok(Compress::Zstd),
        "none" | "off" => Ok(Compress::None),
        _ => Err(Expected::one_of("gzip, zstd or none", &["gzip", "zstd", "none"])),
    }
}

pub(super) fn mode(text: &str) -> Result<Mode, Expected> {
    [Mode::Auto, Mode::Spool, Mode::Ack, Mode::Memory]
        .into_iter()
        .find(|mode| mode.name().eq_ignore_ascii_case(text))
        .ok_or(Expected::one_of("auto, spool, ack or memory", &["auto", "spool", "ack", "memory"]))
}

pub(super) fn spool_sync(text: &str) -> Result<SpoolSync, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "normal" => Ok(SpoolSync::Normal),
        "full" => Ok(SpoolSync::Full),
        _ => Err(Expected::one_of("normal or full", &["normal", "full"])),
    }
}

/// Sentry makes a slug of anything, so that another name would be another monitor than the one that was meant.
pub(super) fn monitor_slug(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let good = text.len() <= 50 && text.bytes().all(fits);
    if good { Ok(text.to_owned()) } else { Err("at most 50 lower-case letters, digits, dashes and underscores") }
}

pub(super) fn monitor_interval(text: &str) -> Result<Duration, &'static str> {
    let interval = value::time(text).map_err(|_| "a time from 1m to 24h")?;
    if (60..=86_400).contains(&interval.as_secs()) { Ok(interval) } else { Err("a time from 1m to 24h") }
}

pub(super) fn kube_events(text: &str) -> Result<KubeEvents, Expected> {
    const EXPECTED: &str = "auto, node, cluster or off";
    Ok(match text.to_ascii_lowercase().as_str() {
        "auto" => KubeEvents::Auto,
        "node" => KubeEvents::Node,
        "cluster" => KubeEvents::Cluster,
        "off" | "false" | "no" => KubeEvents::Off,
        _ => return Err(Expected::one_of(EXPECTED, &["auto", "node", "cluster", "off"])),
    })
}

pub(super) fn kube_event_levels(text: &str) -> Result<Vec<(String, Option<Level>)>, &'static str> {
    const EXPECTED: &str = "reason=level pairs, e.g. BackOff=error,Unhealthy=warning,Killing=off";
    let pairs = value::pairs(text).map_err(|_| EXPECTED)?;
    pairs.into_iter().map(|(reason, name)| Ok((reason, value::threshold(&name).map_err(|_| EXPECTED)?))).collect()
}

pub(super) fn positive(text: &str) -> Result<Duration, &'static str> {
    value::time(text).and_then(|time| if time.is_zero() { Err("a time above zero") } else { Ok(time) })
}

pub(super) fn level_map(text: &str) -> Result<Vec<(String, Level)>, &'static str> {
    const EXPECTED: &str = "word=level pairs, e.g. notice=info,audit=warning";
    let pairs = value::pairs(text).map_err(|_| EXPECTED)?;
    pairs.into_iter().map(|(word, name)| Ok((word, value::level(&name).map_err(|_| EXPECTED)?))).collect()
}
