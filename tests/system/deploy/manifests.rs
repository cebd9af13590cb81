//! Manifests against their schemas, unknown fields refused.

use super::{file, program};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, str};
use testkit::python::{FOREIGN, Packages};
use testkit::tempdir::TempDir;

const PACKAGES: Packages = Packages {
    name: "kubernetes-validate",
    version: "1.37.0",
    pins: &["kubernetes-validate==1.37.0", "jsonschema==4.26.0", "PyYAML==6.0.4"],
};

/// Directories with a kustomization.
const KUSTOMIZATIONS: [&str; 3] =
    ["deploy/kube-logging/direct", "deploy/kube-logging/aggregator", "deploy/kube-logging/fluentd"];

/// Directories with manifests.
const DIRECTORIES: [&str; 5] = [
    "deploy/kube-logging/direct",
    "deploy/kube-logging/aggregator",
    "deploy/kube-logging/aggregator/base",
    "deploy/kube-logging/fluentd",
    "deploy/kube-logging/incidents",
];

/// Files that only tools read.
const OF_TOOLS: [&str; 2] = ["kustomization.yaml", "names.yaml"];

/// A Python with the schemas of Kubernetes.
pub fn python() -> Result<PathBuf, String> {
    PACKAGES.environment().map(|environment| environment.python())
}

/// A `kubectl` that can put a kustomization together without a cluster.
pub fn kubectl() -> Result<PathBuf, String> {
    let kubectl = program("kubectl")?;
    let works =
        Command::new(&kubectl).args(["kustomize", "--help"]).output().is_ok_and(|output| output.status.success());
    works.then_some(kubectl).ok_or_else(|| "kubectl has no kustomize".to_owned())
}

/// Every file of manifests.
fn manifests() -> Vec<PathBuf> {
    let mut found = vec![file("deploy/monitoring/prometheus-rule.yaml")];
    for directory in DIRECTORIES {
        let entries = fs::read_dir(file(directory)).expect("expected a directory").flatten();
        let yaml = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"));
        found.extend(yaml.filter(|path| !OF_TOOLS.iter().any(|name| path.ends_with(name))));
    }
    found
}

/// Validates all of them; with definitions none may be left out.
pub fn are_sound(python: &Path, crds: Option<&str>) {
    let files = manifests();
    let output = validate(python, crds, &file(VALUES), &files);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for file in &files {
        assert!(text.contains(&file.display().to_string()), "{} was not read:\n{text}", file.display());
    }
    let sound = text.lines().filter(|line| line.contains(": sound, says ")).count();
    assert!(sound >= 7, "expected more objects:\n{text}");
    if let Some(directory) = crds {
        let left = text.lines().filter(|line| line.contains("not validated") && line.contains("banzai")).count();
        assert_eq!(left, 0, "expected definitions for all in {directory}:\n{text}");
        assert!(text.contains("FluentbitAgent sentry-edge: sound, says its definition"), "{text}");
    }
    assert!(!is_sound(python, UNKNOWN_FIELD), "an unknown field passed");
    assert!(!is_sound(python, WRONG_TYPE), "a wrong type passed");
    let values =
        fs::read_to_string(file(VALUES)).expect("expected the values").replace("eventsAccess:", "eventAccess:");
    let dir = TempDir::new("values").expect("expected a directory");
    fs::write(dir.path().join("values.yaml"), values).expect("expected to write values");
    let output = validate(python, None, &dir.path().join("values.yaml"), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the chart does not read rbac.eventAccess"), "{said}");
}

const VALUES: &str = "deploy/helm/values.yaml";

const UNKNOWN_FIELD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringdata: {dsn: b}\n";
const WRONG_TYPE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: first}]}\n";

fn is_sound(python: &Path, manifest: &str) -> bool {
    let dir = TempDir::new("manifest").expect("expected a directory");
    let path = dir.path().join("manifest.yaml");
    fs::write(&path, manifest).expect("expected to write a manifest");
    validate(python, None, &file(VALUES), &[path]).status.success()
}

fn validate(python: &Path, crds: Option<&str>, values: &Path, files: &[PathBuf]) -> Output {
    let mut command = Command::new(python);
    command.arg(file("tests/system/deploy/manifests.py")).arg("--values").arg(values);
    if let Some(directory) = crds {
        command.args(["--crds", directory]);
    }
    FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
    command.args(files).output().expect("expected to run Python")
}

/// The generated names are those that are used, with the hash of the content that makes a change roll out.
pub fn kustomizations(kubectl: &Path) {
    for (directory, uses) in KUSTOMIZATIONS.iter().zip([
        &["customConfigSecret: sentry-edge-config-"][..],
        &["customConfigSecret: sentry-cluster-config-", "name: sentry-aggregator-config-"],
        &["name: sentry-aggregator-config-"],
    ]) {
        let output =
            Command::new(kubectl).arg("kustomize").arg(file(directory)).output().expect("expected to run kubectl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = str::from_utf8(&output.stdout).expect("expected UTF-8");
        // An example value that is applied by mistake replaces a real secret.
        assert!(
            !text.contains("stringData") && !text.contains("replace-me"),
            "{directory}: a Secret with example values"
        );
        for used in uses {
            let line =
                text.lines().find(|line| line.contains(used)).unwrap_or_else(|| panic!("{directory}: no {used}"));
            let (_, name) = line.split_once(": ").expect("expected a name");
            assert!(text.contains(&format!("\n  name: {name}\n")), "{directory}: nothing is called {name}");
        }
    }
}
