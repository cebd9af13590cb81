//! Options as a section might hold them: lines `name value`, and `name=value` for the environment's variables. `KEY` stands
//! for a secret, which must not be shown where it is one.

use out_sentry::options::{self, Loaded, OptionError};
use std::collections::HashMap;
use std::time::Duration;

const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

/// Those that name files which are read at once: what is in them is no part of the input.
const FILES: [&str; 3] = ["tls_ca_file", "tls_crt_file", "tls_key_file"];

type Values = HashMap<String, String>;

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace("KEY", KEY);
    let (mut options, mut environment) = (Values::new(), Values::new());
    for line in text.lines() {
        let at = line.find([' ', '=']).unwrap_or(line.len());
        let (name, value) = (line[..at].to_owned(), line.get(at + 1..).unwrap_or_default().to_owned());
        if line[at..].starts_with('=') {
            environment.insert(name, value)
        } else {
            options.insert(name, value)
        };
    }
    FILES.iter().for_each(|name| drop(options.remove(*name)));
    let loaded = load(&options, &environment);
    match &loaded {
        Ok(loaded) => as_the_twins_have_it(&options, loaded),
        Err(problems) => told(problems, &options, &environment),
    }
    if options.iter().chain(&environment).all(|(name, value)| is_hidden(name, value)) {
        let said = said(&loaded);
        assert!(!said.contains(KEY), "{said}");
        let elsewhere = |name: &String| name != "dsn" && !name.eq_ignore_ascii_case("proxy");
        if !options.iter().any(|(name, value)| elsewhere(name) && value.contains(KEY)) {
            let kept = loaded.as_ref().map(|loaded| format!("{:?}", loaded.settings)).unwrap_or_default();
            assert!(!kept.contains(KEY), "{kept}");
        }
    }
    blanks_make_no_difference(&options, &environment, &loaded);
    for (name, value) in options.iter().filter(|(name, _)| name.len() <= 40) {
        let judged = options::judge(name, value);
        let known = options::rows().any(|row| row.name.eq_ignore_ascii_case(name)) || options::is_of_the_host(name);
        assert_eq!(judged.is_ok(), known, "{name}");
        let secret = value.contains(KEY) && !name.contains(KEY);
        judged.err().filter(|_| secret).inspect(|problem| assert!(!problem.to_string().contains(KEY), "{problem}"));
        assert!(options::nearest(name).is_none_or(|nearest| options::rows().any(|row| row.name == nearest)));
    }
}

fn load(options: &Values, environment: &Values) -> Result<Loaded, Vec<OptionError>> {
    options::load(|name| options.get(name).cloned(), |name| environment.get(name).cloned())
}

/// All that is printed at the start.
fn said(loaded: &Result<Loaded, Vec<OptionError>>) -> String {
    match loaded {
        Ok(loaded) => format!("{} {}", loaded.effective, loaded.dsn_source),
        Err(problems) => problems.iter().map(|problem| format!("{problem} {problem:?}\n")).collect(),
    }
}

/// Returns true if every secret of a value stands where one is expected: within a URL's credentials, or as the key of a DSN.
fn is_hidden(name: &str, value: &str) -> bool {
    let mut places = value.match_indices(KEY).map(|(at, _)| at).peekable();
    if places.peek().is_none() || name == "SENTRY_DSN" && is_alone(value) {
        return true;
    }
    if name == "dsn" {
        return is_alone(value);
    }
    // Paths and lists are shown as they are.
    let shown = name.starts_with("dsn_") || name.eq_ignore_ascii_case("no_proxy");
    let (start, end) = (value.find("://").map(|at| at + 3), value.rfind('@'));
    !shown && places.all(|at| start.is_some_and(|start| start <= at) && end.is_some_and(|end| at + KEY.len() <= end))
}

/// A DSN whose host or path is no second place for its key.
fn is_alone(value: &str) -> bool {
    value.matches(KEY).count() == 1 && value.contains(&format!("://{KEY}@"))
}

/// OptionErrors name what was written, and say what would have been right.
fn told(problems: &[OptionError], options: &Values, environment: &Values) {
    assert!(!problems.is_empty());
    for problem in problems {
        // A variable is named in capitals, also where it was not written so.
        let named = |name: &String| problem.found.contains(&name.to_ascii_uppercase());
        let given = options.contains_key(&problem.option) || environment.keys().any(named);
        let missing = problem.found.is_empty() || problem.found == "nothing" || problem.option == "tls_key_file";
        assert!(given || missing, "{problem} was never written");
        assert!(!problem.expected.is_empty());
    }
}

/// Compares the values of a few options with a slow reference.
fn as_the_twins_have_it(options: &Values, loaded: &Loaded) {
    let delivery = &loaded.settings.delivery;
    let given = |name: &str| options.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    for (name, found) in [("spool_max_size", delivery.spool_max_size), ("queue_max_size", delivery.queue_max_size)] {
        given(name).inspect(|text| assert_eq!(size(text), Some(found), "{name} {text}"));
    }
    for (name, found) in [("ack_timeout", delivery.ack_timeout), ("hold_logs", delivery.hold_logs)] {
        given(name).inspect(|text| assert!(is_about(time(text), found), "{name} {text} is {found:?}"));
    }
    for (name, found) in [("scrub", loaded.settings.mapping.scrub), ("tls_verify", loaded.settings.network.tls_verify)]
    {
        let is_on = |text: &str| ["on", "true", "yes"].iter().any(|on| text.eq_ignore_ascii_case(on));
        given(name).inspect(|text| assert_eq!(is_on(text), found, "{name} {text}"));
    }
    for (name, found) in
        [("message_key", &loaded.settings.mapping.message_key), ("tag_keys", &loaded.settings.mapping.tag_keys)]
    {
        let parts = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        given(name)
            .inspect(|text| assert!(parts(text).iter().filter(|part| !part.is_empty()).eq(found), "{name} {text}"));
    }
    assert!((0.0..=1.0).contains(&loaded.settings.mapping.sample_rate));
    assert!((1..=64).contains(&delivery.senders) && (1..=1000).contains(&delivery.batch_max_items));
    assert!(loaded.settings.mapping.breadcrumbs <= 100 && !loaded.settings.network.timeout.is_zero());
    assert!(
        loaded.settings.mapping.release.as_ref().is_none_or(|text| text.len() <= 200 && !text.contains(['/', '\n']))
    );
}

/// A number and a unit of Fluent Bit's.
fn split(text: &str) -> (&str, String) {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (&text[..at], text[at..].to_ascii_lowercase())
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let zeros = match unit.trim_end_matches('b') {
        "" => "",
        "k" => "000",
        "m" => "000000",
        "g" => "000000000",
        _ => return None,
    };
    format!("{number}{zeros}").parse().ok()
}

fn time(text: &str) -> Option<f64> {
    let (number, unit) = split(text);
    let seconds = match unit.as_str() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * seconds)
}

fn is_about(expected: Option<f64>, found: Duration) -> bool {
    expected.is_some_and(|seconds| (found.as_secs_f64() - seconds).abs() <= 1e-6 * seconds.max(1.0) && seconds <= 3.2e9)
}

/// Blanks around a value are the configuration's, not the value's.
fn blanks_make_no_difference(options: &Values, environment: &Values, loaded: &Result<Loaded, Vec<OptionError>>) {
    let wide: Values = options.iter().map(|(name, value)| (name.clone(), format!(" \t{value} "))).collect();
    let (one, two) = (loaded.as_ref().map(|one| &one.effective), load(&wide, environment).map(|two| two.effective));
    assert_eq!(one.ok(), two.as_ref().ok());
}
