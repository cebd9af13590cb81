//! Derives `module` and `in_app` of Go frames, and the types of Go errors. Follows `stacktrace.go`
//! (`splitQualifiedFunctionName`, `setInAppFrame`, `cleanupFunctionNamePrefix`) and, for the types of the runtime's own
//! errors, `src/runtime/error.go` and `panic.go` of Go.
//!
//! The module is the import path. `in_app` is false for the standard library, `vendor`, `third_party` and downloaded
//! modules. The SDK counts downloaded modules as the application, because its caller can tell. The SDK leaves out frames of
//! `runtime`; here they stay, with `in_app` false.

use super::super::find::Find;
use super::super::model::Frame;
use super::super::text::{after_any, contains_any};
use std::borrow::Cow;

/// Sorted. First elements of the standard library's import paths; an application's own paths have a dot or are `main`.
pub(in super::super) const STANDARD: [&str; 44] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
];

/// A frame of a function with its package, `example.com/shop/stock.(*Shelf).take`.
pub(in super::super) fn frame<'a>(name: &'a str, path: &'a str, line: u32) -> Frame<'a> {
    let package = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name[package..].find('.').map(|at| package + at);
    let (module, function) = dot.map_or((None, name), |at| (Some(&name[..at]), &name[at + 1..]));
    let short = after_any(path, &["/pkg/mod/", "/go/src/"]);
    Frame {
        function: Some(Cow::Borrowed(function)),
        module: module.map(unescaped),
        in_app: Some(in_app(module, path)),
        ..Frame::in_file(path, short, Some(line), None)
    }
}

/// Takes the function around a closure off its name where that function is the caller. Frames are oldest first.
pub(in super::super) fn shorten_closures(frames: &mut [Frame<'_>]) {
    for at in (1..frames.len()).rev() {
        let (callers, rest) = frames.split_at_mut(at);
        let (Some(caller), Some(frame)) = (callers.last(), rest.first_mut()) else { continue };
        let Some(around) = caller.function.as_deref() else { continue };
        let inner = |name: &str| name.strip_prefix(around)?.strip_prefix('.').map(str::len);
        if let Some(Cow::Borrowed(name)) = frame.function
            && let Some(len) = inner(name)
        {
            frame.function = Some(Cow::Borrowed(&name[name.len() - len..]));
        }
    }
}

/// Go writes the dots of an import path's last element as `%2e`.
fn unescaped(module: &str) -> Cow<'_, str> {
    if module.holds("%2e") { Cow::Owned(module.replace("%2e", ".")) } else { Cow::Borrowed(module) }
}

fn in_app(module: Option<&str>, path: &str) -> bool {
    let Some(module) = module else { return false };
    let standard = STANDARD.binary_search(&module.split('/').next().unwrap_or(module)).is_ok();
    let foreign = contains_any(path, &["@v", "/pkg/mod/", "/vendor/", "/third_party/"]);
    !(standard || foreign || contains_any(module, &["third_party", "/vendor/"]))
}

/// Returns the type of the value with which `panic` was called, if the runtime called it: `reflect.TypeOf(err).String()`.
pub(in super::super) fn type_of_panic(value: &str) -> Option<&'static str> {
    const BOUNDS: [&str; 3] =
        ["index out of range ", "slice bounds out of range ", "cannot convert slice with length "];
    const PLAIN: [&str; 6] = [
        "assignment to entry in nil map",
        "close of closed channel",
        "close of nil channel",
        "send on closed channel",
        "makechan: size out of range",
        "all goroutines stack growth",
    ];
    if let Some(error) = value.strip_prefix("runtime error: ") {
        return Some(match error {
            _ if BOUNDS.iter().any(|text| error.starts_with(text)) => "runtime.boundsError",
            _ => "runtime.errorString",
        });
    }
    match value {
        _ if value.starts_with("interface conversion: ") => Some("*runtime.TypeAssertionError"),
        _ if value.starts_with("panic called with nil argument") => Some("*runtime.PanicNilError"),
        _ if PLAIN.iter().any(|text| value.starts_with(text)) => Some("runtime.plainError"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_lose_the_name_of_their_caller() {
        let named = |name| Frame { function: Some(Cow::Borrowed(name)), ..Frame::default() };
        let mut frames = ["main", "run", "run.func1", "run.func1.1", "rung"].map(named);
        shorten_closures(&mut frames);
        let names: Vec<_> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        assert_eq!(names, ["main", "run", "func1", "1", "rung"]);
    }

    #[test]
    fn the_runtimes_errors_have_their_types() {
        for (value, expected) in [
            ("runtime error: index out of range [5] with length 3", Some("runtime.boundsError")),
            ("runtime error: slice bounds out of range [:5] with capacity 3", Some("runtime.boundsError")),
            ("runtime error: integer divide by zero", Some("runtime.errorString")),
            ("runtime error: invalid memory address or nil pointer dereference", Some("runtime.errorString")),
            ("assignment to entry in nil map", Some("runtime.plainError")),
            ("interface conversion: interface {} is string, not int", Some("*runtime.TypeAssertionError")),
            ("boom", None),
        ] {
            assert_eq!(type_of_panic(value), expected, "{value}");
        }
    }

    #[test]
    fn foreign_code_is_not_the_application() {
        for (name, path) in [
            ("net/http.HandlerFunc.ServeHTTP", "/usr/local/go/src/net/http/server.go"),
            ("gopkg.in/yaml%2ev3.Unmarshal", "/go/pkg/mod/gopkg.in/yaml.v3@v3.0.1/yaml.go"),
            ("example.com/shop/third_party/x.F", "/src/third_party/x/x.go"),
            ("example.com/shop/vendor/x.F", "/src/vendor/x/x.go"),
        ] {
            assert_eq!(frame(name, path, 1).in_app, Some(false), "{name}");
        }
        assert_eq!(frame("example.com/shop/stock.(*Shelf).take", "/src/stock/shelf.go", 1).in_app, Some(true));
    }
}
