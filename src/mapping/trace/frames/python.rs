//! Derives `module`, `filename` and `in_app` of Python frames. Follows `sentry_sdk/utils.py`: `serialize_frame` (the module
//! is the frame's `__name__`), `filename_for_module`, `set_in_app_in_frames`.
//!
//! | path | module | filename | in_app |
//! |---|---|---|---|
//! | `<frozen runpy>` | `runpy` | as printed | false |
//! | below `site-packages`, `dist-packages`, an egg | dotted | below that directory | false |
//! | below `lib/python3.12`, `lib64/python3.9`, `lib/pypy3.10`, `lib-python/3`, `Python312\Lib` | dotted | below it | false |
//! | below `/var/runtime`, `/opt/python` (AWS Lambda's runtime and layers) | dotted | below it | false |
//! | the file that was started (`<module>` is the oldest frame) | `__main__` | its name | true, a script in `bin` false |
//! | below the directory of that file, or of a project | dotted | below it | true |
//! | without `.py`: `<string>`, a template | none | as printed | true |
//!
//! The SDK asks the module for its name, and shortens a path by the directory of the top package. For a module that is in no
//! package it sends only the file name.

use super::super::find::Find;
use super::super::model::{Exception, Frame};
use super::super::text::{contains_any, starts_with_any};
use super::roots::below_root;
use std::borrow::Cow;

/// Directories that are not the application's, besides packages and the standard library.
const RUNTIMES: [&str; 2] = ["/var/runtime/", "/opt/python/"];

/// Sets `module`, `filename` and `in_app` of all frames of a traceback, whose outermost exception is the last.
pub(in super::super) fn complete<'a>(exceptions: &mut [Exception<'a>]) {
    let entry = exceptions.iter().rev().find(|exception| !exception.frames.is_empty()).and_then(Entry::of);
    let mut last = (None, None, None, None);
    for frame in exceptions.iter_mut().flat_map(|exception| &mut exception.frames) {
        let Some(Cow::Borrowed(path)) = frame.filename else { continue };
        // Frames of the same file stand together, and a name is made for each module anew.
        if last.0 != Some(path) {
            let place = Place::of(path, entry.as_ref());
            last = (Some(path), place.module, Some(place.filename), Some(place.in_app));
        }
        frame.module.clone_from(&last.1);
        frame.filename = last.2.map(Cow::Borrowed);
        frame.in_app = last.3;
    }
}

/// The file that Python was started with.
struct Entry<'a> {
    path: &'a str,
    /// Its directory with a slash at the end, where the application's modules are; none if that is not known.
    directory: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(outermost: &Exception<'a>) -> Option<Self> {
        let is_runpy = |frame: &&Frame<'a>| {
            frame.filename.as_deref().is_some_and(|path| path == "<frozen runpy>" || path.ends_with("/runpy.py"))
        };
        let by_name = outermost.frames.iter().take_while(is_runpy).count();
        let frame = outermost.frames.get(by_name).filter(|frame| frame.function.as_deref() == Some("<module>"))?;
        let Some(Cow::Borrowed(path)) = frame.filename else { return None };
        let file = path.rfind(['/', '\\']).map_or(0, |at| at + 1);
        // `python -m package.module` does not begin in the directory of the module.
        let is_root = by_name == 0 && file > 0 && library(path).is_none() && !is_script(path);
        Some(Self { path, directory: is_root.then_some(&path[..file]) })
    }
}

struct Place<'a> {
    module: Option<Cow<'a, str>>,
    filename: &'a str,
    in_app: bool,
}

impl<'a> Place<'a> {
    fn of(path: &'a str, entry: Option<&Entry<'a>>) -> Self {
        let in_library = library(path);
        let in_app = in_library.is_none() && !path.starts_with('<') && !is_script(path);
        if entry.is_some_and(|entry| entry.path == path) {
            let in_app = in_app || path.starts_with('<') && !path.starts_with("<frozen ");
            return Self { module: Some(Cow::Borrowed("__main__")), filename: file_name(path), in_app };
        }
        if let Some(name) = path.strip_prefix("<frozen ").and_then(|rest| rest.strip_suffix('>')) {
            return Self { module: Some(Cow::Borrowed(name)), filename: path, in_app: false };
        }
        let below = entry.and_then(|entry| path.strip_prefix(entry.directory?));
        let rest = in_library.or(below).unwrap_or_else(|| below_root(path));
        match dotted(rest) {
            None => {
                Self { module: None, filename: in_library.unwrap_or(path), in_app: in_app || path.starts_with('<') }
            }
            Some(module) => {
                let filename = if module.holds_byte(b'.') { rest } else { file_name(rest) };
                Self { module: Some(module), filename, in_app }
            }
        }
    }
}

/// Returns the part of a path that is below a directory of packages, the standard library or the runtime.
fn library(path: &str) -> Option<&str> {
    if path.holds("-packages") {
        for directory in ["site-packages", "dist-packages"] {
            let Some((before, rest)) = path.cut_at_last(directory) else { continue };
            if before.ends_with(['/', '\\']) && rest.starts_with(['/', '\\']) {
                return Some(without_egg(&rest[1..]));
            }
        }
    }
    let standard = standard(path, "/lib/python").or_else(|| standard(path, "/lib64/python"));
    let standard = standard.or_else(|| standard_of_pypy(path)).or_else(|| standard_of_windows(path));
    let runtime = || RUNTIMES.iter().find_map(|runtime| path.strip_prefix(*runtime));
    standard.map(|rest| rest.strip_prefix("lib-dynload/").unwrap_or(rest)).or_else(runtime)
}

/// Returns the part of a path that follows `/lib/python3.12/`.
fn standard<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = &path[path.place_of(directory)? + directory.len()..];
    let (version, rest) = rest.cut_at_byte(b'/')?;
    version.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b't')).then_some(rest)
}

fn standard_of_pypy(path: &str) -> Option<&str> {
    if !path.holds("py") {
        return None;
    }
    let versioned = standard(path, "/lib/pypy");
    versioned.or_else(|| path.cut_at("/lib-python/")?.1.cut_at_byte(b'/').map(|(_, rest)| rest)).or_else(|| {
        let (_, rest) = path.cut_at("/lib_pypy/")?;
        Some(rest)
    })
}

/// Returns the part of a path that follows `C:\Python312\Lib\`.
fn standard_of_windows(path: &str) -> Option<&str> {
    if !path.holds_byte(b'\\') {
        return None;
    }
    let (before, rest) = path.cut_at("\\Lib\\").or_else(|| path.cut_at("\\lib\\"))?;
    contains_any(before, &["ython", "conda"]).then_some(rest)
}

/// An egg is a directory, or an archive, in which the package is.
fn without_egg(path: &str) -> &str {
    match path.cut_at_byte(b'/') {
        Some((egg, rest)) if egg.ends_with(".egg") => rest,
        _ => path,
    }
}

/// Returns true for a script that a package installs to start it: `/opt/venv/bin/gunicorn`.
fn is_script(path: &str) -> bool {
    let Some((directory, name)) = path.cut_at_last_byte(b'/').or_else(|| path.cut_at_last_byte(b'\\')) else {
        return false;
    };
    let in_bin = directory.ends_with("/bin") || directory.ends_with("\\Scripts");
    in_bin && (!name.holds(".py") || starts_with_any(path, &["/usr/"]))
}

fn file_name(path: &str) -> &str {
    path.rfind(['/', '\\']).map_or(path, |at| &path[at + 1..])
}

/// `orders/store.py` as `orders.store`, `orders/__init__.py` as `orders`.
fn dotted(path: &str) -> Option<Cow<'_, str>> {
    let path = path.strip_suffix(".py").or_else(|| path.strip_suffix(".pyc"))?;
    let path = path.strip_suffix("__init__").and_then(|package| package.strip_suffix(['/', '\\'])).unwrap_or(path);
    let parted = path.holds_byte(b'/') || path.holds_byte(b'\\');
    Some(if parted { Cow::Owned(path.replace(['/', '\\'], ".")) } else { Cow::Borrowed(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Module, filename and `in_app` of frames, each given as path and function, oldest first.
    fn places(frames: &[(&'static str, &'static str)]) -> Vec<(Option<String>, String, bool)> {
        let frame = |&(path, function): &(&'static str, &'static str)| Frame {
            filename: Some(Cow::Borrowed(path)),
            function: Some(Cow::Borrowed(function)),
            ..Frame::default()
        };
        let mut exceptions = [Exception { frames: frames.iter().map(frame).collect(), ..Exception::default() }];
        complete(&mut exceptions);
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let [exception] = exceptions;
        exception
            .frames
            .iter()
            .map(|f| (text(&f.module), text(&f.filename).unwrap_or_default(), f.in_app.unwrap_or_default()))
            .collect()
    }

    fn place(path: &'static str) -> (Option<String>, String, bool) {
        places(&[(path, "f")]).remove(0)
    }

    #[test]
    fn libraries_are_known_by_their_directories() {
        for (path, module, filename) in [
            ("/opt/venv/lib/python3.11/site-packages/urllib3/util/url.py", "urllib3.util.url", "urllib3/util/url.py"),
            ("/usr/lib/python3/dist-packages/six.py", "six", "six.py"),
            ("/usr/lib/python3/dist-packages/pkg_resources/__init__.py", "pkg_resources", "__init__.py"),
            ("/x/site-packages/shop-1.0-py3.9.egg/shop/a.py", "shop.a", "shop/a.py"),
            ("C:\\venv\\Lib\\site-packages\\django\\core\\wsgi.py", "django.core.wsgi", "django\\core\\wsgi.py"),
            ("/usr/lib64/python3.9/json/decoder.py", "json.decoder", "json/decoder.py"),
            ("/usr/local/lib/python3.13t/threading.py", "threading", "threading.py"),
            ("/usr/local/lib/pypy3.10/json/decoder.py", "json.decoder", "json/decoder.py"),
            ("/opt/pypy/lib-python/3/json/decoder.py", "json.decoder", "json/decoder.py"),
            ("C:\\Python312\\Lib\\json\\decoder.py", "json.decoder", "json\\decoder.py"),
            ("/var/runtime/bootstrap.py", "bootstrap", "bootstrap.py"),
            ("/opt/python/shared/db.py", "shared.db", "shared/db.py"),
            ("<frozen importlib._bootstrap>", "importlib._bootstrap", "<frozen importlib._bootstrap>"),
        ] {
            assert_eq!(place(path), (Some(module.to_owned()), filename.to_owned(), false), "{path}");
        }
    }

    #[test]
    fn files_of_the_same_name_have_different_modules() {
        for root in ["/usr/src/app", "/srv/shop", "/var/lib/some/where", "D:\\deploy\\x"] {
            let orders = Place::of(&format!("{root}/orders/views.py"), None).module.map(Cow::into_owned);
            let users = Place::of(&format!("{root}/users/views.py"), None).module.map(Cow::into_owned);
            assert!(orders.is_some() && orders != users, "{root}: {orders:?}");
        }
    }

    #[test]
    fn the_started_file_is_main_and_its_directory_the_root() {
        let found = places(&[
            ("/somewhere/deep/run.py", "<module>"),
            ("/somewhere/deep/shop/orders/store.py", "f"),
            ("/somewhere/deep/run.py", "main"),
            ("/somewhere/else/x.py", "f"),
        ]);
        let modules: Vec<_> = found.iter().map(|(module, ..)| module.as_deref().unwrap_or_default()).collect();
        assert_eq!(modules, ["__main__", "shop.orders.store", "__main__", "else.x"]);
        assert_eq!(found[0].1, "run.py");
        // Started by its name, the directory of a module is not the root.
        let by_name =
            places(&[("<frozen runpy>", "_run_code"), ("/app/shop/run.py", "<module>"), ("/app/shop/a.py", "f")]);
        assert_eq!(by_name[1].0.as_deref(), Some("__main__"));
        assert_eq!(by_name[2].0.as_deref(), Some("shop.a"));
        // A file that is imported within a request is not the started one.
        let imported = places(&[("/app/shop/wsgi.py", "get"), ("/app/shop/late.py", "<module>")]);
        assert_eq!(imported[1].0.as_deref(), Some("shop.late"));
    }

    #[test]
    fn scripts_of_packages_are_not_the_application() {
        let found = places(&[("/opt/venv/bin/gunicorn", "<module>"), ("/app/shop/wsgi.py", "get")]);
        assert_eq!(found[0], (Some("__main__".to_owned()), "gunicorn".to_owned(), false));
        assert_eq!(found[1], (Some("shop.wsgi".to_owned()), "shop/wsgi.py".to_owned(), true));
    }

    #[test]
    fn what_is_no_file_has_no_module() {
        assert_eq!(place("<string>"), (None, "<string>".to_owned(), true));
        assert_eq!(place("/app/templates/a.html"), (None, "/app/templates/a.html".to_owned(), true));
        assert_eq!(places(&[("<string>", "<module>")])[0], (Some("__main__".to_owned()), "<string>".to_owned(), true));
    }
}
