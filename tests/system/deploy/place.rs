//! A directory that stands for a machine's file system, and shipped configurations with their paths moved into it.

use receiver::{Options, Receiver};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::fluent_bit::{FluentBit, Format};
use testkit::tempdir::TempDir;
use testkit::{plugin, samples};

/// The key of the plugin's section and of the kubernetes filter, for lines that a test adds.
const SENTRY: &str = "sentry";
const KUBERNETES: &str = "kubernetes";

/// Directory with the files that configurations name.
pub struct Place {
    dir: TempDir,
    /// Lines that the output gets besides its own, as `key value`.
    pub more: &'static [&'static str],
}

impl Place {
    /// With directories for what is written, a file that loads the plugin, and the DSN wherever a sample looks for it.
    pub fn new(dsn: &str) -> Self {
        let place = Self { dir: TempDir::new("deploy").expect("expected a directory"), more: &[] };
        let directories = ["buffers", "tail-db", "var/lib/fluent-bit", "var/log/containers", "var/log/app"];
        directories.iter().for_each(|name| fs::create_dir_all(place.path(name)).expect("expected a directory"));
        for name in ["run/secrets/sentry/dsn", "etc/fluent-bit/sentry-dsn", "etc/sentry/default/dsn"] {
            place.write(name, &format!("{dsn}\n"));
        }
        fs::create_dir_all(place.path("etc/sentry/namespaces")).expect("expected a directory");
        place.write("plugins.conf", &format!("[PLUGINS]\n    Path {}\n", plugin().display()));
        place
    }

    /// Returns the path in the test's directory that stands for this path of the machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and shows it only when it is whole.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("expected a file in a directory")).expect("expected a directory");
        let hidden = path.with_extension("unfinished");
        fs::write(&hidden, text).expect("expected to write a file");
        fs::rename(hidden, path).expect("expected to rename a file");
    }

    /// The sample logs of a node, which the host will find as if their pods had just started, and how many records they are.
    pub fn add_containers(&self) -> samples::Samples {
        let samples = samples::fresh(&self.path("samples")).expect("expected samples");
        for file in &samples.files {
            let name = file.file_name().expect("expected a name").to_string_lossy();
            self.write(&format!("var/log/containers/{name}"), &fs::read_to_string(file).expect("expected a sample"));
        }
        samples
    }

    /// The configuration as it would be on this machine.
    pub fn moved(&self, text: &str) -> String {
        let root = self.dir.path().display().to_string();
        let dotted = root.trim_start_matches('/').replace('/', ".");
        let mut moved = String::new();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let line = match line.split_once(" /") {
                Some((key, path)) => format!("{key} {}", self.moved_path(path, &root)),
                None => line.replace(".var.log.containers.", &format!(".{dotted}.var.log.containers.")),
            };
            let line = of_a_test(&line);
            _ = writeln!(moved, "{line}");
            self.additions(&line).iter().for_each(|added| _ = writeln!(moved, "{added}"));
        }
        moved
    }

    fn moved_path(&self, path: &str, root: &str) -> String {
        match path.rsplit('/').next() {
            Some("plugins.conf") => self.path("plugins.conf").display().to_string(),
            Some(name) if name.ends_with(".so") => plugin().display().to_string(),
            _ => format!("{root}/{path}"),
        }
    }

    /// Returns the lines that a section gets in addition, after the line with its name, indented like that line.
    fn additions(&self, line: &str) -> Vec<String> {
        let words: Vec<_> =
            line.trim().trim_start_matches("- ").split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let is = |name: &str| words.len() == 2 && words[0].eq_ignore_ascii_case("name") && words[1] == name;
        let indent = " ".repeat(line.len() - line.trim_start_matches([' ', '-']).len());
        let yaml = line.contains(": ");
        let write = |pair: &str| match yaml {
            true => format!("{indent}{}", pair.replacen(' ', ": ", 1)),
            false => format!("{indent}{pair}"),
        };
        if is(KUBERNETES) {
            return vec![write(&format!("Kube_Meta_Preload_Cache_Dir {}/kube-meta", self.path("samples").display()))];
        }
        if is(SENTRY) { self.more.iter().map(|pair| write(pair)).collect() } else { Vec::new() }
    }

    /// A host with this configuration.
    pub fn start(&self, config: &str, format: Format, env: &[(&str, &str)]) -> FluentBit {
        let moved = self.moved(config);
        FluentBit::start_with_env(&moved, format, &[], env).unwrap_or_else(|error| panic!("{error}\n{moved}"))
    }
}

/// The metadata of the pods, before the host starts: the filter reads it once.
pub fn with_pods(place: &Place) {
    let from = super::file("tests/samples/kube-meta");
    let to = place.path("samples/kube-meta");
    fs::create_dir_all(&to).expect("expected a directory");
    for entry in fs::read_dir(from).expect("expected pods").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("expected to copy a pod");
    }
}

/// Loopback, a free port for the web server, and no waits longer than a test is.
fn of_a_test(line: &str) -> String {
    let key = line.trim().to_ascii_lowercase();
    let line = line.replace("0.0.0.0", "127.0.0.1");
    let short = ["scheduler.base", "scheduler.cap", "refresh_interval"].iter().any(|name| key.starts_with(name));
    if key.starts_with("http_port") {
        return line.replace("2020", "${HTTP_PORT}");
    }
    let value = line.trim_end().rfind(' ').filter(|_| short).map(|at| &line[..at]);
    value.map_or(line.clone(), |value| format!("{value} 1"))
}

/// A Sentry, and a place with its DSN.
pub fn sentry() -> (Receiver, Place) {
    let receiver = Receiver::start(Options::default()).expect("expected a receiver");
    let place = Place::new(&receiver.dsn());
    (receiver, place)
}

/// A path as an argument.
pub fn plain(path: &Path) -> &str {
    path.to_str().expect("expected a path of UTF-8")
}
