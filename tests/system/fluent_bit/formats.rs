//! `flb-sentry check` reads a configuration as the host does: what one refuses, the other does, and nothing else.

use std::process::Command;
use std::time::Duration;
use testkit::artefacts::built;
use testkit::fluent_bit::{FluentBit, Format};
use testkit::plugin;
use testkit::tempdir::TempDir;

const DSN: &str = "http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1";

const CLASSIC: &[(bool, &str)] = &[
    (true, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name SENTRY\n    match *\n    dsn ${DSN}\n"),
    (
        true,
        "@SET a=${DSN}\n# x\n[INPUT]\n\tName dummy\n\n[OUTPUT]\n\tName    sentry  \n\t# x\n\t\n\tMATCH *\n\tDSN ${DSN}\n",
    ),
    (true, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n        dsn ${DSN}\n"),
    (true, "[INPUT]\r\n    Name dummy\r\n[OUTPUT]\r\n    Name sentry\r\n    Match *\r\n    dsn ${DSN}\r\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n    dsn\t${DSN}\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n    dsn ${DSN}\n    environment\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n    dsn ${DSN}\n    environment  \n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n  Match *\n    dsn ${DSN}\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n      Match *\n    dsn ${DSN}\n"),
    (false, "[INPUT]\n    Name dummy\n  \n[OUTPUT]\n    Name sentry\n    Match *\n    dsn ${DSN}\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n\tMatch *\n    dsn ${DSN}\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    Match *\n    dsn ${DSN}\n    tls On\n"),
    (false, "[INPUT]\n    Name dummy\n[OUTPUT\n    Name sentry\n    Match *\n    dsn ${DSN}\n"),
    (false, "@INCLUDE nothing.conf\n[INPUT]\n    Name dummy\n[OUTPUT]\n    Name sentry\n    dsn ${DSN}\n"),
];

const YAML: &[(bool, &str)] = &[
    (
        true,
        "pipeline:\n  inputs:\n    - name: dummy\n  outputs:\n    - name: sentry\n      match: '*'\n      dsn: ${DSN}\n",
    ),
    (
        true,
        "env:\n  where: ${DSN}\npipeline:\n  inputs:\n    - {name: dummy}\n  outputs:\n    - {name: sentry, dsn: \"${DSN}\"}\n",
    ),
    (
        false,
        "pipeline:\n  inputs:\n    - name: dummy\n  outputs:\n    - name: sentry\n      dsn: ${DSN}\n      tags:\n        a: b\n",
    ),
    (
        false,
        "pipeline:\n  inputs:\n    - name: &n dummy\n  outputs:\n    - name: sentry\n      dsn: ${DSN}\n      tags: *n\n",
    ),
    (false, "pipeline:\n  inputs:\n    - name: dummy\n  outputs: [\n"),
];

fn host_takes(text: &str, format: Format) -> (bool, String) {
    let plugin = plugin();
    let args = ["-e", plugin.to_str().expect("expected a path of UTF-8"), "--dry-run"];
    let (status, log) = FluentBit::run(text, format, &args, &[("DSN", DSN)], Duration::from_secs(20)).unwrap();
    (status.expect("expected a dry run to end").success(), log)
}

fn check_takes(text: &str, name: &str) -> (bool, String) {
    let dir = TempDir::new("formats").expect("expected a directory");
    let file = dir.path().join(name);
    std::fs::write(&file, text).expect("expected to write a configuration");
    let mut command = Command::new(built().join("flb-sentry"));
    let output = command.args(["check", "--offline"]).arg(file).env("DSN", DSN).env_remove("SENTRY_DSN").output();
    let output = output.expect("expected to run flb-sentry");
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    // Fluent Bit is given the plugin with `-e` here, of which the file says nothing.
    let is_problem = |line: &&str| {
        line.trim_start().starts_with("problem ") && !line.contains("Fluent Bit does not know the output")
    };
    (found.lines().filter(is_problem).count() == 0 && output.status.code() < Some(2), found)
}

pub fn read_alike() {
    let cases = CLASSIC.iter().map(|case| (case, Format::Classic, "a.conf"));
    for ((takes, text), format, name) in cases.chain(YAML.iter().map(|case| (case, Format::Yaml, "a.yaml"))) {
        let (host, log) = host_takes(text, format);
        let (check, found) = check_takes(text, name);
        assert_eq!((host, check), (*takes, *takes), "(host, check) of\n{text}\n{log}\n{found}");
    }
}
