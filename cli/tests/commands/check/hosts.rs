//! Tests of the advice that depends on the plugin file and on the version of Fluent Bit.

use super::{json, machine, nobody, path, write_plugin};
use tempfile::TempDir;

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
