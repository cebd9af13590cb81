//! Computes the billed size of logs a second time in the simplest way, and finds the plugin's own log items about budgets.

use receiver::Receiver;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the bytes that Sentry bills for a log, by Relay's rule.
pub fn billed(log: &Value) -> u64 {
    let size = |value: &Value| match value {
        Value::Bool(_) => 1,
        Value::String(text) => text.len() as u64,
        _ => 8,
    };
    let attributes = log["attributes"].as_object().expect("expected attributes");
    let attributes = attributes.iter().map(|(name, attribute)| name.len() as u64 + size(&attribute["value"]));
    size(&log["body"]) + attributes.sum::<u64>()
}

/// Waits at the end of a UTC day: the budgets of a day must not end within a test.
pub fn wait_for_the_day() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    while second() > 86_400 - 90 {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Returns all logs that arrived.
pub fn payloads(receiver: &Receiver) -> Vec<Value> {
    receiver.snapshot().logs.iter().map(|log| log.payload.clone()).collect()
}

/// Returns the bodies of the plugin's own log items.
pub fn notices(receiver: &Receiver) -> Vec<String> {
    let logs = payloads(receiver).into_iter();
    let ours = logs.filter(|log| log["attributes"]["logger.name"]["value"] == "out_sentry");
    ours.filter_map(|log| log["body"].as_str().map(str::to_owned)).collect()
}
