//! Computes the cost of logs: the bytes that Sentry bills for them, and the share of each attribute and of the bodies.

use super::answers::{Explained, Output};
use super::explainer::Explainer;
use super::pieces::{self, Problems, Reading};
use crate::input::file::{Format, Input};
use out_sentry::delivery::DestinationResolver;
use out_sentry::ledger::Category;
use out_sentry::mapping::billed;
use out_sentry::options::{Destination, Mapping};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Most names of attributes that are told apart; records choose them.
const MAX_NAMES: usize = 10_000;

/// The part of a log that is no attribute.
const BODY: &str = "body";

/// Bytes of all logs so far, as Sentry bills them.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    /// Logs.
    pub(crate) logs: u64,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
    /// Bytes by attribute, name and value together, and of the bodies.
    parts: HashMap<String, u64>,
}

impl Cost {
    /// Adds the log of a record, if it has one.
    pub(super) fn add(&mut self, record: &Explained) {
        let Some(parts) = record.payload(Category::Log).and_then(billed::parts) else { return };
        self.logs += 1;
        self.bytes += parts.total();
        self.part(BODY, parts.body);
        parts.attributes.iter().for_each(|(name, bytes)| self.part(name, *bytes));
    }

    fn part(&mut self, name: &str, bytes: u64) {
        if let Some(sum) = self.parts.get_mut(name) {
            *sum += bytes;
        } else if self.parts.len() < MAX_NAMES {
            self.parts.insert(name.to_owned(), bytes);
        }
    }

    /// Returns the bytes of an average log, rounded; 0 without logs.
    pub(crate) fn each(&self) -> u64 {
        (self.bytes + self.logs / 2).checked_div(self.logs).unwrap_or(0)
    }

    /// Returns the parts that cost most, with their percentage: `body 26 %, k8s.pod.name 13 %`.
    pub(crate) fn dearest(&self, most: usize) -> String {
        let mut parts: Vec<_> = self.parts.iter().collect();
        parts.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
        let percent = |bytes: u64| (bytes * 100 + self.bytes / 2).checked_div(self.bytes).unwrap_or(0);
        let shown = parts.into_iter().take(most).map(|(name, bytes)| format!("{name} {} %", percent(*bytes)));
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Output for Cost {
    fn record(&mut self, record: &Explained) -> std::io::Result<()> {
        self.add(record);
        Ok(())
    }
}

/// Returns the cost of the logs of a sample file under these settings. Lines that are no records are left out.
///
/// # Errors
/// The file cannot be read; the text says why.
pub(crate) fn of_sample(
    file: &Path,
    kube_meta: Option<PathBuf>,
    mapping: Mapping,
    destination: &Destination,
) -> Result<Cost, String> {
    let input = Input::check(file).map_err(|error| error.to_string())?;
    let resolver = DestinationResolver::read(destination);
    let mut explainer = Explainer::new((mapping, &resolver, input.tag()), None, Cost::default());
    let reading = Reading { format: Format::default(), kube_meta: kube_meta.as_deref() };
    let read = pieces::read(reading, &input, &mut Problems::new(input.name()), &mut |piece| {
        explainer.piece(piece, Vec::new())
    });
    match read.and_then(|()| explainer.finish().map_err(pieces::Stop::Output)) {
        Ok(()) => Ok(std::mem::take(explainer.output())),
        Err(pieces::Stop::Input(error) | pieces::Stop::Output(error)) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_and_shares_are_rounded() {
        let mut cost = Cost { logs: 3, bytes: 1_000, ..Cost::default() };
        cost.part("body", 334);
        cost.part("a", 300);
        cost.part("b", 300);
        cost.part("c", 66);
        assert_eq!((cost.each(), cost.dearest(3).as_str()), (333, "body 33 %, a 30 %, b 30 %"));
        let none = Cost::default();
        assert_eq!((none.each(), none.dearest(3).as_str()), (0, ""));
    }
}
