//! Data that an event has besides its record: trace, template, and the hashes by which storms are told apart.

use crate::mapping::ResolvedRecord;
use crate::mapping::group::template::{Template, template};
use crate::mapping::resolve::severity::Rules;
use crate::mapping::route::Routed;
use crate::mapping::trace::Trace;
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

/// Data that is known about an event besides its record.
pub(crate) struct EventContext<'t> {
    /// The stack trace, if there is one.
    pub trace: Option<Trace<'t>>,
    /// The language of the trace, else `other`.
    pub platform: &'static str,
    /// The line without its variable parts.
    pub template: Template<'t>,
    /// The line, or the text around the trace.
    pub line: &'t str,
    /// The line without the text that its logger put before it, as it is shown in a list of issues.
    pub title: &'t str,
    /// The logger that the head of the line names.
    pub logger: Option<&'t str>,
    /// Hash by which storms are told apart.
    pub fingerprint: u64,
    /// Hash of the exception chain with its messages.
    pub chain: Option<u64>,
    /// Hash of namespace and workload.
    pub workload: u64,
    /// The workload has too many different messages: this one shares an issue.
    pub other_errors: bool,
    /// Events of this fingerprint that were held back before this one.
    pub held_back: u64,
    /// The lines before, as JSON with a comma before each.
    pub crumbs: [&'t [u8]; 2],
}

impl<'t> EventContext<'t> {
    /// `line` is the message, or the part of it that stands around the trace.
    pub(crate) fn new(
        rules: &Rules,
        view: &ResolvedRecord<'_, '_>,
        routed: Routed,
        mut trace: Option<Trace<'t>>,
        line: &'t str,
    ) -> Self {
        let platform = trace.as_ref().map_or("other", |trace| trace.platform);
        // A crash without frames is its text.
        trace = trace.filter(|trace| !trace.exceptions.is_empty());
        let line = if trace.is_none() && line.trim().is_empty() { "(empty message)" } else { line };
        let head = rules.head(line);
        let title = line[head.message..].trim_end();
        let template = template(title);
        if let Some(exception) = trace.as_mut().and_then(|trace| trace.exceptions.last_mut())
            && exception.value.trim().is_empty()
            && NO_TYPES.contains(&exception.ty.as_ref())
        {
            exception.value = Cow::Borrowed(title);
        }
        let chain = trace.as_ref().map(|trace| chain_hash(trace, title));
        let workload = workload_hash(view, routed);
        let mut hash = Xxh3::with_seed(workload);
        match &trace {
            Some(trace) => hash.update(&stack_hash(trace).to_le_bytes()),
            None => hash.update(template.text.as_bytes()),
        }
        Self {
            fingerprint: hash.digest(),
            trace,
            platform,
            template,
            line,
            title,
            logger: head.logger.map(|(from, to)| &line[from..to]),
            chain,
            workload,
            other_errors: false,
            held_back: 0,
            crumbs: [&[]; 2],
        }
    }

    /// The workload has shown too many different messages: this one shares an issue, and a storm, with the others.
    pub(crate) fn share_an_issue(&mut self) {
        self.other_errors = true;
        self.fingerprint = Xxh3::with_seed(self.workload).digest();
    }
}

/// Returns a hash of the sender and the destination of a record. The sender is a container of a workload, a service, else
/// the stream. Destinations do not share their storms.
fn workload_hash(view: &ResolvedRecord<'_, '_>, routed: Routed) -> u64 {
    let mut hash = Xxh3::with_seed(routed.identity as u64);
    let mut parts = |parts: &[&[u8]]| {
        for part in parts {
            hash.update(part);
            hash.update(&[0]);
        }
    };
    match (view.pod, view.service) {
        (Some(pod), _) => parts(&[pod.namespace.as_bytes(), pod.workload.as_bytes(), pod.container.as_bytes()]),
        (None, Some(service)) => parts(&[service]),
        (None, None) => parts(&[&view.stream.0.to_le_bytes()]),
    }
    hash.digest()
}

/// Names that stand for an exception of whose type the text says nothing. Its message is all that tells it from others.
const NO_TYPES: [&str; 6] = ["error", "Error", "Exception", "panic", "fatal error", "exception"];

/// Hashes the chain with its messages; if the outermost exception has no message, the line takes its place.
fn chain_hash(trace: &Trace<'_>, title: &str) -> u64 {
    let mut hash = Xxh3::with_seed(stack_hash(trace));
    for exception in &trace.exceptions {
        hash.update(exception.value.as_bytes());
        hash.update(&[0]);
    }
    if trace.exceptions.last().is_some_and(|outermost| outermost.value.trim().is_empty()) {
        hash.update(title.as_bytes());
    }
    hash.digest()
}

/// Types and frames, by which Sentry groups.
fn stack_hash(trace: &Trace<'_>) -> u64 {
    let mut hash = Xxh3::new();
    for exception in &trace.exceptions {
        hash.update(exception.ty.as_bytes());
        for frame in &exception.frames {
            hash.update(frame.module.as_deref().unwrap_or_default().as_bytes());
            hash.update(frame.function.as_deref().unwrap_or_default().as_bytes());
            hash.update(&frame.lineno.unwrap_or_default().to_le_bytes());
        }
        hash.update(&[0]);
    }
    hash.digest()
}
