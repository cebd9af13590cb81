//! Describes outcomes in words.

use super::answers::{Explained, Keys};
use out_sentry::ledger::{Category, Outcome};
use out_sentry::level::Level;
use out_sentry::mapping::Reason;
use out_sentry::options::Mapping;

/// Why a record became no item of its own; nothing for one that did.
pub(super) fn text(category: Category, record: &Explained, keys: &Keys, settings: &Mapping) -> Option<String> {
    let end = record.end(category);
    Some(match (end.outcome, end.reason) {
        (Some(Outcome::Accepted), _) => return None,
        (_, Some(Reason::Below { level, threshold })) => below(category, level, threshold, settings),
        (_, Some(Reason::Joined { into })) => {
            format!("a line of the {} of record {}", category.name(), record.in_file(into))
        },
        (_, Some(Reason::Repeat)) => {
            "the same exception with the same messages came in the same stream within 2 s, as when code on the way up the call stack logs it again".to_owned()
        }
        (_, Some(Reason::Storm)) => format!(
            "storm_burst {}: that many events of this fingerprint were sent at once; now one is sent per interval, from 1 minute \
             doubling to 1 hour",
            settings.storm_burst
        ),
        (_, Some(Reason::Rate)) => {
            format!("event_rate {}: that many events were sent in this minute", settings.event_rate)
        }
        (_, Some(Reason::OwnHost)) => {
            "a line of Fluent Bit's own log about this output; sending it would cause more such lines".to_owned()
        }
        (_, Some(Reason::OtherNode)) if category == Category::Log => {
            "a Kubernetes event that concerns several nodes: the instance of each node would send the same log".to_owned()
        }
        (_, Some(Reason::OtherNode)) => {
            "a Kubernetes event of another node; the instance of that node sends it".to_owned()
        }
        (_, Some(Reason::KubeEventLevel { level: None })) => {
            "a Kubernetes event whose reason is off in kube_event_levels".to_owned()
        }
        (_, Some(Reason::KubeEventLevel { level: Some(level) })) => format!(
            "a Kubernetes event of level {}: those of level warn and above are issues, unless event_level or the pod's annotation says \
             otherwise; kube_event_levels changes levels",
            level.log_name()
        ),
        (_, Some(Reason::KubeEventsOff)) => "a Kubernetes event, and kube_events is off".to_owned(),
        (_, Some(Reason::Listed)) => {
            "a Kubernetes event that was listed before, with the same uid and count".to_owned()
        }
        (_, Some(Reason::SameKill)) => "another kernel line about an OOM kill that already has its event".to_owned(),
        (_, Some(Reason::OtherItem)) => {
            let other = if category == Category::Log { Category::Event } else { Category::Log };
            format!("the dead letter is the record's {}; its {} has an outcome already", other.name(), category.name())
        }
        (_, Some(Reason::Empty)) => "an empty line without fields is not sent at any level".to_owned(),
        (_, Some(Reason::OverBudget)) => "a budget for logs is spent".to_owned(),
        (_, Some(Reason::NoDestination)) => "no annotation, no file in dsn_dir and no default DSN names a destination for it".to_owned(),
        (_, Some(Reason::Undecodable(why))) => {
            format!("expected {} at byte {}", why.expected, record.offset + why.offset as u64)
        }
        (Some(Outcome::Sampled), None) => sampled(category, keys, settings),
        (_, None) => "the outcome is unknown: this is a defect of this program, please report it".to_owned(),
    })
}

fn below(category: Category, level: Level, threshold: Option<Level>, settings: &Mapping) -> String {
    let (option, general) = match category {
        Category::Event => ("event_level", settings.event_level),
        Category::Log => ("logs_level", settings.logs_level),
    };
    let of_pod = if threshold == general { "" } else { ", which the pod's annotation k8s.sentry.io/event-level sets" };
    match threshold {
        Some(threshold) => format!("level {} is below {option} {}{of_pod}", level.log_name(), threshold.log_name()),
        None => format!("{option} is off{of_pod}"),
    }
}

fn sampled(category: Category, keys: &Keys, settings: &Mapping) -> String {
    let (option, rate) = match category {
        Category::Event => ("sample_rate", settings.sample_rate),
        Category::Log => ("logs_sample_rate", settings.logs_sample_rate),
    };
    let by = if keys.trace.is_some() { "its trace id" } else { "its text and time" };
    format!("left out by {option} {rate}, decided by {by}")
}
