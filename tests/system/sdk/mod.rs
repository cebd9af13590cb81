//! Our events of printed exceptions beside those of Sentry's own SDKs for the same failures: fields, and what Sentry groups by.
//!
//! `make sdk-parity` prints the table. What cannot be equal is in `docs/sdk-parity.md`.

mod grouping;

use grouping::components;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io::Write};
use testkit::process::{self, Launch};
use testkit::python::Packages;
use testkit::suite::Suite;

const PYTHON: Packages = Packages { name: "sentry-sdk", version: "2.75.0", pins: &["sentry-sdk==2.75.0"] };
const NODE: &str = "@sentry/node@11.12.0";
/// Longest an installation or a build takes before it is given up.
const LIMIT: Duration = Duration::from_secs(240);

pub fn add(suite: Suite) -> Suite {
    // Python 3.11 is the first with groups.
    let python = PYTHON.environment().and_then(|environment| has_groups(&environment.python()));
    suite
        .test("files_of_one_name_are_two_issues_and_group_members_are_counted_once", issues_are_told_apart)
        .needing(&python, "python_events_are_those_of_the_sdk", |python| compare(&Program::python(python)))
        .needing(&node(), "node_events_are_those_of_the_sdk", |sdk| compare(&Program::node(sdk)))
        .needing(&rust(), "rust_events_are_those_of_the_sdk", |program| compare(&Program::rust(program)))
}

/// A program that fails in several ways.
struct Program {
    language: &'static str,
    cases: &'static [&'static str],
    /// Pairs of cases, and whether Sentry shows them as one issue.
    pairs: &'static [(&'static str, &'static str, bool)],
    /// Fields that need not be equal.
    except: &'static [&'static str],
    /// Cases whose trace does not show the started file, by whose directory the SDK names modules.
    unrooted: &'static [&'static str],
    /// Prefix of the application's functions, where the SDK counts others as the application's.
    own: &'static str,
    /// Everything that Sentry groups by is printed.
    same_issue: bool,
    /// Runs a case: the SDK's event, and what the runtime printed.
    run: Box<Run>,
}

/// Runs a case.
type Run = dyn Fn(&str) -> (Value, String);
/// The text of a failure in a package, with so many members.
type Text<'t> = &'t dyn Fn(&str, usize) -> String;

impl Program {
    fn python(python: PathBuf) -> Self {
        let run = move |case: &str| {
            let mut python = Command::new(&python);
            let python = python.args(["main.py", case]).env("PYTHONDONTWRITEBYTECODE", "1");
            let output = output(python.current_dir(sources("python")));
            (sdk_event(&output.0), output.1)
        };
        Self {
            language: "python",
            cases: &[
                "views_orders",
                "views_users",
                "library",
                "cause",
                "context",
                "group_of_2",
                "group_of_3",
                "group_of_kinds",
                "group_within",
            ],
            pairs: &[
                ("group_of_2", "group_of_3", true),
                ("views_orders", "views_users", false),
                ("group_of_2", "group_of_kinds", false),
            ],
            except: &[],
            unrooted: &[],
            own: "",
            same_issue: true,
            run: Box::new(run),
        }
    }

    fn node(sdk: PathBuf) -> Self {
        let run = move |case: &str| {
            let mut node = Command::new("node");
            let printed = output(node.arg("main.cjs").args(case.split(' ')).current_dir(&sdk)).1;
            let mut node = Command::new("node");
            let sent =
                output(node.args(["--import", "./sdk.cjs", "main.cjs"]).args(case.split(' ')).current_dir(&sdk)).0;
            (sdk_event(&sent), printed)
        };
        Self {
            language: "node",
            cases: &[
                "views_orders",
                "views_users",
                "library",
                "method",
                "cause",
                "group 2",
                "group 3",
                "anonymous_1",
                "anonymous_2",
            ],
            pairs: &[
                ("group 2", "group 3", true),
                ("views_orders", "views_users", false),
                ("anonymous_1", "anonymous_2", false),
            ],
            except: &[],
            unrooted: &["anonymous_1", "anonymous_2"],
            own: "",
            same_issue: false,
            run: Box::new(run),
        }
    }

    fn rust(program: PathBuf) -> Self {
        let run = move |case: &str| {
            let output = output(Command::new(&program).arg(case).env("RUST_BACKTRACE", "full"));
            (sdk_event(&output.0), output.1)
        };
        Self {
            language: "rust",
            cases: &["index", "parse"],
            pairs: &[("index", "parse", false)],
            // The crate reads the symbols itself and sends paths whole.
            except: &["module", "filename", "in_app", "colno", "context_line"],
            unrooted: &[],
            own: "sdk_program::",
            same_issue: false,
            run: Box::new(run),
        }
    }
}

fn compare(program: &Program) {
    let mut table = String::new();
    let mut failures = Vec::new();
    let mut groups = BTreeMap::new();
    for case in program.cases {
        let (theirs, printed) = (program.run)(case);
        let ours = explain(&printed);
        let (left, right) = (components(&ours), components(&theirs));
        let same = if left == right { "same" } else { "other" };
        let mut except = program.except.to_vec();
        except.extend(Some("module").filter(|_| program.unrooted.contains(case)));
        let differences = differences(&ours, &theirs, &except, program.own);
        let said = if differences.is_empty() { "equal".to_owned() } else { differences.join("; ") };
        table.push_str(&format!("{:6} {case:16} fields {said}; issue {same}\n", program.language));
        if same == "other" {
            let only = |one: &[String], other: &[String]| {
                one.iter().filter(|part| !other.contains(part)).cloned().collect::<Vec<_>>().join(" | ")
            };
            table.push_str(&format!(
                "       ours only: {}\n       sdk only:  {}\n",
                only(&left, &right),
                only(&right, &left)
            ));
        }
        failures.extend(differences.into_iter().map(|difference| format!("{case}: {difference}")));
        if program.same_issue && left != right {
            failures.push(format!("{case}: grouped by {left:?}, the SDK's by {right:?}"));
        }
        groups.insert(*case, left);
    }
    for (one, two, same) in program.pairs {
        if (groups[one] == groups[two]) != *same {
            failures.push(format!("{one} and {two}: expected {}", if *same { "one issue" } else { "two issues" }));
        }
    }
    if std::env::var_os("SDK_PARITY").is_some() {
        // Above the harness's own lines.
        _ = std::io::stderr().write_all(table.as_bytes());
    }
    assert!(failures.is_empty(), "{}\n{table}", failures.join("\n"));
}

/// Fields of the exceptions, and of the application's frames, that differ.
fn differences(ours: &Value, theirs: &Value, except: &[&str], own: &str) -> Vec<String> {
    let list = |event: &Value| event["exception"]["values"].as_array().cloned().unwrap_or_default();
    let (mine, sdks) = (list(ours), list(theirs));
    if mine.len() != sdks.len() {
        return vec![format!("{} exceptions, the SDK has {}", mine.len(), sdks.len())];
    }
    let mut found = Vec::new();
    let mut check = |what: String, ours: &Value, theirs: &Value| {
        let absent = |value: &Value| value.is_null() || *value == "";
        if ours != theirs && !(absent(ours) && absent(theirs)) {
            found.push(format!("{what} {ours}, the SDK has {theirs}"));
        }
    };
    for (mine, sdks) in mine.iter().zip(&sdks) {
        for field in ["type", "value", "module"] {
            check(format!("exception.{field}"), &mine[field], &sdks[field]);
        }
        for field in ["exception_id", "parent_id", "source", "is_exception_group"] {
            check(field.into(), &mine["mechanism"][field], &sdks["mechanism"][field]);
        }
        let app = |exception: &Value| {
            let frames = exception["stacktrace"]["frames"].as_array().cloned().unwrap_or_default();
            let is_own = |frame: &Value| frame["function"].as_str().unwrap_or_default().starts_with(own);
            frames.into_iter().filter(|frame| frame["in_app"] == true && is_own(frame)).collect::<Vec<_>>()
        };
        let (own, other) = (app(mine), app(sdks));
        check("frames".into(), &json!(own.len()), &json!(other.len()));
        for (own, other) in own.iter().zip(&other) {
            for field in ["function", "module", "filename", "lineno", "colno", "context_line"] {
                // Not all source lines are printed.
                let unprinted = field == "context_line" && own[field].is_null();
                if !(unprinted || except.contains(&field)) {
                    check(field.into(), &plain(&own[field]), &plain(&other[field]));
                }
            }
        }
    }
    found
}

/// A field without what means the same to Sentry: blanks around a source line, V8's name of a function that has none.
fn plain(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| json!(text.trim().replace("<anonymous>", "?")))
}

/// Two failures in files of one name are two issues; one failure with another number of members is one.
fn issues_are_told_apart() {
    let java = |package: &str, closed: usize| {
        let suppressed = "\tSuppressed: java.io.IOException: not closed\n\t\tat shop.Pool.close(Pool.java:9)\n";
        format!(
            "java.lang.IllegalStateException: out of stock\n\tat shop.{package}.Views.get(Views.java:4)\n{}",
            suppressed.repeat(closed)
        )
    };
    let dotnet = |space: &str, members: usize| {
        let member = |n| {
            format!(
                " ---> (Inner Exception #{n}) Shop.StockException: empty\n   at Shop.{space}.Views.Take() in /src/Views.cs:line 7<---\n\n"
            )
        };
        format!(
            "System.AggregateException: One or more errors occurred. (empty)\n ---> Shop.StockException: empty\n   at Shop.{space}.Views.Take() in /src/Views.cs:line 7\n   --- End of inner exception stack trace ---\n   at Shop.Program.Main() in /src/Program.cs:line 3\n{}",
            (1..members).map(member).collect::<String>()
        )
    };
    let python = |package: &str, members: usize| {
        let member = |n| {
            format!(
                "  {}+---------------- {n} ----------------\n    | Traceback (most recent call last):\n    |   File \"/app/{package}/views.py\", line 4, in get\n    |     return rows[key]\n    | KeyError: 'mug'\n",
                if n == 1 { "+-" } else { "  " }
            )
        };
        format!(
            "  + Exception Group Traceback (most recent call last):\n  |   File \"/app/{package}/views.py\", line 9, in all\n  |     raise ExceptionGroup(\"batch\", errors)\n  | ExceptionGroup: batch ({members} sub-exceptions)\n{}    +------------------------------------\n",
            (1..=members).map(member).collect::<String>()
        )
    };
    let node = |package: &str, members: usize| {
        let member = format!("    Error: empty\n        at get (/app/{package}/views.js:1:43)");
        format!(
            "[AggregateError: All promises were rejected] {{\n  [errors]: [\n{}\n  ]\n}}\n",
            vec![member; members].join(",\n")
        )
    };
    let issue = |text: String| {
        let event = explain(&text);
        assert!(!event["exception"].is_null(), "expected an exception of {text}");
        components(&event)
    };
    let texts: [(&str, Text<'_>); 4] = [("java", &java), ("dotnet", &dotnet), ("python", &python), ("node", &node)];
    for (language, text) in texts {
        let two = issue(text("orders", 2));
        assert_eq!(two, issue(text("orders", 3)), "{language}: the same with three members");
        assert_ne!(two, issue(text("users", 2)), "{language}: in another file of the same name");
    }
}

/// The event of a text, given as one record.
fn explain(text: &str) -> Value {
    let record = json!({"log": text.trim_end()}).to_string();
    let mut explain = Command::new(testkit::companion());
    explain.args(["explain", "-o", "dsn=http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1"]);
    explain.args(["--json", "--format", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = explain.spawn().expect("expected the companion to start");
    child.stdin.take().expect("expected its input").write_all(record.as_bytes()).expect("expected it to read");
    let output = child.wait_with_output().expect("expected its output");
    let text = String::from_utf8(output.stdout).expect("expected UTF-8");
    let results = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = results.into_iter().find(|result| result["category"] == "event" && result["outcome"] == "accepted");
    event.map(|result| result["payload"].clone()).unwrap_or_default()
}

/// Returns the standard output and error of a program.
fn output(command: &mut Command) -> (String, String) {
    let output = command.stdin(Stdio::null()).output().expect("expected the program to start");
    let text = |bytes| String::from_utf8(bytes).expect("expected UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn sdk_event(text: &str) -> Value {
    let found = text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object));
    found.unwrap_or_else(|| panic!("expected an event of the SDK, found {text:?}"))
}

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(language)
}

fn has_groups(python: &Path) -> Result<PathBuf, String> {
    let output = Command::new(python).args(["-c", "ExceptionGroup"]).output().map_err(|error| error.to_string())?;
    let missing = || "python3 is older than 3.11 and has no exception groups".to_owned();
    output.status.success().then(|| python.to_owned()).ok_or_else(missing)
}

/// The program with Sentry's SDK beside it.
fn node() -> Result<PathBuf, String> {
    let (node, npm) = (process::on_path("node"), process::on_path("npm"));
    let (Some(_), Some(npm)) = (node, npm) else { return Err("no node and npm on PATH".into()) };
    let dir = testkit::artefacts::target_dir().join("real/sentry-node");
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    copy(&sources("node"), &dir).map_err(failed)?;
    if !dir.join("node_modules/@sentry/node/package.json").exists() {
        fs::write(dir.join("package.json"), "{\"private\": true}").map_err(failed)?;
        let args = ["install", "--no-audit", "--no-fund", "--fetch-retries=1", NODE].map(OsStr::new).to_vec();
        run(&npm, args, &dir, "the npm registry cannot be reached")?;
    }
    Ok(dir)
}

/// The program built with Sentry's crate.
fn rust() -> Result<PathBuf, String> {
    let dir = testkit::artefacts::target_dir().join("real/sentry-rust");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let manifest = sources("rust").join("Cargo.toml");
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut args = ["build", "--quiet", "--manifest-path"].map(OsStr::new).to_vec();
    let target = dir.join("target");
    args.extend([manifest.as_os_str(), OsStr::new("--target-dir"), target.as_os_str()]);
    run(&cargo, args, &dir, "the crate sentry cannot be built")?;
    Ok(target.join("debug/sdk-program"))
}

fn run(program: &Path, args: Vec<&OsStr>, dir: &Path, why: &str) -> Result<(), String> {
    let log = dir.join("install.log");
    let launch =
        Launch { program: program.as_os_str(), args, env: Vec::new(), without_env: &[], dir, temporary: None, log };
    match launch.run(LIMIT).map_err(|error| format!("{}: {error}", program.display()))? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(format!("{why} (log: {})", launch.log.display())),
        None => Err(format!("{why} within {} s", LIMIT.as_secs())),
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
