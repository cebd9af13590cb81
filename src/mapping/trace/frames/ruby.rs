//! Derives the fields of Ruby frames. Follows `lib/sentry/backtrace/line.rb` (`RUBY_INPUT_FORMAT`): since Ruby 3.4 the label
//! of a method contains its class, as in `Order#reserve`, and the class is the module. The labels of blocks and class
//! methods, and older labels, are the function unchanged.
//!
//! The SDK knows the project's directory and makes the filename relative to it or to the load path. Here the filename is the
//! part of the path after the directory of the gems or of the standard library. `in_app` is false for these, `vendor` and
//! `<internal:`.

use super::super::find::Find;
use super::super::model::Frame;
use super::super::text::{after_any, starts_with_any};
use std::borrow::Cow;

/// Returns a frame in a file; `label` is the text in the quotes.
pub(in super::super) fn in_file<'a>(path: &'a str, line: u32, label: Option<&'a str>) -> Frame<'a> {
    let short = after_any(path, &["/gems/", "/bundler/gems/"]);
    let short = library(short).unwrap_or(short);
    let foreign = short.len() < path.len() || path.holds("/vendor/") || starts_with_any(path, &["<internal:", "/usr/"]);
    let (module, function) = label.map(split).unzip();
    Frame {
        function: function.map(Cow::Borrowed),
        module: module.flatten().map(Cow::Borrowed),
        in_app: Some(!foreign),
        ..Frame::in_file(path, short, Some(line), None)
    }
}

/// Class and method of a label.
fn split(label: &str) -> (Option<&str>, &str) {
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    match label.cut_at_byte(b'#') {
        Some((class, method)) if !class.is_empty() && !method.is_empty() && class.bytes().all(part) => {
            (Some(class), method)
        }
        _ => (None, label),
    }
}

/// Returns the part of a path that follows `/lib/ruby/3.3.0/`.
fn library(path: &str) -> Option<&str> {
    let (version, rest) = path[path.place_of("/lib/ruby/")? + "/lib/ruby/".len()..].cut_at_byte(b'/')?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_class_is_the_module() {
        for (label, expected) in [
            ("Shop::Order#reserve", (Some("Shop::Order"), "reserve")),
            ("block in Order#call", (None, "block in Order#call")),
            ("Shop::Util.each", (None, "Shop::Util.each")),
            ("reserve", (None, "reserve")),
            ("#", (None, "#")),
        ] {
            assert_eq!(split(label), expected);
        }
    }
}
