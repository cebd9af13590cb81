//! Builds records from lines, as Fluent Bit's inputs, parsers and filters would.

use super::cri::{CriLine, Joined};
use super::docker::{DockerLine, Whole};
use super::encode::Body;
use super::kubectl::KubectlLine;
use super::time::Time;
use std::borrow::Cow;

/// Data that the kubernetes filter adds to the records of one file.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    /// The packed `kubernetes` map.
    pub(crate) map: Vec<u8>,
    /// True if a JSON object in `log` becomes fields (`Merge_Log`).
    pub(crate) merge_log: bool,
}

/// Keys that are tried for the time of a JSON line, in order.
const TIME_KEYS: [&str; 4] = ["time", "timestamp", "@timestamp", "ts"];

/// Makes the records of one file, in one buffer.
pub(crate) struct Recorder {
    kubernetes: Option<Kubernetes>,
    body: Body,
    record: Vec<u8>,
}

impl Recorder {
    pub(crate) fn new(kubernetes: Option<Kubernetes>) -> Self {
        Self { kubernetes, body: Body::default(), record: Vec::new() }
    }

    /// A line of any kind: `{"log": line}`.
    pub(crate) fn text(&mut self, line: &[u8]) -> &[u8] {
        self.body.clear();
        self.body.text("log", line);
        self.finish(Some(line), None)
    }

    /// A JSON object's own fields; `None` if the line is not one.
    pub(crate) fn json(&mut self, line: &[u8]) -> Option<&[u8]> {
        let line = std::str::from_utf8(line).ok()?;
        self.body.clear();
        let mut times = [None; 4];
        let mut log = None;
        let complete = self.body.object(line, |key, value| {
            if let Some(at) = TIME_KEYS.iter().position(|name| *name == key) {
                times[at] = time_in(value.get());
            } else if key == "log" {
                log = string_in(value.get()).map(Cow::into_owned);
            }
        });
        complete.then(|| self.finish(log.as_deref().map(str::as_bytes), times.into_iter().flatten().next()))
    }

    /// A line of a container, joined.
    pub(crate) fn cri(&mut self, line: &Joined) -> &[u8] {
        self.body.clear();
        self.body.text("time", line.time.as_bytes());
        self.body.text("stream", line.stream.name().as_bytes());
        self.body.text("_p", if line.partial { b"P" } else { b"F" });
        self.body.text("log", &line.text);
        self.finish(Some(&line.text), Time::parse(&line.time))
    }

    /// A line of Docker, joined: the keys in the order in which Docker writes them.
    pub(crate) fn docker(&mut self, line: &Whole) -> &[u8] {
        self.body.clear();
        self.body.text("log", line.log.as_bytes());
        self.body.text("stream", line.stream.name().as_bytes());
        self.body.text("time", line.time.as_bytes());
        self.finish(Some(line.log.as_bytes()), Time::parse(&line.time))
    }

    /// A line that `kubectl logs` has printed: `{"log": line}`, with the pod if it is told.
    pub(crate) fn kubectl(&mut self, line: &KubectlLine<'_>) -> &[u8] {
        self.body.clear();
        self.body.text("log", line.text);
        if let Some(kubernetes) = line.kubernetes().filter(|_| self.kubernetes.is_none()) {
            self.body.packed("kubernetes", &kubernetes);
        }
        self.finish(Some(line.text), line.time)
    }

    fn finish(&mut self, log: Option<&[u8]>, time: Option<Time>) -> &[u8] {
        if let Some(kubernetes) = &self.kubernetes {
            if let Some(log) = log.filter(|_| kubernetes.merge_log).and_then(|log| std::str::from_utf8(log).ok()) {
                self.body.object(log, |_, _| {});
            }
            self.body.packed("kubernetes", &kubernetes.map);
        }
        self.record.clear();
        self.body.record(time.unwrap_or_else(Time::now), &mut self.record);
        &self.record
    }
}

fn time_in(json: &str) -> Option<Time> {
    if json.starts_with('"') { Time::parse(&string_in(json)?) } else { Time::from_number(json) }
}

fn string_in(json: &str) -> Option<Cow<'_, str>> {
    json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok().map(Cow::Owned))?
}

/// The kind of a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cri,
    Docker,
    Json,
    Kubectl,
    Text,
}

impl Kind {
    /// Judged by one line.
    pub(crate) fn of(line: &[u8]) -> Self {
        let json = || std::str::from_utf8(line).is_ok_and(|line| Body::default().object(line, |_, _| {}));
        if CriLine::parse(line).is_some() {
            Self::Cri
        } else if DockerLine::parse(line).is_some() {
            Self::Docker
        } else if json() {
            Self::Json
        } else if KubectlLine::parse(line).is_some() {
            Self::Kubectl
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cri::Joiner;
    use super::*;

    /// The head of a record of this time.
    const HEAD: &[u8] = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80";

    fn joined(line: &str) -> Joined {
        Joiner::default().push(&CriLine::parse(line.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_container_line_has_the_keys_of_the_hosts_cri_parser() {
        let line = joined("2026-11-20T08:00:00.001376970Z stdout F hello");
        let body = b"\x84\xa4time\xbe2026-11-20T08:00:00.001376970Z\xa6stream\xa6stdout\xa2_p\xa1F\xa3log\xa5hello";
        assert_eq!(Recorder::new(None).cri(&line), [HEAD, body].concat());
    }

    #[test]
    fn merged_fields_stand_between_log_and_kubernetes() {
        let kubernetes = |merge_log| Some(Kubernetes { map: b"\x80".to_vec(), merge_log });
        let line = joined(r#"2026-11-20T08:00:00.001376970Z stderr F {"time":1,"user":{"id":54811}}"#);
        let own = b"\xa4time\xbe2026-11-20T08:00:00.001376970Z\xa6stream\xa6stderr\xa2_p\xa1F\xa3log\xbe{\"time\":1,\"user\":{\"id\":54811}}";
        let merged = b"\xa4time\x01\xa4user\x81\xa2id\xcd\xd6\x1b";
        let end = b"\xaakubernetes\x80";
        assert_eq!(Recorder::new(kubernetes(true)).cri(&line), [HEAD, b"\x87", own, merged, end].concat());
        assert_eq!(Recorder::new(kubernetes(false)).cri(&line), [HEAD, b"\x85", own, end].concat());
    }

    #[test]
    fn a_json_line_brings_its_fields_and_its_time() {
        let mut recorder = Recorder::new(None);
        let line = br#"{"ts":1,"@timestamp":"no time","time":"2026-11-20T08:00:00.001376970Z","n":1}"#;
        let record = recorder.json(line).unwrap();
        assert!(record.starts_with(HEAD), "the first key that is one wins");
        assert!(record.ends_with(b"\xa1n\x01"));
        assert_eq!(record[HEAD.len()], 0x84);
        let record = recorder.json(br#"{"ts":1795161600.001376970}"#).unwrap();
        assert_eq!(record[..8], HEAD[..8]);
        for other in [&b"[1]"[..], b"text", b"{\"a\":\"\xff\"}", b"{"] {
            assert_eq!(recorder.json(other), None);
        }
    }

    #[test]
    fn a_docker_line_is_merged_like_a_cri_one() {
        let mut recorder = Recorder::new(Some(Kubernetes { map: b"\x80".to_vec(), merge_log: true }));
        let record = recorder.json(br#"{"log":"{\"a\":1}\n","stream":"stdout"}"#).unwrap();
        assert!(record.ends_with(b"\xa6stream\xa6stdout\xa1a\x01\xaakubernetes\x80"), "{record:x?}");
    }

    #[test]
    fn a_line_of_kubectl_has_its_time_and_its_pod() {
        let line = KubectlLine::parse(b"[pod/p/c] 2026-11-20T08:00:00.001376970Z hi").unwrap();
        let own = b"\x82\xa3log\xa2hi\xaakubernetes\x82\xa8pod_name\xa1p\xaecontainer_name\xa1c";
        assert_eq!(Recorder::new(None).kubectl(&line), [HEAD, own].concat());
        let named = Some(Kubernetes { map: b"\x80".to_vec(), merge_log: false });
        let record = Recorder::new(named).kubectl(&line).to_vec();
        assert_eq!(record, [HEAD, b"\x82\xa3log\xa2hi\xaakubernetes\x80"].concat(), "the file's name knows more");
    }

    #[test]
    fn other_lines_are_passed_on_byte_by_byte_and_have_the_time_of_now() {
        let before = Time::now().seconds;
        let record = Recorder::new(None).text(b"caf\xe9").to_vec();
        assert!(record.ends_with(b"\x80\x81\xa3log\xa4caf\xe9"));
        let seconds = u32::from_be_bytes(*record[4..].first_chunk().unwrap());
        assert!((before..=Time::now().seconds).contains(&seconds));
    }

    #[test]
    fn kinds_of_lines() {
        let table = [
            ("2026-11-20T08:00:00.001376970Z stdout F x", Kind::Cri),
            (r#"{"log":"x\n","stream":"stdout","time":"2026-11-20T08:00:00Z"}"#, Kind::Docker),
            (r#"{"a":1}"#, Kind::Json),
            ("2026-11-20T08:00:00.001376970Z x", Kind::Kubectl),
            ("[pod/p/c] {}", Kind::Kubectl),
            ("2026-11-20T08:00:00.001Z x", Kind::Text),
            ("{a", Kind::Text),
            ("[1]", Kind::Text),
            ("hello", Kind::Text),
        ];
        for (line, kind) in table {
            assert_eq!(Kind::of(line.as_bytes()), kind, "{line}");
        }
    }
}
