//! Wraps Fluent Bit's functions in safe Rust: properties, log, and the metrics registry.
//!
//! Layouts and their history: Fluent Bit's `include/fluent-bit/flb_api.h` and `lib/cmetrics`. Functions that an older Fluent
//! Bit lacks are never touched: the table grew over the versions and carries no length, so [`Table::new`] is told how much
//! of it may be read. The metrics functions are looked up by name, because they are not a declared interface. Without them
//! the summary lines still report everything.
#![expect(unsafe_code, reason = "calls through the host's function table; every block argues its case")]

mod labels;

use crate::clock;
use crate::delivery::{DestinationState, Host, Report, Severity};
use crate::ledger::{Category, DURATION_BUCKETS, Outcome, Status};
use labels::c_name;
use libc::{c_char, c_double, c_int, c_void};
use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::offset_of;
use std::sync::Mutex;

/// `struct flb_api`: the functions that Fluent Bit offers a plugin. Fields after the first exist from 2.0.0 on.
#[repr(C)]
#[derive(Debug)]
pub struct Api {
    output_get_property: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char>,
    input_get_property: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char>,
    output_get_cmt_instance: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    input_get_cmt_instance: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    log_print: Option<unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, ...)>,
    input_log_check: Option<unsafe extern "C" fn(*mut c_void, c_int) -> c_int>,
    output_log_check: Option<unsafe extern "C" fn(*mut c_void, c_int) -> c_int>,
}

const _: () = assert!(size_of::<Api>() == 7 * size_of::<usize>());

/// As [`crate::abi::LAYOUT`].
pub const LAYOUT: &[(&str, usize)] = &[
    ("offsetof(struct out_sentry_api_1_9, output_get_property)", offset_of!(Api, output_get_property)),
    ("sizeof(struct out_sentry_api_2_0)", size_of::<Api>()),
    ("offsetof(struct out_sentry_api_2_0, output_get_property)", offset_of!(Api, output_get_property)),
    ("offsetof(struct out_sentry_api_2_0, input_get_property)", offset_of!(Api, input_get_property)),
    ("offsetof(struct out_sentry_api_2_0, output_get_cmt_instance)", offset_of!(Api, output_get_cmt_instance)),
    ("offsetof(struct out_sentry_api_2_0, input_get_cmt_instance)", offset_of!(Api, input_get_cmt_instance)),
    ("offsetof(struct out_sentry_api_2_0, log_print)", offset_of!(Api, log_print)),
    ("offsetof(struct out_sentry_api_2_0, input_log_check)", offset_of!(Api, input_log_check)),
    ("offsetof(struct out_sentry_api_2_0, output_log_check)", offset_of!(Api, output_log_check)),
];

/// `FLB_LOG_*` of flb_log.h.
fn level(severity: Severity) -> c_int {
    match severity {
        Severity::Error => 1,
        Severity::Warn => 2,
        Severity::Info => 3,
    }
}

/// The function table together with the instance that it is asked about.
#[derive(Clone, Copy)]
pub struct Table {
    api: *const Api,
    instance: *mut c_void,
    /// True if Fluent Bit is new enough for more than the first field.
    complete: bool,
}

// SAFETY: the table is constant for the life of the process, and the host's functions for properties, log and log level
// only read; see flb_api.c, flb_log.c, flb_output.c.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// # Safety
    /// `api` points to Fluent Bit's table, of seven fields at least if `complete`, and stays valid; `instance` is the output
    /// instance that Init was called for, and stays valid until its Exit returns.
    #[must_use]
    pub unsafe fn new(api: *const c_void, instance: *mut c_void, complete: bool) -> Self {
        Self { api: api.cast(), instance, complete }
    }

    /// A property of the instance's section.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: `new` promises a table; its first field exists in every version.
        let get = unsafe { (*self.api).output_get_property }?;
        // SAFETY: a NUL-terminated name and a live instance.
        let value = unsafe { get(name.as_ptr(), self.instance) };
        if value.is_null() {
            return None;
        }
        // SAFETY: the host owns the string, NUL-terminated, at least until the instance ends; it is copied at once.
        let text = unsafe { CStr::from_ptr(value) };
        Some(text.to_string_lossy().into_owned())
    }

    fn log(&self, severity: Severity, text: &CStr) {
        if !self.complete {
            eprintln!("[{severity:?}] {}", text.to_string_lossy());
            return;
        }
        // SAFETY: `complete` promises the whole table.
        let api = unsafe { &*self.api };
        let (Some(check), Some(print)) = (api.output_log_check, api.log_print) else { return };
        // SAFETY: a live instance; the host reads its level.
        if unsafe { check(self.instance, level(severity)) } == 0 {
            return;
        }
        // SAFETY: the format takes one string, and that is what it gets, NUL-terminated.
        unsafe { print(level(severity), c"out_sentry".as_ptr(), 0, c"%s".as_ptr(), text.as_ptr()) };
    }

    fn metrics_root(&self) -> Option<*mut c_void> {
        if !self.complete {
            return None;
        }
        // SAFETY: `complete` promises the field.
        let get = unsafe { (*self.api).output_get_cmt_instance }?;
        // SAFETY: a live instance.
        let root = unsafe { get(self.instance) };
        (!root.is_null()).then_some(root)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("complete", &self.complete).finish_non_exhaustive()
    }
}

/// Returns a function of Fluent Bit by name, if Fluent Bit exports it.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: looking a name up among what is loaded has no precondition.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Returns false if the elements of Fluent Bit's own tables of options have another size than `element`: it is newer than
/// the layout that the plugin knows. A Fluent Bit or a C library that does not tell counts as one that fits.
#[must_use]
pub fn config_map_fits(element: usize) -> bool {
    // `dladdr1` with RTLD_DL_SYMENT (glibc's dlfcn.h) finds the symbol's entry in its file, which has its size.
    type EntryOf = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info, *mut *mut c_void, c_int) -> c_int;
    const SYMBOL_ENTRY: c_int = 1;
    #[cfg(target_pointer_width = "64")]
    type Entry = libc::Elf64_Sym;
    #[cfg(target_pointer_width = "32")]
    type Entry = libc::Elf32_Sym;
    let Some(table) = symbol(c"output_global_properties") else { return true };
    let Some(function) = symbol(c"dladdr1") else { return true };
    // SAFETY: this is the function's signature in dlfcn.h.
    let entry_of = unsafe { std::mem::transmute::<*mut c_void, EntryOf>(function) };
    // SAFETY: plain data, for which zero is a value.
    let mut info = unsafe { std::mem::zeroed::<libc::Dl_info>() };
    let mut entry = std::ptr::null_mut();
    // SAFETY: an address that dlsym gave, and room for both answers.
    if unsafe { entry_of(table, &raw mut info, &raw mut entry, SYMBOL_ENTRY) } == 0 || entry.is_null() {
        return true;
    }
    // SAFETY: not NULL, so it points to the symbol's entry in the host's file, which is mapped as long as the host runs.
    let size = unsafe { (*entry.cast::<Entry>()).st_size } as usize;
    size.is_multiple_of(element)
}

type Create = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
) -> *mut c_void;
type CreateHistogram = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    *mut c_void,
    c_int,
    *const *const c_char,
) -> *mut c_void;
type Buckets = unsafe extern "C" fn(*const c_double, usize) -> *mut c_void;
type Update = unsafe extern "C" fn(*mut c_void, u64, c_double, c_int, *const *const c_char) -> c_int;

/// The functions of cmetrics that are used.
#[derive(Clone, Copy)]
struct Cmetrics {
    counter_create: Create,
    counter_set: Update,
    gauge_create: Create,
    gauge_set: Update,
    buckets: Buckets,
    histogram_create: CreateHistogram,
    observe: Update,
}

impl Cmetrics {
    fn find() -> Option<Self> {
        let create = symbol(c"cmt_counter_create")?;
        let gauge_create = symbol(c"cmt_gauge_create")?;
        let (counter_set, gauge_set) = (symbol(c"cmt_counter_set")?, symbol(c"cmt_gauge_set")?);
        let observe = symbol(c"cmt_histogram_observe")?;
        let (buckets, histogram) = (symbol(c"cmt_histogram_buckets_create_size")?, symbol(c"cmt_histogram_create")?);
        Some(Self {
            // SAFETY: this is the signature in cmt_counter.h of every host that has the table.
            counter_create: unsafe { std::mem::transmute::<*mut c_void, Create>(create) },
            // SAFETY: as in cmt_counter.h.
            counter_set: unsafe { std::mem::transmute::<*mut c_void, Update>(counter_set) },
            // SAFETY: as in cmt_gauge.h.
            gauge_create: unsafe { std::mem::transmute::<*mut c_void, Create>(gauge_create) },
            // SAFETY: as in cmt_gauge.h.
            gauge_set: unsafe { std::mem::transmute::<*mut c_void, Update>(gauge_set) },
            // SAFETY: as in cmt_histogram.h.
            buckets: unsafe { std::mem::transmute::<*mut c_void, Buckets>(buckets) },
            // SAFETY: as in cmt_histogram.h.
            histogram_create: unsafe { std::mem::transmute::<*mut c_void, CreateHistogram>(histogram) },
            // SAFETY: as in cmt_histogram.h.
            observe: unsafe { std::mem::transmute::<*mut c_void, Update>(observe) },
        })
    }
}

/// A metric of Fluent Bit's registry; Fluent Bit frees it with the instance.
#[derive(Clone, Copy)]
struct Metric {
    metric: *mut c_void,
    update: Update,
}

impl Metric {
    fn update(&self, value: f64, labels: &[&CStr]) {
        let pointers: Vec<*const c_char> = labels.iter().map(|label| label.as_ptr()).collect();
        let now = clock::wall_now().as_nanos();
        // SAFETY: the metric lives until its instance ends, after our last thread; every label is NUL-terminated, and
        // their number is that of the metric's keys.
        unsafe { (self.update)(self.metric, now, value, pointers.len() as c_int, pointers.as_ptr()) };
    }
}

/// The metrics of contract and docs/monitoring.md, in Fluent Bit's registry.
pub struct Metrics {
    name: CString,
    records: Metric,
    items: Metric,
    requests: Metric,
    sent_bytes: Metric,
    billed_bytes: Metric,
    recalled: Metric,
    pending_items: Metric,
    pending_bytes: Metric,
    spool_bytes: Metric,
    oldest: Metric,
    destinations: Metric,
    duration: Metric,
}

impl Metrics {
    /// Registers the metrics with every combination of labels: adding one later would change a list that the engine walks
    /// without a lock. `None` if Fluent Bit lacks the functions.
    fn register(table: &Table, name: &str) -> Option<Self> {
        let (root, cmetrics) = (table.metrics_root()?, Cmetrics::find()?);
        let counter = |name: &CStr, help: &CStr, keys: &[&CStr]| {
            make(cmetrics.counter_create, root, name, help, keys)
                .map(|metric| Metric { metric, update: cmetrics.counter_set })
        };
        let gauge = |name: &CStr, help: &CStr, keys: &[&CStr]| {
            make(cmetrics.gauge_create, root, name, help, keys)
                .map(|metric| Metric { metric, update: cmetrics.gauge_set })
        };
        let metrics = Self {
            name: CString::new(name).ok()?,
            records: counter(c"records_total", c"Records taken.", &[c"name"])?,
            items: counter(c"items_total", c"How records ended.", &[c"name", c"category", c"outcome"])?,
            requests: counter(c"requests_total", c"Requests by answer.", &[c"name", c"status"])?,
            sent_bytes: counter(c"sent_bytes_total", c"Bytes of request bodies sent, compressed.", &[c"name"])?,
            billed_bytes: counter(c"billed_bytes_total", c"Bytes of accepted logs as Sentry bills them.", &[c"name"])?,
            recalled: counter(c"recalled_logs_total", c"Lines below logs_level sent with an event.", &[c"name"])?,
            pending_items: gauge(c"pending_items", c"Pending items, of both categories.", &[c"name"])?,
            pending_bytes: gauge(c"pending_bytes", c"Bytes in memory.", &[c"name"])?,
            spool_bytes: gauge(c"spool_bytes", c"Bytes of chunks on disk.", &[c"name"])?,
            oldest: gauge(c"oldest_pending_seconds", c"Age of the oldest pending item.", &[c"name"])?,
            destinations: gauge(c"destinations", c"Destinations by state.", &[c"name", c"state"])?,
            duration: histogram(&cmetrics, root)?,
        };
        metrics.update(&crate::ledger::Ledger::default().snapshot(), &Default::default());
        metrics.show_empty_histogram();
        Some(metrics)
    }

    fn update(&self, ledger: &crate::ledger::Snapshot, gauges: &crate::delivery::Gauges) {
        let name = self.name.as_c_str();
        self.records.update(ledger.records as f64, &[name]);
        self.sent_bytes.update(ledger.sent_bytes as f64, &[name]);
        self.billed_bytes.update(ledger.billed_bytes as f64, &[name]);
        self.recalled.update(ledger.recalled as f64, &[name]);
        let mut pending = 0;
        for category in Category::ALL {
            pending += ledger.pending(*category);
            for outcome in Outcome::ALL {
                let labels = [name, c_name(category.name()), c_name(outcome.name())];
                self.items.update(ledger.outcome(*category, *outcome) as f64, &labels);
            }
        }
        for status in Status::ALL {
            self.requests.update(ledger.requests(*status) as f64, &[name, c_name(status.name())]);
        }
        self.pending_items.update(pending as f64, &[name]);
        self.pending_bytes.update(gauges.pending_bytes as f64, &[name]);
        self.spool_bytes.update(gauges.spool_bytes as f64, &[name]);
        self.oldest.update(gauges.oldest_pending.as_secs_f64(), &[name]);
        for (state, count) in DestinationState::ALL.iter().zip(gauges.states) {
            self.destinations.update(count as f64, &[name, c_name(state.name())]);
        }
    }
}

impl Metrics {
    /// Creates the histogram's series before the first request, if Fluent Bit is new enough to support it.
    fn show_empty_histogram(&self) {
        type SetDefault =
            unsafe extern "C" fn(*mut c_void, u64, *const u64, c_double, u64, c_int, *const *const c_char) -> c_int;
        let Some(function) = symbol(c"cmt_histogram_set_default") else { return };
        // SAFETY: as in cmt_histogram.h.
        let set = unsafe { std::mem::transmute::<*mut c_void, SetDefault>(function) };
        let counts = [0_u64; DURATION_BUCKETS.len() + 1];
        let labels = [self.name.as_ptr()];
        // SAFETY: one count per bucket and one for the infinite one, one label for the one key; called from Init.
        unsafe { set(self.duration.metric, 0, counts.as_ptr(), 0.0, 0, 1, labels.as_ptr()) };
    }
}

fn make(create: Create, root: *mut c_void, name: &CStr, help: &CStr, keys: &[&CStr]) -> Option<*mut c_void> {
    let keys: Vec<*const c_char> = keys.iter().map(|key| key.as_ptr()).collect();
    let (ns, subsystem) = (c"fluentbit".as_ptr(), c"sentry".as_ptr());
    // SAFETY: all text is NUL-terminated and copied by cmetrics; called from Init, on the engine's own thread.
    let metric =
        unsafe { create(root, ns, subsystem, name.as_ptr(), help.as_ptr(), keys.len() as c_int, keys.as_ptr()) };
    (!metric.is_null()).then_some(metric)
}

fn histogram(cmetrics: &Cmetrics, root: *mut c_void) -> Option<Metric> {
    // SAFETY: cmetrics copies the bounds.
    let buckets = unsafe { (cmetrics.buckets)(DURATION_BUCKETS.as_ptr(), DURATION_BUCKETS.len()) };
    if buckets.is_null() {
        return None;
    }
    let keys = [c"name".as_ptr()];
    let (ns, subsystem) = (c"fluentbit".as_ptr(), c"sentry".as_ptr());
    let (name, help) = (c"request_duration_seconds".as_ptr(), c"Duration of requests.".as_ptr());
    // SAFETY: as in `make`; the histogram owns the buckets from here on.
    let metric = unsafe { (cmetrics.histogram_create)(root, ns, subsystem, name, help, buckets, 1, keys.as_ptr()) };
    (!metric.is_null()).then_some(Metric { metric, update: cmetrics.observe })
}

/// The host's function that tells the name of an instance.
const OUTPUT_NAME: &CStr = c"flb_output_name";

/// The name of an instance: its alias, or `sentry.N`. Hosts that do not tell leave it at `sentry`.
#[must_use]
pub fn instance_name(table: &Table) -> String {
    let Some(function) = symbol(OUTPUT_NAME) else { return "sentry".to_owned() };
    type Name = unsafe extern "C" fn(*mut c_void) -> *const c_char;
    // SAFETY: this is the signature in flb_output.h of every host that exports it.
    let function = unsafe { std::mem::transmute::<*mut c_void, Name>(function) };
    // SAFETY: a live instance.
    let name = unsafe { function(table.instance) };
    if name.is_null() {
        return "sentry".to_owned();
    }
    // SAFETY: the host owns the string, NUL-terminated; it is copied at once.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_string_lossy().into_owned()
}

/// A host that is still there: log and metrics of one instance.
pub struct Live {
    table: Table,
    prefix: String,
    metrics: Option<Mutex<Metrics>>,
}

// SAFETY: metrics are updated by one thread at a time (the mutex), and only through functions that change existing values
// atomically; the pointers stay valid until the instance's Exit returns, and every thread that has this is joined there.
unsafe impl Send for Metrics {}

impl Live {
    /// Registers the metrics. To be called from Init.
    #[must_use]
    pub fn new(table: Table, name: &str) -> Self {
        let metrics = Metrics::register(&table, name).map(Mutex::new);
        Self { table, prefix: format!("[output:sentry:{name}] "), metrics }
    }
}

impl Host for Live {
    fn log(&self, severity: Severity, text: &str) {
        // A NUL would end the line early.
        let line = format!("{}{}", self.prefix, text.replace('\0', " "));
        if let Ok(line) = CString::new(line) {
            self.table.log(severity, &line);
        }
    }

    fn publish(&self, report: &Report<'_>) {
        let Some(metrics) = &self.metrics else { return };
        let metrics = metrics.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        metrics.update(report.ledger, &report.gauges);
        for took in report.durations {
            metrics.duration.update(took.as_secs_f64(), &[&metrics.name]);
        }
    }

    fn has_unique_names(&self) -> bool {
        symbol(OUTPUT_NAME).is_some()
    }

    fn thread_start(&self) -> fn() {
        give_way
    }
}

/// Makes the calling thread one that does not preempt another when it wakes. A flush wakes one of the plugin's threads and
/// returns in less than a millisecond; if that thread preempted it, it would be back after a scheduler's tick, with Fluent
/// Bit's engine waiting. The thread's share of the processor stays the same. Where this is forbidden nothing else changes.
fn give_way() {
    // SAFETY: asks about the calling thread.
    let usual = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
    if usual {
        // SAFETY: plain data, for which zero is a value; it is the only priority that this policy has.
        let priority = unsafe { std::mem::zeroed::<libc::sched_param>() };
        // SAFETY: changes the calling thread alone, and reads a parameter that lives.
        let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority) };
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
