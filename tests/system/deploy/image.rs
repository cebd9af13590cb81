//! The Dockerfile, read as its builder reads it: no engine is needed to see that a stage is missing.

use super::{file, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use testkit::tempdir::TempDir;

/// A stage: what it is built on, and its instructions with continued lines joined.
struct Stage {
    name: String,
    base: String,
    instructions: Vec<String>,
}

/// The file's instructions, without comments, each on one line.
fn instructions(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let all = joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    all.filter(|line| !line.is_empty()).collect()
}

/// Returns the lines before the first stage, and the stages.
fn parse(dockerfile: &str) -> (Vec<String>, Vec<Stage>) {
    let (mut before, mut stages) = (Vec::new(), Vec::<Stage>::new());
    for line in instructions(dockerfile) {
        if let Some(from) = line.strip_prefix("FROM ") {
            let words: Vec<&str> = from.split(' ').filter(|word| !word.starts_with("--")).collect();
            let [base, "AS", name] = words[..] else { panic!("expected FROM base AS name, found {line}") };
            stages.push(Stage { name: name.to_owned(), base: base.to_owned(), instructions: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push(line);
        } else {
            before.push(line);
        }
    }
    (before, stages)
}

/// Names and defaults of arguments.
fn arguments(instructions: &[String]) -> BTreeMap<&str, &str> {
    let all = instructions.iter().filter_map(|line| line.strip_prefix("ARG "));
    all.map(|argument| argument.split_once('=').unwrap_or((argument, ""))).collect()
}

pub fn stages() {
    let (before, stages) = parse(&text("Dockerfile"));
    let arguments = arguments(&before);
    for (number, stage) in stages.iter().enumerate() {
        let earlier = |name: &str| stages[..number].iter().any(|other| other.name == name);
        for copy in stage.instructions.iter().filter_map(|line| line.split_once("--from=")) {
            let from = copy.1.split(' ').next().expect("a name");
            assert!(earlier(from), "{}: --from={from} names no stage before it", stage.name);
        }
        if stage.base == "scratch" {
            continue;
        }
        // Tag and digest are arguments, and the tag has a default that is one version.
        let digest = arguments.keys().find(|name| stage.base.ends_with(&format!("${{{name}:+@${{{name}}}}}")));
        let digest = digest.unwrap_or_else(|| panic!("{}: expected a digest to be possible", stage.base));
        assert!(digest.ends_with("_DIGEST") && arguments[*digest].is_empty(), "{digest}");
        let version = digest.replace("_DIGEST", "_VERSION");
        assert!(stage.base.contains(&format!("${{{version}}}")), "{}: expected {version}", stage.base);
        let default = arguments[version.as_str()];
        assert!(
            default.split('.').count() == 3 && default.starts_with(|c: char| c.is_ascii_digit()),
            "{version}={default}"
        );
    }
    let all = text("Dockerfile");
    assert!(!all.contains(":latest") && all.contains("sha256:<64 hexadecimal digits>"), "expected documented digests");
    let toolchain = text("rust-toolchain.toml");
    assert!(toolchain.contains(&format!("channel = \"{}\"", arguments["RUST_VERSION"])), "the image's Rust is another");
}

pub fn final_stages() {
    let (_, stages) = parse(&text("Dockerfile"));
    let [builder, plugin, fluent_bit] = &stages[..] else { panic!("expected three stages, found {}", stages.len()) };
    assert_eq!((plugin.base.as_str(), fluent_bit.name.as_str()), ("scratch", "fluent-bit"), "the last is the default");
    let version = env!("CARGO_PKG_VERSION");
    for stage in [plugin, fluent_bit] {
        assert!(
            !stage.instructions.iter().any(|line| line.starts_with("RUN ")),
            "{}: there is no shell to run",
            stage.name
        );
        let all = stage.instructions.join("\n");
        for label in ["title", "description", "licenses", "version", "revision"] {
            assert!(all.contains(&format!("org.opencontainers.image.{label}=")), "{}: no label {label}", stage.name);
        }
        assert!(all.contains(&format!("ARG VERSION={version}")), "{}: expected version {version}", stage.name);
        assert!(all.contains("/licenses/out_sentry/"), "{}: expected licences", stage.name);
    }
    let copies = fluent_bit.instructions.join("\n");
    for place in ["/fluent-bit/plugins/out_sentry.so", "/fluent-bit/plugins/plugins.conf", "/fluent-bit/bin/flb-sentry"]
    {
        assert!(copies.contains(place), "expected {place}");
    }
    assert!(text("packaging/plugins.conf").contains("Path /fluent-bit/plugins/out_sentry.so"), "plugins.conf");
    let build = builder.instructions.join("\n");
    assert!(build.contains("packaging/build") && build.contains("packaging/symbols 2.17"), "{build}");
}

/// Runs `packaging/image` with programs in place of the engines, which print their arguments, and returns the last line.
fn built_with(environment: &[(&str, &str)]) -> (bool, String) {
    let dir = TempDir::new("engines").expect("expected a directory");
    for engine in ["docker", "podman", "buildah"] {
        let path = dir.path().join(engine);
        fs::write(&path, format!("#!/bin/sh\necho {engine} \"$@\"\n")).expect("expected to write a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("expected to set permissions");
    }
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(file("packaging/image"));
    for name in ["ENGINE", "TARGET", "TAG", "PLATFORMS", "FLUENT_BIT_DIGEST", "RUST_DIGEST"] {
        command.env_remove(name);
    }
    let output = command.env("PATH", path).envs(environment.iter().copied()).output().expect("expected to run it");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), printed.lines().last().unwrap_or_default().to_owned())
}

/// Checks that each engine is called for each target, with as many open files as the build needs.
pub fn engines() {
    let version = env!("CARGO_PKG_VERSION");
    for engine in ["docker", "podman", "buildah"] {
        let (built, line) = built_with(&[("ENGINE", engine), ("TARGET", "plugin")]);
        assert!(built && line.starts_with(&format!("{engine} build ")), "{line}");
        for part in ["--target plugin".to_owned(), format!("--tag out-sentry:{version}")] {
            assert!(line.contains(&part), "expected {part} in {line}");
        }
        // Where this user may not raise the limit, only docker's engine may.
        assert!(engine != "docker" || line.contains("--ulimit nofile=20000:20000"), "{line}");

        let platforms = "linux/amd64,linux/arm64";
        let (_, line) =
            built_with(&[("ENGINE", engine), ("TAG", "t:1"), ("PLATFORMS", platforms), ("RUST_DIGEST", "d")]);
        let name = if engine == "docker" { "--tag t:1" } else { "--manifest t:1" };
        for part in [name, "--target fluent-bit", "--platform linux/amd64,linux/arm64", "--build-arg RUST_DIGEST=d"] {
            assert!(line.contains(part), "expected {part} in {line}");
        }
    }
    assert!(built_with(&[]).1.starts_with("docker build "), "expected the first engine that is there");
    assert_eq!(
        built_with(&[("ENGINE", "kaniko")]),
        (false, "ENGINE=kaniko: expected docker, podman or buildah".into())
    );
    assert_eq!(built_with(&[("TARGET", "builder")]), (false, "TARGET=builder: expected fluent-bit or plugin".into()));
}
