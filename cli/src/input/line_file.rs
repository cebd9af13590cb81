//! Turns the lines of one file into records: reads each line in the format of the file, and joins the parts of a container's
//! long lines.

use super::cri::{self, CriLine};
use super::docker::{self, DockerLine};
use super::kubectl::KubectlLine;
use super::record::{Kind, Kubernetes, Recorder};

/// The result of processing a line.
pub(crate) enum Made<'a> {
    /// A record.
    Record(&'a [u8]),
    /// Nothing: it is empty, or the first part of a line whose rest is to come.
    Nothing,
    /// Nothing, for it is not the JSON object that it should be.
    NoObject,
}

/// A line whose last part never came.
pub(crate) enum Rest {
    Cri(cri::Joined),
    Docker(docker::Whole),
}

/// Makes the records of one file.
pub(crate) struct LineFile {
    /// Told by the first line that is not empty.
    kind: Option<Kind>,
    recorder: Recorder,
    joiner: cri::Joiner,
    docker: docker::Joiner,
}

impl LineFile {
    pub(crate) fn new(kind: Option<Kind>, kubernetes: Option<Kubernetes>) -> Self {
        let recorder = Recorder::new(kubernetes);
        Self { kind, recorder, joiner: cri::Joiner::default(), docker: docker::Joiner::default() }
    }

    pub(crate) fn line(&mut self, text: &[u8]) -> Made<'_> {
        if text.is_empty() {
            return Made::Nothing;
        }
        match *self.kind.get_or_insert_with(|| Kind::of(text)) {
            Kind::Cri => self.cri_line(text),
            Kind::Docker => self.docker_line(text),
            Kind::Json => self.recorder.json(text).map_or(Made::NoObject, Made::Record),
            Kind::Kubectl => Made::Record(match KubectlLine::parse(text) {
                Some(line) => self.recorder.kubectl(&line),
                None => self.recorder.text(text),
            }),
            Kind::Text => Made::Record(self.recorder.text(text)),
        }
    }

    /// Encodes a line of a container's log. A line that the runtime did not write is kept as it is, as Fluent Bit's parser
    /// does.
    fn cri_line(&mut self, text: &[u8]) -> Made<'_> {
        match CriLine::parse(text) {
            Some(line) => match self.joiner.push(&line) {
                Some(joined) => Made::Record(self.recorder.cri(&joined)),
                None => Made::Nothing,
            },
            None => Made::Record(self.recorder.text(text)),
        }
    }

    fn docker_line(&mut self, text: &[u8]) -> Made<'_> {
        match DockerLine::parse(text).map(|line| self.docker.push(&line)) {
            Some(docker::Joined::Whole(whole)) => Made::Record(self.recorder.docker(&whole)),
            Some(docker::Joined::Waiting) => Made::Nothing,
            Some(docker::Joined::AsItIs) | None => self.recorder.json(text).map_or(Made::NoObject, Made::Record),
        }
    }

    /// Encodes a line of any kind, kept as it is.
    pub(crate) fn text(&mut self, text: &[u8]) -> &[u8] {
        self.recorder.text(text)
    }

    /// At the end of the file: lines whose last part never came.
    pub(crate) fn rest(&mut self) -> Vec<Rest> {
        self.joiner.rest().map(Rest::Cri).chain(self.docker.rest().map(Rest::Docker)).collect()
    }

    /// The record of one of them.
    pub(crate) fn joined(&mut self, line: &Rest) -> &[u8] {
        match line {
            Rest::Cri(line) => self.recorder.cri(line),
            Rest::Docker(line) => self.recorder.docker(line),
        }
    }
}
