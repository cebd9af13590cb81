//! The sample logs of a small Kubernetes cluster, made fresh: Sentry takes no old ones.

use super::artefacts;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

/// A copy of the samples whose last line was written just now.
#[derive(Debug)]
pub struct Samples {
    /// The directory with everything in it: `${SAMPLES}` of the configuration.
    pub dir: PathBuf,
    /// The container logs, in the order of their names.
    pub files: Vec<PathBuf>,
    /// `<namespace>_<pod>.meta`: what the API server says about each pod.
    pub kube_meta: PathBuf,
    /// A Fluent Bit configuration that ships them, to be completed by the environment.
    pub config: PathBuf,
    /// Number of lines of the logs.
    pub lines: usize,
    /// Incidents in the logs.
    pub incidents: Vec<Incident>,
}

/// Something that an on-call person would want to see as an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// `error` or `fatal`.
    pub level: String,
    /// The type of the outermost exception, where there is a stack trace.
    pub exception: Option<String>,
    /// A piece of its text that is the same each time.
    pub text: String,
    /// Number of times that it happened.
    pub count: u64,
}

/// Copies the samples to `dir` and moves their times, all by the same amount, so that the last line is of now.
pub fn fresh(dir: &Path) -> io::Result<Samples> {
    let source = artefacts::workspace().join("tests/samples");
    fs::create_dir_all(dir)?;
    let kube_meta = copy_dir(&source.join("kube-meta"), &dir.join("kube-meta"))?;
    let config = dir.join("fluent-bit.conf");
    fs::copy(source.join("fluent-bit.conf"), &config)?;
    let logs = read_logs(&source.join("containers"))?;
    let containers = dir.join("containers");
    fs::create_dir_all(&containers)?;
    let shift = shift(&logs)?;
    for (name, text) in &logs {
        fs::write(containers.join(name), moved(text, shift)?)?;
    }
    Ok(Samples {
        dir: dir.to_owned(),
        files: logs.iter().map(|(name, _)| containers.join(name)).collect(),
        kube_meta,
        config,
        lines: logs.iter().map(|(_, text)| text.lines().count()).sum(),
        incidents: incidents(&source.join("incidents.json"))?,
    })
}

fn incidents(file: &Path) -> io::Result<Vec<Incident>> {
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(file)?)?;
    let text = |row: &Value, field: &str| row[field].as_str().map(str::to_owned);
    let incident = |row: &Value| {
        Some(Incident {
            namespace: text(row, "namespace")?,
            pod: text(row, "pod")?,
            level: text(row, "level")?,
            exception: text(row, "type"),
            text: text(row, "text")?,
            count: row["count"].as_u64()?,
        })
    };
    let known =
        rows.iter().map(|row| incident(row).ok_or_else(|| invalid(&format!("expected an incident, found {row}"))));
    known.collect()
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to.to_owned())
}

fn read_logs(dir: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let read = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((PathBuf::from(entry.file_name()), fs::read_to_string(entry.path())?))
    };
    let mut logs = fs::read_dir(dir)?.map(read).collect::<io::Result<Vec<_>>>()?;
    logs.sort();
    Ok(logs)
}

/// Nanoseconds from the last line of all to now.
fn shift(logs: &[(PathBuf, String)]) -> io::Result<i128> {
    let lasts = logs.iter().filter_map(|(_, text)| text.lines().last()).map(|line| Ok(split(line)?.0));
    let last = lasts.collect::<io::Result<Vec<_>>>()?.into_iter().max();
    let last = last.ok_or_else(|| invalid("expected sample logs, found none"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(now.as_nanos() as i128 - last)
}

fn moved(text: &str, shift: i128) -> io::Result<String> {
    let mut moved = String::with_capacity(text.len());
    for line in text.lines() {
        let (time, rest) = split(line)?;
        moved += &format!("{} {rest}\n", format_time(time + shift));
    }
    Ok(moved)
}

/// The time of a line as the container runtime writes it, in nanoseconds, and the rest of the line.
fn split(line: &str) -> io::Result<(i128, &str)> {
    let parsed = line.split_once(' ').and_then(|(time, rest)| Some((parse_time(time)?, rest)));
    parsed.ok_or_else(|| invalid(&format!("expected a line that begins with a time, found {line:?}")))
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// `2026-03-10T09:00:00.123456789Z`.
fn parse_time(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let mut numbers = seconds.split(['-', 'T', ':']).map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    let days = days_from_civil(next()?, next()?, next()?);
    let seconds = ((days * 24 + next()?) * 60 + next()?) * 60 + next()?;
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(i128::from(seconds) * NANOS_PER_SECOND + nanos)
}

/// A time in nanoseconds since 1970 as a container runtime writes it.
pub fn format_time(nanos: i128) -> String {
    let (seconds, fraction) = (nanos.div_euclid(NANOS_PER_SECOND) as i64, nanos.rem_euclid(NANOS_PER_SECOND));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Days since 1970 of a date in the Gregorian calendar, counted in years that begin in March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
        - 719_469
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let first_of = |year| days_from_civil(year, 1, 1);
    let mut year = 1970 + days.div_euclid(366);
    while first_of(year + 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| days_from_civil(year, month, 1) <= days).unwrap_or(1);
    (year, month, days - days_from_civil(year, month, 1) + 1)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
