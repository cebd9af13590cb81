//! Derives `module` and `in_app` of Node frames. Follows `core/src/utils/node-stack-trace.ts` (`node`, `filenameIsInApp`),
//! `node-core/src/utils/module.ts` (`createGetModuleFromFilename`) and, for the source line,
//! `node-core/src/integrations/contextlines.ts`.
//!
//! | path | module | in_app |
//! |---|---|---|
//! | `/app/node_modules/express/lib/router/layer.js` | `express.lib.router:layer` | false |
//! | `/app/orders/store.js`, started as `/app/main.js` | `orders:store` | true |
//! | `node:internal/modules/cjs/loader` | `loader` | false |
//! | `[eval]`, `evalmachine.<anonymous>`, `bun:main`, `index 0` | the name | false |
//!
//! The filename is the whole path. A frame without a function is called `?`. The SDK also replaces `<anonymous>` by `?`;
//! here V8's name stays. The SDK takes the directory of the started file as the application's directory. If the trace does
//! not show that file, the directory of the project is guessed, and for a compiled project the directory of its output.

use super::super::find::Find;
use super::super::model::{Exception, Frame};
use super::super::text::starts_with_any;
use super::roots::below_root;
use std::borrow::Cow;

const MODULES: &str = "/node_modules";
/// Directories in which the started file usually is.
const OUTPUTS: [&str; 6] = ["build", "dist", "lib", "out", "server", "src"];
/// Functions that run the started file.
const STARTERS: [&str; 3] = ["Function.executeUserEntryPoint", "executeUserEntryPoint", "Module.runMain"];

/// Sets `module` and `in_app` of all frames, whose filename is the path. The outermost exception is the last.
pub(in super::super) fn complete<'a>(exceptions: &mut [Exception<'a>]) {
    let base = exceptions.iter().rev().find(|exception| !exception.frames.is_empty()).and_then(started_in);
    for frame in exceptions.iter_mut().flat_map(|exception| &mut exception.frames) {
        let Some(path) = frame.filename.clone() else { continue };
        frame.in_app = Some(in_app(&path));
        frame.module = match path {
            Cow::Owned(path) if path.starts_with("<data:") => None,
            Cow::Borrowed(path) => Some(module(path, base)),
            Cow::Owned(path) => Some(Cow::Owned(module(&path, base).into_owned())),
        };
    }
}

/// The directory of the file that Node was started with, if the frames show it: the oldest one that is not Node's own,
/// above the function that runs it.
fn started_in<'a>(outermost: &Exception<'a>) -> Option<&'a str> {
    let path = |frame: &Frame<'a>| match frame.filename {
        Some(Cow::Borrowed(path)) => Some(path),
        _ => None,
    };
    let runs = |frame: &Frame<'_>| frame.function.as_deref().is_some_and(|name| starts_with_any(name, &STARTERS));
    let at = outermost.frames.iter().position(|frame| path(frame).is_some_and(in_app))?;
    let frame = &outermost.frames[at];
    let is_script = frame.function.as_deref() == Some("Object.<anonymous>") && outermost.frames[..at].iter().any(runs);
    path(frame).filter(|_| is_script)?.cut_at_last_byte(b'/').map(|(directory, _)| directory)
}

/// `filenameIsInApp`: absolute paths and URLs, and paths that begin with a dot, outside of `node_modules`.
pub(in super::super) fn in_app(path: &str) -> bool {
    let drive = matches!(path.as_bytes(), [b'A'..=b'Z', b':', ..]);
    let url = || {
        let scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-'))
        };
        path.cut_at("://").is_some_and(|(before, _)| scheme(before))
    };
    (path.starts_with(['/', '.']) || drive || url()) && !path.holds("node_modules/") && !path.holds("node_modules\\")
}

fn module<'a>(path: &'a str, base: Option<&str>) -> Cow<'a, str> {
    if path.holds_byte(b'\\') {
        let path = path.get(1..2).filter(|colon| *colon == ":").map_or(path, |_| &path[2..]);
        return Cow::Owned(module(&path.replace('\\', "/"), base).into_owned());
    }
    let (directory, file) = path.cut_at_last_byte(b'/').unwrap_or(("", path));
    let name = [".js", ".mjs", ".cjs"].iter().find_map(|kind| file.strip_suffix(kind)).unwrap_or(file);
    let within = |directory: &str| match directory {
        "" => Cow::Borrowed(name),
        _ => Cow::Owned(format!("{}:{name}", directory.replace('/', "."))),
    };
    if let Some(at) = directory.last_place_of(MODULES) {
        let directory = directory[at + MODULES.len()..].trim_start_matches('/');
        return Cow::Owned(format!("{}:{name}", directory.replace('/', ".")));
    }
    if let Some(below) = base.and_then(|base| directory.strip_prefix(base)) {
        return within(below.trim_start_matches('/'));
    }
    if !in_app(path) {
        return Cow::Borrowed(name);
    }
    let below = below_root(path).cut_at_last_byte(b'/').map_or("", |(directory, _)| directory);
    let (first, rest) = below.cut_at_byte(b'/').unwrap_or((below, ""));
    within(if OUTPUTS.contains(&first) { rest } else { below })
}

/// Returns a path without the parts that a URL adds to it: the scheme, the slash before a drive, the escapes.
pub(in super::super) fn path(text: &str) -> Cow<'_, str> {
    let path = text.strip_prefix("file://").unwrap_or(text);
    let path = match path.as_bytes() {
        [b'/', b'A'..=b'Z', b':', ..] => &path[1..],
        _ => path,
    };
    if path.holds_byte(b'%') { decoded(path).map_or(Cow::Borrowed(path), Cow::Owned) } else { Cow::Borrowed(path) }
}

/// `decodeURI`, which leaves the characters that have a meaning in a URL; none if an escape is wrong.
fn decoded(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        let value = u8::from_str_radix(hex, 16).ok()?;
        if b";/?:@&=+$,#".contains(&value) {
            out.push(b'%');
            continue;
        }
        out.push(value);
        rest = &rest[2..];
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_by_the_sdk() {
        for (path, base, expected) in [
            ("/app/node_modules/express/lib/router/layer.js", None, "express.lib.router:layer"),
            ("/app/node_modules/.pnpm/a@1/node_modules/@x/a/index.mjs", None, "@x.a:index"),
            ("/srv/shop/orders/store.js", Some("/srv/shop"), "orders:store"),
            ("/srv/shop/main.ts", Some("/srv/shop"), "main.ts"),
            ("/usr/src/app/orders/store.cjs", None, "orders:store"),
            ("/app/dist/orders/orders.service.js", None, "orders:orders.service"),
            ("/app/main.js", None, "main"),
            ("C:\\app\\orders\\store.js", None, "orders:store"),
            ("node:internal/modules/cjs/loader", None, "loader"),
            ("evalmachine.<anonymous>", None, "evalmachine.<anonymous>"),
            ("/elsewhere/orders/views.js", Some("/app"), "orders:views"),
        ] {
            assert_eq!(module(path, base), expected, "{path}");
        }
    }

    #[test]
    fn only_files_outside_of_packages_are_the_application() {
        for path in ["/app/a.js", "C:\\a.js", "./a.js", "webpack://shop/a.js", "https://shop/a.js"] {
            assert!(in_app(path), "{path}");
        }
        for path in [
            "/app/node_modules/a.js",
            "node:fs",
            "internal/x.js",
            "module.js",
            "[eval]",
            "bun:main",
            "index 0",
            "data:x",
        ] {
            assert!(!in_app(path), "{path}");
        }
    }

    #[test]
    fn paths_are_no_urls() {
        assert_eq!(path("file:///app/my%20shop/%C3%A4.js"), "/app/my shop/\u{e4}.js");
        assert_eq!(path("file:///C:/app/a.js"), "C:/app/a.js");
        assert_eq!(path("/app/100%.js"), "/app/100%.js");
        assert_eq!(path("/app/a%2Fb.js"), "/app/a%2Fb.js");
    }
}
