//! The host of `plugin-host`, as a plugin meets it: order of the calls, options, log lines, answers.

use super::plugin::Probe;
use plugin_host::{Generation, Instance, Level, LoadError, Plugin, Verdict, stray_log_lines};
use std::ffi::c_void;
use std::path::Path;

macro_rules! probe {
    ($($switch:literal),*) => {
        match Probe::build(&[$($switch),*]) {
            Some(probe) => probe,
            None => return,
        }
    };
}

fn load(probe: &Probe) -> Plugin {
    Plugin::load(&probe.library, Generation::V5_1).unwrap()
}

fn texts(lines: &[(Level, String)]) -> Vec<&str> {
    lines.iter().map(|(_, line)| line.as_str()).collect()
}

#[test]
fn the_calls_come_in_the_hosts_order() {
    let probe = probe!();
    let plugin = load(&probe);
    assert_eq!((plugin.name().as_str(), plugin.description()), ("probe", "a plugin to test hosts with"));
    let one = plugin.instance("one", &[("id", "1")]).unwrap();
    let two = plugin.instance("two", &[("id", "2")]).unwrap();
    assert_eq!(two.flush("tag.two", b"12345"), Verdict::Ok);
    assert_eq!(one.flush("tag.one", b""), Verdict::Ok);
    one.exit();
    drop(two);
    plugin.close();
    let expected = [
        "PreRegister 0",
        "Register type=0",
        "Init 1 of probe",
        "Init 2 of probe",
        "PreRun 0",
        "PreRun 0",
        "Flush 2 tag.two 5",
        "Flush 1 tag.one 0",
        "PreExit 0",
        "ExitCtx 1",
        "PreExit 0",
        "ExitCtx 2",
        "Unregister probe",
    ];
    assert_eq!(probe.calls(), expected);
}

#[test]
fn a_plugin_stays_as_long_as_its_instances() {
    let probe = probe!();
    let plugin = load(&probe);
    let instance = plugin.instance("x", &[]).unwrap();
    plugin.close();
    assert_eq!(instance.flush("t", b"x"), Verdict::Ok);
    assert!(!probe.calls().contains(&"Unregister probe".to_owned()));
    instance.exit();
    assert_eq!(probe.calls().last().unwrap(), "Unregister probe");
}

#[test]
fn older_hosts_call_less() {
    for generation in Generation::ALL {
        let probe = probe!();
        let plugin = Plugin::load(&probe.library, generation).unwrap();
        let instance = plugin.instance("x", &[("id", "1"), ("summary", "records=1")]).unwrap();
        instance.flush("t", b"x");
        let lines = instance.exit();
        plugin.close();
        let hooks = |call: &str| ["PreRegister", "PreRun", "PreExit"].iter().any(|hook| call.starts_with(hook));
        let calls = probe.calls();
        assert_eq!(calls.iter().filter(|call| hooks(call)).count(), if generation.has_hooks() { 3 } else { 0 });
        assert_eq!(calls.iter().filter(|call| !hooks(call)).count(), 5, "{generation:?}: {calls:?}");
        // The probe takes PreRegister for the sign that there are log functions.
        assert_eq!(lines.is_empty(), !generation.has_hooks(), "{generation:?}");
    }
}

#[test]
fn a_plugin_without_contexts_is_flushed_the_old_way() {
    let probe = probe!("PLAIN");
    let plugin = load(&probe);
    let instance = plugin.instance("x", &[]).unwrap();
    assert!(instance.raw_flush().is_none());
    assert_eq!(instance.flush("t", b"abc"), Verdict::Ok);
    instance.exit();
    assert_eq!(probe.calls()[4..], ["Flush - t 3", "PreExit 0", "Exit"]);
}

#[test]
fn options_are_the_instances_own_and_the_cores_are_hidden() {
    let probe = probe!();
    let plugin = load(&probe);
    let table = [
        ("DSN", "dsn=first"),
        ("dsn", "DSN=first"),
        ("missing", "missing=NULL"),
        ("empty", "empty=NULL"),
        ("host", "host=NULL"),
        ("Workers", "Workers=NULL"),
        ("tls.verify", "tls.verify=NULL"),
    ];
    for (key, _) in table {
        let given = [
            ("dsn", "first"),
            ("Dsn", "second"),
            ("empty", ""),
            ("Host", "h"),
            ("workers", "2"),
            ("tls.verify", "off"),
        ];
        let options: Vec<_> = [("show", key)].into_iter().chain(given).collect();
        plugin.instance("x", &options).unwrap().exit();
    }
    let shown: Vec<_> =
        probe.calls().into_iter().filter(|call| call.contains('=') && !call.starts_with("Register")).collect();
    let expected = table.map(|(key, shown)| format!("{key}={}", shown.split_once('=').unwrap().1));
    assert_eq!(shown, expected);
}

#[test]
fn answers_are_read_as_the_host_reads_them() {
    let probe = probe!();
    let plugin = load(&probe);
    let answer = |number: &str| plugin.instance("x", &[("answer", number)]).unwrap().flush("t", b"x");
    assert_eq!(
        ["1", "2", "0", "7", "-1"].map(answer),
        [Verdict::Ok, Verdict::Retry, Verdict::Error, Verdict::Error, Verdict::Error]
    );
    let instance = plugin.instance("x", &[("retries", "2")]).unwrap();
    let answers = [(); 3].map(|()| instance.flush("t", b"x"));
    assert_eq!(answers, [Verdict::Retry, Verdict::Retry, Verdict::Ok]);
}

#[test]
fn lines_belong_to_the_instance_that_logs_them_from_whatever_thread() {
    let probe = probe!();
    let plugin = load(&probe);
    let one = plugin.instance("one", &[("id", "1"), ("summary", "records=0")]).unwrap();
    let two = plugin.instance("two", &[("id", "2"), ("log_level", "debug")]).unwrap();
    let off = plugin.instance("off", &[("log_level", "off")]).unwrap();
    assert_eq!(texts(&one.log_lines()), ["ready"]);
    assert_eq!(texts(&two.log_lines()), ["ready", "ready in detail"]);
    one.flush("t", b"x");
    off.flush("t", b"x");
    assert_eq!(one.log_lines()[1], (Level::Warn, "from a thread".to_owned()));
    assert_eq!(two.log_lines().len(), 2);
    assert_eq!(texts(&one.exit()), ["ready", "from a thread", "[output:probe:1] summary: records=0"]);
    assert_eq!(off.exit(), []);
}

#[test]
fn lines_are_passed_on_as_they_come() {
    let probe = probe!();
    let plugin = load(&probe);
    let (sender, lines) = std::sync::mpsc::channel();
    plugin.on_log(std::sync::Arc::new(move |level, line: &str| sender.send((level, line.to_owned())).unwrap()));
    let instance = plugin.instance("x", &[]).unwrap();
    assert_eq!(lines.try_recv().unwrap(), (Level::Info, "ready".to_owned()));
    instance.exit();
    assert!(lines.try_recv().is_err());
}

#[test]
fn a_refused_init_tells_why_and_is_not_followed_by_an_exit() {
    let probe = probe!();
    let plugin = load(&probe);
    let error = plugin.instance("mine", &[("problem", "dsn: expected a DSN")]).err().unwrap();
    assert_eq!(error.log_lines, [(Level::Error, "dsn: expected a DSN".to_owned())]);
    assert_eq!(
        error.to_string(),
        "output 'mine' failed to initialize: the plugin refused its options (FLBPluginInit answered 0, expected 1); its log states the reason"
    );
    plugin.close();
    assert_eq!(probe.calls()[2..], ["Init - of probe", "Unregister probe"]);
}

#[test]
fn a_reload_registers_again_while_the_old_instance_lives() {
    let probe = probe!();
    let old_plugin = load(&probe);
    let old = old_plugin.instance("x", &[("id", "old")]).unwrap();
    let new_plugin = old_plugin.reload().unwrap();
    assert_eq!(old.flush("t", b"x"), Verdict::Ok);
    old.exit();
    old_plugin.close();
    let new = new_plugin.instance("x", &[("id", "new")]).unwrap();
    assert_eq!(new.flush("t", b"x"), Verdict::Ok);
    new.exit();
    new_plugin.close();
    let expected = [
        "PreRegister 1",
        "Register type=0",
        "PreRun 0",
        "Flush old t 1",
        "PreExit 1",
        "ExitCtx old",
        "Unregister probe",
        "Init new of probe",
        "PreRun 1",
        "Flush new t 1",
        "PreExit 0",
        "ExitCtx new",
        "Unregister probe",
    ];
    assert_eq!(probe.calls()[3..], expected);
}

#[test]
fn workers_flush_one_instance_at_the_same_time() {
    fn may_be_shared<T: Send + Sync>(_: &T) {}
    let probe = probe!();
    let plugin = load(&probe);
    let instance: Instance = plugin.instance("x", &[("meet", "3")]).unwrap();
    may_be_shared(&instance);
    let flush = || instance.flush("t", b"x");
    let answers = std::thread::scope(|scope| [(); 3].map(|()| scope.spawn(flush)).map(|worker| worker.join().unwrap()));
    assert_eq!(answers, [Verdict::Ok; 3]);
}

#[test]
#[expect(unsafe_code, reason = "the raw function is there for callers with arguments that the host never passes")]
fn the_raw_flush_takes_what_the_host_never_passes() {
    let probe = probe!();
    let plugin = load(&probe);
    let instance = plugin.instance("x", &[]).unwrap();
    let (flush, context) = instance.raw_flush().unwrap();
    // SAFETY: the probe looks at its first argument only if there is data, and at the others only then too.
    let answer = unsafe { flush(context, std::ptr::null(), 0, std::ptr::null()) };
    assert_eq!(Verdict::from_answer(answer), Verdict::Error);
    // SAFETY: one byte of data, a tag with its end, and no instance, for which the probe is prepared.
    let answer = unsafe { flush(std::ptr::null_mut(), b"x".as_ptr().cast::<c_void>(), 1, c"t".as_ptr()) };
    assert_eq!(Verdict::from_answer(answer), Verdict::Ok);
    assert_eq!(probe.calls().last().unwrap(), "Flush - t 1");
    assert_eq!(stray_log_lines(), [], "and no call was in the name of an instance that is not there");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let problem = |path: &Path| Plugin::load(path, Generation::V5_1).err().unwrap();
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(problem(&directory.path().join("x.so")), LoadError::NotFound(_)));
    let text = directory.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    assert!(matches!(problem(&text), LoadError::Open(_, why) if why.contains("text.so")));
    let named = directory.path().join("flb-out_x.so");
    std::fs::write(&named, "").unwrap();
    assert!(matches!(problem(&named), LoadError::ReservedName(_)));
    let without_init = probe!("FLBPluginInit=Hidden");
    assert!(matches!(problem(&without_init.library), LoadError::MissingSymbol("FLBPluginInit")));
    let refusing = probe!("REFUSE");
    assert!(matches!(problem(&refusing.library), LoadError::Refused("FLBPluginRegister")));
}

#[test]
fn a_write_behind_the_definition_is_found_on_the_hosts_where_it_hurts() {
    let probe = probe!("OVERRUN");
    for generation in Generation::ALL {
        let loaded = Plugin::load(&probe.library, generation);
        let found = matches!(loaded, Err(LoadError::Overrun(_)));
        assert_eq!(found, generation.definition_size() == 32, "{generation:?}");
    }
}
