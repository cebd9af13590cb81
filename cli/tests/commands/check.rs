//! `flb-sentry check` from outside: good and bad configurations in both formats, and destinations that are there, refuse,
//! know no key or are not there.

use receiver::{Options, Receiver};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn receiver(faults: &str) -> Receiver {
    Receiver::start(Options { faults: faults.parse().unwrap(), ..Options::default() }).unwrap()
}

/// A DSN of a port where nobody listens, and that nobody is given by the kernel.
fn nobody() -> String {
    format!("http://{KEY}@127.0.0.1:1/1")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check").join(name)
}

fn tls(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tls").join(name).canonicalize();
    path.unwrap().to_str().unwrap().to_owned()
}

/// Without a DSN or a proxy of whoever runs the tests.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    command.arg("check").args(args).env_remove("SENTRY_DSN").stdin(Stdio::null());
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Runs it with `DSN` and `STATE` in its environment.
fn run(args: &[&str], dsn: &str, state: &Path) -> Output {
    let output = command(args).env("DSN", dsn).env("STATE", state).output().unwrap();
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(!text.contains(KEY) && !text.contains("hunter2"), "a secret is shown: {text}");
    }
    output
}

struct Found {
    report: Value,
    code: Option<i32>,
}

impl Found {
    /// `<file name>:<line> <text>` of each finding of a kind.
    fn all(&self, kind: &str) -> Vec<String> {
        let found = self.report[kind].as_array().unwrap().iter();
        found
            .map(|finding| {
                let file = finding["file"].as_str().map(|file| file.rsplit('/').next().unwrap_or(file));
                let place = file.map_or(String::new(), |file| format!("{file}:{} ", finding["line"]));
                format!("{place}{}", finding["text"].as_str().unwrap())
            })
            .collect()
    }

    /// Exactly these, in this order; each only needs the beginning of what is said.
    #[track_caller]
    fn expect(&self, kind: &str, expected: &[&str]) {
        let found = self.all(kind);
        let same = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
        assert!(same, "expected {kind} {expected:#?}, found {found:#?}");
    }
}

fn json(args: &[&str], dsn: &str, state: &Path) -> Found {
    let output = run(&[args, &["--json"]].concat(), dsn, state);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Found { report, code: output.status.code() }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Number of this machine in the header of an ELF file.
fn machine() -> u8 {
    if cfg!(target_arch = "aarch64") { 183 } else { 62 }
}

/// Writes the header of a shared library for a machine.
fn write_plugin(state: &TempDir, name: &str, machine: u8) {
    let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0";
    head[18] = machine;
    std::fs::write(state.path().join(name), head).unwrap();
}

#[test]
fn plugins_that_cannot_be_loaded_are_problems() {
    let state = TempDir::new().unwrap();
    write_plugin(&state, "out_sentry.so", machine());
    write_plugin(&state, "foreign_sentry.so", 245 - machine());
    std::fs::write(state.path().join("text_sentry.so"), "no library").unwrap();
    let config = |plugins: &[&str]| {
        let dir = state.path().display();
        let named: String = plugins.iter().map(|name| format!("  - {dir}/{name}\n")).collect();
        let file = state.path().join("fluent-bit.yaml");
        let outputs = "pipeline:\n  outputs:\n    - name: sentry\n      match: '*'\n      dsn: ${DSN}\n";
        std::fs::write(&file, format!("plugins:\n{named}{outputs}")).unwrap();
        json(&["--offline", path(&file)], &nobody(), state.path()).all("problems")
    };
    assert_eq!(config(&["out_sentry.so"]), [""; 0]);
    for (name, why) in [
        ("foreign_sentry.so", "cannot be loaded on this machine: it is for "),
        ("text_sentry.so", "cannot be loaded on this machine: it is not a shared library"),
        ("missing_sentry.so", "cannot be loaded on this machine: No such file"),
        ("other.so", "Fluent Bit does not know the output sentry"),
    ] {
        let problems = config(&[name]);
        assert!(problems.len() == 1 && problems[0].contains(why), "{name}: expected {why:?}, found {problems:?}");
    }
}

#[test]
fn strict_makes_advice_an_error() {
    let state = TempDir::new().unwrap();
    write_plugin(&state, "out_sentry.so", machine());
    let file = state.path().join("fluent-bit.yaml");
    let plugin = format!("plugins:\n  - {}/out_sentry.so\n", state.path().display());
    let outputs = "pipeline:\n  outputs:\n    - name: sentry\n      match: '*'\n      dsn: ${DSN}\n";
    std::fs::write(&file, plugin + outputs).unwrap();
    let code = |more: &[&str], file| {
        run(&[&["--offline"], more, &[path(file)]].concat(), &nobody(), state.path()).status.code()
    };
    assert_eq!((code(&[], &file), code(&["--strict"], &file)), (Some(0), Some(1)));
    assert_eq!(code(&["--strict"], &self::file("good.conf")), Some(0));
}

#[test]
fn a_dsn_in_quotes_is_a_problem() {
    let state = TempDir::new().unwrap();
    let quoted = "dsn=\"http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1\"";
    let found = json(&["--offline", "-o", quoted], &nobody(), state.path());
    assert!(found.all("problems")[0].ends_with("expected a DSN without quotes"), "{:?}", found.all("problems"));
}

#[test]
fn a_good_configuration_in_both_formats() {
    let (state, receiver) = (TempDir::new().unwrap(), receiver(""));
    write_plugin(&state, "out_sentry.so", machine());
    for name in ["good.conf", "good.yaml"] {
        let found = json(&[path(&file(name))], &receiver.dsn(), state.path());
        found.expect("problems", &[]);
        found.expect("advice", &[]);
        let shown = receiver.dsn().replace(KEY, "***");
        let spool = format!("spool_path = {}/spool: can be made", state.path().display());
        found.expect("ok", &[&spool, &format!("{shown} is reachable (HTTP 200); key not verified, use --send")]);
        assert_eq!(found.code, Some(0));
        assert_eq!(found.report["outputs"][0]["about"], format!("dsn: from option dsn, {shown}"));
    }
    assert_eq!(receiver.requests().len(), 0, "nothing may be sent without --send");
}

#[test]
fn a_bad_classic_configuration() {
    let state = TempDir::new().unwrap();
    let found = json(&["--offline", path(&file("bad.conf"))], &nobody(), state.path());
    let spool = format!("spool_path = {}/spool: one has the same", state.path().display());
    found.expect(
        "problems",
        &[
            "bad.conf:45 expected the same indentation as the lines before, found more",
            "bad.conf:46 expected a value after the key",
            "bad.conf:60 there is no file missing.conf to include",
            "bad.conf:61 expected a ] at the end",
            "bad.conf:23 tls = on: Fluent Bit refuses it",
            "bad.conf:11 annotations = off: dsn_allow_hosts is set",
            "bad.conf:39 dns = ***: expected the name of an option: use dsn",
            "bad.conf:40 secret_key = ***: expected the name of an option: use dsn",
            "bad.conf:41 spool_directry = /var/spool: expected the name of an option",
            "bad.conf:42 compress = gzipp: expected gzip, zstd or none; the nearest is gzip",
            "bad.conf:43 proxy = ***@proxy: expected none, or a proxy such as",
            "bad.conf:44 tls_ca_file = /no/such/ca.pem: expected a file that exists",
            "bad.conf:36 no DSN: set dsn, dsn_file",
            "bad.conf:36 no match: Fluent Bit passes it no records",
            "bad.conf:54 delivery = ack without workers",
            "flb.conf:2 flb-out_sentry.so: Fluent Bit takes a file named flb-*",
            "flb.conf:2 /bin/flb-out_sentry.so cannot be loaded on this machine: No such file",
            &format!("bad.conf:31 {spool}"),
        ],
    );
    found.expect(
        "advice",
        &[
            "bad.conf:55 ${NOWHERE_SET} is not set here",
            "bad.conf:20 retry_limit = 5: Fluent Bit drops a chunk after that",
            "bad.conf:22 host: Fluent Bit does not pass it to this output: the DSN says where to send",
            "bad.conf:24 tls.ca_file: Fluent Bit does not pass it to this output: use tls_ca_file",
            "bad.conf:21 workers: Fluent Bit leaks their threads",
            "bad.conf:34 environment is set twice: Fluent Bit from 5.1.1 on does not start with it, for older ones the value at",
            "bad.conf:49 no retry_limit",
            "bad.conf:5 storage.type is not filesystem",
            "bad.conf:1 scheduler.cap = 2000",
            "bad.conf:1 http_server is off",
            "flb.conf:3 out_sentry.so: without a directory",
            "bad.conf:26 one matches the same records",
            "bad.conf:49 one matches the same records",
            "bad.conf:49 two matches the same records",
        ],
    );
    assert_eq!(found.code, Some(1));
}

#[test]
fn a_bad_yaml_configuration() {
    let state = TempDir::new().unwrap();
    let found = json(&["--offline", path(&file("bad.yaml"))], &nobody(), state.path());
    found.expect(
        "problems",
        &[
            "bad.yaml:7 expected a value for dsn, found more keys",
            "bad.yaml:14 scrub_keys: of a YAML list a plugin gets the first element only",
            "bad.yaml:13 min_level = warn: expected the name of an option: use event_level or logs_level",
            "bad.yaml:9 event_level = loud: expected a level",
            "bad.yaml:5 no DSN: set dsn",
            "bad.yaml:2 flb-sentry.so",
            "bad.yaml:2 /flb-sentry.so cannot be loaded",
        ],
    );
    assert!(found.all("advice").iter().any(|advice| advice.starts_with("bad.yaml:10 logs_level is set twice")));
    let found = json(&["--offline", path(&file("broken.yaml"))], &nobody(), state.path());
    assert!(found.all("problems")[0].starts_with("broken.yaml:3 no YAML: "), "{:?}", found.all("problems"));
    assert_eq!(found.code, Some(1));
}

#[test]
fn workers_with_hot_reload_are_a_problem_for_the_versions_that_crash() {
    let state = TempDir::new().unwrap();
    let config = state.path().join("workers.conf");
    let text = "[SERVICE]\n    Hot_Reload On\n    HTTP_Server On\n    scheduler.cap 60\n[INPUT]\n    Name dummy\n\
                [OUTPUT]\n    Name sentry\n    Match *\n    Workers 2\n    Retry_Limit no_limits\n    dsn ${DSN}\n    spool_path ${STATE}/spool\n";
    std::fs::write(&config, text).unwrap();
    let problems = |more: &[&str]| {
        let found = json(&[&["--offline"], more, &[path(&config)]].concat(), &nobody(), state.path());
        found.all("problems").into_iter().filter(|text| text.contains("workers with hot_reload")).collect::<Vec<_>>()
    };
    for version in ["2.2.3", "v3.2", "4"] {
        let found = problems(&["--fluent-bit", version]);
        assert!(
            found.len() == 1 && found[0].starts_with("workers.conf:10 workers with hot_reload"),
            "{version}: {found:?}"
        );
    }
    assert!(problems(&["--fluent-bit", "5.1.1"]).is_empty());
    std::fs::write(&config, text.replace("Hot_Reload On", "Hot_Reload Off")).unwrap();
    assert!(problems(&["--fluent-bit", "4.2.8"]).is_empty());
}

#[test]
fn hot_reload_is_a_problem_for_the_versions_that_refuse_chunks_meanwhile() {
    let state = TempDir::new().unwrap();
    let config = state.path().join("reload.conf");
    let text = "[SERVICE]\n    Hot_Reload On\n[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n    dsn ${DSN}\n";
    std::fs::write(&config, text).unwrap();
    let problems = |version: &str| {
        let found = json(&["--offline", "--fluent-bit", version, path(&config)], &nobody(), state.path());
        found
            .all("problems")
            .into_iter()
            .filter(|text| text.contains("passes this output no chunk"))
            .collect::<Vec<_>>()
    };
    for version in ["2.2.0", "v2.2", "3", "3.1.10", "3.2.2", "v3.2.2-next"] {
        let found = problems(version);
        let name = format!(
            "reload.conf:2 hot_reload: Fluent Bit {}",
            version.trim_start_matches('v').trim_end_matches("-next")
        );
        assert!(found.len() == 1 && found[0].starts_with(&name), "{version}: expected {name}, found {found:?}");
    }
    for version in ["1.9.10", "2.1.10", "2.1", "3.2.3", "3.2.10", "4", "5.1.1"] {
        assert_eq!(problems(version), Vec::<String>::new(), "{version}");
    }
    std::fs::write(&config, text.replace("Hot_Reload On", "Hot_Reload Off")).unwrap();
    assert_eq!(problems("3.1"), Vec::<String>::new());
}

#[test]
fn annotations_that_are_lifted_out_of_sight_are_a_problem() {
    let state = TempDir::new().unwrap();
    let file = state.path().join("lift.conf");
    let check = |filter: &str| {
        let text = format!(
            "[INPUT]\n    name dummy\n[FILTER]\n    name nest\n    match *\n{filter}[OUTPUT]\n    name sentry\n    match *\n"
        );
        std::fs::write(&file, text).unwrap();
        let found = json(&["--offline", path(&file)], &nobody(), state.path());
        found.all("problems").iter().any(|problem| problem.contains("annotations that are lifted"))
    };
    for (filter, problem) in [
        ("    operation lift\n    nested_under kubernetes\n", false),
        ("    operation lift\n    nested_under kubernetes\n    add_prefix k8s.\n", false),
        ("    operation lift\n    nested_under annotations\n", true),
        ("    operation lift\n    nested_under k8s_annotations\n    add_prefix note_\n", true),
        ("    operation lift\n    nested_under annotations\n    add_prefix annotations_\n", false),
        ("    operation nest\n    wildcard *\n    nested_under annotations\n", false),
    ] {
        assert_eq!(check(filter), problem, "{filter}");
    }
}

#[test]
fn a_configuration_without_an_output_or_without_a_file() {
    let state = TempDir::new().unwrap();
    let found = json(&[path(&file("plugins.conf"))], "", state.path());
    found.expect("problems", &["there is no output named sentry"]);
    let output = run(&["/no/such/file.conf"], "", state.path());
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/file.conf: No such file"), "{output:?}");
    assert_eq!(run(&["-o", "dsn"], "", state.path()).status.code(), Some(2));
    assert_eq!(run(&["--send", "--offline"], "", state.path()).status.code(), Some(2));
}

#[test]
fn what_is_no_configuration_is_not_read_to_its_end() {
    let state = TempDir::new().unwrap();
    let file = state.path().join("noise.conf");
    std::fs::write(&file, "\u{7f}ELF\u{1}\n \u{2}\u{3}x\n".repeat(500)).unwrap();
    let problems = json(&["--offline", path(&file)], "", state.path()).all("problems");
    assert!(problems.len() < 25 && problems.iter().any(|problem| problem.contains("was not read")), "{problems:#?}");
    std::fs::rename(&file, state.path().join("noise.yaml")).unwrap();
    let found = json(&["--offline", path(&state.path().join("noise.yaml"))], "", state.path());
    found.expect("problems", &["noise.yaml:1 expected keys such as", "there is no output named sentry"]);
}

#[test]
fn options_on_the_command_line_go_first_and_stand_alone() {
    let (state, receiver) = (TempDir::new().unwrap(), receiver(""));
    write_plugin(&state, "out_sentry.so", machine());
    let good = file("good.conf");
    let found = json(&["-o", "senders=0", "-o", "DSN=nonsense", path(&good)], &receiver.dsn(), state.path());
    found.expect("problems", &["-o:2 dsn = ***: expected a DSN", "-o:1 senders = 0: expected a number"]);
    let dsn = format!("dsn={}", receiver.dsn());
    let found = json(&["-o", &dsn], "", state.path());
    found.expect("problems", &[]);
    found.expect("advice", &[]);
    let output = run(&["-o", &dsn, "-o", "spool_size=1G"], "", state.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("output sentry.0"), "{text}");
    assert!(
        text.contains("\n  problem  -o:2  spool_size = 1G: expected the name of an option: use spool_max_size\n"),
        "{text}"
    );
    assert!(text.ends_with("problems: 1, advice: 0\n"), "{text}");
}

#[test]
fn files_that_an_output_names() {
    let state = TempDir::new().unwrap();
    let dsns = state.path().join("dsns");
    std::fs::create_dir(&dsns).unwrap();
    std::fs::write(dsns.join("shop"), format!("{}\n", nobody())).unwrap();
    std::fs::write(dsns.join("pay"), "https://hunter2@h/1").unwrap();
    std::fs::write(state.path().join("file"), "").unwrap();
    let option = |name: &str, path: &str| format!("{name}={path}");
    let (dir, spool) = (option("dsn_dir", path(&dsns)), option("spool_path", path(&state.path().join("file/spool"))));
    let (crt, key) = (option("tls_crt_file", &tls("expired.pem")), option("tls_key_file", &tls("client.key")));
    let args = ["--offline", "-o", &dir, "-o", &spool, "-o", &crt, "-o", &key];
    let found = json(&args, "", state.path());
    let said = found.all("problems").join("\n");
    assert!(said.contains("/file is no directory"), "{said}");
    assert!(said.contains("expired.pem: expired on 2021-01-01"), "{said}");
    assert!(said.contains("file pay: expected a DSN whose public key has 32 letters and digits"), "{said}");
    assert_eq!(found.all("problems").len(), 3, "{said}");

    let (crt, key) = (option("tls_crt_file", &tls("client.pem")), option("tls_key_file", &tls("other.key")));
    let found = json(&["-o", &dir, "-o", &crt, "-o", &key], "", state.path());
    let said =
        "-o:3 tls_key_file = a key of another certificate: expected the key of the first certificate in tls_crt_file";
    found.expect("problems", &[said]);

    let file = option("dsn_file", path(&state.path().join("later")));
    let found = json(&["-o", &file], "", state.path());
    found.expect("problems", &[]);
    assert!(found.all("advice")[0].contains("the plugin waits for it"), "{:?}", found.all("advice"));

    // An init container that waits for whoever writes to a pipe would keep the host from its start.
    let pipe = state.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let found = json(&["-o", &option("dsn_file", path(&pipe))], "", state.path());
    let expected = format!("-o:1 dsn_file = {}: expected a DSN that begins with", pipe.display());
    found.expect("problems", &[&expected]);
}

#[test]
fn a_spool_that_somebody_holds_or_that_has_no_room() {
    let state = TempDir::new().unwrap();
    let lock = std::fs::File::create(state.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let (dsn, spool) = (format!("dsn={}", nobody()), format!("spool_path={}", path(state.path())));
    let found = json(&["--offline", "-o", &dsn, "-o", &spool, "-o", "spool_max_size=99999999G"], "", state.path());
    let advice = found.all("advice").join("\n");
    assert!(advice.contains("MB are free, less than spool_max_size (99999999000 MB)"), "{advice}");
    assert!(advice.contains("a running instance holds it"), "{advice}");
    assert_eq!((found.all("advice").len(), found.code), (2, Some(0)), "{advice}");
    lock.unlock().unwrap();
    let found = json(&["--offline", "-o", &dsn, "-o", &spool], "", state.path());
    found.expect("advice", &[]);
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let found = json(&["--offline", "-o", &dsn, "-o", &spool], "", state.path());
    let problems = found.all("problems").join("\n");
    assert!(problems.contains("every user may write there and plant records"), "{problems}");
    assert_eq!(found.code, Some(1), "{problems}");
}

#[test]
fn a_destination_that_is_not_there_is_a_problem() {
    let state = TempDir::new().unwrap();
    let dsn = format!("dsn={}", nobody());
    let found = json(&["-o", &dsn], "", state.path());
    assert!(found.all("problems")[0].ends_with("is unreachable (connection refused)"), "{:?}", found.all("problems"));
    assert_eq!(found.code, Some(1));
    let found = json(&["-o", &format!("dsn=https://{KEY}@nowhere.invalid/1"), "--timeout", "5"], "", state.path());
    assert_eq!(found.all("problems").len(), 1);
    // A listener that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("dsn=http://{KEY}@{}/1", silent.local_addr().unwrap());
    let found = json(&["-o", &dsn, "--timeout", "1"], "", state.path());
    assert_eq!(found.all("problems").len(), 1);
    let proxy = format!("proxy=http://u:hunter2@{}", silent.local_addr().unwrap());
    drop(silent);
    let found = json(&["-o", &format!("dsn=http://{KEY}@sentry.invalid/1"), "-o", &proxy], "", state.path());
    assert!(found.all("problems")[0].contains("proxy http://***@127.0.0.1"), "{:?}", found.all("problems"));
}

/// Each waits five seconds, side by side.
#[test]
fn a_test_event_is_sent_twice() {
    let cases = [
        ("", None, "ok", "accepts a test event, twice. That does not prove", 0),
        (
            "1x200 then forever:403",
            None,
            "problems",
            "accepts a test event at first, and five seconds later not (403",
            1,
        ),
        ("", Some("f".repeat(32)), "problems", "does not accept a test event (403", 1),
        ("forever:503", None, "problems", "does not accept a test event (503", 1),
        (
            "forever:429,x-sentry-rate-limits=60:error:organization",
            None,
            "problems",
            "does not accept a test event (429",
            1,
        ),
        ("forever:200,x-sentry-rate-limits=60:error:organization", None, "advice", "says that a quota is used up", 0),
    ];
    let check = |(faults, key, kind, expected, code): (&str, Option<String>, &str, &str, i32)| {
        let options = Options { faults: faults.parse().unwrap(), key, ..Options::default() };
        let (state, receiver) = (TempDir::new().unwrap(), Receiver::start(options).unwrap());
        let dsn = format!("dsn=http://{KEY}@{}/1", receiver.addr());
        let found = json(&["--send", "-o", &dsn, "-o", "environment=production"], "", state.path());
        let said = found.all(kind).join("\n");
        assert!(said.contains(expected), "{faults}: {said}");
        assert_eq!((found.code, receiver.requests().len()), (Some(code), 2), "{faults}: {said}");
        if kind == "ok" {
            let events = receiver.events();
            assert_eq!((events.len(), receiver.problems()), (2, Vec::new()));
            assert!(said.contains(events[0].payload["event_id"].as_str().unwrap()), "{said}");
            assert_eq!(events[0].payload["event_id"], events[1].payload["event_id"]);
            assert_eq!(events[0].payload["environment"], "production");
        }
    };
    std::thread::scope(|scope| {
        let running = cases.map(|case| scope.spawn(|| check(case)));
        running.into_iter().for_each(|case| case.join().unwrap());
    });
}

#[test]
fn a_sample_shows_what_its_logs_would_cost() {
    let state = TempDir::new().unwrap();
    let sample = state.path().join("app.jsonl");
    // Body, and the attribute's name and number: 2 + 1 + 8 bytes each.
    std::fs::write(&sample, "{\"message\":\"ab\",\"n\":1}\n".repeat(4)).unwrap();
    let dsn = format!("dsn={}", nobody());
    let of = |log_attributes: &str, file: &str| {
        let attributes = format!("log_attributes={log_attributes}");
        let args = ["--offline", "-o", &dsn, "-o", "server_name=h", "-o", &attributes, "--sample", file];
        json(&args, "", state.path())
    };
    let shown = sample.to_str().unwrap();
    let listed = of("n", shown);
    let told = format!("sample {shown}: Sentry bills 11 bytes per log, 0.01 GB per million logs; n 82 %, body 18 %");
    assert!(listed.all("ok").contains(&told), "{:?}", listed.report);
    assert!(of("full", shown).all("ok").iter().any(|text| text.contains("sentry.sdk.name")));
    assert_eq!(of("n", "/nowhere").code, Some(1));
}
