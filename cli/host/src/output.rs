//! Fluent Bit's state of one output instance: its options, its log level and the lines that it logged.
#![deny(unsafe_code)]

use super::error::InitError;
use super::log::{Journal, Level, Sink};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Options the core of Fluent Bit keeps for itself: a plugin that asks for them gets NULL.
const CORE: &[&str] = &[
    "name",
    "match",
    "match_regex",
    "alias",
    "log_level",
    "log_suppress_interval",
    "host",
    "port",
    "ipv6",
    "retry_limit",
    "tls",
    "storage.total_limit_size",
    "workers",
];
const CORE_PREFIXES: &[&str] = &["net.", "tls.", "oauth2", "_debug.http."];

/// One `[OUTPUT]` section.
pub(super) struct Output {
    options: Vec<Given>,
    level: Option<Level>,
    pub(super) journal: Journal,
    /// Stands for the instance's metrics context: an address of its own that a stray write does not hurt.
    pub(super) metrics: Box<[std::sync::atomic::AtomicU64; 8]>,
}

/// One option that is not the core's own.
struct Given {
    name: String,
    value: CString,
    /// True if the plugin has asked for this name.
    asked: AtomicBool,
}

impl Output {
    pub(super) fn new(name: &str, options: &[(&str, &str)], sink: Option<Sink>) -> Result<Arc<Self>, InitError> {
        let problem = |what: String| InitError::before_the_plugin(name, what);
        let mut kept = Vec::new();
        let mut level = Some(Level::Info);
        for &(key, value) in options {
            let text = CString::new(value).map_err(|_| problem(format!("option {key}: contains a NUL byte")))?;
            match key.to_ascii_lowercase().as_str() {
                "log_level" => level = Level::threshold(value).map_err(&problem)?,
                "tls" if is_on(value) => return Err(problem(format!("plugin '{name}' does not support TLS"))),
                key if is_core(key) => {}
                key => kept.push(Given { name: key.to_owned(), value: text, asked: AtomicBool::new(false) }),
            }
        }
        let metrics = Box::new(std::array::from_fn(|_| std::sync::atomic::AtomicU64::new(0)));
        Ok(Arc::new(Self { options: kept, level, journal: Journal::new(sink), metrics }))
    }

    /// Returns the first value of this name, in any case; an empty value counts as none, as in Fluent Bit.
    pub(super) fn property(&self, key: &str) -> Option<&CStr> {
        let mut same = self.options.iter().filter(|given| given.name.eq_ignore_ascii_case(key));
        let first = same.next()?;
        [first].into_iter().chain(same).for_each(|given| given.asked.store(true, Ordering::Relaxed));
        Some(first.value.as_c_str()).filter(|value| !value.is_empty())
    }

    /// Returns the options that the plugin has not asked for so far: it never sees an option that it has no use for.
    pub(super) fn unasked(&self) -> Vec<String> {
        let unasked = self.options.iter().filter(|given| !given.asked.load(Ordering::Relaxed));
        unasked.map(|given| given.name.clone()).collect()
    }

    pub(super) fn logs(&self, level: i32) -> bool {
        self.level.is_some_and(|threshold| threshold as i32 >= level)
    }

    /// The address that stands for this instance in the plugin's hands. It is looked up, never followed.
    pub(super) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

fn is_core(key: &str) -> bool {
    CORE.contains(&key) || CORE_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn is_on(value: &str) -> bool {
    ["on", "true", "yes"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

/// Every instance between its Init and its exit, by address.
static LIVE: Mutex<Option<HashMap<usize, Arc<Output>>>> = Mutex::new(None);

fn live() -> MutexGuard<'static, Option<HashMap<usize, Arc<Output>>>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the instance known: from here on the plugin may name it to Fluent Bit's functions.
pub(super) fn enter(output: &Arc<Output>) {
    live().get_or_insert_with(HashMap::new).insert(output.address(), Arc::clone(output));
}

/// Removes the instance; a plugin that still names it is told so in the stray lines.
pub(super) fn leave(output: &Arc<Output>) {
    live().get_or_insert_with(HashMap::new).remove(&output.address());
}

/// The instance a plugin means by this address, if it is one.
pub(super) fn find(address: usize) -> Option<Arc<Output>> {
    live().as_ref()?.get(&address).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(output: &Output, key: &str) -> Option<String> {
        output.property(key).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn options_are_found_in_any_case_the_first_wins_and_the_cores_are_hidden() {
        let options = [("DSN", "a"), ("dsn", "b"), ("empty", ""), ("tls.verify", "off"), ("Host", "h")];
        let output = Output::new("x", &options, None).ok().unwrap();
        assert_eq!(value(&output, "Dsn").as_deref(), Some("a"));
        assert_eq!(output.unasked(), ["empty"], "the core's own are asked for by the core");
        for hidden in ["empty", "tls.verify", "host", "missing"] {
            assert_eq!(value(&output, hidden), None, "{hidden}");
        }
        assert_eq!(output.unasked(), [""; 0]);
    }

    #[test]
    fn log_level_is_the_hosts_own() {
        let level = |value| Output::new("x", &[("Log_Level", value)], None);
        assert!(level("debug").ok().unwrap().logs(Level::Debug as i32));
        assert!(!level("warn").ok().unwrap().logs(Level::Info as i32));
        assert!(!level("off").ok().unwrap().logs(Level::Error as i32));
        assert!(Output::new("x", &[], None).ok().unwrap().logs(Level::Info as i32));
        assert!(level("loud").err().unwrap().to_string().contains("expected"));
    }

    #[test]
    fn what_the_host_refuses_never_reaches_the_plugin() {
        assert!(Output::new("x", &[("tls", "On")], None).err().unwrap().to_string().contains("TLS"));
        assert!(Output::new("x", &[("tls", "off")], None).is_ok());
        assert!(Output::new("x", &[("dsn", "a\0b")], None).err().unwrap().to_string().contains("NUL"));
    }

    #[test]
    fn an_instance_is_found_only_while_it_lives() {
        let output = Output::new("x", &[], None).ok().unwrap();
        assert!(find(output.address()).is_none());
        enter(&output);
        assert!(find(output.address()).is_some());
        leave(&output);
        assert!(find(output.address()).is_none());
    }
}
