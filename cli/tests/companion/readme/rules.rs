//! Rules that say how each command line of the documents is tested. A line that no rule fits fails, and so does a rule that
//! fits no line.

use super::document::Line;
use super::shown::{self, Compare};
use super::stage::{Stage, text};
use receiver::{Options, Receiver};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::time::Duration;
use testkit::artefacts::{profile_dir, workspace};

/// A test that is run on a command line.
pub type Test = fn(&Line);

/// A command line, or with a `*` at its end the beginning of several, and what is done with it.
pub const RULES: &[(&str, Test)] = &[
    ("target/release/flb-sentry receive", in_the_quick_start),
    ("mkdir -p /tmp/sentry-quickstart *", in_the_quick_start),
    ("fluent-bit -e *", in_the_quick_start),
    ("echo '{*", in_the_quick_start),
    ("install -D *", installed_by_hand),
    ("make help", prints_help),
    ("make *", make_knows),
    ("cmake -S cmake -B build && cmake --build build && ctest --test-dir build --output-on-failure", by_conformance),
    ("cargo build --release --locked", by_find_module),
    ("cargo *", cargo_knows),
    ("docker build *", docker_can_build),
    ("apt install *", installs_a_package),
    ("dnf install *", installs_a_package),
    ("helm *", names_files),
    ("kubectl logs deploy/*", explains_a_pod),
    ("kubectl *", names_files),
    ("openssl *", makes_a_certificate),
    ("flb-sentry explain FILE", explains_a_file),
    ("flb-sentry explain --pretty /var/lib/*", explains_dead_letters),
    ("flb-sentry explain *", prints_exactly),
    ("flb-sentry check FILE", checks_a_file),
    ("flb-sentry check /etc/fluent-bit/fluent-bit.conf && systemctl restart fluent-bit", checks_the_installed_file),
    ("flb-sentry check --send /etc/fluent-bit/fluent-bit.conf", checks_the_installed_file),
    ("flb-sentry check --send -o dsn=$SENTRY_DSN", sends_a_test_event),
    ("flb-sentry check *", prints_problems),
    ("flb-sentry receive", receives),
    ("flb-sentry receive --help", runs),
    ("flb-sentry --version", runs),
    ("flb-sentry receive --fault *", listens),
    ("echo *", is_received),
    ("flb-sentry ship --kube-meta *", ships),
    ("flb-sentry replay *", replays),
    ("flb-sentry install --to /sentry", installs),
    ("flb-sentry completions bash > /usr/share/bash-completion/completions/flb-sentry", completes),
    ("flb-sentry *", is_a_command),
];

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(60);

/// The address in the documents, which every test would otherwise want.
const ADDRESS: &str = "127.0.0.1:9000";

fn runs(line: &Line) {
    Stage::new().succeeds(line);
}

/// Run by the test of the whole quick start.
fn in_the_quick_start(line: &Line) {
    assert!(super::quick_start::DOCUMENTS.contains(&line.document.as_str()), "{} has no quick start", line.document);
}

/// A command in a sentence: it exists, and so do the options behind it.
fn is_a_command(line: &Line) {
    let words: Vec<&str> = line.text.split(' ').collect();
    let command = words[..2].join(" ");
    let ended = Stage::new().run(&format!("{command} --help"));
    assert!(ended.code == Some(0) && ended.printed.contains(&format!("Usage: {command}")), "{}", ended.printed);
    for option in words[2..].iter().filter(|word| word.starts_with('-')) {
        assert!(
            ended.printed.contains(&format!(" {option} ")) || ended.printed.contains(&format!(" {option}\n")),
            "{option}"
        );
    }
}

/// A command for a cluster: the files that it names are there. `cargo test --test system deploy::` validates what is in them.
fn names_files(line: &Line) {
    let words: Vec<&str> = line.text.split(' ').collect();
    for pair in words.windows(2).filter(|pair| matches!(pair[0], "--kustomize" | "--values")) {
        let path = workspace().join(pair[1]);
        assert!(path.is_file() || path.join("kustomization.yaml").is_file(), "there is no {}", path.display());
    }
}

/// The target and the arguments of a build are in the Dockerfile.
fn docker_can_build(line: &Line) {
    let words: Vec<&str> = line.text.split(' ').collect();
    let folder = words.last().expect("expected a folder");
    let file = text(&format!("{folder}/Dockerfile"));
    for pair in words.windows(2) {
        let name = pair[1].split('=').next().unwrap_or_default();
        match pair[0] {
            "--target" => assert!(file.contains(&format!(" AS {name}")), "expected the target {name}"),
            "--build-arg" => assert!(file.contains(&format!("ARG {name}")), "expected the argument {name}"),
            _ => {}
        }
    }
}

fn makes_a_certificate(line: &Line) {
    if Stage::new().run("command -v openssl").code != Some(0) {
        return;
    }
    let stage = Stage::new();
    let paths = ["tls.key", "tls.crt"].map(|name| stage.path(name));
    let real = format!("-keyout {} -out {}", paths[0].display(), paths[1].display());
    let stage = stage.swap("-keyout tls.key -out tls.crt", &real);
    stage.succeeds(line);
    assert!(paths.iter().all(|path| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("-----BEGIN"))));
}

/// Checks that make would run the target. That is enough here: the build takes minutes, and cli/tests/companion/demo.rs runs the demo.
fn make_knows(line: &Line) {
    let ended = Stage::new().run(&line.text.replacen("make", "make -n", 1));
    assert!(ended.code == Some(0) && !ended.printed.is_empty(), "{}:\n{}", line.text, ended.printed);
    let target = line.text.split(' ').nth(1).unwrap_or_default();
    assert!(text("Makefile").contains(&format!("\n{target}:")), "expected a target {target}");
    if !line.shown.is_empty() {
        let test = text("cli/tests/companion/demo.rs");
        assert!(target == "demo" && test.contains("the_documents_show_it"), "nobody compares what {} shows", line.text);
    }
}

fn prints_help(line: &Line) {
    let help = Stage::new().succeeds(line);
    assert!(
        ["build", "demo", "test"]
            .iter()
            .all(|target| help.contains(&format!("\n{target} ")) || help.starts_with(target)),
        "{help}"
    );
}

fn cargo_knows(line: &Line) {
    let ended = Stage::new().run(&format!("{} --help", line.text));
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
}

/// A fresh clone has all that the demo is made of.
pub fn a_fresh_clone_can_run_the_demo() {
    if !workspace().join(".git").exists() {
        return;
    }
    let stage = Stage::new();
    let (source, clone) = (workspace().display().to_string(), stage.path("clone").display().to_string());
    let ended = stage.run(&format!("git clone -q {source} {clone} && cd {clone} && make -n demo"));
    assert!(ended.code == Some(0) && ended.printed.contains("examples/demo"), "{}", ended.printed);
}

/// `install -D ... target/release/FILE DESTINATION`, with the files of this build.
fn installed_by_hand(line: &Line) {
    let destination = line.text.split(' ').next_back().expect("expected a destination");
    let stage = Stage::new().instead_of(destination).swap("target/release", &profile_dir().display().to_string());
    testkit::plugin();
    stage.succeeds(line);
    assert!(stage.path(destination.trim_start_matches('/')).is_file());
}

/// The package has the name and the version of the metadata in Cargo.toml. `packaging/test-deb` installs one.
fn installs_a_package(line: &Line) {
    let file = line.text.rsplit('/').next().expect("expected a file");
    let version = env!("CARGO_PKG_VERSION");
    let (name, table) = match file.ends_with(".deb") {
        true => (format!("fluent-bit-sentry_{version}-1_amd64.deb"), "deb"),
        false => (format!("fluent-bit-sentry-{version}-1.x86_64.rpm"), "generate-rpm"),
    };
    assert_eq!(file, name);
    let named = format!("[package.metadata.{table}]\nname = \"fluent-bit-sentry\"\n");
    assert!(text("Cargo.toml").contains(&named), "expected {named}");
}

/// Minutes too: the test of the C host builds and runs it.
fn by_conformance(line: &Line) {
    let test = text("tests/conformance.rs");
    let parts = line.text.split(" && ").map(|command| command.split(' ').next().unwrap_or_default());
    parts.for_each(|program| {
        assert!(test.contains(&format!("\"{program}\"")), "expected {program} in tests/conformance.rs")
    });
}

/// Checks the build that the find module runs. A test of its own (tests/conformance.rs) runs the same build.
fn by_find_module(_: &Line) {
    let module = text("cmake/FindOutSentry.cmake");
    for part in ["OUT_SENTRY_PROFILE release", "build --locked"] {
        assert!(module.contains(part), "expected {part} in cmake/FindOutSentry.cmake");
    }
}

fn explains_a_file(line: &Line) {
    let file = workspace().join("tests/data/chunks/otlp.msgpack").display().to_string();
    let printed = Stage::new().swap("FILE", &file).succeeds(line);
    assert!(printed.starts_with("{\"record\":1,"), "{printed}");
}

/// With a line as `kubectl logs` prints it with these options.
fn explains_a_pod(line: &Line) {
    let (kubectl, _) = line.text.split_once(" | ").expect("expected a pipe");
    assert!(kubectl.ends_with(" --prefix --timestamps"), "{kubectl}");
    let lines = "printf '[pod/checkout-1/app] 2026-11-20T08:00:00.250000000Z ERROR declined\\n'";
    let printed = Stage::new().swap(kubectl, lines).succeeds(line);
    for part in ["2026-11-20 08:00:00.250  ERROR declined", "k8s.pod.name=checkout-1", "1 record: 1 event, 1 log;"] {
        assert!(printed.contains(part), "expected {part:?}, found {printed}");
    }
}

fn prints_exactly(line: &Line) {
    // As of the time of the captured chunks: 29 days later their records would have another time.
    let explain = "flb-sentry explain ";
    let stage = match line.text.starts_with(explain) {
        true => Stage::new().swap(explain, &format!("{explain}--now 2026-11-22T08:00:30Z ")),
        false => Stage::new(),
    };
    let printed = stage.succeeds(line);
    // Of a long answer the documents show what is above the first empty line.
    // Off Kubernetes, the server's name is that of the machine; the documents say `vm`.
    let name = out_sentry::options::machine_name().map(|name| format!("={name}")).unwrap_or_default();
    let printed = if name.is_empty() { printed } else { printed.replace(&name, "=vm") };
    let whole = printed.trim_end();
    let first = whole.split("\n\n").next().unwrap_or_default();
    shown::compare(line, if line.shown.trim_end().contains("\n\n") { whole } else { first }, Compare::Exactly);
}

/// Returns the first block of docs/install/linux.md in this language, with the plugin of this build and with other paths.
fn installed(language: &str, stage: &Stage) -> String {
    let page = text("docs/install/linux.md");
    let (_, block) = page.split_once(&format!("```{language}\n")).expect("expected a configuration");
    let block = block.split("\n```").next().unwrap_or_default();
    let plugins = stage.path("plugins.conf");
    let plugin = testkit::plugin().display().to_string();
    std::fs::write(&plugins, format!("[PLUGINS]\n    path {plugin}\n")).expect("expected to write a file");
    let ours = block.replace("/var/lib/fluent-bit", &stage.path("").display().to_string());
    let ours = ours.replace("/etc/fluent-bit/plugins.conf", &plugins.display().to_string());
    ours.replace("/usr/lib/fluent-bit/out_sentry.so", &plugin)
}

fn checks_a_file(line: &Line) {
    let receiver = receiver("");
    let stage = Stage::new().dsn(&receiver.dsn());
    for (language, name) in [("ini", "fluent-bit.conf"), ("yaml", "fluent-bit.yaml")] {
        let file = stage.path(name);
        std::fs::write(&file, installed(language, &stage)).expect("expected to write a file");
        let ended = stage.run(&line.text.replace("FILE", &file.display().to_string()));
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.printed);
        assert!(ended.printed.contains("problems: 0"), "{name}: {}", ended.printed);
    }
}

/// The check of the installed configuration; with `--send`, its event arrives.
fn checks_the_installed_file(line: &Line) {
    const FILE: &str = "/etc/fluent-bit/fluent-bit.conf";
    let receiver = receiver("");
    let stage = Stage::new().dsn(&receiver.dsn()).instead_of(FILE);
    let file = stage.path(FILE.trim_start_matches('/'));
    std::fs::write(file, installed("ini", &stage)).expect("expected to write a file");
    let restarts = line.text.contains("systemctl");
    let stage = if restarts { stage.swap("systemctl restart fluent-bit", "true") } else { stage };
    let printed = stage.succeeds(line);
    assert!(printed.contains("problems: 0"), "{printed}");
    assert_eq!(receiver.events().is_empty(), restarts, "{printed}");
}

fn sends_a_test_event(line: &Line) {
    let receiver = receiver("");
    let printed = Stage::new().dsn(&receiver.dsn()).succeeds(line);
    let event = &receiver.events()[0];
    let id = event.payload["event_id"].as_str().expect("expected an id");
    assert!(printed.contains(id), "expected {id} in {printed}");
}

fn prints_problems(line: &Line) {
    if line.shown.is_empty() {
        return is_a_command(line);
    }
    let ended = Stage::new().run(&line.text);
    assert_eq!(ended.code, Some(1), "{}", ended.printed);
    shown::compare(line, ended.printed.trim_end(), Compare::Exactly);
}

fn receiver(faults: &str) -> Receiver {
    let faults = faults.parse().expect("expected a script");
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// The command of docs/cli.md for the other terminal.
fn other_terminal() -> String {
    let page = text("docs/cli.md");
    let line = page.lines().find(|line| line.starts_with("echo ")).expect("expected an item for the receiver");
    line.to_owned()
}

fn is_received(line: &Line) {
    let receiver = receiver("");
    let stage = Stage::new().swap(ADDRESS, &receiver.addr().to_string());
    stage.succeeds(line);
    assert_eq!((receiver.events().len(), receiver.logs().len()), (1, 1));
}

/// `flb-sentry receive` while it runs.
struct Listening {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    printed: String,
}

impl Listening {
    fn start(line: &Line) -> Self {
        let listen = format!("exec {} --listen 127.0.0.1:0", line.text);
        let mut child =
            Stage::new().command(&listen).stdout(std::process::Stdio::piped()).spawn().expect("expected a shell");
        let out = BufReader::new(child.stdout.take().expect("expected its output"));
        let mut listening = Self { child, out, printed: String::new() };
        listening.read_lines(2);
        listening
    }

    fn read_lines(&mut self, number: usize) {
        for _ in 0..number {
            let read = self.out.read_line(&mut self.printed).expect("expected a line");
            assert!(read > 0, "expected more than {:?}", self.printed);
        }
    }

    fn address(&self) -> String {
        let address = self.printed.lines().next().and_then(|line| line.strip_prefix("listening on http://"));
        address.unwrap_or_else(|| panic!("expected an address, found {}", self.printed)).to_owned()
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) -> String {
        let kill = Command::new("sh").args(["-c", "kill -s INT \"$0\"", &self.child.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()));
        self.printed += "^C\n";
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("expected its last words");
        assert_eq!(self.child.wait().expect("expected its end").code(), Some(0), "{}{rest}", self.printed);
        std::mem::take(&mut self.printed) + &rest
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receives(line: &Line) {
    if line.shown.is_empty() {
        return is_a_command(line);
    }
    let mut listening = Listening::start(line);
    let address = listening.address();
    let ended = Stage::new().swap(ADDRESS, &address).run(&other_terminal());
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    listening.read_lines(2);
    let printed = listening.interrupt().replace(&address, ADDRESS);
    // One waits for nobody: what comes first is the network's choice.
    let mut lines: Vec<&str> = printed.lines().collect();
    lines[2..4].sort_unstable();
    shown::compare(line, &lines.join("\n"), Compare::Settled);
}

fn listens(line: &Line) {
    Listening::start(line).interrupt();
}

const SPOOL: &str = "/tmp/spool";

fn ships(line: &Line) {
    let receiver = receiver("");
    let stage = Stage::new().dsn(&receiver.dsn()).instead_of(SPOOL);
    let printed = stage.succeeds(line);
    shown::compare(line, printed.trim_end(), Compare::Settled);
    assert_eq!(receiver.problems(), [""; 0]);
    let (page, rows) = (text("docs/monitoring.md"), shown::settled(&printed));
    let (_, summary) = page.split_once("] summary: ").expect("expected a summary line");
    let summary = summary.split("\n```").next().unwrap_or_default();
    let count = |key: String| summary.split_whitespace().find_map(|word| word.strip_prefix(&key)).unwrap_or("0");
    for outcome in ["accepted", "filtered", "joined", "pending"] {
        let row = ["event", "log"].map(|category| count(format!("{category}.{outcome}=")));
        let row = format!("{outcome} {}", row.join(" "));
        assert!(rows.contains(&row), "docs/monitoring.md says {row}, the summary says\n{printed}");
    }
}

fn replays(line: &Line) {
    if line.text == "flb-sentry replay" {
        return is_a_command(line);
    }
    let stage = dead_letters();
    let taking = receiver("");
    let printed = stage.dsn(&taking.dsn()).succeeds(line);
    assert!(taking.wait_until(SOON, |seen| seen.totals.events > 0 && seen.totals.logs > 0), "{printed}");
    if !line.shown.is_empty() {
        shown::compare(line, printed.trim_end(), Compare::Settled);
    }
}

fn explains_dead_letters(line: &Line) {
    let printed = dead_letters().succeeds(line);
    let letters: Vec<&str> = printed.lines().filter(|line| line.starts_with("  letter ")).collect();
    let is_whole = |line: &&str| {
        line.contains(" rejected ")
            && line.contains(", given up at 20")
            && [": 403", ": waited "].iter().any(|reason| line.contains(reason))
    };
    assert!(!letters.is_empty() && letters.iter().all(is_whole), "{printed}");
}

/// Returns a stage whose directory of dead letters holds those of a server that refused everything.
fn dead_letters() -> Stage {
    let refusing = receiver("forever:403");
    let stage = Stage::new().dsn(&refusing.dsn()).instead_of("/var/lib/fluent-bit/sentry/dead");
    let letters = stage.path("var/lib/fluent-bit/sentry");
    let options = format!("-o log_level=off -o hold_events=0 -o hold_logs=0 -o spool_path={}", letters.display());
    let ship =
        format!("flb-sentry ship {options} --kube-meta tests/samples/kube-meta tests/samples/containers/notifier*.log");
    let shipped = Stage::new().dsn(&refusing.dsn()).run(&ship);
    assert!(shipped.code == Some(1) && letters.join("dead").is_dir(), "{}", shipped.printed);
    stage
}

fn installs(line: &Line) {
    let stage = Stage::new().instead_of("/sentry");
    let printed = stage.succeeds(line);
    if !line.shown.is_empty() {
        shown::compare(line, printed.trim_end(), Compare::Exactly);
    }
    assert!(stage.path("sentry/out_sentry.so").is_file() && stage.path("sentry/plugins.conf").is_file());
}

fn completes(line: &Line) {
    let stage = Stage::new().instead_of("/usr/share/bash-completion/completions/flb-sentry");
    stage.succeeds(line);
    let script = stage.path("usr/share/bash-completion/completions/flb-sentry");
    let script = std::fs::read_to_string(script).expect("expected a script");
    for word in ["explain", "--kube-meta", "--workers"] {
        assert!(script.contains(word), "expected {word}");
    }
}
