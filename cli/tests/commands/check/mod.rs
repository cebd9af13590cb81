//! `flb-sentry check` from outside: good and bad configurations in both formats, and destinations that are there, refuse,
//! know no key or are not there.

mod destination;
mod hosts;

use receiver::{Options, Receiver};
use serde_json::Value;
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
            "bad.conf:36 no match: Fluent Bit passes no records to this output",
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
            "bad.conf:34 environment is set twice: Fluent Bit 5.1.1 and later do not start; earlier versions use the value at",
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
            "bad.yaml:14 scrub_keys: Fluent Bit passes only the first element of a YAML list to a plugin",
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
    assert!(said.contains("/file is not a directory"), "{said}");
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
    assert!(found.all("advice")[0].contains("the plugin waits until it can be read"), "{:?}", found.all("advice"));

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
    assert!(advice.contains("a running instance uses it"), "{advice}");
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
