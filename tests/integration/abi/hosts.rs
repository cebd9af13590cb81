//! Hosts of every generation, threads, reloads, ends.
#![expect(unsafe_code, reason = "calls the flush as C does, with what should not be NULL")]

use plugin_host::{Generation, Instance, Level, Verdict, stray_log_lines};
use receiver::Receiver;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::arrivals::receive;
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{chunk, net, output};

/// Records in a chunk here; each becomes a log.
const RECORDS: usize = 20;

fn bodies(first: usize) -> Vec<Value> {
    (first..first + RECORDS).map(|n| json!({"message": format!("order {n} was looked at"), "level": "info"})).collect()
}

fn flush(instance: &Instance, format: u8, first: usize) {
    output::flush_all(instance, "kube.app", [chunk::in_format(format, &bodies(first))]);
}

/// Fails unless so many different lines have arrived, each once.
fn assert_arrived(receiver: &Receiver, expected: usize) {
    assert!(receiver.problems().is_empty(), "{:#?}", receiver.problems());
    assert_eq!(receiver.logs().len(), expected);
}

/// Fails if a log function was called in nobody's name.
fn assert_no_strays() {
    assert_eq!(stray_log_lines(), []);
}

/// Each in a library of its own, whose statics know nothing of another host.
fn every_generation_is_served() {
    for generation in Generation::ALL {
        let receiver = receive("");
        let plugin = output::load_apart(generation);
        assert_eq!(plugin.name(), "sentry");
        let instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", "memory")]);
        flush(&instance, generation.record_format(), 0);
        let lines = instance.exit();
        assert_arrived(&receiver, RECORDS);
        // Hosts that call no PreRegister may have no log function: theirs goes to standard error.
        assert_eq!(!lines.is_empty(), generation.has_hooks(), "{generation:?}: {lines:#?}");
    }
    assert_no_strays();
}

/// Hosts before 5.1.1 have no room for it, and those before 2.2 say nothing of their age. All get logs and nothing else.
fn options_are_declared_where_the_host_reads_them() {
    for generation in Generation::ALL {
        let plugin = output::load_apart(generation);
        assert_eq!(plugin.event_type(), 0, "{generation:?}");
        let Some(declared) = plugin.declared() else {
            assert!(generation < Generation::V5_1, "{generation:?}");
            continue;
        };
        assert_eq!(generation, Generation::V5_1);
        let rows: Vec<_> = out_sentry::options::rows().collect();
        assert_eq!(declared.len(), rows.len());
        for (declared, row) in declared.iter().zip(rows) {
            assert_eq!((declared.name.as_str(), declared.default.as_deref()), (row.name, row.default));
            assert_eq!(declared.description, row.doc.replace('`', ""));
            assert!(!declared.is_repeatable, "{}: only the first would be read", row.name);
        }
        let kind = |name| declared.iter().find(|option| option.name == name).map(|option| option.kind);
        let kinds = ["dsn", "senders", "scrub", "sample_rate", "queue_max_size", "timeout", "message_key"].map(kind);
        assert_eq!(kinds, [0, 2, 3, 4, 5, 6, 30].map(Some));
    }
}

/// The host reads the options of a registration until its Unregister, whatever has been registered since.
fn declared_options_outlive_other_registrations() {
    let first = output::load_apart(Generation::V5_1);
    let text = |plugin: &plugin_host::Plugin| format!("{:?}", plugin.declared().expect("expected options"));
    let before = text(&first);
    for _ in 0..3 {
        let next = first.reload().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text(&next), before);
        next.close();
    }
    assert_eq!(text(&first), before);
}

fn threads_share_an_instance() {
    const THREADS: usize = 8;
    for delivery in ["memory", "ack"] {
        let receiver = receive("");
        let plugin = output::load();
        let instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", delivery), ("ack_timeout", "5s")]);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let instance = &instance;
                scope.spawn(move || {
                    (0..10).for_each(|chunk| flush(instance, 2, RECORDS * (10 * thread + chunk)));
                });
            }
        });
        let lines = instance.exit();
        assert_arrived(&receiver, THREADS * 10 * RECORDS);
        output::Ledger::read(&lines).assert_closed();
    }
}

/// The old instance still takes chunks when the new registration is there, and sends all of them before it ends.
fn reloads_lose_nothing() {
    const RELOADS: usize = 4;
    let receiver = receive("");
    let mut plugin = output::load_apart(Generation::default());
    let mut instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", "memory")]);
    for reload in 0..RELOADS {
        let next = plugin.reload().unwrap_or_else(|error| panic!("{error}"));
        flush(&instance, 2, RECORDS * reload);
        instance.exit();
        assert_arrived(&receiver, RECORDS * (reload + 1));
        plugin.close();
        plugin = next;
        instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", "memory")]);
    }
    instance.exit();
    assert_no_strays();
}

/// A configuration that is registered and given up again leaves the running one as it was.
fn a_reload_that_is_given_up_changes_nothing() {
    let receiver = receive("");
    let plugin = output::load_apart(Generation::default());
    let instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", "memory")]);
    let next = plugin.reload().unwrap_or_else(|error| panic!("{error}"));
    assert!(next.instance("new", &[("dsn", "nonsense")]).is_err());
    next.close();
    flush(&instance, 2, 0);
    instance.exit();
    assert_arrived(&receiver, RECORDS);
}

fn a_refused_section_says_why() {
    let plugin = output::load_apart(Generation::default());
    for options in [&[("dsn", "nonsense")][..], &[("dsn", "http://k@h/1"), ("senders", "many")], &[]] {
        let Err(error) = plugin.instance("bad", options) else { panic!("expected a refusal of {options:?}") };
        let reasons = error.log_lines.iter().filter(|(level, _)| *level == Level::Error);
        assert!(reasons.count() > 0, "{:#?}", error.log_lines);
    }
    assert_no_strays();
}

/// NULLs that the C host does not reach: a context that is real, with everything else missing.
fn refuses_null_pointers() {
    let receiver = receive("");
    let plugin = output::load();
    let instance = output::instance(&plugin, &receiver.dsn(), &[("delivery", "memory")]);
    let (flush, context) = instance.raw_flush().expect("expected FLBPluginFlushCtx");
    let bytes = chunk::in_format(2, &bodies(0));
    let (data, tag) = (bytes.as_ptr().cast(), c"kube.app".as_ptr());
    let call = |context, data, length, tag| {
        // SAFETY: NULL, or what Init made and bytes that live here.
        Verdict::from_answer(unsafe { flush(context, data, length, tag) })
    };
    use std::ptr::{null, null_mut};
    assert_eq!(call(null_mut(), data, bytes.len(), tag), Verdict::Error);
    assert_eq!(call(context, null(), bytes.len(), tag), Verdict::Error);
    assert_eq!(call(context, null(), 0, null()), Verdict::Error);
    assert_eq!(call(context, data, 0, tag), Verdict::Ok);
    assert_eq!(call(context, data, bytes.len(), null()), Verdict::Ok);
    instance.exit();
    assert_arrived(&receiver, RECORDS);
}

/// Fluent Bit 1.9 tells the first output to exit and then crashes: the others must be drained by then.
fn the_first_exit_drains_all_outputs_of_old_hosts() {
    for (generation, expected) in [(Generation::V1_9, 2), (Generation::V5_1, 1)] {
        let receiver = receive("");
        let plugin = output::load_apart(generation);
        let options = [("delivery", "memory"), ("batch_timeout", "1h"), ("exit_timeout", "10s")];
        let [first, second] = [(); 2].map(|()| output::instance(&plugin, &receiver.dsn(), &options));
        flush(&first, generation.record_format(), 0);
        flush(&second, generation.record_format(), RECORDS);
        first.exit();
        assert_arrived(&receiver, expected * RECORDS);
        second.exit();
        assert_arrived(&receiver, 2 * RECORDS);
    }
}

/// `exit_timeout` and a second, whatever the server does; the rest is for a machine with much to do.
fn exits_are_bounded() {
    const PROMISE: Duration = Duration::from_millis(500 + 1000);
    const LOAD: Duration = Duration::from_secs(1);
    let silent = receive("forever:hang=60s");
    let port = net::free_port().expect("expected a free port");
    let nobody = format!("http://{}@127.0.0.1:{port}/1", "0".repeat(32));
    for dsn in [silent.dsn(), nobody] {
        for delivery in ["spool", "ack", "memory"] {
            let spool = TempDir::new("abi").expect("expected a directory");
            let path = spool.path().to_str().expect("expected a plain path");
            let options =
                [("delivery", delivery), ("spool_path", path), ("exit_timeout", "500ms"), ("ack_timeout", "50ms")];
            let plugin = output::load();
            let instance = output::instance(&plugin, &dsn, &options);
            let bytes = chunk::in_format(2, &bodies(0));
            let verdict = instance.flush("kube.app", &bytes);
            assert_ne!(verdict, Verdict::Error);
            let start = Instant::now();
            let lines = instance.exit();
            let took = start.elapsed();
            assert!(took < PROMISE + LOAD, "{delivery}: expected {PROMISE:?}, found {took:?}");
            output::Ledger::read(&lines).assert_closed();
        }
    }
    assert_no_strays();
}

pub fn add(suite: Suite) -> Suite {
    suite
        .test("hosts::every_generation_is_served", every_generation_is_served)
        .test("hosts::declares_its_options_where_the_host_reads_them", options_are_declared_where_the_host_reads_them)
        .test("hosts::declared_options_outlive_other_registrations", declared_options_outlive_other_registrations)
        .test("hosts::threads_share_an_instance", threads_share_an_instance)
        .test("hosts::reloads_lose_nothing", reloads_lose_nothing)
        .test("hosts::a_reload_that_is_given_up_changes_nothing", a_reload_that_is_given_up_changes_nothing)
        .test("hosts::a_refused_section_says_why", a_refused_section_says_why)
        .test("hosts::refuses_null_pointers", refuses_null_pointers)
        .test("hosts::the_first_exit_drains_all_outputs_of_old_hosts", the_first_exit_drains_all_outputs_of_old_hosts)
        .test("hosts::exits_are_bounded", exits_are_bounded)
}
